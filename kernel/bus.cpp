#include "kernel/bus.hpp"

#include <algorithm>

#include "kernel/error.hpp"
#include "kernel/limits.hpp"

namespace rustic::kernel {

rai_status bus::publish(std::string_view topic, std::string_view body) {
  const std::size_t shard = thread_shard();
  frame own;
  own.thread = thread_mark();
  // Ids grow: what subscribes from now on has a larger one.
  std::uint64_t last = 0;
  if (!enter(shard, own, last)) {
    if (hooks_.on_warning) {
      hooks_.on_warning("event " + std::string(topic) + " was dropped: handlers publish from " +
                        "handlers " + std::to_string(max_publish_depth) + " deep");
    }
    return RAI_RESOURCE_EXHAUSTED;
  }
  rai_handler handler = nullptr;
  void* self = nullptr;
  while (next(shard, own, last, topic, handler, self)) {
    try {
      handler(self, str(topic), str(body));
    } catch (...) {
      charge(own.running, "its handler threw");
    }
  }
  return RAI_OK;
}

/// Links the frame. `last` becomes the newest id there is.
bool bus::enter(std::size_t shard, frame& own, std::uint64_t& last) {
  lock_.lock_shard(shard);
  std::uint32_t depth = 0;
  for (const frame* f = frames_[shard].newest; f != nullptr; f = f->outer) {
    depth += f->thread == own.thread ? 1 : 0;
  }
  const bool fits = depth < max_publish_depth;
  if (fits) {
    last = subscribers_.empty() ? 0 : subscribers_.back().id;
    own.outer = frames_[shard].newest;
    frames_[shard].newest = &own;
  }
  lock_.unlock_shard(shard);
  return fits;
}

/// Steps to the next handler, or unlinks the frame when there is none.
bool bus::next(std::size_t shard, frame& own, std::uint64_t last, std::string_view topic,
               rai_handler& handler, void*& self) {
  bool found = false;
  const std::uint64_t left = own.running;
  lock_.lock_shard(shard);
  auto at = left == 0
                ? subscribers_.begin()
                : std::upper_bound(subscribers_.begin(), subscribers_.end(), left,
                                   [](std::uint64_t id, const subscriber& s) { return id < s.id; });
  for (; at != subscribers_.end() && at->id <= last; ++at) {
    if (!matches(at->pattern, topic)) continue;
    own.running = at->id;
    handler = at->handler;
    self = at->self;
    found = true;
    break;
  }
  if (!found) {
    // Frames of other threads may share the shard: they need not leave in order.
    frame** link = &frames_[shard].newest;
    while (*link != &own) link = &(*link)->outer;
    *link = own.outer;
  }
  lock_.unlock_shard(shard);
  if (left != 0) wake();
  return found;
}

void bus::wake() {
  if (waiting_.load() == 0) return;
  // The waiter looks under the mutex: it has either seen the change or is in wait.
  { const std::lock_guard hold(wait_mutex_); }
  left_.notify_all();
}

std::uint64_t bus::subscribe(std::string_view pattern, rai_handler handler, void* self,
                             std::string_view owner) {
  if (!valid_pattern(pattern) || handler == nullptr) return 0;
  subscriber made{0, std::string(pattern), handler, self, std::string(owner)};
  const std::lock_guard hold(write_mutex_);
  if (subscribers_.size() >= max_subscriptions) return 0;
  const sharded_lock::writer writing(lock_);
  made.id = next_id_++;
  subscribers_.push_back(std::move(made));
  return subscribers_.back().id;
}

void bus::unsubscribe(std::uint64_t subscription) {
  bool inside = false;
  {
    const std::lock_guard hold(write_mutex_);
    const sharded_lock::writer writing(lock_);
    const auto found = std::find_if(subscribers_.begin(), subscribers_.end(),
                                    [&](const subscriber& s) { return s.id == subscription; });
    // Somebody may have taken it away already and left its handler running.
    if (found != subscribers_.end()) subscribers_.erase(found);
    const std::uintptr_t self = thread_mark();
    for (const auto& list : frames_) {
      for (const frame* f = list.newest; f != nullptr; f = f->outer) inside |= f->thread == self;
    }
  }
  if (inside) return;
  waiting_.fetch_add(1);
  {
    std::unique_lock hold(wait_mutex_);
    left_.wait(hold, [&] { return !runs(subscription); });
  }
  waiting_.fetch_sub(1);
}

bool bus::runs(std::uint64_t subscription) {
  const sharded_lock::writer all(lock_);
  for (const auto& list : frames_) {
    for (const frame* f = list.newest; f != nullptr; f = f->outer) {
      if (f->running == subscription) return true;
    }
  }
  return false;
}

void bus::charge(std::uint64_t subscription, const char* what) {
  std::string owner;
  {
    const sharded_lock::reader reading(lock_);
    for (const auto& s : subscribers_) {
      if (s.id == subscription) owner = s.owner;
    }
  }
  if (hooks_.on_violation) hooks_.on_violation(owner, what);
}

}  // namespace rustic::kernel
