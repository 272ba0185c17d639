// Configuration as it may be shown: without keys and passwords.
#pragma once
#include <rustic/json.hpp>
#include <string>
#include <string_view>

namespace rustic::config {
inline constexpr std::string_view redacted = "***";

// True for a name such as api_key, password, auth-token or client_secret.
bool is_secret_name(std::string_view name);
bool is_secret_reference(std::string_view text);

// A copy in which literal secrets are "***". References (env:, file:) stay as they are; of cmd:
// only the program's name stays. Passwords inside URLs go as well. `name` is the key of `value`.
json::value redact(const json::value& value, std::string_view name = {});
}  // namespace rustic::config
