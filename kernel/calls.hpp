// Calls: made, answered, cancelled, finished. The invariants of the runtime are kept here.
#pragma once
#include <rustic/abi.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/call_slab.hpp"
#include "kernel/deadline_queue.hpp"
#include "kernel/hooks.hpp"
#include "kernel/registry.hpp"

namespace rustic::kernel {

/// How many calls of one plugin were abandoned: it did not finish them within the grace.
struct abandoned_count {
  std::string owner;
  std::int64_t now = 0;     // not finished to this moment
  std::uint64_t total = 0;  // ever
};

/// Any thread, concurrently, also from inside every callback. No lock is held while a service, an
/// observer, an op or a hook runs, and whatever they throw ends here. See kernel.hpp for the
/// meaning of each function.
class calls {
 public:
  struct settings {
    std::uint64_t seed = 0;
    std::uint32_t grace_ms = default_grace_ms;
    std::function<std::int64_t()> now_ns;
  };

  /// `names` and `told` must outlive this.
  calls(registry& names, const hooks& told, settings with);
  ~calls();
  calls(const calls&) = delete;
  calls& operator=(const calls&) = delete;

  rai_call call(rai_call parent, const rai_request& request, const rai_observer& observer,
                std::string_view caller);
  void cancel(rai_call call);
  void resume(rai_call call);
  void abandon(rai_call call);
  rai_flow emit(rai_call call, const rai_event& event);
  void finish(rai_call call, rai_status status, rai_str body);
  void forward(rai_call call, const rai_request& request);
  rai_status info(rai_call call, rai_call_info* out);

  void cancel_generation(std::uint64_t generation);
  void shut_down();
  std::vector<abandoned_count> abandoned();
  std::size_t live();

  std::optional<std::int64_t> next_deadline_ns() { return deadlines_.earliest(); }
  void expire(std::int64_t now_ns);

 private:
  class parked_call;

  // calls.cpp: how a call comes to its service.
  verdict prepare(call_slot& slot, rai_call parent, const rai_request& request, bool forwards);
  verdict check(call_slot& slot, const rai_request& request, bool forwards) const;
  verdict inherit(call_slot& slot, call_slot& parent, const rai_request& request, bool forwards);
  verdict pass_on(call_slot& slot, call_slot& parent, bool forwards) const;
  void drop(call_slot& slot);
  rai_call launch(call_slot& slot, const rai_request& request);
  rai_call dispatch(call_slot& slot, rai_call id, const rai_request& request, entry at);
  rai_call enter_service(call_slot& slot, rai_call id, const rai_request& request, const entry& at);
  rai_call turn_away(call_slot& slot, rai_call id, const entry& at);
  entry without(call_slot& slot, const entry& at, const std::string& reason);
  void resume_parked(rai_call id, const rai_request& request, entry at, const std::string& reason);
  void tell_refused(const rai_observer& observer, std::string_view caller, const refusal& why);

  // delivery.cpp: how events and the finish come back.
  rai_flow emit_as(rai_call call, const rai_event& event, bool forwarded);
  void finish_as(rai_call call, rai_status status, rai_str body, call_slot* next_hop);
  bool settle(held_call& at);
  bool settle_observer(held_call& at);
  bool settle_op(held_call& at);
  void run_op(held_call& at, void (*function)(void*), const char* name);
  void deliver(held_call& at, const rai_event& event);
  void end(held_call& at, rai_status status, rai_str body);
  void end_cancelled(held_call& at, rai_status late_status, rai_str late_body);
  void recycle(held_call& at);
  void cancel_as(rai_call call, rai_status status, const char* reason);
  void cancel_children(rai_call call, rai_status status, const char* reason);
  void limit_shield(rai_call call);
  static void unlink(call_slot& parent, call_slot& child);
  bool can_be_late(rai_call call);
  void push_deadline(std::int64_t due_ns, rai_call call);
  void count_abandoned(const std::string& owner, std::int64_t now, std::uint64_t total);
  void violation(std::string_view owner, std::string_view what);

  registry& registry_;
  const hooks& hooks_;
  const settings settings_;
  call_slab slab_;
  deadline_queue deadlines_;
  std::atomic<bool> shut_{false};

  std::mutex abandoned_mutex_;
  std::map<std::string, abandoned_count, std::less<>> abandoned_;  // one for each plugin at most
};

}  // namespace rustic::kernel
