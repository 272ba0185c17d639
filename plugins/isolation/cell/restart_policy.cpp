#include "restart_policy.hpp"

#include <algorithm>

namespace rustic::cell {

void restart_policy::died(std::int64_t now_ms) {
  std::erase_if(deaths_ms_, [&](std::int64_t at) {
    return at <= now_ms - death_window_ms || at > now_ms;  // too old, or of a clock set back
  });
  deaths_ms_.push_back(now_ms);
  last_ms_ = now_ms;
  if (deaths_ms_.size() >= deaths_until_quarantine) quarantined_ = true;
}

void restart_policy::refused(std::int64_t now_ms) {
  ++refusals_;
  last_ms_ = now_ms;
}

std::size_t restart_policy::recent_deaths(std::int64_t now_ms) const {
  return static_cast<std::size_t>(std::count_if(
      deaths_ms_.begin(), deaths_ms_.end(),
      [&](std::int64_t at) { return at > now_ms - death_window_ms && at <= now_ms; }));
}

// The first restart is at once; then 0.5 s, doubled each time.
std::int64_t restart_policy::wait_ms(std::int64_t now_ms) const {
  const std::size_t failures = recent_deaths(now_ms) + refusals_;
  if (failures < 2 || last_ms_ == 0) return 0;
  std::int64_t pause_ms = back_off_first_ms;
  for (std::size_t n = 2; n < failures && pause_ms < back_off_max_ms; ++n) pause_ms *= 2;
  pause_ms = std::min(pause_ms, back_off_max_ms);
  return std::clamp<std::int64_t>(last_ms_ + pause_ms - now_ms, 0, pause_ms);
}

}  // namespace rustic::cell
