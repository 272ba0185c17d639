// model_api.hpp - the answers and requests of /models and /embeddings.
#pragma once
#include <rustic/json.hpp>
#include <string>
#include <string_view>

#include "chat_error.hpp"
#include "config.hpp"

namespace rustic::openai {

// The body of an answer of /models becomes {"models": [...]}. Throws failure.
json::object read_models(const subject& about, std::string_view body);

// The body of a request to /embeddings for {"model", "inputs"}. Throws failure(INVALID_ARGUMENT).
std::string build_embed_request(const config& instance, const json::object& request);

// The answer becomes {"embeddings": [[...]], "usage"}; there must be `inputs` of them. Throws
// failure.
json::object read_embeddings(const subject& about, std::string_view body, std::size_t inputs);

}  // namespace rustic::openai
