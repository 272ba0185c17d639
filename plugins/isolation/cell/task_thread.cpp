#include "task_thread.hpp"

namespace rustic::cell {

void task_thread::post(task what, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  tasks_.push_back({std::move(what), bytes});
  bytes_ += bytes;
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  changed_.notify_one();
}

bool task_thread::full() {
  const std::lock_guard lock(mutex_);
  return full_locked();
}

void task_thread::hold(bool held) {
  const std::lock_guard lock(mutex_);
  held_ = held;
  changed_.notify_one();
}

void task_thread::clear() {
  const std::lock_guard lock(mutex_);
  tasks_.clear();
  bytes_ = 0;
}

void task_thread::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || (!held_ && !tasks_.empty()); });
    if (tasks_.empty()) return;
    const bool was_full = full_locked();
    const item next = std::move(tasks_.front());
    tasks_.pop_front();
    bytes_ -= next.bytes;
    const bool room = was_full && !full_locked();
    lock.unlock();
    if (room) on_room_();
    next.what();
    lock.lock();
  }
}

void task_thread::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

}  // namespace rustic::cell
