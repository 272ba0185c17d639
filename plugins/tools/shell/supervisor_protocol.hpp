// supervisor_protocol.hpp - what the plugin and its supervisor process say to each other.
//
// Two kinds of SOCK_SEQPACKET socket. The control socket (descriptor 3 of the supervisor) carries
// run_request and kill_request to the supervisor. Each command has a channel of its own to the
// process that keeps it (its keeper): keeper_order towards it, keeper_report back. Closing a
// channel ends the whole tree of its command; the keeper closes it when no process of the tree is
// left. Both ends come from one build, so the structs travel as they lie in memory.
#pragma once
#include <cstdint>

#include "limits.hpp"

namespace rustic::shell {

inline constexpr int control_descriptor = 3;

enum class control_kind : std::uint32_t { run = 1, kill_keeper = 2 };

// Followed by NUL-terminated strings: the shell, the command, the directory, the environment. With
// it travel two or three descriptors: standard output, [standard error,] the channel. Without one
// of its own, standard error is standard output.
struct run_request {
  control_kind kind = control_kind::run;
  std::uint32_t environment_entries = 0;
  std::uint64_t run = 0;
  std::uint32_t timeout_ms = 0;
  std::uint32_t grace_ms = 0;  // from SIGTERM at the deadline to SIGKILL
};

// A keeper that does not answer any more; what was below it ends too.
struct kill_request {
  control_kind kind = control_kind::kill_keeper;
  std::uint32_t reserved = 0;
  std::uint64_t run = 0;
};

enum class order_kind : std::uint32_t { end = 1, list = 2 };
struct keeper_order {
  order_kind kind = order_kind::end;
  std::uint32_t grace_ms = 0;
};

enum class report_kind : std::uint32_t { not_started = 1, deadline = 2, exited = 3, processes = 4 };
enum class start_step : std::uint32_t { fork = 1, directory = 2, execute = 3 };

struct listed_process {
  std::int32_t pid = 0;
  char name[process_name_bytes] = {};
};
struct keeper_report {
  report_kind kind = report_kind::exited;
  start_step step = start_step::fork;  // of not_started
  std::int32_t value = 0;  // not_started: errno; exited: wait status; processes: how many there are
  std::uint32_t listed = 0;
  listed_process processes[listed_processes_max] = {};
};

}  // namespace rustic::shell
