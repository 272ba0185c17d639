#include <rustic/loop.hpp>

namespace rustic {

void loop::start_locked() {
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

bool loop::post(std::function<void()> job) {
  std::scoped_lock lock(mutex_);
  if (stopping_ || jobs_.size() + timers_.size() >= queued_jobs_max) return false;
  jobs_.push_back(std::move(job));
  start_locked();
  changed_.notify_one();
  return true;
}

std::uint64_t loop::post_at(clock::time_point due, std::function<void()> job) {
  std::scoped_lock lock(mutex_);
  if (stopping_ || jobs_.size() + timers_.size() >= queued_jobs_max) return 0;
  const auto number = next_++;
  timers_.emplace(std::pair(due, number), std::move(job));
  due_.emplace(number, due);
  start_locked();
  changed_.notify_one();
  return number;
}

bool loop::cancel(std::uint64_t number) {
  std::function<void()> dropped;  // destroyed without the lock
  std::scoped_lock lock(mutex_);
  const auto found = due_.find(number);
  if (found == due_.end()) return false;
  const auto timer = timers_.find(std::pair(found->second, number));
  dropped = std::move(timer->second);
  timers_.erase(timer);
  due_.erase(found);
  return true;
}

bool loop::on_loop() const {
  std::scoped_lock lock(mutex_);
  return thread_.get_id() == std::this_thread::get_id();
}

void loop::stop() {
  std::thread thread;
  {
    std::scoped_lock lock(mutex_);
    stopping_ = true;
    timers_.clear();
    due_.clear();
    thread.swap(thread_);
    changed_.notify_one();
  }
  if (thread.joinable()) thread.join();
}

void loop::run() {
  std::unique_lock lock(mutex_);
  std::vector<std::function<void()>> batch;
  for (;;) {
    while (!timers_.empty() && timers_.begin()->first.first <= clock::now()) {
      due_.erase(timers_.begin()->first.second);
      jobs_.push_back(std::move(timers_.begin()->second));
      timers_.erase(timers_.begin());
    }
    if (!jobs_.empty()) {
      batch.swap(jobs_);
      lock.unlock();
      for (auto& job : batch) job();
      batch.clear();
      lock.lock();
    } else if (stopping_) {
      return;
    } else if (timers_.empty()) {
      changed_.wait(lock, [&] { return stopping_ || !jobs_.empty() || !timers_.empty(); });
    } else {
      const auto due = timers_.begin()->first.first;  // the timer may be gone while this waits
      changed_.wait_until(lock, due);
    }
  }
}
}  // namespace rustic
