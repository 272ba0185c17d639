#include "host/validator/strict_host.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <rustic/json.hpp>
#include <rustic/status.hpp>

#include "host/validator/failing_memory.hpp"
#include "host/validator/limits.hpp"
#include "host/validator/strict_host_state.hpp"
#include "host/validator/trial.hpp"

namespace rustic::validator {
namespace {
std::string context_text(const std::string& workspace) {
  return json::serialize(json::object{{"session", "validator"},
                                      {"turn", "t1"},
                                      {"agent", "validator"},
                                      {"principal", "user"},
                                      {"workspace", workspace},
                                      {"roots", json::array{workspace}},
                                      {"permission_mode", "default"},
                                      {"interactive", false}});
}
}  // namespace

strict_host::strict_host(std::string workspace)
    : full_(entry::make(this)), context_(context_text(workspace)) {}
strict_host::~strict_host() = default;

void strict_host::leave_out_optional() noexcept {
  full_.abandon = nullptr;
  full_.publish = nullptr;
  full_.subscribe = nullptr;
  full_.unsubscribe = nullptr;
  full_.list = nullptr;
  full_.provide = nullptr;
  full_.withdraw = nullptr;
  full_.log = nullptr;
}

void strict_host::shorten_table(std::size_t bytes) {
  full_.struct_size = static_cast<std::uint32_t>(bytes);
  short_table_.emplace(bytes);
  std::memcpy(short_table_->data(), &full_, bytes);
  table_ = reinterpret_cast<const rai_host*>(short_table_->data());
}

void strict_host::note(breach what, std::string words) {
  const memory_exempt here;
  const std::lock_guard lock(mutex_);
  if (breaches_.size() < breaches_max) breaches_.emplace_back(what, std::move(words));
}

std::optional<std::string> strict_host::first(breach what) {
  const std::lock_guard lock(mutex_);
  for (const auto& [kind, words] : breaches_)
    if (kind == what) return words;
  return std::nullopt;
}

std::string strict_host::log_text() {
  const std::lock_guard lock(mutex_);
  return log_;
}
std::size_t strict_host::subscriptions() {
  const std::lock_guard lock(mutex_);
  return subscriptions_.size();
}
std::size_t strict_host::provided() {
  const std::lock_guard lock(mutex_);
  return provided_.size();
}
std::size_t strict_host::outgoing_made() {
  const std::lock_guard lock(mutex_);
  return outgoing_made_;
}

std::shared_ptr<served_call> strict_host::find(rai_call call) {
  const auto found = served_.find(call);
  return found == served_.end() ? nullptr : found->second;
}

std::shared_ptr<served_call> strict_host::begin(const rai_service& service, call_plan plan) {
  const memory_exempt here;
  auto call = std::make_shared<served_call>();
  call->plan = std::move(plan);
  {
    const std::lock_guard lock(mutex_);
    call->id = ++last_call_;
    served_[call->id] = call;
  }
  prepare_call(*call, service);
  {
    const std::lock_guard lock(mutex_);
    call->has_returned = true;
  }
  changed_.notify_all();
  return call;
}

void strict_host::prepare_call(served_call& call, const rai_service& service) {
  const auto& plan = call.plan;
  const auto keep = [&](const std::string& text) -> rai_str {
    if (!plan.guarded && !plan.revoked) return to_str(text);
    call.guarded.emplace_back(text);
    return {call.guarded.back().data(), text.size()};
  };
  call.guarded.reserve(8);
  rai_request request{};
  request.struct_size = sizeof(request);
  request.flags = plan.flags;
  request.revision = 1;
  request.target = keep(plan.target);
  request.method = keep(plan.method);
  request.body = keep(plan.body);
  request.data = keep(plan.data);
  request.context = keep(context_);
  rai_op op{};
  op.struct_size = sizeof(op);
  rai_request* request_at = &request;
  rai_op* op_at = &op;
  if (plan.guarded || plan.revoked) {
    call.guarded.emplace_back(sizeof(request));
    request_at = reinterpret_cast<rai_request*>(call.guarded.back().data());
    std::memcpy(request_at, &request, sizeof(request));
    call.guarded.emplace_back(sizeof(op));
    op_at = reinterpret_cast<rai_op*>(call.guarded.back().data());
    std::memcpy(op_at, &op, sizeof(op));
  }
  try {
    const memory_counted plugin;
    service.call(service.self, request_at, call.id, op_at);
  } catch (...) {
    note(breach::exception, plan.target + " " + plan.method + ": call threw an exception");
    finish(call.id, RAI_INTERNAL, to_str(R"({"message":"call threw an exception"})"));
  }
  call.op = *op_at;
  if (plan.revoked)
    for (auto& text : call.guarded) text.revoke();
}

template <class Done>
bool strict_host::wait_for(served_call& call, std::uint32_t time_ms, Done done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(time_ms);
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!due_.empty()) {
      pump_one(lock);
      continue;
    }
    if (done()) return true;
    if (call.is_paused && call.plan.resumes) {
      lock.unlock();
      resume(call);
      lock.lock();
      continue;
    }
    if (changed_.wait_until(lock, deadline) == std::cv_status::timeout && due_.empty())
      return done();
  }
}

