// restart_policy.hpp - when a plugin that died may be started again.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "limits.hpp"

namespace rustic::cell {

// Times are in ms of one clock, the system's, because deaths are remembered between runs. Not for
// several threads.
class restart_policy {
 public:
  restart_policy(std::vector<std::int64_t> deaths_ms, bool quarantined)
      : deaths_ms_(std::move(deaths_ms)), quarantined_(quarantined) {}

  void died(std::int64_t now_ms);
  // It ran and could not be started: its create or start refused.
  void refused(std::int64_t now_ms);
  // It serves: what it refused before is forgotten, its deaths are not.
  void serves() { refusals_ = 0; }

  // 0: it may be started now.
  std::int64_t wait_ms(std::int64_t now_ms) const;
  bool quarantined() const noexcept { return quarantined_; }
  std::size_t recent_deaths(std::int64_t now_ms) const;

 private:
  std::vector<std::int64_t> deaths_ms_;  // only those that can still count
  std::size_t refusals_ = 0;
  std::int64_t last_ms_ = 0;
  bool quarantined_;
};

}  // namespace rustic::cell
