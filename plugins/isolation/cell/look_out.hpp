// look_out.hpp - how long a thread looks for more before it sleeps. To wake a processor that has
// nothing to do takes longer than a short call.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <thread>

#include "limits.hpp"

namespace rustic::cell {

// Each look that was in vain makes the next ones rarer: who is asked now and then just sleeps.
// Not for several threads.
class look_out {
 public:
  using clock = std::chrono::steady_clock;

  // With one processor nobody else gets on while this one looks.
  explicit look_out(unsigned processors = std::thread::hardware_concurrency())
      : of_use_(processors > 1) {}

  // Until when to look this time; in the past: not at all.
  clock::time_point until(clock::time_point now) noexcept {
    looks_ = of_use_ && left_out_ == 0;
    if (looks_) return now + std::chrono::microseconds(look_out_us);
    left_out_ -= std::min<std::uint32_t>(left_out_, 1);
    return clock::time_point::min();
  }
  void found(bool something) noexcept {
    if (!looks_) return;
    vain_ = something ? 0 : std::min(vain_ * 2 + 1, look_outs_left_out_max);
    left_out_ = vain_;
  }

 private:
  const bool of_use_;
  bool looks_ = false;
  std::uint32_t vain_ = 0, left_out_ = 0;
};

}  // namespace rustic::cell
