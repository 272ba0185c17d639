#include "host/runtime/root_call.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include "host/runtime/limits.hpp"
#include "kernel/kernel.hpp"

namespace rustic::runtime {

root_call::root_call(kernel::kernel& owner, std::string_view target, std::string_view method,
                     std::string_view body, std::string_view context, std::uint32_t timeout_ms)
    : kernel_(owner), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  rai_request request{};
  request.struct_size = sizeof(request);
  request.revision = 1;
  request.timeout_ms = timeout_ms;
  request.target = to_str(target);
  request.method = to_str(method);
  request.body = to_str(body);
  request.context = to_str(context);
  const rai_observer observer{sizeof(observer), 0, this, &on_event, &on_finish};
  const auto id = kernel_.call(0, request, observer, {});
  bool cancel_now = false;
  {
    std::scoped_lock lock(mutex_);
    id_ = id;
    cancel_now = cancel_due_;
  }
  if (cancel_now) kernel_.cancel(id);
}

root_call::~root_call() {
  cancel();
  result();
  if (wake_ >= 0) close(wake_);
}

void root_call::signal() noexcept {
  const std::uint64_t one = 1;
  if (wake_ >= 0) (void)!write(wake_, &one, sizeof(one));
}

rai_flow root_call::on_event(void* self, const rai_event* event) noexcept {
  auto& me = *static_cast<root_call*>(self);
  try {
    std::scoped_lock lock(me.mutex_);
    const bool was_empty = me.queue_.empty();
    me.queue_.push_back(
        {event->kind, event->index, event->a, event->b, std::string(to_view(event->text))});
    me.queued_bytes_ += event->text.len;
    if (was_empty) {
      me.signal();
      me.changed_.notify_one();
    }
    if (me.queue_.size() < queued_events_max && me.queued_bytes_ < queued_event_bytes_max)
      return RAI_CONTINUE;
    me.paused_ = true;
    return RAI_PAUSE;
  } catch (...) {
    return RAI_STOP;
  }
}

void root_call::on_finish(void* self, rai_status status, rai_str body) noexcept {
  auto& me = *static_cast<root_call*>(self);
  std::scoped_lock lock(me.mutex_);
  me.result_.status = static_cast<status_code>(status);
  try {
    me.result_.body = to_view(body);
  } catch (...) {
    me.result_.status = status_code::resource_exhausted;
  }
  me.finished_ = true;
  me.signal();
  me.changed_.notify_all();
}

std::optional<call_event> root_call::take_locked(std::unique_lock<std::mutex>& lock) {
  if (queue_.empty()) return std::nullopt;
  std::optional<call_event> out(std::move(queue_.front()));
  queue_.pop_front();
  queued_bytes_ -= out->text.size();
  const bool resume = paused_ && queue_.empty();
  if (resume) paused_ = false;
  if (queue_.empty() && !finished_) {
    std::uint64_t count = 0;
    (void)!read(wake_, &count, sizeof(count));
  }
  if (resume) {
    const auto id = id_;
    lock.unlock();
    kernel_.resume(id);
  }
  return out;
}

std::optional<call_event> root_call::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !queue_.empty() || finished_; });
  return take_locked(lock);
}

std::optional<call_event> root_call::try_next() {
  std::unique_lock lock(mutex_);
  return take_locked(lock);
}

bool root_call::finished() const {
  std::scoped_lock lock(mutex_);
  return finished_ && queue_.empty();
}

void root_call::cancel() {
  rai_call id = 0;
  {
    std::scoped_lock lock(mutex_);
    if (finished_) return;
    cancel_due_ = true;
    id = id_;
  }
  if (id != 0) kernel_.cancel(id);
}

call_result root_call::result() {
  while (next()) {
  }
  std::scoped_lock lock(mutex_);
  return result_;
}
}  // namespace rustic::runtime
