// chat_request.hpp - the body of a Chat Completions request, built from a generate request.
#pragma once
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "config.hpp"

namespace rustic::openai {

struct chat_request {
  std::string body;   // JSON
  std::string model;  // as it is asked for
  bool stream = true;
  bool has_max_tokens = false;
  std::vector<std::string> warnings;  // what was left out, for the person who asked
};

// generate is the request of docs/interfaces/provider.md. max_tokens_field overrides what the
// configuration says, when not empty. Throws failure(INVALID_ARGUMENT) that names the member.
chat_request build_chat_request(const config& instance, const json::object& generate,
                                std::string_view max_tokens_field = {});

// A guess at the tokens that the request's messages and tools take.
std::size_t estimate_tokens(const json::object& generate);

}  // namespace rustic::openai
