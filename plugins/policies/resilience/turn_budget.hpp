// What one turn may spend on further tries, however many requests it makes.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace rustic::resilience {

// Threads: any.
class turn_budget {
 public:
  turn_budget(int retries, std::int64_t wait_ms) : retries_(retries), wait_ms_(wait_ms) {}

  // Takes so many tries and so much waiting, or nothing when one of them is not there.
  bool take(int retries, std::int64_t wait_ms);
  std::int64_t wait_left_ms() const;

  // Where the turn has gone over to: requests that begin at `from` begin there.
  void settle(std::string_view from, std::string_view on);
  std::string settled(std::string_view from) const;  // empty: nowhere else

 private:
  mutable std::mutex mutex_;
  int retries_;
  std::int64_t wait_ms_;
  std::string from_, on_;
};

// The budgets of the turns of late. Only a turn that needed one has one. Threads: any.
class turn_budgets {
 public:
  turn_budgets(int retries, std::int64_t wait_ms) : retries_(retries), wait_ms_(wait_ms) {}

  // No turn has needed one so far.
  bool empty() const noexcept { return known_.load(std::memory_order_relaxed) == 0; }
  // Null: the turn has needed none so far.
  std::shared_ptr<turn_budget> find(std::string_view turn);
  // Of a call outside of any turn: a budget of its own.
  std::shared_ptr<turn_budget> of(std::string_view turn);

 private:
  struct entry {
    std::shared_ptr<turn_budget> budget;
    std::uint64_t used = 0;
  };
  const int retries_;
  const std::int64_t wait_ms_;
  std::mutex mutex_;  // guards what follows
  std::map<std::string, entry, std::less<>> turns_;
  std::uint64_t uses_ = 0;
  std::atomic<std::size_t> known_{0};
};
}  // namespace rustic::resilience