bool strict_host::wait(served_call& call, std::uint32_t time_ms) {
  return wait_for(call, time_ms, [&] { return call.is_finished; });
}
bool strict_host::wait_events(served_call& call, std::size_t count, std::uint32_t time_ms) {
  return wait_for(call, time_ms, [&] { return call.is_finished || call.events.size() >= count; });
}
bool strict_host::wait_paused(served_call& call, std::uint32_t time_ms) {
  return wait_for(call, time_ms, [&] { return call.is_finished || call.is_paused; });
}

void strict_host::cancel(served_call& call) {
  {
    const std::lock_guard lock(mutex_);
    if (call.is_finished || call.is_cancelled) return;
    call.is_cancelled = true;
    call.is_paused = false;
  }
  {
    const std::lock_guard lock(call.control);
    try {
      const memory_counted plugin;
      if (RAI_HAS(&call.op, cancel)) call.op.cancel(call.op.self);
    } catch (...) {
      note(breach::exception, "op.cancel threw an exception");
    }
  }
  cancel_children(call.id);
}

void strict_host::resume(served_call& call) {
  {
    const std::lock_guard lock(mutex_);
    call.is_paused = false;
  }
  const std::lock_guard lock(call.control);
  try {
    const memory_counted plugin;
    if (RAI_HAS(&call.op, resume)) call.op.resume(call.op.self);
  } catch (...) {
    note(breach::exception, "op.resume threw an exception");
  }
}

void strict_host::release(served_call& call) {
  {
    const std::lock_guard lock(mutex_);
    if (call.is_released) return;
    call.is_released = true;
  }
  const std::lock_guard lock(call.control);
  try {
    const memory_counted plugin;
    if (RAI_HAS(&call.op, release)) call.op.release(call.op.self);
  } catch (...) {
    note(breach::exception, "op.release threw an exception");
  }
}

void strict_host::cancel_again(served_call& call) {
  const std::lock_guard lock(call.control);
  if (RAI_HAS(&call.op, cancel)) call.op.cancel(call.op.self);
}

answer strict_host::answer_of(served_call& call) {
  const std::lock_guard lock(mutex_);
  return {call.is_finished, call.status, call.body, call.events};
}

answer strict_host::run(const rai_service& service, call_plan plan, std::uint32_t time_ms) {
  const memory_exempt here;
  const auto call = begin(service, std::move(plan));
  if (!wait(*call, time_ms)) {
    cancel(*call);
    if (!wait(*call, cancel_grace_ms)) return {};
    auto late = answer_of(*call);
    release(*call);
    late.finished = false;
    return late;
  }
  auto out = answer_of(*call);
  release(*call);
  forget(*call);
  return out;
}

