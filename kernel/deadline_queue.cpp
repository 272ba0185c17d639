#include "kernel/deadline_queue.hpp"

#include <algorithm>

#include "kernel/limits.hpp"

namespace rustic::kernel {

bool deadline_queue::push(std::int64_t due_ns, rai_call call) {
  const std::lock_guard hold(mutex_);
  if (heap_.size() >= std::max(sweep_at_, min_stale_deadlines)) {
    std::erase_if(heap_, [&](const entry_at& e) { return !pending_(e.call); });
    std::make_heap(heap_.begin(), heap_.end(), later);
    sweep_at_ = heap_.size() * 2;
  }
  const bool first = heap_.empty() || due_ns < heap_.front().due_ns;
  heap_.push_back({due_ns, call});
  std::push_heap(heap_.begin(), heap_.end(), later);
  return first;
}

void deadline_queue::drop_dead_top() {
  while (!heap_.empty() && !pending_(heap_.front().call)) {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    heap_.pop_back();
  }
}

std::optional<std::int64_t> deadline_queue::earliest() {
  const std::lock_guard hold(mutex_);
  drop_dead_top();
  if (heap_.empty()) return std::nullopt;
  return heap_.front().due_ns;
}

rai_call deadline_queue::pop_due(std::int64_t now_ns) {
  const std::lock_guard hold(mutex_);
  drop_dead_top();
  if (heap_.empty() || heap_.front().due_ns > now_ns) return 0;
  const rai_call call = heap_.front().call;
  std::pop_heap(heap_.begin(), heap_.end(), later);
  heap_.pop_back();
  return call;
}

}  // namespace rustic::kernel
