// child_process.hpp - the program's end of one child: its sockets, its keeper, its end.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "descriptor.hpp"
#include "keeper_protocol.hpp"

namespace rustic::cell {

// What is being run, and as what.
struct launch_order {
  std::string program;  // path of rustic-ai-cell
  std::string name;     // shown by ps
  int image = -1;       // the plugin's file, borrowed
  std::vector<std::string> environment;
};

// Ends with everything below it in its destructor at the latest. Not for several threads.
class child_process {
 public:
  child_process() = default;
  ~child_process() { end(0); }
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;

  // What went wrong, or nothing.
  std::optional<std::string> launch(const launch_order& order);
  bool running() const noexcept { return pid_ > 0; }

  // To be watched and read; all but the keeper's process are non-blocking.
  descriptor frames, questions, output;
  int keeper() const noexcept { return keeper_.get(); }
  int process() const noexcept { return process_.get(); }  // readable when the keeper has ended

  // What the keeper says, when keeper() is readable. `gone`: it will say no more.
  std::optional<keeper_report> news(bool& gone);
  // Kills the plugin's process; the keeper reports its end and then ends the rest.
  void kill();
  // Everything is to end now, the keeper last. The frames need not be read any more.
  void hang_up();
  // Takes the ended keeper from the process table. False: it still runs.
  bool reap();
  // hang_up and reap; what has not ended in wait_ms is killed.
  void end(std::int64_t wait_ms);

 private:
  descriptor keeper_, process_;
  pid_t pid_ = 0;
};

// "SIGSEGV (Segmentation fault)", "it called exit with status 3".
struct ended_as {
  std::string reason;
  std::string signal;            // "SIGSEGV", empty when it exited
  std::optional<int> exit_code;  // when it exited
};
ended_as describe_end(int wait_status);

}  // namespace rustic::cell
