// own_calls.hpp - the child's end of the calls that its plugin makes.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "../flow_window.hpp"
#include "../frame.hpp"
#include "dispatcher.hpp"
#include "outbox.hpp"

namespace rustic::cell {

// Any thread. No lock is held while the plugin runs.
class own_calls {
 public:
  own_calls(outbox& out, dispatcher& threads) : out_(out), threads_(threads) {}
  own_calls(const own_calls&) = delete;
  own_calls& operator=(const own_calls&) = delete;

  // From the program. False: no such frame.
  bool on_event(const frame& in);
  bool on_finish(const frame& in);

  // From the plugin, as rai_host has them.
  rai_call make(rai_call parent, const rai_request& request, const rai_observer& observer);
  void cancel(rai_call id);
  void resume(rai_call id);
  void abandon(rai_call id);

 private:
  class call;
  using handle = std::shared_ptr<call>;

  handle find(std::uint64_t id);
  void settle(const handle& what);
  bool settle_one(const handle& what, std::unique_lock<std::mutex>& lock);
  void tell(frame_type type, std::uint64_t id);

  outbox& out_;
  dispatcher& threads_;
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, handle> calls_;
  std::uint64_t last_ = std::uint64_t{1} << 63;  // apart from the ids of the calls it serves
};

}  // namespace rustic::cell
