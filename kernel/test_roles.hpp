// The two sides of a call, for the tests of the kernel: a caller and a service that keep what
// happens to them and notice broken rules.
#pragma once
#include <rustic/abi.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/error.hpp"

namespace rustic::kernel::testing {

/// A caller: keeps what it is told, and answers events as `flow` says. Any thread.
class caller {
 public:
  std::function<rai_flow(const rai_event&)> flow;
  std::function<void()> on_finish;

  rai_observer observer(bool events = true) {
    rai_observer out{};
    out.struct_size = sizeof out;
    out.self = this;
    if (events) out.event = &caller::event;
    out.finish = &caller::finish;
    return out;
  }
  std::vector<std::string> events() const {
    const std::lock_guard hold(mutex_);
    return events_;
  }
  std::string joined() const {
    std::string out;
    for (const auto& e : events()) out += e;
    return out;
  }
  int finishes() const {
    const std::lock_guard hold(mutex_);
    return finishes_;
  }
  rai_status status() const {
    const std::lock_guard hold(mutex_);
    return status_;
  }
  std::string body() const {
    const std::lock_guard hold(mutex_);
    return body_;
  }
  bool said(std::string_view part) const { return body().find(part) != std::string::npos; }
  /// Broken rules: events after the finish or at the same time.
  int faults() const { return faults_.load(); }
  bool wait_finished(int seconds = 20) {
    std::unique_lock hold(mutex_);
    return finished_.wait_for(hold, std::chrono::seconds(seconds), [&] { return finishes_ > 0; });
  }

 private:
  static rai_flow event(void* self, const rai_event* event) {
    auto& me = *static_cast<caller*>(self);
    if (me.inside_.exchange(true)) ++me.faults_;
    {
      const std::lock_guard hold(me.mutex_);
      if (me.finishes_ != 0) ++me.faults_;
      me.events_.emplace_back(view(event->text));
    }
    const rai_flow answer = me.flow ? me.flow(*event) : rai_flow{RAI_CONTINUE};
    me.inside_.store(false);
    return answer;
  }
  static void finish(void* self, rai_status status, rai_str body) {
    auto& me = *static_cast<caller*>(self);
    if (me.inside_.load()) ++me.faults_;
    if (me.on_finish) me.on_finish();
    const std::lock_guard hold(me.mutex_);
    ++me.finishes_;
    me.status_ = status;
    me.body_ = view(body);
    me.finished_.notify_all();
  }

  mutable std::mutex mutex_;
  std::condition_variable finished_;
  std::vector<std::string> events_;
  std::string body_;
  rai_status status_ = -1;
  int finishes_ = 0;
  std::atomic<bool> inside_{false};
  std::atomic<int> faults_{0};
};

/// A service: does what `on_call` says, and keeps what happens to it. Several threads may call it;
/// the counts are exact.
class service {
 public:
  struct seen {
    rai_call id = 0;
    std::uint32_t flags = 0;
    std::string target, method, body, data, context;
  };
  std::function<void(const seen&)> on_call;
  std::function<void(rai_call)> on_cancel, on_resume;
  bool with_op = true;

  rai_service table() { return {sizeof(rai_service), 0, this, &service::call}; }

  rai_call last() const {
    const std::lock_guard hold(mutex_);
    return calls_.empty() ? 0 : calls_.back().id;
  }
  seen last_seen() const {
    const std::lock_guard hold(mutex_);
    return calls_.empty() ? seen{} : calls_.back();
  }
  int calls() const { return call_count_.load(); }
  int cancels() const { return cancels_.load(); }
  int resumes() const { return resumes_.load(); }
  int releases() const { return releases_.load(); }
  /// Broken rules: op functions at the same time, after release, or cancel twice.
  int faults() const { return faults_.load(); }

 private:
  struct op_state {
    service* owner;
    rai_call id;
    std::atomic<bool> busy{false};
    std::atomic<bool> released{false};
    std::atomic<int> cancels{0};
  };

  static void call(void* self, const rai_request* request, rai_call id, rai_op* op) {
    auto& me = *static_cast<service*>(self);
    const seen now{id,
                   request->flags,
                   std::string(view(request->target)),
                   std::string(view(request->method)),
                   std::string(view(request->body)),
                   std::string(view(request->data)),
                   std::string(view(request->context))};
    op_state* state = nullptr;
    {
      const std::lock_guard hold(me.mutex_);
      me.calls_.push_back(now);
      if (me.with_op) {
        state = &me.ops_.emplace_back();
        state->owner = &me;
        state->id = id;
      }
    }
    ++me.call_count_;
    if (me.on_call) me.on_call(now);
    if (state == nullptr) return;
    op->self = state;
    op->cancel = [](void* s) {
      auto& at = *static_cast<op_state*>(s);
      const guard_op guard(at);
      if (at.cancels.fetch_add(1) != 0) ++at.owner->faults_;
      ++at.owner->cancels_;
      if (at.owner->on_cancel) at.owner->on_cancel(at.id);
    };
    op->resume = [](void* s) {
      auto& at = *static_cast<op_state*>(s);
      const guard_op guard(at);
      ++at.owner->resumes_;
      if (at.owner->on_resume) at.owner->on_resume(at.id);
    };
    op->release = [](void* s) {
      auto& at = *static_cast<op_state*>(s);
      const guard_op guard(at);
      at.released.store(true);
      ++at.owner->releases_;
    };
  }

  /// Notices op functions that run at the same time or after release.
  struct guard_op {
    op_state& at;
    explicit guard_op(op_state& state) : at(state) {
      if (at.busy.exchange(true) || at.released.load()) ++at.owner->faults_;
    }
    ~guard_op() { at.busy.store(false); }
  };

  mutable std::mutex mutex_;
  std::vector<seen> calls_;
  std::deque<op_state> ops_;
  std::atomic<int> call_count_{0}, cancels_{0}, resumes_{0}, releases_{0}, faults_{0};
};

}  // namespace rustic::kernel::testing
