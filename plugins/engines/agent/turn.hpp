// plugins/engines/agent/turn.hpp - one turn: from what a person said to the model's last word,
// through as many tool rounds as it takes.
//
// Order of durability: the person's message before the first request; the model's message and the
// start of its calls in one commit before any of them runs; their results before the next request.
// A turn that is cancelled or fails keeps what it has, under a shielded call.
#pragma once
#include <rustic/call.hpp>
#include <set>
#include <string>
#include <vector>

#include "agents.hpp"
#include "answer_format.hpp"
#include "limits.hpp"
#include "repeat_guard.hpp"
#include "spending.hpp"
#include "tool_catalogue.hpp"
#include "turn_record.hpp"

namespace rustic::agent {

// Lives in the frame of the coroutine that serves the call. Everything runs on the call's strand.
class turn {
 public:
  turn(context& ctx, const agents& known) : ctx_(ctx), known_(known) {}
  turn(const turn&) = delete;
  turn& operator=(const turn&) = delete;

  // The result's body; throws failure whose details hold {"turn": what was done so far}.
  task<std::string> run();

 private:
  struct outcome {
    bool success = false;
    std::string output;
    std::string error;
    std::int64_t duration_ms = 0;
    bool cancelled = false;
  };

  void read_request();
  task<void> begin();
  task<void> read_clock();
  task<void> take_lease();
  task<call_result> acquire_lease(std::string owner);
  task<void> release_lease(std::string token);
  task<void> load_window();
  task<void> play();
  task<json::object> generate();
  task<void> count(json::object request, json::object usage);
  task<void> count_answer(const json::object& result);
  task<void> count_failure(const error& problem);
  task<void> count_spent(json::array spent);
  json::object price_question(const json::object& who) const;
  task<bool> answer_calls(json::array parts, bool goes_on);
  task<bool> ask_for_form();
  void settle_id(json::object& call, std::size_t place);
  task<std::int64_t> clock_for(const checked_call& call);
  task<void> call_tool(const checked_call& call, outcome& what);
  task<outcome> run_call(const checked_call& call);
  task<void> run_calls();
  task<void> store_results();
  task<void> append(json::object addition, bool last = false);
  void close(json::object& addition);
  task<void> append_last(json::object addition);
  task<void> leave(const error* problem);
  json::array last_words(const error& problem);

  task<json::object> ask(std::string_view target, std::string_view method, json::object body);
  flow on_provider_event(const rai_event& event);
  void not_run(const std::vector<checked_call>& calls, std::string limit);
  json::object result_part(const checked_call& call, const outcome& what) const;
  json::object result_entry(std::size_t place) const;
  json::object call_record(const checked_call& call, const outcome* what) const;
  void push(const json::object& message);
  std::string request_text() const;
  void renew_lease(json::object& addition);
  std::string system_text() const;
  std::string scope_text();

  context& ctx_;
  const agents& known_;
  const agent* agent_ = nullptr;
  const provider* provider_ = nullptr;
  json::object request_;
  std::string turn_id_;
  std::string lease_token_;
  std::int64_t lease_renewed_ms_ = 0;
  std::int64_t now_ms_ = 0;
  std::string workspace_;
  std::string scope_;  // the context of the calls made for this turn
  std::string notes_;
  tool_catalogue tools_;
  repeat_guard guard_{repeats_default};
  turn_record record_;
  spending spent_;           // by this turn
  json::object metadata_;    // of the session, as the turn found it
  json::object options_;     // of the requests to the model
  std::string asked_model_;  // in each of them; who answers may have another name
  int rounds_max_ = 0;
  int calls_run_ = 0;

  std::string tools_text_;             // as the model is offered them; empty: none
  std::vector<std::string> messages_;  // the window as JSON texts, without the system message
  std::size_t messages_bytes_ = 0;
  std::size_t window_bytes_ = 0;
  std::int64_t next_seq_ = 0;     // of the session's messages; 0: not known yet
  std::int64_t opening_seq_ = 0;  // of the message that began this turn
  std::string partial_text_;
  std::string usage_text_;  // the newest of the answer that is coming
  std::set<std::string, std::less<>> used_ids_;
  std::vector<checked_call> open_calls_;  // stored without a result yet
  std::vector<outcome> outcomes_;         // of the first of them
  std::size_t started_calls_ = 0;
  bool stop_after_results_ = false;
  answer_format format_;
  bool form_asked_ = false;
};
}  // namespace rustic::agent
