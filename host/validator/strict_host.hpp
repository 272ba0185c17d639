// host/validator/strict_host.hpp - the host that checks use: it serves a plugin as the kernel does,
// and writes down every breach of the contract instead of forgiving it.
//
// It has no thread: what the plugin asked of other services is answered at once or, when told so,
// by the thread that waits for the plugin's answer.
#pragma once
#include <rustic/abi.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/validator/guarded_memory.hpp"
#include "host/validator/stand_ins.hpp"

namespace rustic::validator {

enum class breach {
  finish_twice,
  event_after_finish,
  unknown_call,      // emit or finish for a call that never was
  event_concurrent,  // two emits of one call at once
  event_while_paused,
  event_after_stop,
  event_malformed,
  status_unknown,
  exception,          // one left a function of the plugin
  call_in_lifecycle,  // create, start, stop and destroy make no calls
  request_malformed,  // of a call that the plugin makes
  undeclared_target,
  log_malformed,
  after_destroy,
  request_foreign_parent,
};

struct seen_event {
  std::uint16_t kind = 0;
  std::uint16_t flags = 0;
  std::uint32_t index = 0;
  std::uint64_t a = 0, b = 0;
  std::string text;
};

// A call to make to the plugin.
struct call_plan {
  std::string target;
  std::string method;
  std::string body = "{}";
  std::string data = {};
  std::uint32_t flags = 0;
  bool guarded = false;  // every text ends at an inaccessible page
  bool revoked = false;  // and is inaccessible as soon as `call` has returned
  // Answers an event, on the emitting thread; null: go on. `count` is the events so far, with it.
  std::function<rai_flow(const seen_event&, std::size_t count)> policy = {};
  bool resumes = true;  // wait() resumes a paused call
};

struct served_call;  // one call that the plugin serves

struct answer {
  bool finished = false;
  rai_status status = RAI_UNKNOWN;
  std::string body;
  std::vector<seen_event> events;

  bool ok() const noexcept { return finished && status == RAI_OK; }
};

class strict_host {
 public:
  explicit strict_host(std::string workspace = "/");
  ~strict_host();
  strict_host(const strict_host&) = delete;
  strict_host& operator=(const strict_host&) = delete;

  const rai_host* table() const noexcept { return table_; }
  // Before the plugin has the table: without the functions that are not needed to answer a call.
  void leave_out_optional() noexcept;
  // Before the plugin has the table: only its first `bytes`, with nothing behind them.
  void shorten_table(std::size_t bytes);

  stand_ins services;            // what the plugin finds when it calls; set it up before
  bool answer_later = false;     // by the thread that waits, not before the plugin's call returns
  bool forgets = false;          // released calls are forgotten, for measuring memory
  bool revokes_answers = false;  // what others answer is gone when the observer has returned
  bool is_lifecycle = false;     // set while create, start, stop or destroy runs
  bool is_destroyed = false;
  std::vector<std::string> declared;  // targets that the manifest requires or wants

  // Makes a call; returns when `call` has. Threads: any, concurrently.
  std::shared_ptr<served_call> begin(const rai_service& service, call_plan plan);
  // True when the call has finished. Meanwhile serves the plugin's own calls.
  bool wait(served_call& call, std::uint32_t time_ms);
  // True when this many events have come or the call has finished.
  bool wait_events(served_call& call, std::size_t count, std::uint32_t time_ms);
  bool wait_paused(served_call& call, std::uint32_t time_ms);
  void cancel(served_call& call);
  void resume(served_call& call);
  void release(served_call& call);       // when it has finished
  void forget(served_call& call);        // what it brought; when `forgets`, that it ever was
  void cancel_again(served_call& call);  // when it has finished or was cancelled, as a race does
  answer answer_of(served_call& call);
  // All of it. A call that does not finish in time is cancelled and given up.
  answer run(const rai_service& service, call_plan plan, std::uint32_t time_ms);

  void note(breach what, std::string words);
  std::optional<std::string> first(breach what);
  std::string log_text();  // everything that was logged, one line each
  std::size_t subscriptions();
  std::size_t provided();  // services added by `provide` and not withdrawn
  std::size_t outgoing_made();

 private:
  struct outgoing;
  struct entry;

  void prepare_call(served_call& call, const rai_service& service);
  void play(const std::shared_ptr<outgoing>& call);
  void deliver_finish(const rai_observer& to, rai_status status, std::string_view body);
  rai_flow deliver_event(const rai_observer& to, const rai_event& event);
  void revoke(guarded_memory memory);
  void pump_one(std::unique_lock<std::mutex>& lock);
  template <class Done>
  bool wait_for(served_call& call, std::uint32_t time_ms, Done done);
  void cancel_children(rai_call parent);
  std::shared_ptr<served_call> find(rai_call call);
  std::string check_request(const rai_request& request) const;

  rai_flow emit(rai_call call, const rai_event& event);
  void finish(rai_call call, rai_status status, rai_str body);
  rai_status info(rai_call call, rai_call_info& out);
  rai_call call(rai_call parent, const rai_request& request, const rai_observer& observer);
  void forward(rai_call call, const rai_request& request);
  void log(std::int32_t level, rai_str text);

  rai_host full_{};
  const rai_host* table_ = &full_;
  std::optional<guarded_memory> short_table_;
  const std::string context_;

  std::mutex mutex_;  // guards what follows; never held while the plugin runs
  std::condition_variable changed_;
  rai_call last_call_ = 0x7000;
  std::map<rai_call, std::shared_ptr<served_call>> served_;
  std::map<rai_call, std::shared_ptr<outgoing>> outgoing_;
  std::vector<guarded_memory> revoked_;  // addresses that stay inaccessible
  std::deque<std::shared_ptr<outgoing>> due_;
  std::size_t outgoing_made_ = 0;
  std::vector<std::pair<breach, std::string>> breaches_;
  std::string log_;
  struct subscription {
    std::string pattern;
    rai_handler handler;
    void* self;
  };
  std::map<std::uint64_t, subscription> subscriptions_;
  std::uint64_t last_subscription_ = 0;
  std::vector<std::string> provided_;
};
}  // namespace rustic::validator
