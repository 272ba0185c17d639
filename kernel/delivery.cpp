// The answering half of class calls: events, finish, cancel, and the end of a call.
//
// Every function here changes the state of one call under its lock and then lets settle() do what
// the state asks for. The bits in_call, delivering and in_op say that a thread is outside on behalf
// of the call: each is held by one thread at a time, keeps the slot, and whoever clears one runs
// settle() again. So nothing is done twice and nothing is forgotten.
#include <algorithm>
#include <cstring>
#include <exception>

#include "kernel/calls.hpp"

namespace rustic::kernel {
namespace {

constexpr std::int64_t ns_per_ms = 1'000'000;
constexpr std::size_t kept_body_bytes = 4'096;

constexpr const char* by_caller = "its caller cancelled it";
constexpr const char* by_observer = "its caller takes no more events";
constexpr const char* by_deadline = "its deadline has passed";
constexpr const char* by_parent = "the call above it was cancelled";
constexpr const char* by_parent_end = "the call above it has finished";
constexpr const char* by_backlog = "too many events waited for its caller";
constexpr const char* by_generation = "its service is being stopped";

}  // namespace

rai_flow calls::emit(rai_call call, const rai_event& event) {
  return emit_as(call, event, false);
}

void calls::finish(rai_call call, rai_status status, rai_str body) {
  finish_as(call, status, body, nullptr);
}

void calls::cancel(rai_call call) {
  cancel_as(call, RAI_CANCELLED, by_caller);
}

rai_flow calls::emit_as(rai_call call, const rai_event& event, bool forwarded) {
  held_call at = slab_.hold(call);
  if (!at || at->service_done || at->cancelled || at->forwarded != forwarded) return RAI_STOP;
  at->emitted = event.kind != RAI_EVENT_RESTART;
  if (!at->wants_events) return RAI_CONTINUE;
  if (at->delivering || at->paused || !at->backlog.empty()) {
    if (!at->backlog.push(event)) {
      at.release();
      cancel_as(call, RAI_RESOURCE_EXHAUSTED, by_backlog);
      return RAI_STOP;
    }
    at->pause_told |= at->paused;
    return at->paused ? RAI_PAUSE : RAI_CONTINUE;
  }
  deliver(at, event);
  if (at->paused || at->pause_told || at->cancelled || at->service_done || !at->backlog.empty()) {
    at->pause_told |= at->paused;
    settle(at);
    if (!at || at->cancelled || at->service_done) return RAI_STOP;
    if (at->paused) {
      at->pause_told = true;
      return RAI_PAUSE;
    }
  }
  return RAI_CONTINUE;
}

void calls::deliver(held_call& at, const rai_event& event) {
  call_slot& slot = *at;
  slot.delivering = true;
  const std::uint32_t resumes = slot.resumes;
  at.unlock();
  rai_flow flow = RAI_STOP;
  if (slot.forwards) {
    flow = emit_as(slot.parent, event, true);
  } else {
    try {
      flow = slot.observer.event(slot.observer.self, &event);
    } catch (...) {
      violation(slot.caller, "its event function threw; the call is cancelled");
    }
  }
  if (flow == RAI_STOP) {
    cancel_as(slot.id.load(std::memory_order_relaxed), RAI_CANCELLED, by_observer);
  }
  at.lock();
  slot.delivering = false;
  if (flow == RAI_PAUSE && slot.resumes == resumes && !slot.cancelled) slot.paused = true;
}

/// `next_hop` is the child that answers for a call that was forwarded to it.
void calls::finish_as(rai_call call, rai_status status, rai_str body, call_slot* next_hop) {
  held_call at = slab_.hold(call);
  if (!at) return;
  if (next_hop != nullptr) unlink(*at, *next_hop);
  if (at->service_done || at->forwarded != (next_hop != nullptr) || !at->entered) {
    const std::string owner = at->to != nullptr ? at->to->owner : std::string();
    const std::string text =
        "a call of " + std::string(at->name()) +
        (at->service_done ? " was finished twice" : " was finished after it was forwarded");
    at.release();
    violation(owner, text);
    return;
  }
  if (status < RAI_OK || status > RAI_UNAUTHENTICATED) status = RAI_UNKNOWN;
  at->service_done = true;
  std::string owner;
  const bool tombstone = at->abandoned;
  if (tombstone) owner = at->to->owner;
  if (!at->ended) {
    if (at->delivering || (!at->cancelled && !at->backlog.empty())) {
      at->status = status;
      at->body.assign(view(body));
    } else if (at->cancelled) {
      end_cancelled(at, status, body);
    } else {
      end(at, status, body);
    }
  }
  settle(at);
  if (tombstone) count_abandoned(owner, -1, 0);
}

/// Brings a call as far as it gets now. True: its caller has been told the finish. The slot may be
/// gone afterwards, and `at` empty.
bool calls::settle(held_call& at) {
  while (settle_observer(at) || settle_op(at)) {
  }
  const bool done = at->caller_done;
  if (done && at->released && !at->delivering && !at->in_op && !at->in_call) recycle(at);
  return done;
}

/// One step towards the caller. False: there is none.
bool calls::settle_observer(held_call& at) {
  call_slot& slot = *at;
  if (slot.delivering || slot.ended) return false;
  if (slot.cancelled) {
    if (!slot.service_done && !slot.abandoned) return false;
    const std::string body = std::move(slot.body);
    end_cancelled(at, slot.status, str(body));
    return true;
  }
  if (!slot.backlog.empty()) {
    if (slot.paused) return false;
    std::string text;
    const rai_event event = slot.backlog.pop(text);
    deliver(at, event);
    return true;
  }
  // A pause holds events back, never the finish.
  if (!slot.service_done) return false;
  const std::string body = std::move(slot.body);
  end(at, slot.status, str(body));
  return true;
}

/// One step towards the service. False: there is none.
bool calls::settle_op(held_call& at) {
  call_slot& slot = *at;
  if (slot.in_op || slot.in_call || slot.released) return false;
  if (slot.service_done) {
    slot.released = true;
    if (RAI_HAS(&slot.op, release)) run_op(at, slot.op.release, "release");
    return true;
  }
  if (slot.cancel_wanted) {
    slot.cancel_wanted = false;
    if (RAI_HAS(&slot.op, cancel)) run_op(at, slot.op.cancel, "cancel");
    return true;
  }
  if (slot.pause_told && !slot.paused && !slot.delivering && !slot.cancelled &&
      slot.backlog.empty()) {
    slot.pause_told = false;
    if (slot.forward_child != 0) {
      slot.in_op = true;
      at.unlock();
      resume(slot.forward_child);
      at.lock();
      slot.in_op = false;
    } else if (RAI_HAS(&slot.op, resume)) {
      run_op(at, slot.op.resume, "resume");
    }
    return true;
  }
  return false;
}

void calls::run_op(held_call& at, void (*function)(void*), const char* name) {
  call_slot& slot = *at;
  void* const self = slot.op.self;
  slot.in_op = true;
  at.unlock();
  try {
    function(self);
  } catch (...) {
    violation(slot.to->owner, slot.to->target + ": its " + name + " function threw");
  }
  at.lock();
  slot.in_op = false;
}

/// Tells the caller the finish. Nothing of the call reaches it afterwards.
void calls::end(held_call& at, rai_status status, rai_str body) {
  call_slot& slot = *at;
  slot.ended = true;
  slot.delivering = true;
  const bool has_children = slot.first_child != nullptr;
  at.unlock();
  if (slot.parent != 0 && !slot.forwards) {
    if (const held_call above = slab_.hold(slot.parent)) unlink(*above, slot);
  }
  if (has_children) {
    cancel_children(slot.id.load(std::memory_order_relaxed), RAI_CANCELLED, by_parent_end);
  }
  if (slot.forwards) {
    finish_as(slot.parent, status, body, &slot);
  } else if (slot.observer.finish != nullptr) {
    try {
      slot.observer.finish(slot.observer.self, status, body);
    } catch (...) {
      violation(slot.caller, "its finish function threw");
    }
  }
  at.lock();
  slot.delivering = false;
  slot.caller_done = true;
}

/// The kernel decides how a cancelled call ends. What its service says nevertheless is kept: an
/// effect may have happened.
void calls::end_cancelled(held_call& at, rai_status late_status, rai_str late_body) {
  const call_slot& slot = *at;
  // The call above was forwarded here and is cancelled too: it tells its caller, once for all hops.
  if (slot.forwards && slot.service_done && slot.entered && slot.cancel_reason == by_parent) {
    return end(at, late_status, late_body);
  }
  std::string message = "call of " + std::string(slot.name()) + " was cancelled: ";
  message += slot.cancel_reason;
  std::string details;
  if (!slot.service_done) {
    message += "; its service did not stop in time";
  } else if (slot.entered) {
    details = "{\"late_status\":" + std::to_string(late_status);
    if (late_body.len != 0 && late_body.ptr[0] == '{') {
      details += ",\"late_body\":";
      details += view(late_body);
    }
    details += '}';
  }
  const std::string body = error_body(message, {}, details);
  end(at, slot.cancel_status, str(body));
}

void calls::recycle(held_call& at) {
  call_slot& slot = *at;
  binding* const to = slot.to;
  shared_context* const context = slot.context;
  slot.id.store(0, std::memory_order_release);
  slot.to = nullptr;
  slot.interceptor = nullptr;
  slot.context = nullptr;
  slot.line = {};
  slot.exempt = {};
  slot.after = 0;
  slot.resolved.clear();
  slot.entered = slot.service_done = slot.cancelled = slot.abandoned = false;
  slot.paused = slot.pause_told = slot.ended = slot.caller_done = false;
  slot.cancel_wanted = slot.released = false;
  slot.op = {};
  slot.forwarded = slot.passed_on = slot.emitted = false;
  slot.status = RAI_OK;
  slot.abandon_at_ns = slot.shield_ends_ns = INT64_MAX;
  slot.forward_child = 0;
  if (slot.body.capacity() > kept_body_bytes) std::string().swap(slot.body);
  slot.body.clear();
  slot.backlog.clear();
  at.release();
  shared_context::drop(context);
  if (to != nullptr) registry_.leave(*to);
  slab_.give_back(slot);
}

void calls::cancel_as(rai_call call, rai_status status, const char* reason) {
  const std::int64_t abandon_at_ns =
      settings_.now_ns() + std::int64_t{settings_.grace_ms} * ns_per_ms;
  bool waits = false;
  {
    held_call at = slab_.hold(call);
    if (!at || at->ended || at->cancelled) return;
    at->cancelled = true;
    at->cancel_status = status;
    at->cancel_reason = reason;
    at->paused = at->pause_told = false;
    at->backlog.clear();
    // Nobody has to be asked when the service does not know of it.
    if (!at->entered) at->service_done = true;
    waits = at->cancel_wanted = !at->service_done;
    at->abandon_at_ns = abandon_at_ns;
  }
  if (waits) push_deadline(abandon_at_ns, call);
  // The service hears of it before its own calls end, so that it knows why they do.
  if (held_call at = slab_.hold(call)) settle(at);
  cancel_children(call, status, by_parent);
}

/// No child is added meanwhile: the call is cancelled or has ended.
void calls::cancel_children(rai_call call, rai_status status, const char* reason) {
  for (;;) {
    rai_call child = 0;
    bool shielded = false;
    {
      const held_call at = slab_.hold(call);
      if (!at || at->first_child == nullptr) return;
      call_slot& first = *at->first_child;
      shielded = first.shielded;
      at->first_child = first.next;
      if (first.next != nullptr) first.next->previous = nullptr;
      first.next = nullptr;
      first.linked = false;
      child = first.id.load(std::memory_order_relaxed);
    }
    if (shielded) {
      limit_shield(child);
    } else {
      cancel_as(child, status, reason);
    }
  }
}

void calls::limit_shield(rai_call call) {
  const std::int64_t ends_ns = settings_.now_ns() + std::int64_t{max_shield_ms} * ns_per_ms;
  {
    const held_call at = slab_.hold(call);
    if (!at || at->line.deadline_ns <= ends_ns) return;
    at->shield_ends_ns = ends_ns;
  }
  push_deadline(ends_ns, call);
}

/// The parent is locked.
void calls::unlink(call_slot& parent, call_slot& child) {
  if (!child.linked) return;
  (child.previous != nullptr ? child.previous->next : parent.first_child) = child.next;
  if (child.next != nullptr) child.next->previous = child.previous;
  child.previous = child.next = nullptr;
  child.linked = false;
}

void calls::resume(rai_call call) {
  held_call at = slab_.hold(call);
  if (!at || at->ended || at->cancelled) return;
  ++at->resumes;
  at->paused = false;
  settle(at);
}

void calls::abandon(rai_call call) {
  held_call at = slab_.hold(call);
  if (!at || !at->cancelled || at->ended || at->service_done || at->abandoned) return;
  at->abandoned = true;
  const std::string owner = at->to->owner;
  settle(at);
  if (at) at.release();
  count_abandoned(owner, 1, 1);
}

void calls::expire(std::int64_t now_ns) {
  while (const rai_call call = deadlines_.pop_due(now_ns)) {
    bool late = false, stuck = false;
    if (const held_call at = slab_.hold(call)) {
      late = !at->cancelled && std::min(at->line.deadline_ns, at->shield_ends_ns) <= now_ns;
      stuck = at->cancelled && at->abandon_at_ns <= now_ns;
    }
    if (late) cancel_as(call, RAI_DEADLINE_EXCEEDED, by_deadline);
    if (stuck) abandon(call);
  }
}

/// Not while the finish is on its way: whoever learns of it there already need not wake for the
/// deadline.
bool calls::can_be_late(rai_call call) {
  const held_call at = slab_.hold(call);
  return at && !(at->ended && at->service_done);
}

/// No slot is locked: the queue's lock is taken before those of slots.
void calls::push_deadline(std::int64_t due_ns, rai_call call) {
  if (deadlines_.push(due_ns, call) && hooks_.on_deadline_changed) hooks_.on_deadline_changed();
}

rai_status calls::info(rai_call call, rai_call_info* out) {
  rai_call_info found{};
  std::int64_t deadline_ns = INT64_MAX;
  {
    const held_call at = slab_.hold(call);
    if (!at) return RAI_NOT_FOUND;
    found.cancelled = at->cancelled ? 1 : 0;
    found.trace_high = at->line.trace_high;
    found.trace_low = at->line.trace_low;
    found.root = at->line.root;
    if (at->context != nullptr) found.context = str(at->context->text());
    found.caller = str(at->caller);
    deadline_ns = std::min(at->line.deadline_ns, at->shield_ends_ns);
  }
  found.deadline_ms = INT64_MAX;
  if (deadline_ns != INT64_MAX) {
    found.deadline_ms = std::max<std::int64_t>(0, (deadline_ns - settings_.now_ns()) / ns_per_ms);
  }
  found.struct_size = std::min<std::uint32_t>(out->struct_size, sizeof found);
  std::memcpy(out, &found, found.struct_size);
  return RAI_OK;
}

void calls::cancel_generation(std::uint64_t generation) {
  slab_.for_each([&](rai_call call) {
    bool there = false;
    if (const held_call at = slab_.hold(call)) {
      there = at->entered && at->to->generation == generation;
    }
    if (there) cancel_as(call, RAI_CANCELLED, by_generation);
  });
}

std::size_t calls::live() {
  std::size_t count = 0;
  slab_.for_each([&](rai_call) { ++count; });
  return count;
}

std::vector<abandoned_count> calls::abandoned() {
  const std::lock_guard hold(abandoned_mutex_);
  std::vector<abandoned_count> out;
  for (const auto& [owner, count] : abandoned_) out.push_back(count);
  return out;
}

void calls::count_abandoned(const std::string& owner, std::int64_t now, std::uint64_t total) {
  const std::lock_guard hold(abandoned_mutex_);
  auto& count = abandoned_[owner];
  count.owner = owner;
  count.now += now;
  count.total += total;
}

void calls::violation(std::string_view owner, std::string_view what) {
  if (hooks_.on_violation) hooks_.on_violation(owner, what);
}

}  // namespace rustic::kernel
