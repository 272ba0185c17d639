// plugins/engines/agent/argument_keys.hpp - finds a key that one JSON object names twice: which
// value is meant nobody can know.
#pragma once
#include <string>
#include <string_view>

namespace rustic::agent {

// The first such key of a valid JSON text, or nothing.
std::string repeated_key(std::string_view text);
}  // namespace rustic::agent
