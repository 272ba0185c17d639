// host/cli/exit_code.hpp - what the program's exit status means; docs/exit-codes.md is the table
// for people.
#pragma once
#include <rustic/status.hpp>

namespace rustic::cli {

enum class exit_code : int {
  done = 0,
  turn_failed = 1,
  usage = 2,
  configuration = 3,
  provider = 4,  // unreachable, refused or unauthorised
  denied = 5,    // the turn could not finish because an action was denied
  limit = 6,     // a limit was reached
  interrupted = 130,
  terminated = 143
};

// For a failed turn. A stream that broke off is a failed turn; what never answered is the provider.
exit_code exit_code_of(const error& problem);
// For a turn's result: done, denied or limit.
exit_code exit_code_of(const json::object& turn);
}  // namespace rustic::cli
