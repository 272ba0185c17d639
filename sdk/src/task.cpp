#include <rustic/task.hpp>

namespace rustic {

void strand::post(std::coroutine_handle<> handle) {
  std::unique_lock lock(mutex_);
  queue_.push_back(handle);
  if (running_) return;
  running_ = true;
  std::vector<std::coroutine_handle<>> batch;
  while (!queue_.empty()) {
    batch.swap(queue_);
    lock.unlock();
    for (auto next : batch) next.resume();
    batch.clear();
    lock.lock();
  }
  running_ = false;
}
}  // namespace rustic
