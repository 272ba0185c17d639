#include "host/runtime/housekeeping.hpp"

#include <system_error>

namespace rustic::runtime {

void housekeeping::wake() {
  const std::scoped_lock lock(mutex_);
  if (stopping_) return;
  due_ = true;
  try {
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    return;  // too many processes: the next wake tries again
  }
  changed_.notify_one();
}

void housekeeping::stop() {
  std::thread thread;
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    thread.swap(thread_);
    changed_.notify_one();
  }
  if (thread.joinable()) thread.join();
}

void housekeeping::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return due_ || stopping_; });
    if (stopping_) return;
    due_ = false;
    lock.unlock();
    job_();
    lock.lock();
  }
}
}  // namespace rustic::runtime
