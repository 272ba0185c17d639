// rustic/loop.hpp - a loop of a plugin's own: one thread for jobs and timers, so that a plugin can
// be an actor.
#pragma once
#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace rustic {

// Jobs run one after another on the loop's thread, which starts with the first one and sleeps
// without a timeout while there is nothing to do. Threads: every function from any; stop not from
// the loop.
class loop {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr std::size_t queued_jobs_max =
      65'536;  // timers included; beyond it they are refused

  loop() = default;
  ~loop() { stop(); }
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  // False when the loop is full or stopped: the job was not taken.
  bool post(std::function<void()> job);
  // 0 when it was not taken, else a number for cancel.
  std::uint64_t post_at(clock::time_point due, std::function<void()> job);
  // True when the job will not run. False: it has run, runs, or there is none of that number.
  bool cancel(std::uint64_t number);
  bool on_loop() const;
  // Runs the posted jobs, drops the timers, joins.
  void stop();

  // `co_await my_loop.enter()`: the coroutine goes on on the loop's thread. Only for coroutines
  // that belong to nobody else's strand.
  auto enter() {
    struct awaiter {
      loop& lane;
      bool await_ready() const { return lane.on_loop(); }
      bool await_suspend(std::coroutine_handle<> waiting) {
        return lane.post([waiting] { waiting.resume(); });
      }
      void await_resume() const noexcept {}
    };
    return awaiter{*this};
  }

 private:
  void run();
  void start_locked();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::function<void()>> jobs_;
  std::map<std::pair<clock::time_point, std::uint64_t>, std::function<void()>> timers_;
  std::map<std::uint64_t, clock::time_point> due_;
  std::uint64_t next_ = 1;
  bool stopping_ = false;
  std::thread thread_;
};
}  // namespace rustic
