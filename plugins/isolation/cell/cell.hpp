// cell.hpp - runs one plugin in a child process and stands in for it: starts it, passes calls in
// both directions, notices its death and starts it again.
//
// One thread of its own, from the constructor to stop(); the functions of the plugin's life are
// serialised by the caller, the services are called from any thread.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <rustic/status.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bus_links.hpp"
#include "captured_output.hpp"
#include "child_process.hpp"
#include "forwarded_calls.hpp"
#include "frame.hpp"
#include "frame_queue.hpp"
#include "made_calls.hpp"
#include "restart_policy.hpp"
#include "settings.hpp"
#include "task_thread.hpp"

namespace rustic::cell {

class cell {
 public:
  // Starts the child and creates the plugin in it, unless it is quarantined. `host` must outlive
  // this. Throws failure with the plugin's words, or with what killed it.
  cell(const rai_host& host, cell_settings settings);
  ~cell();
  cell(const cell&) = delete;
  cell& operator=(const cell&) = delete;

  // As rai_plugin has them. All throw failure.
  void start();
  void stop();
  std::string save();
  void restore(std::string_view state);
  // The services that the plugin offers; after start.
  std::vector<std::string> offered() const;
  rai_service service(std::string_view target);

 private:
  using clock = std::chrono::steady_clock;
  enum class phase {
    none,     // no child
    loading,  // it creates the plugin
    loaded,   // it waits to be told to start
    starting,
    ready,  // it serves
    stopping,
  };
  struct reply {
    rai_status status = RAI_OK;
    std::string text;
    bool late = false;  // there was none in time
  };
  struct forwarder {  // what a rai_service points to
    forwarder(cell& whose, std::uint32_t which) : owner(whose), number(which) {}
    cell& owner;
    std::atomic<std::uint32_t> number;
  };
  struct provided {
    std::unique_ptr<forwarder> service;
    bool bound = false;
  };

  // The caller's side of the plugin's life.
  reply ask(frame_type type, phase before, phase during, const std::string& bytes);
  reply wait_reply(std::unique_lock<std::mutex>& lock, std::int64_t timeout_ms);
  static void require_ok(const reply& answer);
  // Details of an error: the call itself may be the reason, so nobody is to repeat it unasked.
  static json::object not_again(std::string_view kind);
  std::string load_frame() const;
  std::string start_frame() const;
  std::optional<error> admit();
  std::optional<error> refusal_locked(std::int64_t now_ms) const;
  rai_service service_of(forwarder& to);
  void end_thread();
  [[noreturn]] void late_death();
  std::string not_ready() const;
  // Counts it; what its calls are told.
  error death_locked(const ended_as& how, std::int64_t now_ms);
  void tell_death(const error& why, const ended_as& how, std::int64_t now_ms);

  // The thread that listens.
  void loop();
  void round();
  int poll_timeout_ms();
  void start_what_is_wanted();
  void launch();
  void read_frames(int rounds);
  bool take(const frame& in);
  bool outward(const frame& in);
  bool on_done(const frame& in);
  void on_started(const reply& answer);
  void refused(const reply& answer);
  void read_questions();
  bool answer(const frame& in, std::string& out);
  void send_answer();
  rai_status provide(frame_reader& in);
  void read_output(bool last);
  void read_news();
  void on_deaf();
  void on_time();
  void on_silence(clock::time_point now);
  void kill_for(std::string reason);
  void gone(ended_as how);
  void forget_child();
  void reap_leaving(clock::time_point now);
  void say(int level, std::string_view text, rai_call call = 0);
  void say_limited(int level, std::string_view text, rai_call call = 0);
  void publish_death(const ended_as& how, std::int64_t now_ms);
  void wake();

  const rai_host& host_;
  const cell_settings settings_;
  descriptor image_, wake_;
  const std::shared_ptr<frame_queue> queue_;
  forwarded_calls served_;
  const std::shared_ptr<made_calls> made_;
  bus_links bus_;
  std::map<std::string, std::unique_ptr<forwarder>, std::less<>> forwarders_;  // by target

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable replied_;
  phase phase_ = phase::none;
  std::optional<reply> reply_;
  bool launch_wanted_ = false;
  bool by_itself_ = false;     // it is started again: nobody waits for the answers
  bool started_ = false;       // start() has worked once
  bool awaited_ = false;       // somebody waits in wait_reply
  std::size_t forgotten_ = 0;  // answers that nobody waits for any more
  std::uint64_t generation_of_child_ = 0;
  bool ended_ = false;
  std::string offered_;  // one byte for each target
  restart_policy policy_;

  // The thread's alone.
  std::unique_ptr<child_process> child_;
  std::vector<std::pair<std::unique_ptr<child_process>, clock::time_point>> leaving_;
  std::uint64_t generation_ = 0;
  frame_buffer frames_, questions_;
  std::string unsent_answer_;
  output_lines lines_;
  rate_limit log_rate_{log_lines_per_s}, output_rate_{output_bytes_per_s};
  std::map<std::string, provided, std::less<>> provided_;
  std::string killed_because_, stopped_by_;
  clock::time_point heard_{}, load_due_ = clock::time_point::max();
  clock::time_point report_due_ = clock::time_point::max();
  std::optional<clock::time_point> pinged_;
  clock::time_point deaf_until_{};      // what it says may not have been heard yet
  bool hung_up_ = false;                // the child's end of the frames is closed
  bool noted_ = false;                  // what confinement could not do was said
  std::atomic<bool> asleep_{false};     // no timer runs: a call that begins wakes it
  std::atomic<bool> violation_{false};  // found by what runs outward
  std::thread thread_;
  task_thread outward_;  // what the plugin wants of others: it may wait for them
};

}  // namespace rustic::cell
