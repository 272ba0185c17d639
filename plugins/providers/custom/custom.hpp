// custom.hpp - any server that speaks Chat Completions or Responses. Nothing about it is known:
// everything can be configured.
#pragma once
#include <memory>
#include <rustic/provider/translator.hpp>
#include <string_view>

namespace rustic::custom {

// A translator for the members "api" and "base_url". Throws failure(INVALID_ARGUMENT) that names
// the instance and the member.
std::unique_ptr<provider::translator> make(std::string_view name, const json::object& members);

}  // namespace rustic::custom
