// The circuit breakers: a target that keeps failing is left alone for a while, then one call tries
// it.
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::resilience {

enum class circuit_state { closed, open, half_open };
std::string_view state_name(circuit_state state) noexcept;

// One circuit for each target. Closed: calls go through, failures in a row are counted. Open: none
// goes through until the cooldown is over. Half open: one probe decides.
// Time is whatever the caller counts in milliseconds. Threads: any.
class circuit_breakers {
 public:
  struct admission {
    bool admitted = true;
    bool probe = false;        // tell succeeded, failed or released
    std::int64_t wait_ms = 0;  // not admitted: ask again after it
    int failures = 0;
  };
  // A circuit that has changed its state.
  struct change {
    std::string target;
    circuit_state state = circuit_state::closed;
    int failures = 0;
    std::int64_t wait_ms = 0;  // until a probe may go
  };

  circuit_breakers(int failures, std::int64_t cooldown_ms)
      : failures_(failures), cooldown_ms_(cooldown_ms) {}

  admission admit(std::string_view target, std::int64_t now_ms);
  std::optional<change> succeeded(std::string_view target);
  // `open_for_ms` above 0 opens it at once and for so long.
  std::optional<change> failed(std::string_view target, std::int64_t now_ms,
                               std::int64_t open_for_ms = 0);
  // The probe has ended without a verdict: the next call is one.
  void released(std::string_view target);

  // No target has failed lately: nothing need be asked or told.
  bool quiet() const noexcept { return known_.load(std::memory_order_relaxed) == 0; }
  // Those that are not closed, or have failed lately.
  std::vector<change> list(std::int64_t now_ms) const;

  // For the next generation of the plugin, whose clock goes on.
  struct kept {
    std::string target;
    int failures = 0;
    std::int64_t open_until_ms = 0;  // 0: closed
  };
  std::vector<kept> keep() const;
  void take_over(const std::vector<kept>& circuits);

 private:
  struct circuit {
    int failures = 0;
    bool open = false;
    bool probing = false;
    std::int64_t until_ms = 0;
    std::uint64_t used = 0;  // orders by the last use
  };
  circuit& at(std::string_view target);

  const int failures_;
  const std::int64_t cooldown_ms_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, circuit, std::less<>> circuits_;
  std::uint64_t uses_ = 0;
  std::atomic<std::size_t> known_{0};
};
}  // namespace rustic::resilience
