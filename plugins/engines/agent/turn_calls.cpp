// The calls of one answer: run, told and stored.
#include <algorithm>
#include <array>

#include "limits.hpp"
#include "turn.hpp"
#include "turn_text.hpp"

namespace rustic::agent {
namespace {

bool ends_turn(status_code code) {
  return code == status_code::cancelled || code == status_code::deadline_exceeded;
}
}  // namespace

json::object turn::result_part(const checked_call& call, const outcome& what) const {
  std::string text = what.output;
  if (!what.success) text = what.output.empty() ? what.error : what.error + "\n" + what.output;
  if (text.empty()) text = "(no output)";
  return {{"type", "tool_result"},
          {"id", call.id},
          {"name", call.name},
          {"output", bounded(std::move(text), tool_output_bytes_max)},
          {"is_error", !what.success}};
}

json::object turn::call_record(const checked_call& call, const outcome* what) const {
  json::object out{{"id", call.id}, {"name", call.name}};
  if (call.problem.empty() || call.readable)
    out["arguments"] = call.arguments;
  else
    out["arguments"] = to_utf8(cut_utf8(call.text, arguments_preview_bytes));
  if (!what) {
    out["success"] = nullptr;
    out["output"] = nullptr;
    out["error"] = nullptr;
    out["duration_ms"] = nullptr;
    return out;
  }
  out["success"] = what->success;
  out["output"] = bounded(what->output, tool_output_bytes_max);
  if (what->error.empty())
    out["error"] = nullptr;
  else
    out["error"] = what->error;
  out["duration_ms"] = what->duration_ms;
  return out;
}

task<std::int64_t> turn::clock_for(const checked_call& call) {
  // The id gives the reading its place in a recording: calls side by side end in any order.
  json::object wanted{{"id", call.id}};
  const auto text = json::serialize(wanted);
  const auto now = co_await ctx_.call(
      {.target = "rustic.clock/default", .method = "now", .body = text, .context = scope_});
  if (!now.ok()) co_return now_ms_;
  const auto body = now.object();
  co_return int_or(body, "unix_ms", now_ms_);
}

task<void> turn::call_tool(const checked_call& call, outcome& what) {
  json::object body{{"id", call.id}, {"arguments", call.arguments}};
  const auto text = json::serialize(body);
  const std::string target = "rustic.tool/" + call.name;
  std::array<text_decoder, 2> streams;  // standard output, standard error
  std::size_t shown = 0;
  const auto tell = [&](std::uint32_t stream, std::string piece) {
    if (piece.empty() || shown >= shown_output_bytes_max) return flow::go_on;
    const std::size_t room = shown_output_bytes_max - shown;
    shown += piece.size();
    if (piece.size() >= room)
      piece = std::string(cut_utf8(piece, room)) + "\n[... more is not shown ...]\n";
    return ctx_.event(
        {{"type", "tool_output"}, {"id", call.id}, {"stream", stream}, {"text", piece}});
  };
  // A person may take any time to answer a question; without one the call must end.
  const bool attended = bool_or(ctx_.scope(), "interactive");
  call_spec spec{.target = target, .method = "call", .body = text, .context = scope_};
  spec.timeout_ms = attended ? 0 : agent_->tool_timeout_ms;
  spec.on_event = [&](const rai_event& event) {
    if (event.kind == RAI_EVENT_JSON) return ctx_.emit(event);
    if (event.kind != RAI_EVENT_OUTPUT) return flow::go_on;
    return tell(event.index, streams[event.index == 2 ? 1 : 0].decode(to_view(event.text)));
  };
  const auto result = co_await ctx_.call(std::move(spec));
  for (std::uint32_t i = 0; i < 2; ++i) tell(i + 1, streams[i].finish());
  if (result.ok()) {
    try {
      const auto answer = result.object();
      what.success = bool_or(answer, "success");
      what.output = text_or(answer, "output");
      what.error = text_or(answer, "error");
    } catch (const failure& problem) {
      what.error = "the tool's result cannot be read: " + problem.problem().message;
    }
  } else {
    const auto problem = result.problem();
    what.cancelled = ctx_.cancelled() && ends_turn(problem.code);
    what.error = problem.message;
    // By the policy; by the kernel, when the policy does not stand before it; or by the tool.
    if (problem.code == status_code::permission_denied)
      record_.denials.push_back(
          {{"id", call.id}, {"name", call.name}, {"reason", problem.message}});
    const auto* details = problem.details.if_object();
    const bool reason_is_whole = details && text_or(*details, "kind") == "permission";
    if (!problem.hint.empty() && !reason_is_whole) what.error += " (" + problem.hint + ")";
  }
  if (!what.success && what.error.empty()) what.error = "the tool failed and gave no reason";
}

task<turn::outcome> turn::run_call(const checked_call& call) {
  outcome what;
  json::object announced{{"type", "tool_call"}, {"id", call.id}, {"name", call.name}};
  announced["arguments"] = call_record(call, nullptr)["arguments"];
  ctx_.event(announced);
  if (call.problem.empty()) {
    const auto begin_ms = co_await clock_for(call);
    co_await call_tool(call, what);
    const auto end_ms = co_await clock_for(call);
    what.duration_ms = std::max<std::int64_t>(0, end_ms - begin_ms);
  } else {
    what.error = call.problem;
  }
  auto shown = call_record(call, &what);
  shown["type"] = "tool_result";
  shown.erase("arguments");
  ctx_.event(shown);
  co_return what;
}

json::object turn::result_entry(std::size_t place) const {
  return {{"type", "result"},
          {"turn", turn_id_},
          {"id", open_calls_[place].id},
          {"result", call_record(open_calls_[place], &outcomes_[place])}};
}

// Read-only calls that follow one another run side by side, all others alone and in their order.
task<void> turn::run_calls() {
  const auto& calls = open_calls_;
  started_calls_ = 0;
  for (std::size_t at = 0; at < calls.size();) {
    if (ctx_.cancelled()) throw failure(status_code::cancelled, "the turn was cancelled");
    std::size_t end = at + 1;
    if (calls[at].read_only)
      while (end < calls.size() && calls[end].read_only && end - at < agent_->parallel_calls_max)
        ++end;
    started_calls_ = end;
    std::vector<task<outcome>> batch;
    for (std::size_t i = at; i < end; ++i) batch.push_back(run_call(calls[i]));
    when_all<outcome> all(std::move(batch));
    co_await all;
    for (std::size_t i = at; i < end; ++i) outcomes_.push_back(all.result(i - at));
    if (ctx_.cancelled()) throw failure(status_code::cancelled, "the turn was cancelled");
    // What has happened is durable before the next call that may depend on it runs.
    if (end < calls.size()) {
      json::array records;
      for (std::size_t i = at; i < end; ++i) records.push_back(result_entry(i));
      json::object addition{{"journal", std::move(records)}, {"changes", nullptr}};
      co_await append(std::move(addition));
    }
    at = end;
  }
}

task<void> turn::store_results() {
  json::array parts;
  json::array told;
  for (std::size_t i = 0; i < open_calls_.size(); ++i) {
    const auto& call = open_calls_[i];
    auto what = outcomes_[i];
    const auto verdict = guard_.seen(call.name, call.text, what.output + what.error);
    if (verdict != repeat_guard::verdict::fine) {
      what.output +=
          "\n[This exact call has now given this exact result several times. Do something else.]";
      stop_after_results_ |= verdict == repeat_guard::verdict::stop;
    }
    parts.push_back(result_part(call, what));
    told.push_back(call_record(call, &outcomes_[i]));
  }
  json::object message{{"role", "user"}, {"parts", std::move(parts)}, {"created_at_ms", now_ms_}};
  push(message);
  json::object addition{{"changes", nullptr}};
  addition["messages"] = json::array{std::move(message)};
  co_await append(std::move(addition));
  for (auto& one : told) record_.tool_calls.push_back(std::move(one));
  open_calls_.clear();
}
}  // namespace rustic::agent
