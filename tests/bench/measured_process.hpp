// measured_process.hpp - starts a program and tells what it cost: wall time, CPU, peak memory.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace rustic::bench {

std::int64_t now_ns();  // CLOCK_MONOTONIC

struct command {
  std::vector<std::string> words;        // the program's path first
  std::vector<std::string> environment;  // NAME=VALUE; nothing is inherited
  std::string directory;
};

struct cost {
  std::int64_t begin_ns = 0;  // just before the fork
  double wall_ms = 0;         // from the fork until the exit is known
  double cpu_ms = 0;          // user and system, of the program and what it waited for
  double peak_rss_mb = 0;     // of the largest process among them
  int exit_status = 0;        // 128 + the signal when one ended it
};

// Runs it to its end with its standard streams at /dev/null. `meanwhile` is called once after the
// start, with the process id. Throws std::runtime_error.
cost run(const command& what, const std::function<void(pid_t)>& meanwhile = {});

// Runs it to its end and gives its standard output. Throws when it fails.
std::string output_of(const command& what);

struct memory {
  double rss_mb = 0;
  double pss_mb = 0;
};
memory memory_of(pid_t pid);  // now; zeros when the process is gone

// What all threads of a process have used so far.
struct activity {
  double cpu_ms = 0;
  std::int64_t voluntary_switches = 0;
  std::int64_t threads = 0;
};
activity activity_of(pid_t pid);

// A program at a terminal of its own (120 columns, 40 rows). Ended with SIGKILL by the destructor.
class terminal_process {
 public:
  explicit terminal_process(const command& what);
  ~terminal_process();
  terminal_process(const terminal_process&) = delete;
  terminal_process& operator=(const terminal_process&) = delete;

  pid_t pid() const { return pid_; }
  void type(const std::string& text);
  // Reads what is shown until it has been quiet for quiet_ms; throws after timeout_ms.
  std::string settle(int quiet_ms, int timeout_ms);

 private:
  pid_t pid_ = -1;
  int terminal_ = -1;
};

}  // namespace rustic::bench
