// host/runtime/housekeeping.hpp - work that may wait for a plugin or the disk, beside everything
// that must not wait.
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace rustic::runtime {

// One thread, from the first wake to stop. A program whose plugins never change has none.
class housekeeping {
 public:
  explicit housekeeping(std::function<void()> job) : job_(std::move(job)) {}
  ~housekeeping() { stop(); }
  housekeeping(const housekeeping&) = delete;
  housekeeping& operator=(const housekeeping&) = delete;

  // Runs the job soon, once for all wakes before it begins. Waits for nothing. Threads: any.
  void wake();
  // Returns when the job runs no more; later wakes do nothing.
  void stop();

 private:
  void run();

  const std::function<void()> job_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool due_ = false;
  bool stopping_ = false;
  std::thread thread_;
};
}  // namespace rustic::runtime
