// The way of one request along its targets: when to call which, when to wait, when to give up.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "circuit.hpp"
#include "fault.hpp"
#include "settings.hpp"
#include "turn_budget.hpp"

namespace rustic::resilience {

// Makes no calls and reads no clock: it is told what happened and when, and says what comes next.
// Begins as if the first target had just been called; next() may come before that.
// Threads: one at a time. Each call that next() ordered ends in succeeded, failed or abandoned.
class course {
 public:
  struct surroundings {
    const settings& with;
    circuit_breakers* circuits = nullptr;  // null: none, as for tools
    std::shared_ptr<turn_budget> budget;   // not null
    std::function<double()> random;        // 0 to 1, 1 left out
    bool waits_long = true;                // for one that asks for it, where no other is left
  };
  enum class act { call, wait, give_up };
  struct step {
    act what = act::give_up;
    std::int64_t wait_ms = 0;
    bool switched = false;  // call: of another target than the person has been told of
    bool silent = false;    // wait: it goes on with one that was told
  };

  // `chain` is not empty.
  course(surroundings around, std::vector<target> chain);

  // `left_ms`: until the caller's own deadline.
  step next(std::int64_t now_ms, std::int64_t left_ms);

  std::optional<circuit_breakers::change> succeeded();
  // `said`: the caller has seen what cannot be taken back.
  std::optional<circuit_breakers::change> failed(const fault& what, std::int64_t now_ms,
                                                 std::int64_t left_ms, bool said);
  // The call ended without telling anything about the target.
  void abandoned();

  const target& at() const noexcept { return chain_[place_]; }
  const target& first() const noexcept { return chain_.front(); }
  bool at_first() const noexcept { return place_ == 0; }
  // Why the target before was left, or is tried again.
  const fault& cause() const noexcept { return cause_; }
  const target& left() const noexcept { return chain_[left_]; }
  int tries_here() const noexcept { return tries_here_; }  // beside the first one
  // Set when it gave up without a call, because of a circuit: how long that stays open.
  const std::optional<circuit_breakers::admission>& refused() const noexcept { return refused_; }

 private:
  bool has_other() const noexcept;
  bool advance();
  void move();
  void try_again(const fault& what, std::int64_t left_ms);
  void blocked(const circuit_breakers::admission& gate, std::int64_t left_ms);
  std::int64_t wait_for(const fault& what);

  surroundings around_;
  const std::vector<target> chain_;
  std::size_t place_ = 0;
  std::size_t told_ = 0;  // the place that the person knows of
  std::size_t left_ = 0;
  std::uint32_t tried_ = 0;  // bits of places that are through
  int tries_here_ = 0;
  std::int64_t wait_ms_ = 0;
  bool circuit_wait_ = false;
  bool circuit_wait_told_ = false;
  bool over_ = false;
  fault cause_;
  std::optional<circuit_breakers::admission> refused_;
};
}  // namespace rustic::resilience