void strict_host::forget(served_call& call) {
  const std::lock_guard lock(mutex_);
  call.body.clear();
  call.events.clear();
  if (!forgets) return;
  const auto id = call.id;
  std::erase_if(outgoing_, [&](const auto& one) { return one.second->parent == id; });
  served_.erase(id);  // the call lives on with the one who holds it
}

rai_flow strict_host::emit(rai_call id, const rai_event& event) {
  std::unique_lock lock(mutex_);
  const auto call = find(id);
  const auto breached = [&](breach what, std::string words) {
    if (breaches_.size() < breaches_max) breaches_.emplace_back(what, std::move(words));
  };
  if (!call) {
    breached(breach::unknown_call, "emit for call " + std::to_string(id) + ", which never was");
    return RAI_STOP;
  }
  const auto number = "event " + std::to_string(call->events.size() + 1) + " of " +
                      call->plan.target + " " + call->plan.method;
  if (call->is_finished) {
    breached(breach::event_after_finish, number + " came after the finish");
    return RAI_STOP;
  }
  if (call->is_emitting) breached(breach::event_concurrent, number + " came during another");
  if (call->is_stopped) {
    breached(breach::event_after_stop, number + " came after RAI_STOP");
    return RAI_STOP;
  }
  if (call->is_paused) breached(breach::event_while_paused, number + " came after RAI_PAUSE");
  if (call->is_cancelled || call->events.size() >= events_max) {
    call->is_stopped = true;
    return RAI_STOP;
  }
  call->is_emitting = true;
  call->events.push_back(
      {event.kind, event.flags, event.index, event.a, event.b, std::string(to_view(event.text))});
  const auto copy = call->events.back();
  const auto count = call->events.size();
  rai_flow flow = RAI_CONTINUE;
  if (call->plan.policy) {
    lock.unlock();
    flow = call->plan.policy(copy, count);
    lock.lock();
  }
  call->is_emitting = false;
  if (call->is_cancelled) flow = RAI_STOP;
  if (flow == RAI_PAUSE) call->is_paused = true;
  if (flow == RAI_STOP) call->is_stopped = true;
  lock.unlock();
  changed_.notify_all();
  return flow;
}

void strict_host::finish(rai_call id, rai_status status, rai_str body) {
  {
    const std::lock_guard lock(mutex_);
    const auto call = find(id);
    const auto breached = [&](breach what, std::string words) {
      if (breaches_.size() < breaches_max) breaches_.emplace_back(what, std::move(words));
    };
    if (!call) {
      breached(breach::unknown_call, "finish of call " + std::to_string(id) + ", which never was");
      return;
    }
    const auto about = call->plan.target + " " + call->plan.method;
    if (call->is_finished) {
      breached(breach::finish_twice, about + " finished again, with " + shown(to_view(body), 80));
      return;
    }
    if (status < RAI_OK || status > RAI_UNAUTHENTICATED)
      breached(breach::status_unknown, about + " finished with " + std::to_string(status));
    call->is_finished = true;
    call->status = status;
    call->body = to_view(body);
  }
  changed_.notify_all();
  cancel_children(id);
}

rai_status strict_host::info(rai_call id, rai_call_info& out) {
  rai_call_info all{};
  {
    const std::lock_guard lock(mutex_);
    const auto call = find(id);
    if (!call) return RAI_NOT_FOUND;
    all.cancelled = call->is_cancelled ? 1 : 0;
  }
  all.trace_high = 1;
  all.trace_low = id;
  all.root = id;
  all.deadline_ms = INT64_MAX;
  all.context = to_str(context_);
  const auto bytes = std::min<std::size_t>(out.struct_size, sizeof(all));
  all.struct_size = static_cast<std::uint32_t>(bytes);
  if (bytes >= sizeof(all.struct_size)) std::memcpy(&out, &all, bytes);
  return RAI_OK;
}
}  // namespace rustic::validator
