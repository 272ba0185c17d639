#include "kernel/calls.hpp"

#include <algorithm>
#include <cstring>
#include <exception>

#include "kernel/limits.hpp"

namespace rustic::kernel {
namespace {

constexpr std::int64_t ns_per_ms = 1'000'000;
constexpr const char* by_shutdown = "the program is shutting down";

/// Spreads the bits of a number over all of them.
std::uint64_t mix(std::uint64_t x) noexcept {
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

/// A growable struct of any size as this kernel knows it.
template <typename Struct>
Struct known(const Struct& given) noexcept {
  Struct out{};
  std::memcpy(&out, &given, std::min<std::size_t>(given.struct_size, sizeof out));
  out.struct_size = sizeof out;
  return out;
}

std::string name_of(rai_str target) {
  return std::string(view(target).substr(0, max_target_bytes));
}

}  // namespace

/// A call that waits for its service to be activated, with a copy of what it asks for.
class calls::parked_call : public parked {
 public:
  parked_call(calls& owner, rai_call id, const rai_request& request, const entry& at)
      : calls_(owner), id_(id), request_(request), at_(at.place()) {
    rai_str* const texts[] = {&request_.method, &request_.body, &request_.data};
    for (const rai_str* text : texts) text_ += view(*text);
    bytes = text_.size();
    const char* next = text_.data();
    for (rai_str* text : texts) {
      text->ptr = next;
      next += text->len;
    }
  }
  void resume(const std::string& reason) override {
    calls_.resume_parked(id_, request_, at_.place(), reason);
  }

