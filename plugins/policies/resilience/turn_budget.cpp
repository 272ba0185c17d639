#include "turn_budget.hpp"

#include <algorithm>

#include "limits.hpp"

namespace rustic::resilience {

bool turn_budget::take(int retries, std::int64_t wait_ms) {
  std::scoped_lock lock(mutex_);
  if (retries > retries_ || wait_ms > wait_ms_) return false;
  retries_ -= retries;
  wait_ms_ -= wait_ms;
  return true;
}

std::int64_t turn_budget::wait_left_ms() const {
  std::scoped_lock lock(mutex_);
  return wait_ms_;
}

void turn_budget::settle(std::string_view from, std::string_view on) {
  std::scoped_lock lock(mutex_);
  from_ = from;
  on_ = on;
}

std::string turn_budget::settled(std::string_view from) const {
  std::scoped_lock lock(mutex_);
  return from == from_ ? on_ : std::string();
}

std::shared_ptr<turn_budget> turn_budgets::find(std::string_view turn) {
  std::scoped_lock lock(mutex_);
  const auto found = turns_.find(turn);
  if (found == turns_.end()) return nullptr;
  found->second.used = ++uses_;
  return found->second.budget;
}

std::shared_ptr<turn_budget> turn_budgets::of(std::string_view turn) {
  if (turn.empty()) return std::make_shared<turn_budget>(retries_, wait_ms_);
  if (auto known = find(turn)) return known;
  std::scoped_lock lock(mutex_);
  if (turns_.size() >= turns_max)
    turns_.erase(std::min_element(turns_.begin(), turns_.end(), [](const auto& a, const auto& b) {
      return a.second.used < b.second.used;
    }));
  auto& made = turns_[std::string(turn)];
  if (!made.budget) made.budget = std::make_shared<turn_budget>(retries_, wait_ms_);
  made.used = ++uses_;
  known_.store(turns_.size(), std::memory_order_relaxed);
  return made.budget;
}
}  // namespace rustic::resilience
