#include "host/runtime/timer_thread.hpp"

#include <chrono>

#include "kernel/kernel.hpp"

namespace rustic::runtime {

timer_thread::~timer_thread() { stop(); }

void timer_thread::serve(kernel::kernel& owner, std::function<void()> housekeeping) {
  std::scoped_lock lock(mutex_);
  kernel_ = &owner;
  housekeeping_ = std::move(housekeeping);
}

void timer_thread::start_locked() {
  if (!thread_.joinable() && !stopping_ && kernel_) thread_ = std::thread([this] { run(); });
}

void timer_thread::wake() {
  std::scoped_lock lock(mutex_);
  dirty_ = true;
  start_locked();
  changed_.notify_one();
}

void timer_thread::wake_for_housekeeping() {
  std::scoped_lock lock(mutex_);
  due_ = true;
  start_locked();
  changed_.notify_one();
}

void timer_thread::stop() {
  std::thread thread;
  {
    std::scoped_lock lock(mutex_);
    stopping_ = true;
    thread.swap(thread_);
    changed_.notify_one();
  }
  if (thread.joinable()) thread.join();
}

void timer_thread::run() {
  using clock = std::chrono::steady_clock;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    dirty_ = false;
    const bool housekeeping = std::exchange(due_, false);
    lock.unlock();
    if (housekeeping && housekeeping_) housekeeping_();
    kernel_->expire(clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
    const auto next = kernel_->next_deadline_ns();
    lock.lock();
    const auto news = [&] { return dirty_ || due_ || stopping_; };
    if (next)
      changed_.wait_until(lock, clock::time_point(std::chrono::nanoseconds(*next)), news);
    else
      changed_.wait(lock, news);
  }
}
}  // namespace rustic::runtime