 private:
  calls& calls_;
  const rai_call id_;
  rai_request request_;
  const entry at_;
  std::string text_;
};

calls::calls(registry& names, const hooks& told, settings with)
    : registry_(names),
      hooks_(told),
      settings_(std::move(with)),
      slab_(mix(settings_.seed)),
      deadlines_([this](rai_call call) { return can_be_late(call); }) {}

calls::~calls() = default;

rai_call calls::call(rai_call parent, const rai_request& from, const rai_observer& observer,
                     std::string_view caller) {
  const rai_request request = known(from);
  const rai_observer answer = known(observer);
  const bool shut = shut_.load(std::memory_order_relaxed);
  call_slot* const slot = shut ? nullptr : slab_.take();
  if (slot == nullptr) {
    tell_refused(answer, caller,
                 {shut ? RAI_UNAVAILABLE : RAI_RESOURCE_EXHAUSTED,
                  "call of " + name_of(request.target) + " refused: " +
                      (shut ? std::string("the program is shutting down")
                            : std::to_string(max_live_calls) + " calls are alive"),
                  {}});
    return 0;
  }
  slot->observer = answer;
  slot->wants_events = answer.event != nullptr;
  slot->caller.assign(caller);
  if (const verdict why = prepare(*slot, parent, request, false)) {
    drop(*slot);
    tell_refused(answer, caller, *why);
    return 0;
  }
  return launch(*slot, request);
}

void calls::forward(rai_call call, const rai_request& from) {
  const rai_request request = known(from);
  verdict why;
  if (call_slot* const slot = slab_.take()) {
    slot->observer = {};
    slot->wants_events = true;
    why = prepare(*slot, call, request, true);
    if (why == nullptr) {
      launch(*slot, request);
      return;
    }
    drop(*slot);
  } else {
    why = refuse(RAI_RESOURCE_EXHAUSTED,
                 "forward refused: " + std::to_string(max_live_calls) + " calls are alive");
  }
  std::string owner;
  if (held_call at = slab_.hold(call); !at) {
    return;
  } else if (at->forwarded) {
    owner = at->to->owner;
  } else {
    at.release();
    const std::string body = error_body(why->message, why->hint);
    finish_as(call, why->status, str(body), nullptr);
    return;
  }
  violation(owner, "forward was called twice for one call");
}

verdict calls::check(call_slot& slot, const rai_request& request, bool forwards) const {
  const bool next = forwards || (request.flags & RAI_NEXT) != 0;
  if (next && slot.parent == 0) {
    return refuse(RAI_FAILED_PRECONDITION, "call refused: RAI_NEXT without a parent");
  }
  if (!next && (request.target.len == 0 || request.target.len > max_target_bytes)) {
    return refuse(
        RAI_INVALID_ARGUMENT,
        "call refused: its target has " + std::to_string(request.target.len) + " bytes",
        "A target is interface/name, of at most " + std::to_string(max_target_bytes) + " bytes.");
  }
  if (request.context.len > max_context_bytes) {
    return refuse(RAI_INVALID_ARGUMENT, "call of " + name_of(request.target) +
                                            " refused: its context has more than " +
                                            std::to_string(max_context_bytes) + " bytes");
  }
  if (!forwards && (request.flags & RAI_SHIELDED) != 0 &&
      (request.timeout_ms == 0 || slot.parent == 0)) {
    return refuse(RAI_INVALID_ARGUMENT,
                  "call of " + name_of(request.target) +
                      " refused: a shielded call needs a parent and a timeout_ms of its own");
  }
  return {};
}

verdict calls::prepare(call_slot& slot, rai_call parent, const rai_request& request,
                       bool forwards) {
  slot.parent = parent;
  slot.forwards = forwards;
  slot.in_call = true;
  if (verdict why = check(slot, request, forwards)) return why;

  std::int64_t due_ns = INT64_MAX;
  if (request.timeout_ms != 0) {
    due_ns = settings_.now_ns() + std::int64_t{request.timeout_ms} * ns_per_ms;
  }
  slot.line.deadline_ns = due_ns;
  slot.shielded = !forwards && (request.flags & RAI_SHIELDED) != 0;
  rai_call id = 0;
  if (parent == 0) {
    id = slab_.next_id(slot);
    slot.address.assign(view(request.target));
    slot.line.root = id;
    slot.line.depth = 1;
    slot.line.trace_high = mix(settings_.seed ^ mix(id));
    slot.line.trace_low = mix(slot.line.trace_high ^ id) | 1;  // all zero is not a trace id
    if (request.context.len != 0) {
      slot.context = new shared_context(std::string(view(request.context)));
    }
    slot.id.store(id, std::memory_order_release);
  } else {
    held_call above = slab_.hold(parent);
    if (!above) {
      return refuse(RAI_CANCELLED,
                    "call of " + name_of(request.target) + " refused: its parent has finished");
    }
    if (verdict why = inherit(slot, *above, request, forwards)) return why;
    id = slot.id.load(std::memory_order_relaxed);
    if (slot.shielded) {
      due_ns = slot.line.deadline_ns;
    } else if (slot.line.deadline_ns < due_ns) {
      due_ns = INT64_MAX;  // the parent's own deadline cancels the child with the parent
    }
  }
  if (due_ns != INT64_MAX) push_deadline(due_ns, id);
  return {};
}

/// The parent is locked: what is read here holds until the child hangs below it.
verdict calls::inherit(call_slot& slot, call_slot& parent, const rai_request& request,
                       bool forwards) {
  const bool next = forwards || (request.flags & RAI_NEXT) != 0;
  if (next) {
    if (verdict why = pass_on(slot, parent, forwards)) return why;
  } else {
    slot.address.assign(view(request.target));
    if (parent.interceptor != nullptr && slot.caller == parent.to->owner) {
      slot.exempt.interceptor = parent.interceptor;
    }
  }
  if (parent.service_done) {
    return refuse(RAI_CANCELLED, "call of " + slot.address + " refused: its parent has finished");
  }
  if (parent.cancelled && !slot.shielded) {
    return refuse(parent.cancel_status,
                  "call of " + slot.address + " refused: its parent was cancelled");
  }
  if (parent.line.depth >= max_call_depth) {
    return refuse(RAI_RESOURCE_EXHAUSTED,
                  "call of " + slot.address + " refused: calls are nested " +
                      std::to_string(max_call_depth) + " deep",
                  "Something calls itself without end.");
  }
  const std::int64_t own_deadline_ns = slot.line.deadline_ns;
  slot.line = parent.line;
  ++slot.line.depth;
  const bool hangs_below = !parent.cancelled && !parent.ended;
  std::int64_t given_ns = INT64_MAX;
  if (!slot.shielded) {
    given_ns = std::min(parent.line.deadline_ns, parent.shield_ends_ns);
  } else if (!hangs_below) {
    given_ns = settings_.now_ns() + std::int64_t{max_shield_ms} * ns_per_ms;
  }
  slot.line.deadline_ns = std::min(own_deadline_ns, given_ns);

  const std::string_view given = view(request.context);
  if (given.empty() || (parent.context != nullptr && given == parent.context->text())) {
    slot.context = parent.context;
    if (slot.context != nullptr) slot.context->hold();
  } else {
    slot.context = new shared_context(std::string(given));
  }
  const rai_call id = slab_.next_id(slot);
  slot.id.store(id, std::memory_order_release);
  if (next) parent.passed_on = true;
  if (forwards) {
    parent.forwarded = true;
    parent.forward_child = id;
  }
  if (hangs_below) {
    slot.previous = nullptr;
    slot.next = parent.first_child;
    if (slot.next != nullptr) slot.next->previous = &slot;
    parent.first_child = &slot;
    slot.linked = true;
  }
  return {};
}

/// The next hop of an intercepted call.
verdict calls::pass_on(call_slot& slot, call_slot& parent, bool forwards) const {
  if (parent.interceptor == nullptr || parent.forwarded ||
      (!forwards && slot.caller != parent.to->owner)) {
    return refuse(RAI_FAILED_PRECONDITION,
                  "call refused: RAI_NEXT needs a parent that the calling interceptor is serving");
  }
  if (parent.passed_on && parent.emitted) {
    return refuse(RAI_FAILED_PRECONDITION,
                  "call of " + std::string(parent.target()) +
                      " cannot be passed on again: events of the first attempt went out",
                  "Emit RAI_EVENT_RESTART first.");
  }
  slot.address.assign(parent.target());
  slot.after = parent.position;
  slot.exempt = parent.exempt;
  if (forwards) slot.caller.assign(parent.to->owner);
  return {};
}

/// Gives back a slot that nobody else has seen.
void calls::drop(call_slot& slot) {
  slot.in_call = false;
  slot.exempt = {};
  slot.after = 0;
  slot.line = {};
  slab_.give_back(slot);
}

rai_call calls::launch(call_slot& slot, const rai_request& request) {
  const rai_call id = slot.id.load(std::memory_order_relaxed);
  const std::string_view account = slot.parent == 0 ? std::string_view(slot.caller) : "";
  entry at = registry_.enter({slot.address, slot.resolved, slot.after, slot.exempt, account});
  // shut_down() has either seen this call when it looked for calls, or is seen here: both take the
  // lock that registry_.enter() has just let go.
  if (shut_.load(std::memory_order_relaxed)) cancel_as(id, RAI_CANCELLED, by_shutdown);
  return dispatch(slot, id, request, std::move(at));
}

void calls::shut_down() {
  shut_.store(true, std::memory_order_relaxed);
  registry_.let_pass();
  slab_.for_each([&](rai_call call) { cancel_as(call, RAI_CANCELLED, by_shutdown); });
}

/// `in_call` of the slot keeps it alive here, and while it waits for an activation.
rai_call calls::dispatch(call_slot& slot, rai_call id, const rai_request& request, entry at) {
  for (;;) {
    if (at.warning != nullptr && hooks_.on_warning) hooks_.on_warning(*at.warning);
    if (at.to == nullptr) return turn_away(slot, id, at);
    if (at.ready) return enter_service(slot, id, request, at);
    std::string reason;
    std::unique_ptr<parked> later = std::make_unique<parked_call>(*this, id, request, at);
    switch (registry_.activate(*at.to, later, reason)) {
      case registry::activation::waiting: {
        // Another thread may have dispatched and finished it by now.
        const held_call now = slab_.hold(id);
        return now && !now->caller_done ? id : 0;
      }
      case registry::activation::ready:
        at.ready = true;
        break;
      case registry::activation::failed:
        at = without(slot, at, reason);
        break;
    }
  }
}

void calls::resume_parked(rai_call id, const rai_request& request, entry at,
                          const std::string& reason) {
  call_slot* slot = nullptr;
  {
    const held_call now = slab_.hold(id);
    if (!now) return;
    slot = &*now;
  }
  at.ready = reason.empty();
  if (!at.ready) at = without(*slot, at, reason);
  dispatch(*slot, id, request, std::move(at));
}

/// What follows when the hop `at` cannot be activated.
entry calls::without(call_slot& slot, const entry& at, const std::string& reason) {
  const std::string target = at.to->target;
  registry_.leave(*at.to);
  if (at.required) {
    entry out;
    out.why = refuse(RAI_FAILED_PRECONDITION, "call of " + slot.address + " refused: " + target +
                                                  " cannot be activated: " + reason);
    return out;
  }
  if (hooks_.on_warning) {
    hooks_.on_warning("optional interceptor " + target + " is left out before " + slot.address +
                      ": it cannot be activated: " + reason);
  }
  return registry_.enter({slot.address, slot.resolved, at.position, slot.exempt, {}});
}

rai_call calls::turn_away(call_slot& slot, rai_call id, const entry& at) {
  std::string hint = at.why->hint;
  if (at.unknown) {
    const std::string known_target = registry_.nearest(slot.address);
    if (!known_target.empty()) hint = "Did you mean " + known_target + "?";
  }
  held_call now = slab_.hold(id);
  now->in_call = false;
  if (!now->service_done) {
    now->service_done = true;
    now->status = at.why->status;
    now->body = error_body(at.why->message, hint);
  }
  return settle(now) ? 0 : id;
}

rai_call calls::enter_service(call_slot& slot, rai_call id, const rai_request& request,
                              const entry& at) {
  held_call now = slab_.hold(id);
  now->to = at.to;
  if (now->service_done) {  // cancelled on the way
    now->in_call = false;
    return settle(now) ? 0 : id;
  }
  now->interceptor = at.interceptor;
  now->position = at.position;
  now->entered = true;
  now.unlock();

  rai_request asked = request;
  asked.target = str(slot.target());
  asked.flags = at.interceptor != nullptr ? RAI_INTERCEPTED : 0;
  asked.context = slot.context != nullptr ? str(slot.context->text()) : rai_str{};
  rai_op op{};
  op.struct_size = sizeof op;
  const rai_service& service = at.to->service;
  std::string thrown;
  try {
    service.call(service.self, &asked, id, &op);
  } catch (const std::exception& e) {
    thrown = std::string("its call function threw: ") + e.what();
  } catch (...) {
    thrown = "its call function threw";
  }
  if (!thrown.empty()) {
    op = {};
    violation(at.to->owner, at.to->target + ": " + thrown);
    const bool open = [&] {
      const held_call h = slab_.hold(id);
      return !h->service_done && !h->forwarded;
    }();
    const std::string body =
        error_body("call of " + std::string(slot.target()) + " failed: " + thrown);
    if (open) finish_as(id, RAI_INTERNAL, str(body), nullptr);
  }
  now.lock();
  now->in_call = false;
  now->op = known(op);
  return settle(now) ? 0 : id;
}

void calls::tell_refused(const rai_observer& observer, std::string_view caller,
                         const refusal& why) {
  if (observer.finish == nullptr) return;
  const std::string body = error_body(why.message, why.hint);
  try {
    observer.finish(observer.self, why.status, str(body));
  } catch (...) {
    violation(caller, "its finish function threw");
  }
}

}  // namespace rustic::kernel
