// Those who want to hear of changes of the registry, told one at a time and in order.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::kernel {

enum class change_kind : std::uint8_t { appeared, changed, disappeared };

/// One change of the registry.
struct change {
  change_kind kind;
  std::string target;
  std::string owner;
  std::string attributes;
};

/// Any thread. Changes are told in the order in which they happened, by one thread at a time: the
/// one that made a change, or one that is telling an earlier one.
class watchers {
 public:
  using callback = std::function<void(const change&)>;

  /// 0: there are too many, or the pattern is none.
  std::uint64_t add(std::string_view pattern, callback told);
  /// Returns when the callback runs on no other thread and never will again. From inside a
  /// callback it does not wait.
  void remove(std::uint64_t id);

  /// Queues a change. The caller's order is the order of telling.
  void push(change what);
  /// Tells what is queued, unless another thread or an outer frame is at it.
  void tell();

 private:
  struct watcher {
    std::uint64_t id;
    std::string pattern;
    callback told;
    bool removed = false;
    bool running = false;
  };

  std::mutex mutex_;
  std::condition_variable idle_;
  std::vector<std::shared_ptr<watcher>> watchers_;
  std::deque<change> queue_;  // bounded by the changes of the threads that are telling or waiting
  std::uint64_t next_id_ = 1;
  std::uintptr_t telling_ = 0;  // mark of the thread that tells; 0: none
};

}  // namespace rustic::kernel
