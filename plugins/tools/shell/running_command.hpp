// running_command.hpp - one command from its start to the end of its last process, as the runner's
// loop sees it: its pipes, its channel to the keeper, its output, its clock.
//
// Threads: the runner's I/O thread alone; the listener is called on it.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "descriptor.hpp"
#include "output_collector.hpp"
#include "supervisor_protocol.hpp"

namespace rustic::shell {

using clock = std::chrono::steady_clock;

struct command_spec {
  std::string text;
  std::string directory;  // absolute
  std::uint32_t timeout_ms = timeout_ms_default;
};

// How a command ended. Exactly one of exit_code, signal and failure is set.
struct outcome {
  std::optional<int> exit_code;
  std::optional<int> signal;
  // Why it could not be run, or is out of sight; what to do about it. The output so far holds.
  std::string failure;
  bool missing_directory = false;
  bool timed_out = false;
  bool cancelled = false;
  bool truncated = false;
  std::int64_t duration_ms = 0;
  std::string output;
  std::string spill_file;
  std::int32_t remaining_count = 0;
  std::vector<std::pair<pid_t, std::string>> remaining;  // the first of them: pid, name
};

enum class next { more, pause, stop };

// Who hears of one command. Throws nothing; may call the runner.
class command_listener {
 public:
  virtual ~command_listener() = default;
  // Raw bytes. index: 1 standard output, 2 standard error. pause: nothing more until resume;
  // stop: the bytes were not taken, and the command is to be cancelled.
  virtual next on_output(int index, std::string_view bytes) = 0;
  // Once, after the last on_output.
  virtual void on_finished(outcome result) = 0;
};

class running_command {
 public:
  running_command(std::uint64_t id, command_spec spec, std::shared_ptr<command_listener> listener,
                  std::size_t kept_bytes_max, std::uint32_t grace_ms, spill_directory& spill);

  // What an epoll item's data names beside the command.
  enum source : std::uint32_t { output = 0, error = 1, channel = 2 };
  static constexpr std::uint64_t sources = 4;

  // Makes pipes and channel and watches them. Returns what the keeper gets; empty when descriptors
  // ran out, and then the command has finished.
  std::vector<descriptor> open(int epoll, bool separate_streams);
  void fail(std::string reason);  // finishes a command that was never handed over

  void on_ready(source which, char* buffer);
  void on_time(char* buffer);
  void cancel();
  void resume();
  void stop();  // the runner ends

  // When on_time wants to be called; time_point::max() for never.
  clock::time_point next_time() const;
  bool finished() const noexcept { return stage_ == stage::finished; }
  // Nothing is left to watch.
  bool gone() const noexcept { return finished() && tree_gone_; }
  // The keeper did not answer in time and has to be killed; says so once.
  bool take_overdue() { return std::exchange(overdue_, false); }

  std::uint64_t id() const noexcept { return id_; }
  const command_spec& spec() const noexcept { return spec_; }

 private:
  enum class stage { running, draining, listing, finished };

  void watch(source which, bool wanted);
  void close_pipe(source which);
  // False when there was nothing to read.
  bool read_pipe(source which, char* buffer);
  void read_reports();
  void take_output(source which, std::string_view bytes);
  void order(order_kind kind, std::uint32_t grace_ms);
  void begin_end(std::uint32_t grace_ms);
  void mute();
  void settle(char* buffer);
  void drain(char* buffer);
  void finish();

  std::uint64_t id_;
  command_spec spec_;
  std::shared_ptr<command_listener> listener_;
  output_collector collector_;
  int epoll_ = -1;
  descriptor pipes_[2];
  bool watched_[2] = {};
  descriptor channel_;

  stage stage_ = stage::running;
  outcome outcome_;
  std::optional<int> wait_status_;
  bool tree_gone_ = false;
  bool ending_ = false;  // cancelled, stopped or past its deadline
  bool paused_ = false;
  bool muted_ = false;  // no more events
  bool overdue_ = false;
  clock::time_point started_;
  clock::time_point deadline_;
  clock::time_point overdue_time_;
  clock::time_point quiet_time_;
  clock::time_point drained_time_;
};

}  // namespace rustic::shell
