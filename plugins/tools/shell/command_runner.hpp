// command_runner.hpp - runs shell commands below a supervisor process, many at once, on one thread.
//
// Threads: run, cancel, resume from any; stop from one. The I/O thread and the supervisor start
// with the first command and are gone after stop. Nothing wakes up while nothing happens. Errors:
// run throws failure(RESOURCE_EXHAUSTED, FAILED_PRECONDITION); all else is in the outcome.
#pragma once
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "running_command.hpp"
#include "supervisor_link.hpp"

namespace rustic::shell {

struct runner_settings {
  std::string supervisor;                // path of rustic-ai-supervisor
  std::string shell = "/bin/sh";         // absolute path
  std::vector<std::string> environment;  // NAME=value: all that commands get
  std::size_t kept_bytes_max = output_bytes_default;
  bool separate_streams = false;  // standard error in a pipe of its own; their order is then lost
  std::uint32_t grace_ms = deadline_grace_ms;  // from SIGTERM at the deadline to SIGKILL
  spill_settings spill;
};

class command_runner {
 public:
  explicit command_runner(runner_settings settings);
  ~command_runner();  // stops
  command_runner(const command_runner&) = delete;
  command_runner& operator=(const command_runner&) = delete;

  // Returns the command's id, possibly after the listener was told its end.
  std::uint64_t run(command_spec spec, std::shared_ptr<command_listener> listener);
  // Ends the command's whole tree; its outcome follows within a second. Unknown ids are ignored.
  void cancel(std::uint64_t id);
  void resume(std::uint64_t id);
  // Ends everything, background processes too, reports every outcome, joins. Idempotent.
  void stop();

 private:
  struct order {
    enum class kind { run, cancel, resume, stop } what;
    std::uint64_t id = 0;
    std::unique_ptr<running_command> command = {};
  };

  void post(order item);
  void loop();
  void take_orders();
  void begin(std::unique_ptr<running_command> command);
  void dispatch(std::uint64_t data, char* buffer);
  void on_time(char* buffer);
  void hand_over(running_command& command, std::vector<descriptor> descriptors);
  void watch_supervisor();
  int wait_ms() const;
  running_command* find(std::uint64_t id);

  runner_settings settings_;

  std::mutex mutex_;  // guards the next five
  std::vector<order> inbox_;
  std::uint64_t next_id_ = 1;
  std::size_t active_ = 0;  // commands taken and not gone
  bool stopped_ = false;
  std::thread thread_;

  descriptor epoll_;
  descriptor wake_;

  // The I/O thread's own.
  spill_directory spill_;
  supervisor_link supervisor_;
  std::map<std::uint64_t, std::unique_ptr<running_command>> commands_;
  bool stopping_ = false;
  clock::time_point stop_time_ = clock::time_point::max();
};

}  // namespace rustic::shell
