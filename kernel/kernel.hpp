// The kernel: names, calls, events. Everything else is a service.
#pragma once
#include <rustic/abi.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "kernel/bus.hpp"
#include "kernel/calls.hpp"
#include "kernel/hooks.hpp"
#include "kernel/limits.hpp"
#include "kernel/registry.hpp"

namespace rustic::kernel {

struct kernel_options {
  /// Of trace ids and of the space of call ids. Nothing: from the system.
  std::optional<std::uint64_t> seed;
  /// A clock that never goes back, in ns. Empty: std::chrono::steady_clock.
  std::function<std::int64_t()> now_ns;
  /// How long a cancelled call may take to finish before it is abandoned.
  std::uint32_t grace_ms = default_grace_ms;
  hooks told;
};

/// Owns no thread: the runtime calls expire() when next_deadline_ns() says so. Several kernels
/// live side by side in one process. Every function may be called on any thread, concurrently, and
/// from inside every callback. Before the destructor runs, no thread may be inside and no service
/// may still answer: shut_down(), stop the plugins, destroy.
class kernel {
 public:
  explicit kernel(kernel_options options = {});
  ~kernel();
  kernel(const kernel&) = delete;
  kernel& operator=(const kernel&) = delete;

  registry& names() noexcept { return registry_; }
  bus& events() noexcept { return bus_; }

  // As a caller.

  /// Makes a call beneath `parent` (0: a root). `caller` is the plugin's id, empty for the program
  /// itself. The observer's finish comes exactly once, possibly before this returns: then 0.
  /// The request is copied where it is needed; `self` of the observer stays valid until finish.
  rai_call call(rai_call parent, const rai_request& request, const rai_observer& observer,
                std::string_view caller) {
    return calls_.call(parent, request, observer, caller);
  }
  /// The call and all below it end: the caller gets CANCELLED when the service has finished, or
  /// when it was abandoned. Idempotent.
  void cancel(rai_call call) { calls_.cancel(call); }
  /// After the observer has answered an event with RAI_PAUSE. May come before that answer.
  void resume(rai_call call) { calls_.resume(call); }
  /// A cancelled call: its finish comes now. What its service does later goes nowhere.
  void abandon(rai_call call) { calls_.abandon(call); }

  // As a service.

  rai_flow emit(rai_call call, const rai_event& event) { return calls_.emit(call, event); }
  void finish(rai_call call, rai_status status, rai_str body) { calls_.finish(call, status, body); }
  /// As an interceptor: the rest of the chain answers the call. Refused, the call finishes with
  /// the reason.
  void forward(rai_call call, const rai_request& request) { calls_.forward(call, request); }
  /// Fills as much as out->struct_size covers. NOT_FOUND once the call has finished.
  rai_status info(rai_call call, rai_call_info* out) { return calls_.info(call, out); }

  // As the owner of the kernel.

  /// When expire() has something to do, in the clock's ns; nothing when no call waits.
  std::optional<std::int64_t> next_deadline_ns() { return calls_.next_deadline_ns(); }
  /// Cancels what is overdue and abandons what was cancelled grace_ms ago.
  void expire(std::int64_t now_ns) { calls_.expire(now_ns); }
  /// Cancels every call that a generation is serving: after a drain took too long.
  void cancel_generation(std::uint64_t generation) { calls_.cancel_generation(generation); }
  /// Refuses new calls with UNAVAILABLE and cancels all others.
  void shut_down() { calls_.shut_down(); }
  /// Plugins whose calls had to be abandoned.
  std::vector<abandoned_count> abandoned_calls() { return calls_.abandoned(); }
  /// Calls that live at this moment, tombstones included. Slow: for reports and tests.
  std::size_t live_calls() { return calls_.live(); }

 private:
  const kernel_options options_;
  registry registry_;
  bus bus_;
  calls calls_;
};

}  // namespace rustic::kernel
