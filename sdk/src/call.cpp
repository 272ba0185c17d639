#include <algorithm>
#include <rustic/call.hpp>
#include <rustic/worker_pool.hpp>

namespace rustic {

rai_event make_event(rai_event_kind kind, std::string_view text, std::uint32_t index,
                     std::uint64_t a, std::uint64_t b) noexcept {
  return {static_cast<std::uint16_t>(kind), 0, index, a, b, to_str(text)};
}

json::object call_result::object() const {
  if (!ok()) throw failure(problem());
  try {
    return parse_object(body, "result");
  } catch (const failure& unreadable) {  // not the caller's mistake
    throw failure(status_code::internal, unreadable.problem().message);
  }
}

rai_request context::make_request(const call_spec& spec) noexcept {
  rai_request out{};
  out.struct_size = sizeof(out);
  if (spec.shielded) out.flags |= RAI_SHIELDED;
  if (spec.next) out.flags |= RAI_NEXT;
  out.revision = 1;
  out.timeout_ms = spec.timeout_ms;
  out.target = to_str(spec.target);
  out.method = to_str(spec.method);
  out.body = to_str(spec.body);
  out.data = to_str(spec.data);
  out.context = to_str(spec.context);
  return out;
}

const json::object& context::scope() {
  if (!scope_) {
    try {
      scope_ = parse_object(request_.context, "context");
    } catch (const failure&) {
      scope_.emplace();
    }
  }
  return *scope_;
}

rai_call_info context::info() const noexcept {
  rai_call_info out{};
  out.struct_size = sizeof(out);
  host_->call_info(host_->self, id_, &out);
  return out;
}

void context::log(rai_log_level level, std::string_view text) const noexcept {
  if (RAI_HAS(host_, log)) host_->log(host_->self, level, id_, to_str(text));
}

flow context::event(const json::object& object) {
  const auto text = json::serialize(object);
  return emit(make_event(RAI_EVENT_JSON, text));
}

flow context::emit(const rai_event& event) noexcept {
  const auto before = resumes_.load();
  const auto answer = host_->emit(host_->self, id_, &event);
  if (answer == RAI_PAUSE) {
    std::scoped_lock lock(mutex_);
    if (resumes_.load() != before) return flow::go_on;
    paused_ = true;
    return flow::pause;
  }
  return answer == RAI_STOP ? flow::stop : flow::go_on;
}

bool context::paused() noexcept {
  std::scoped_lock lock(mutex_);
  return paused_;
}

// The receiver's pause reaches the emitter below: it is remembered here and undone by on_resume.
rai_flow context::deliver(detail::child_call& child, const rai_event& event) noexcept {
  const auto before = child.owner.resumes_.load();
  flow answer = flow::go_on;
  try {
    answer = child.handler(event);
  } catch (...) {
    child.owner.log(RAI_LOG_ERROR, "an event handler threw: " + current_error().message);
    return RAI_STOP;
  }
  if (answer != flow::pause) return static_cast<rai_flow>(answer);
  std::scoped_lock lock(child.owner.mutex_);
  if (child.owner.resumes_.load() != before) return RAI_CONTINUE;
  auto& paused = child.owner.paused_children_;
  if (std::find(paused.begin(), paused.end(), &child) == paused.end()) paused.push_back(&child);
  return RAI_PAUSE;
}

void context::child_started(detail::child_call& child, rai_call id) noexcept {
  bool resume = false;
  {
    std::scoped_lock lock(mutex_);
    child.id = id;
    resume = child.resume_due;
  }
  if (resume) host_->resume(host_->self, id);
}

void context::child_finished(detail::child_call& child) noexcept {
  std::scoped_lock lock(mutex_);
  std::erase(paused_children_, &child);
}

void context::on_cancel() noexcept {
  cancelled_.store(true);
  wake_all();
}

void context::on_resume() noexcept {
  wake_all();
}

void context::wake_all() noexcept {
  std::vector<rai_call> children;
  std::vector<std::coroutine_handle<>> waiters;
  const auto lane = strand_;
  {
    std::scoped_lock lock(mutex_);
    ++resumes_;
    paused_ = false;
    for (auto* child : paused_children_) {
      if (child->id != 0)
        children.push_back(child->id);
      else
        child->resume_due = true;
    }
    paused_children_.clear();
    waiters.swap(paused_waiters_);
    changed_.notify_all();
  }
  for (const auto child : children) host_->resume(host_->self, child);
  for (const auto waiter : waiters) lane->post(waiter);
}

context::writable_awaiter context::writable() noexcept {
  return writable_awaiter(*this);
}

bool context::writable_awaiter::await_suspend(std::coroutine_handle<> waiting) {
  std::scoped_lock lock(owner_.mutex_);
  if (!owner_.paused_ || owner_.cancelled()) return false;
  owner_.paused_waiters_.push_back(waiting);
  return true;
}

void context::emit_blocking(const rai_event& event) {
  const auto answer = emit(event);
  if (answer == flow::go_on) return;
  if (answer == flow::pause) {
    worker_pool::pause away(pool_);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !paused_ || cancelled(); });
  }
  if (answer == flow::stop || cancelled())
    throw failure(status_code::cancelled, "the call was cancelled");
}

