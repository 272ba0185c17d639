// When calls are due: a heap of times that forgets finished calls lazily.
#pragma once
#include <rustic/abi.h>

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

namespace rustic::kernel {

/// Any thread. Holds only calls with a timeout of their own and cancelled ones in their grace.
class deadline_queue {
 public:
  /// `pending` tells whether a call can still miss its time. It is asked with the queue locked.
  explicit deadline_queue(std::function<bool(rai_call)> pending) : pending_(std::move(pending)) {}

  /// True: this is the earliest now.
  bool push(std::int64_t due_ns, rai_call call);
  /// The earliest time of a pending call.
  std::optional<std::int64_t> earliest();
  /// Takes out one pending call that is due, or 0.
  rai_call pop_due(std::int64_t now_ns);

 private:
  struct entry_at {
    std::int64_t due_ns;
    rai_call call;
  };
  static bool later(const entry_at& a, const entry_at& b) noexcept { return a.due_ns > b.due_ns; }
  void drop_dead_top();

  const std::function<bool(rai_call)> pending_;
  std::mutex mutex_;
  std::vector<entry_at> heap_;
  std::size_t sweep_at_ = 0;  // size at which finished calls are swept out
};

}  // namespace rustic::kernel
