// host/runtime/timer_thread.hpp - lets the kernel's deadlines expire and runs small jobs.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace rustic::kernel {
class kernel;
}

namespace rustic::runtime {

// Sleeps until the earliest deadline, and for ever when there is none. After the whole program
// stood still (stopped by a signal, a machine that was paused) calls get a moment to end before the
// deadlines that passed meanwhile expire: what they waited for could not come either.
class timer_thread {
 public:
  // The thread starts with the first wake: a program that needs no deadline has no thread.
  timer_thread() = default;
  ~timer_thread();
  timer_thread(const timer_thread&) = delete;
  timer_thread& operator=(const timer_thread&) = delete;

  void serve(kernel::kernel& owner);
  // The earliest deadline changed. Threads: any.
  void wake();
  // Deadlines may have become pointless: a thread that waits for one looks again. Threads: any.
  void look_again();

  using clock = std::chrono::steady_clock;
  // Runs `job` on this thread at that time; it must not block. What is due after stop is dropped.
  // Throws failure(RESOURCE_EXHAUSTED) when there is no thread to be had. Threads: any.
  std::uint64_t run_at(clock::time_point when, std::function<void()> job);
  // True: it has not begun and never will. Threads: any.
  bool forget(std::uint64_t job);

  void stop();

 private:
  void run();
  bool start_locked() noexcept;  // false: there is no thread to be had
  void run_due(std::unique_lock<std::mutex>& lock);
  void wait_if_held_up(clock::time_point due);

  std::mutex mutex_;
  std::condition_variable changed_;
  kernel::kernel* kernel_ = nullptr;
  bool dirty_ = false;
  bool stopping_ = false;
  std::map<std::uint64_t, std::pair<clock::time_point, std::function<void()>>> jobs_;
  std::multimap<clock::time_point, std::uint64_t> order_;  // of the jobs
  std::uint64_t last_job_ = 0;
  std::thread thread_;
};
}  // namespace rustic::runtime
