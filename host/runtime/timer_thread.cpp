#include "host/runtime/timer_thread.hpp"

#include <algorithm>
#include <rustic/status.hpp>
#include <system_error>

#include "host/runtime/limits.hpp"
#include "kernel/kernel.hpp"

namespace rustic::runtime {
namespace {
timer_thread::clock::time_point at(std::int64_t deadline_ns) {
  return timer_thread::clock::time_point(std::chrono::nanoseconds(deadline_ns));
}
}  // namespace

timer_thread::~timer_thread() {
  stop();
}

void timer_thread::serve(kernel::kernel& owner) {
  std::scoped_lock lock(mutex_);
  kernel_ = &owner;
}

bool timer_thread::start_locked() noexcept {
  if (thread_.joinable() || stopping_ || !kernel_) return true;
  try {
    thread_ = std::thread([this] { run(); });
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}

void timer_thread::wake() {
  std::scoped_lock lock(mutex_);
  dirty_ = true;
  (void)start_locked();  // else the next wake tries again; a deadline may pass late till then
  changed_.notify_one();
}

void timer_thread::look_again() {
  std::scoped_lock lock(mutex_);
  dirty_ = true;
  changed_.notify_one();
}

std::uint64_t timer_thread::run_at(clock::time_point when, std::function<void()> job) {
  std::scoped_lock lock(mutex_);
  // Before the job is kept: one that is refused never runs.
  if (!start_locked())
    throw failure(status_code::resource_exhausted, "waiting: no thread can be started",
                  "allow this user more processes, see ulimit -u");
  const auto id = ++last_job_;
  jobs_.emplace(id, std::pair(when, std::move(job)));
  order_.emplace(when, id);
  dirty_ = true;
  changed_.notify_one();
  return id;
}

bool timer_thread::forget(std::uint64_t job) {
  std::function<void()> dropped;  // destroyed without the lock
  std::scoped_lock lock(mutex_);
  const auto found = jobs_.find(job);
  if (found == jobs_.end()) return false;
  const auto [begin, end] = order_.equal_range(found->second.first);
  for (auto at = begin; at != end; ++at) {
    if (at->second != job) continue;
    order_.erase(at);
    break;
  }
  dropped = std::move(found->second.second);
  jobs_.erase(found);
  return true;
}

void timer_thread::run_due(std::unique_lock<std::mutex>& lock) {
  while (!stopping_ && !order_.empty() && order_.begin()->first <= clock::now()) {
    const auto found = jobs_.find(order_.begin()->second);
    order_.erase(order_.begin());
    const auto job = std::move(found->second.second);
    jobs_.erase(found);
    lock.unlock();
    job();
    lock.lock();
  }
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

void timer_thread::wait_if_held_up(clock::time_point due) {
  if (clock::now() - due < std::chrono::milliseconds(held_up_ms)) return;
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(held_up_grace_ms), [&] { return stopping_; });
}

void timer_thread::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    dirty_ = false;
    lock.unlock();
    auto next = kernel_->next_deadline_ns();
    if (next && at(*next) <= clock::now()) {
      wait_if_held_up(at(*next));
      kernel_->expire(clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
      next = kernel_->next_deadline_ns();
    }
    lock.lock();
    run_due(lock);
    if (!order_.empty()) {
      const std::int64_t job_ns =
          order_.begin()->first.time_since_epoch() / std::chrono::nanoseconds(1);
      next = next ? std::min<std::int64_t>(*next, job_ns) : job_ns;
    }
    const auto news = [&] { return dirty_ || stopping_; };
    if (next) {
      changed_.wait_until(lock, at(*next), news);
    } else {
      changed_.wait(lock, news);
    }
  }
}
}  // namespace rustic::runtime