rai_flow call_awaiter::on_event(void* self, const rai_event* event) noexcept {
  return context::deliver(static_cast<call_awaiter*>(self)->child_, *event);
}

void call_awaiter::on_finish(void* self, rai_status status, rai_str body) noexcept {
  auto& me = *static_cast<call_awaiter*>(self);
  me.owner_.child_finished(me.child_);
  me.result_.status = static_cast<status_code>(status);
  try {
    me.result_.body = to_view(body);
  } catch (...) {
    me.result_.status = status_code::resource_exhausted;
  }
  // The coroutine, and with it this awaiter, may be gone as soon as the state is exchanged.
  const auto lane = me.owner_.strand_;
  const auto waiting = me.waiting_;
  if (me.state_.exchange(finished) == suspended) lane->post(waiting);
}

bool call_awaiter::await_suspend(std::coroutine_handle<> waiting) {
  waiting_ = waiting;
  const auto request = context::make_request(spec_);
  const rai_observer observer{sizeof(rai_observer), 0, this, spec_.on_event ? &on_event : nullptr,
                              &on_finish};
  const auto& host = *owner_.host_;
  const auto id = host.call(host.self, owner_.id_, &request, &observer);
  if (id != 0) owner_.child_started(child_, id);
  return state_.exchange(suspended) != finished;
}

call_result context::call_blocking(const call_spec& spec) {
  struct waiter {
    detail::child_call child;
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    call_result result;
  } state{{*this, spec.on_event}, {}, {}, false, {}};
  const auto request = make_request(spec);
  rai_observer observer{sizeof(rai_observer), 0, &state, nullptr, nullptr};
  if (spec.on_event)
    observer.event = [](void* self, const rai_event* event) {
      return deliver(static_cast<waiter*>(self)->child, *event);
    };
  observer.finish = [](void* self, rai_status status, rai_str body) {
    auto& me = *static_cast<waiter*>(self);
    me.child.owner.child_finished(me.child);
    std::scoped_lock lock(me.mutex);
    me.result.status = static_cast<status_code>(status);
    try {
      me.result.body = to_view(body);
    } catch (...) {
      me.result.status = status_code::resource_exhausted;
    }
    me.done = true;
    me.changed.notify_all();  // under the lock: the waiter is gone right after it
  };
  const auto id = host_->call(host_->self, id_, &request, &observer);
  if (id != 0) child_started(state.child, id);
  worker_pool::pause away(pool_);
  std::unique_lock lock(state.mutex);
  state.changed.wait(lock, [&] { return state.done; });
  return std::move(state.result);
}
}  // namespace rustic
