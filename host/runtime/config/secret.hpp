// Secrets: references in the configuration, resolved when they are needed.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "host/runtime/config/surroundings.hpp"

namespace rustic::config {
struct secret {
  std::string value;
  std::vector<std::string> warnings;
};

// "env:NAME" is a variable, "file:PATH" (with ~) the content of a file without its last newline,
// "cmd:COMMAND" what /bin/sh prints for it; anything else is the secret itself. Blocks up to ten
// seconds for a command. Throws failure: NOT_FOUND names what is missing and what to set,
// PERMISSION_DENIED a file of somebody else, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED above 64 KiB. No
// message holds any part of a secret.
secret resolve_secret(std::string_view reference, const surroundings& around);

// What stands in the way of resolving it, found without running anything; empty when nothing does.
std::string missing_secret(std::string_view reference, const surroundings& around);
}  // namespace rustic::config
