// request.hpp - builds the requests of the Messages API out of those of rustic.provider.
#pragma once
#include <cstdint>
#include <optional>
#include <rustic/json.hpp>
#include <rustic/provider/translator.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::anthropic {

// What the configuration of an instance says beside address and key.
struct settings {
  std::int64_t max_tokens = 32'000;  // for requests that name no limit; the API needs one
  std::string prompt_cache = "5m";   // or 1h, or off
  std::string thinking = "auto";     // or adaptive, enabled, off
  std::vector<std::string> betas;
  json::array server_tools;  // sent beside the tools of the request
};

// Throws failure(INVALID_ARGUMENT) that names the instance and the member.
settings read_settings(std::string_view name, const json::object& members);

// What the server has refused so far for one model.
struct learnt {
  std::int64_t max_tokens = 0;       // the most that the model takes; 0: not known
  std::vector<std::string> refused;  // members, and forms of the thinking member

  bool has(std::string_view word) const;
  std::string text() const;
  static learnt from(std::string_view text);
};

// The request for /v1/messages. Throws failure(INVALID_ARGUMENT) that names what cannot be sent.
provider::outgoing build_request(const provider::instance& where, const settings& how,
                                 const learnt& known, const json::object& generate);
// The request for /v1/messages/count_tokens.
provider::outgoing build_count_request(const provider::instance& where, const settings& how,
                                       const json::object& generate);

// The schema in the form that structured output takes: objects are closed, and limits of numbers
// and texts, which the API refuses, are left to whoever checks the answer. Nothing: it cannot be
// said in that form.
std::optional<json::value> closed_schema(const json::value& schema);

}  // namespace rustic::anthropic
