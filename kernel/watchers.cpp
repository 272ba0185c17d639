#include "kernel/watchers.hpp"

#include <algorithm>

#include "kernel/error.hpp"
#include "kernel/limits.hpp"
#include "kernel/sharded_lock.hpp"

namespace rustic::kernel {

std::uint64_t watchers::add(std::string_view pattern, callback told) {
  const std::lock_guard hold(mutex_);
  if (watchers_.size() >= max_watchers || !valid_pattern(pattern) || !told) return 0;
  auto made = std::make_shared<watcher>();
  made->id = next_id_++;
  made->pattern = pattern;
  made->told = std::move(told);
  watchers_.push_back(std::move(made));
  return watchers_.back()->id;
}

void watchers::remove(std::uint64_t id) {
  std::unique_lock hold(mutex_);
  const auto found =
      std::find_if(watchers_.begin(), watchers_.end(), [&](const auto& w) { return w->id == id; });
  if (found == watchers_.end()) return;
  const auto gone = *found;
  watchers_.erase(found);
  gone->removed = true;
  if (telling_ == thread_mark()) return;
  idle_.wait(hold, [&] { return !gone->running; });
}

void watchers::push(change what) {
  const std::lock_guard hold(mutex_);
  if (!watchers_.empty()) queue_.push_back(std::move(what));
}

void watchers::tell() {
  std::unique_lock hold(mutex_);
  if (telling_ != 0) return;
  telling_ = thread_mark();
  while (!queue_.empty()) {
    const change what = std::move(queue_.front());
    queue_.pop_front();
    const auto present = watchers_;
    for (const auto& w : present) {
      if (w->removed || !matches(w->pattern, what.target)) continue;
      w->running = true;
      hold.unlock();
      try {
        w->told(what);
      } catch (...) {
        // A watcher is the program's own; there is nobody to charge and the others still hear.
      }
      hold.lock();
      w->running = false;
      idle_.notify_all();
    }
  }
  telling_ = 0;
}

}  // namespace rustic::kernel
