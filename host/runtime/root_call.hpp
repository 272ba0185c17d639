// host/runtime/root_call.hpp - a call that the program itself makes, with its events in a queue for
// the thread that waits.
#pragma once
#include <rustic/abi.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <rustic/call.hpp>
#include <string>
#include <string_view>

namespace rustic::kernel {
class kernel;
}

namespace rustic::runtime {

struct call_event {
  std::uint16_t kind = 0;
  std::uint32_t index = 0;
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  std::string text;
};

// Threads: one thread reads; cancel comes from any thread (not from a signal handler).
// Destroying it cancels the call and waits for its finish.
class root_call {
 public:
  // Makes the call. `context` is the root context's JSON text.
  root_call(kernel::kernel& owner, std::string_view target, std::string_view method,
            std::string_view body, std::string_view context, std::uint32_t timeout_ms = 0);
  ~root_call();
  root_call(const root_call&) = delete;
  root_call& operator=(const root_call&) = delete;

  // The next event, waiting for it. Nothing: the call has finished and result() is there.
  std::optional<call_event> next();
  // The next event if there is one now.
  std::optional<call_event> try_next();
  bool finished() const;
  // For the log. The kernel forgets it with the finish.
  rai_call id() const noexcept { return id_; }
  // Readable while there is an event or the finish; for poll(2). Owned by this object.
  int descriptor() const noexcept { return wake_; }

  void cancel();
  // Waits for the finish, dropping events that were not read.
  call_result result();

 private:
  static rai_flow on_event(void* self, const rai_event* event) noexcept;
  static void on_finish(void* self, rai_status status, rai_str body) noexcept;
  void signal() noexcept;
  std::optional<call_event> take_locked(std::unique_lock<std::mutex>& lock);

  kernel::kernel& kernel_;
  int wake_ = -1;
  rai_call id_ = 0;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<call_event> queue_;
  std::size_t queued_bytes_ = 0;
  bool paused_ = false;
  bool cancel_due_ = false;
  bool finished_ = false;
  call_result result_;
};
}  // namespace rustic::runtime
