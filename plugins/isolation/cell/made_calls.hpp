// made_calls.hpp - the program's end of the calls that the child's plugin makes.
#pragma once
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "flow_window.hpp"
#include "frame.hpp"
#include "frame_queue.hpp"

namespace rustic::cell {

// All on one thread, except the observers of the calls, which the host calls on any. A call that
// has not ended keeps this alive: make it with make_shared.
class made_calls : public std::enable_shared_from_this<made_calls> {
 public:
  // `host` must outlive every function here; `out` is shared with the calls in flight. `serves`
  // says whether the plugin is serving a call.
  made_calls(const rai_host& host, std::shared_ptr<frame_queue> out,
             std::function<bool(rai_call)> serves);
  made_calls(const made_calls&) = delete;
  made_calls& operator=(const made_calls&) = delete;

  void open(std::uint64_t generation) { generation_ = generation; }
  // From the child. False: no honest child sends that.
  bool on_request(const frame& in);
  bool on_credit(const frame& in);
  void on_cancel(std::uint64_t id);
  void on_abandon(std::uint64_t id);

  // The queue has room again.
  void resume_all();
  // The child has gone: nobody waits for these any more.
  void cancel_all();
  // False: after wait_ms some had not ended.
  bool wait_ended(std::int64_t wait_ms);

 private:
  struct call_state;
  using handle = std::shared_ptr<call_state>;

  handle find(std::uint64_t id);
  rai_call parent_of(std::uint64_t given, bool& gone);
  void refuse(std::uint64_t id, rai_status status, std::string_view message);
  void resume(call_state& what);
  static rai_flow event(void* self, const rai_event* event) noexcept;
  static void finish(void* self, rai_status status, rai_str body) noexcept;

  const rai_host& host_;
  const std::shared_ptr<frame_queue> out_;
  const std::function<bool(rai_call)> serves_;
  std::uint64_t generation_ = 0;

  std::mutex mutex_;  // guards what follows
  std::condition_variable ended_;
  std::unordered_map<std::uint64_t, handle> calls_;  // of the child that lives
  std::size_t open_ = 0;                             // of all children
};

}  // namespace rustic::cell
