// Tells from an error whether trying again can help, and where.
#pragma once
#include <cstdint>
#include <optional>
#include <rustic/status.hpp>
#include <string>

namespace rustic::resilience {

enum class remedy {
  none,       // the request itself, or nothing that another try changes
  again,      // passes by itself: the same target after a wait, then another one
  elsewhere,  // does not pass soon here: another target
  setup       // this target is not set up: another one
};

struct fault {
  remedy what = remedy::none;
  std::string kind;   // of the error's details; "deadline" and the like where it has none
  bool sick = false;  // counts against the target's circuit
  std::int64_t http_status = 0;
  std::optional<std::int64_t> retry_after_ms;  // above 0
};

// Of a call to rustic.provider.
fault judge(const error& problem);
// Of a call to a tool that is idempotent: only what says that it passes by itself.
fault judge_tool(const error& problem);

// What happened, in few words for a person: "overloaded (HTTP 503)".
std::string in_words(const fault& what);
}  // namespace rustic::resilience
