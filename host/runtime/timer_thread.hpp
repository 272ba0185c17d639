// host/runtime/timer_thread.hpp - the one thread that a runtime owns: it lets the kernel's
// deadlines expire and runs small jobs.
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace rustic::kernel {
class kernel;
}

namespace rustic::runtime {

// Sleeps until the earliest deadline, and for ever when there is none.
class timer_thread {
 public:
  // The thread starts with the first wake: a program that needs no deadline has no thread.
  timer_thread() = default;
  ~timer_thread();
  timer_thread(const timer_thread&) = delete;
  timer_thread& operator=(const timer_thread&) = delete;

  void serve(kernel::kernel& owner, std::function<void()> housekeeping);
  // The earliest deadline changed. Threads: any.
  void wake();
  // Runs the housekeeping soon. Threads: any.
  void wake_for_housekeeping();
  void stop();

 private:
  void run();
  void start_locked();

  std::mutex mutex_;
  std::condition_variable changed_;
  kernel::kernel* kernel_ = nullptr;
  std::function<void()> housekeeping_;
  bool dirty_ = false;
  bool due_ = false;
  bool stopping_ = false;
  std::thread thread_;
};
}  // namespace rustic::runtime
