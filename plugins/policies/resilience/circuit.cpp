#include "circuit.hpp"

#include <algorithm>

#include "limits.hpp"

namespace rustic::resilience {

std::string_view state_name(circuit_state state) noexcept {
  switch (state) {
    case circuit_state::open:
      return "open";
    case circuit_state::half_open:
      return "half_open";
    default:
      return "closed";
  }
}

circuit_breakers::circuit& circuit_breakers::at(std::string_view target) {
  auto found = circuits_.find(target);
  if (found == circuits_.end()) {
    if (circuits_.size() >= circuits_max)
      circuits_.erase(std::min_element(
          circuits_.begin(), circuits_.end(),
          [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
    found = circuits_.emplace(std::string(target), circuit{}).first;
    known_.store(circuits_.size(), std::memory_order_relaxed);
  }
  found->second.used = ++uses_;
  return found->second;
}

circuit_breakers::admission circuit_breakers::admit(std::string_view target, std::int64_t now_ms) {
  std::scoped_lock lock(mutex_);
  const auto found = circuits_.find(target);
  if (found == circuits_.end() || !found->second.open) return {};
  auto& one = found->second;
  one.used = ++uses_;
  if (one.probing) return {false, false, probe_wait_ms, one.failures};
  if (now_ms < one.until_ms) return {false, false, one.until_ms - now_ms, one.failures};
  one.probing = true;
  return {true, true, 0, one.failures};
}

std::optional<circuit_breakers::change> circuit_breakers::succeeded(std::string_view target) {
  std::scoped_lock lock(mutex_);
  const auto found = circuits_.find(target);
  if (found == circuits_.end()) return std::nullopt;
  const bool was_open = found->second.open;
  circuits_.erase(found);
  known_.store(circuits_.size(), std::memory_order_relaxed);
  if (!was_open) return std::nullopt;
  return change{std::string(target), circuit_state::closed, 0, 0};
}

std::optional<circuit_breakers::change> circuit_breakers::failed(std::string_view target,
                                                                 std::int64_t now_ms,
                                                                 std::int64_t open_for_ms) {
  std::scoped_lock lock(mutex_);
  auto& one = at(target);
  one.failures = std::min(one.failures + 1, static_cast<int>(circuit_failures_max));
  // A call that began before the circuit opened says nothing new.
  if (one.open && !one.probing && open_for_ms <= 0) return std::nullopt;
  if (!one.open && one.failures < failures_ && open_for_ms <= 0) return std::nullopt;
  const auto rest_ms = std::min(std::max(open_for_ms, cooldown_ms_), blocked_ms_max);
  const auto until_ms = now_ms + (open_for_ms > 0 ? rest_ms : cooldown_ms_);
  one.until_ms = one.open && !one.probing ? std::max(one.until_ms, until_ms) : until_ms;
  one.open = true;
  one.probing = false;
  return change{std::string(target), circuit_state::open, one.failures, one.until_ms - now_ms};
}

void circuit_breakers::released(std::string_view target) {
  std::scoped_lock lock(mutex_);
  const auto found = circuits_.find(target);
  if (found != circuits_.end()) found->second.probing = false;
}

std::vector<circuit_breakers::change> circuit_breakers::list(std::int64_t now_ms) const {
  std::scoped_lock lock(mutex_);
  std::vector<change> out;
  for (const auto& [name, one] : circuits_) {
    auto state = circuit_state::closed;
    if (one.open)
      state =
          one.probing || now_ms >= one.until_ms ? circuit_state::half_open : circuit_state::open;
    const auto wait_ms = state == circuit_state::open ? one.until_ms - now_ms : std::int64_t{0};
    out.push_back({name, state, one.failures, wait_ms});
  }
  return out;
}

std::vector<circuit_breakers::kept> circuit_breakers::keep() const {
  std::scoped_lock lock(mutex_);
  std::vector<kept> out;
  for (const auto& [name, one] : circuits_)
    out.push_back({name, one.failures, one.open ? std::max<std::int64_t>(one.until_ms, 1) : 0});
  return out;
}

void circuit_breakers::take_over(const std::vector<kept>& circuits) {
  std::scoped_lock lock(mutex_);
  for (const auto& one : circuits) {
    auto& made = at(one.target);
    made.failures = one.failures;
    made.open = one.open_until_ms != 0;
    made.until_ms = one.open_until_ms;
  }
}
}  // namespace rustic::resilience
