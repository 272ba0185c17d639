#include "course.hpp"

#include <algorithm>

#include "limits.hpp"

namespace rustic::resilience {

course::course(surroundings around, std::vector<target> chain)
    : around_(std::move(around)), chain_(std::move(chain)) {
  const auto on = around_.budget->settled(first().name());
  for (std::size_t i = 1; i < chain_.size(); ++i)
    if (chain_[i].name() == on) place_ = told_ = i;
}

bool course::has_other() const noexcept {
  for (std::size_t i = 0; i < chain_.size(); ++i)
    if (i != place_ && (tried_ >> i & 1) == 0) return true;
  return false;
}

// To the next target that was not tried, in the order of the chain and round its end.
bool course::advance() {
  tried_ |= std::uint32_t{1} << place_;
  for (std::size_t i = 1; i < chain_.size(); ++i) {
    const auto next = (place_ + i) % chain_.size();
    if ((tried_ >> next & 1) != 0) continue;
    left_ = place_;
    place_ = next;
    tries_here_ = 0;
    around_.budget->settle(first().name(), at().name());
    return true;
  }
  return false;
}

void course::move() {
  over_ = !has_other() || !around_.budget->take(1, 0) || !advance();
}

course::step course::next(std::int64_t now_ms, std::int64_t left_ms) {
  for (;;) {
    step out;
    if (over_) return out;
    if (wait_ms_ > 0) {
      out.what = act::wait;
      out.wait_ms = std::exchange(wait_ms_, 0);
      out.silent = circuit_wait_ && std::exchange(circuit_wait_told_, true);
      circuit_wait_ = false;
      return out;
    }
    if (around_.circuits) {
      const auto gate = around_.circuits->admit(at().name(), now_ms);
      if (!gate.admitted) {
        blocked(gate, left_ms);
        continue;
      }
    }
    out.what = act::call;
    out.switched = place_ != told_;
    told_ = place_;
    return out;
  }
}

void course::blocked(const circuit_breakers::admission& gate, std::int64_t left_ms) {
  cause_ = {};
  cause_.what = remedy::again;
  cause_.kind = "circuit_open";
  if (has_other() && advance()) return;
  if (gate.wait_ms < left_ms && around_.budget->take(0, gate.wait_ms)) {
    wait_ms_ = std::max<std::int64_t>(gate.wait_ms, 1);
    circuit_wait_ = true;
    return;
  }
  refused_ = gate;
  over_ = true;
}

std::optional<circuit_breakers::change> course::succeeded() {
  if (!around_.circuits || around_.circuits->quiet()) return std::nullopt;
  return around_.circuits->succeeded(at().name());
}

void course::abandoned() {
  if (around_.circuits) around_.circuits->released(at().name());
}

// Full jitter: many clients that failed together do not come back together.
std::int64_t course::wait_for(const fault& what) {
  const auto part = around_.random();
  if (what.retry_after_ms) {
    const auto spread = std::min(*what.retry_after_ms / 10, wait_spread_ms);
    return std::min(*what.retry_after_ms, wait_ms_max) +
           static_cast<std::int64_t>(part * static_cast<double>(spread));
  }
  auto most = around_.with.backoff_ms;
  for (int i = 0; i < tries_here_ && most < around_.with.backoff_ms_max; ++i) most *= 2;
  most = std::min(most, around_.with.backoff_ms_max);
  return static_cast<std::int64_t>(part * static_cast<double>(most));
}

void course::try_again(const fault& what, std::int64_t left_ms) {
  const bool long_wait =
      what.retry_after_ms && *what.retry_after_ms > around_.with.retry_after_ms_max;
  const bool leaves = long_wait && (has_other() || !around_.waits_long);
  if (!leaves && tries_here_ < around_.with.retries) {
    const auto wait_ms = wait_for(what);
    if (wait_ms < left_ms && around_.budget->take(1, wait_ms)) {
      ++tries_here_;
      wait_ms_ = std::max<std::int64_t>(wait_ms, 1);
      return;
    }
  }
  move();
}

std::optional<circuit_breakers::change> course::failed(const fault& what, std::int64_t now_ms,
                                                       std::int64_t left_ms, bool said) {
  cause_ = what;
  std::optional<circuit_breakers::change> change;
  if (around_.circuits) {
    const bool named = what.retry_after_ms.value_or(0) > around_.with.retry_after_ms_max;
    change = what.sick
                 ? around_.circuits->failed(at().name(), now_ms, named ? *what.retry_after_ms : 0)
                 : around_.circuits->succeeded(at().name());
  }
  const bool opened = change && change->state == circuit_state::open;
  if (what.what == remedy::none || (said && !around_.with.restart_after_text)) {
    over_ = true;
  } else if (what.what == remedy::again && !(opened && has_other())) {
    try_again(what, left_ms);
  } else {
    move();
  }
  return change;
}
}  // namespace rustic::resilience
