// keeper.hpp - keeps one command: starts it, ends its whole tree in time, reports its exit.
//
// A keeper is a process of its own and a child subreaper, so whatever the command leaves behind
// becomes its child, however it detached itself, and "no child left" is a fact it can wait for.
#pragma once
#include "process_table.hpp"

namespace rustic::shell {

// Borrowed from the packet it came in. The three descriptors belong to the keeper.
struct kept_command {
  const char* shell;
  const char* text;
  const char* directory;
  char* const* environment;
  std::uint32_t timeout_ms;
  std::uint32_t grace_ms;
  int output;
  int error;  // the same as output when the two are one
  int channel;
};

// Runs in the keeper process, single-threaded, SIGCHLD blocked. Ends the process.
[[noreturn]] void keep(const kept_command& command, process_table& table);

void send_report(int channel, const keeper_report& report);
std::int64_t now_ms();

}  // namespace rustic::shell
