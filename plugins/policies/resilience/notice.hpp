// What the person is told of a wait or a switch, as events of the call:
// docs/interfaces/provider.md.
#pragma once
#include <cstdint>
#include <rustic/json.hpp>
#include <string>

#include "fault.hpp"

namespace rustic::resilience {

// "300 ms", "2.5 s", "40 s", "3 min", "2 h"
std::string time_in_words(std::int64_t ms);

// {"type": "notice", "about": "retry", "message", "target", "kind", "wait_ms", "attempt"}
json::object retry_event(const std::string& target, const fault& why, std::int64_t wait_ms,
                         int attempt);
// {"type": "notice", "about": "fallback", "message", "from", "to", "kind"}
json::object fallback_event(const std::string& from, const std::string& to, const fault& why);
}  // namespace rustic::resilience
