// served_calls.hpp - the child's end of the calls that its plugin answers.
#pragma once
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "../flow_window.hpp"
#include "../frame.hpp"
#include "dispatcher.hpp"
#include "outbox.hpp"

namespace rustic::cell {

// Any thread. No lock is held while the plugin runs.
class served_calls {
 public:
  served_calls(outbox& out, dispatcher& threads) : out_(out), threads_(threads) {}
  served_calls(const served_calls&) = delete;
  served_calls& operator=(const served_calls&) = delete;

  // The plugin's services, by the number that frames call them. One that is there already is
  // replaced for the calls that come.
  void set(std::uint32_t number, const rai_service& service);

  // From the program. False: no such frame.
  bool on_call(const frame& in);
  void on_cancel(std::uint64_t id);
  void on_release(std::uint64_t id);
  void on_no_events(std::uint64_t id);
  bool on_credit(const frame& in);

  // From the plugin, as rai_host has them.
  rai_flow emit(rai_call id, const rai_event& event);
  void finish(rai_call id, rai_status status, rai_str body);
  void forward(rai_call id, const rai_request& request);
  rai_status info(rai_call id, rai_call_info* out);

 private:
  class call;
  using handle = std::shared_ptr<call>;

  handle find(std::uint64_t id);
  void settle(const handle& what);
  bool settle_one(const handle& what, std::unique_lock<std::mutex>& lock);
  void enter(call& what);
  void answer(std::uint64_t id, rai_status status, std::string_view body);

  outbox& out_;
  dispatcher& threads_;
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, handle> calls_;
  std::map<std::uint32_t, rai_service> services_;
};

// {"message": ...} for what the child itself has to say.
std::string message_body(std::string_view message);

}  // namespace rustic::cell
