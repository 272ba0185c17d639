// forwarded_calls.hpp - the program's end of the calls that the child's plugin answers.
#pragma once
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <rustic/status.hpp>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "flow_window.hpp"
#include "frame.hpp"
#include "frame_queue.hpp"

namespace rustic::cell {

// call() and the op functions run on any thread; all else on one thread, the cell's. No lock is
// held while the host is called.
class forwarded_calls {
 public:
  using clock = std::chrono::steady_clock;
  struct settings {
    std::string plugin;
    std::chrono::milliseconds cancel_grace{cancel_grace_ms};
    // A call has come and no child serves: nothing when it may wait for one, or why not.
    std::function<std::optional<error>()> admit;
    std::function<void()> wake;   // deliver(), next_due() or parked() has news
    std::function<void()> begun;  // a call was sent
  };

  // `host` and `out` must outlive this.
  forwarded_calls(const rai_host& host, frame_queue& out, settings with);
  forwarded_calls(const forwarded_calls&) = delete;
  forwarded_calls& operator=(const forwarded_calls&) = delete;

  // A call of the service with that number, as rai_service has it.
  void call(std::uint32_t service, const rai_request& request, rai_call id, rai_op& op) noexcept;
  // Calls are in flight. Any thread.
  bool busy() const noexcept { return count_.load() != 0; }
  bool has(rai_call id);
  // Calls wait for a child.
  bool parked();

  // A child serves from now on; what waited is sent to it.
  void open(std::uint64_t generation);
  // No child serves any more: what is in flight fails.
  void close(const error& why);
  // No child could be started: what waits for it fails.
  void refuse_parked(const error& why);

  // From the child. False: no honest child sends that.
  bool on_event(const frame& in);
  bool on_finish(const frame& in);
  bool on_forward(const frame& in);

  // Events that waited for a resume, and what has been cancelled.
  void deliver();
  // When the next cancelled call has to have ended, and whether one is late.
  std::optional<clock::time_point> next_due();
  bool overdue(clock::time_point now);

 private:
  struct call_state;
  using handle = std::shared_ptr<call_state>;
  struct op_state;

  void take(std::uint32_t service, const rai_request& request, rai_call id, rai_op& op);
  bool admit(const handle& what, std::string& bytes, error& why);
  void fail(rai_call id, const error& why) noexcept;
  handle find(rai_call id);
  handle remove(rai_call id);
  void cancel(const handle& what);
  void resume(const handle& what);
  void release(const handle& what);
  void tell(const handle& what, frame_type type);
  void deliver_one(const handle& what, const rai_event& event);
  void drain(const handle& what);
  void complete(const handle& what, rai_status status, std::string_view body);

  const rai_host& host_;
  frame_queue& out_;
  const settings settings_;
  std::atomic<std::size_t> count_{0};

  std::mutex mutex_;              // guards what follows
  std::uint64_t generation_ = 0;  // 0: no child serves
  std::unordered_map<rai_call, handle> calls_;
  std::vector<std::pair<handle, std::string>> parked_;
  std::size_t parked_bytes_ = 0;
  std::vector<handle> news_;                                // for deliver()
  std::deque<std::pair<clock::time_point, rai_call>> due_;  // in the order of time
};

}  // namespace rustic::cell
