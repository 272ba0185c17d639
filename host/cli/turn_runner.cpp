#include "host/cli/turn_runner.hpp"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "host/cli/limits.hpp"
#include "host/cli/terminal.hpp"
#include "host/runtime/config/files.hpp"

namespace rustic::cli {
namespace {
constexpr std::string_view conversation = "rustic.conversation/default";

error interrupted_error(int signal) {
  error out;
  out.code = status_code::cancelled;
  out.message = signal == SIGINT ? "interrupted" : "terminated";
  out.hint = "the session keeps what was said; go on with: rustic-ai -c";
  return out;
}

// On the clock that a recording holds, so that a replay tells the same. Nothing: it has none.
std::optional<std::int64_t> clock_ms(program& with) {
  try {
    // The id keeps its place in the recording apart from what others ask.
    const auto told = with.runtime().call("rustic.clock/default", "now", {{"id", "whole-turn"}});
    return require_int(told, "unix_ms", "now");
  } catch (const failure&) {
    return std::nullopt;
  }
}

json::object response_format(const std::string& file) {
  try {
    auto schema = parse_object(config::read_file(file, answer_schema_bytes_max), file);
    return {{"type", "json_schema"}, {"name", "answer"}, {"schema", std::move(schema)}};
  } catch (const failure& problem) {
    throw failure(status_code::invalid_argument,
                  "reading --output-schema: " + problem.problem().message,
                  "it names a file with a JSON Schema");
  }
}

// What the agent had done, wherever the error carries it.
json::object partial_turn(const error& problem) {
  const auto* details = problem.details.if_object();
  if (!details) return {};
  if (const auto& turn = object_or_empty(*details, "turn"); !turn.empty()) return turn;
  const auto& late = object_or_empty(object_or_empty(*details, "late_body"), "details");
  return object_or_empty(late, "turn");
}
// Who called what and how it went; not what was said.
void log_event(program& with, rai_call call, const runtime::call_event& event) {
  if (!with.logs(RAI_LOG_DEBUG)) return;
  if (event.kind == RAI_EVENT_USAGE)
    return with.log(RAI_LOG_DEBUG, "request used " + event.text, call);
  if (event.kind != RAI_EVENT_JSON) return;
  try {
    const auto told = parse_object(event.text);
    const auto type = text_or(told, "type");
    const auto tool = std::string(text_or(told, "name")) + " " + std::string(text_or(told, "id"));
    if (type == "round")
      with.log(RAI_LOG_DEBUG, "round " + std::to_string(int_or(told, "round")), call);
    else if (type == "tool_call")
      with.log(RAI_LOG_DEBUG, "tool " + tool + " begins", call);
    else if (type == "tool_result")
      with.log(RAI_LOG_DEBUG,
               "tool " + tool +
                   (bool_or(told, "success") ? " succeeded after " : " failed after ") +
                   std::to_string(int_or(told, "duration_ms")) + " ms",
               call);
    else if (type == "permission")
      with.log(RAI_LOG_DEBUG,
               "permission for " + tool + ": " + std::string(text_or(told, "decision")), call);
    else if (type == "notice" || type == "warning")
      with.log(RAI_LOG_INFO, text_or(told, "message"), call);
  } catch (const failure&) {  // a plugin's event that is no JSON
  }
}
}  // namespace

void split_model(program& with, turn_options& turn) {
  const auto slash = turn.model.find('/');
  if (slash == std::string::npos || !turn.provider.empty()) return;
  const auto name = turn.model.substr(0, slash);
  if (!with.configuration().view().provider(name)) return;  // "vendor/model" is one model's name
  turn.provider = name;
  turn.model.erase(0, slash + 1);
}

std::string open_session(program& with, const turn_options& turn) {
  auto& runtime = with.runtime();
  json::object body;
  if (!turn.session.empty() || turn.continue_latest) {
    if (turn.session.empty()) {
      body["latest"] = true;
      body["workspace"] = with.workspace().string();
    } else {
      body["id"] = turn.session;
    }
    const auto found = runtime.call(conversation, "resume", body);
    return std::string(text_or(object_or_empty(found, "session"), "id"));
  }
  body["workspace"] = with.workspace().string();
  if (!turn.agent.empty()) body["agent"] = turn.agent;
  const auto made = runtime.call(conversation, "create", body);
  return std::string(text_or(object_or_empty(made, "session"), "id"));
}

turn_end run_turn(program& with, const std::string& session, json::array input,
                  const turn_options& turn, question_desk* desk, turn_report& report,
                  signal_watch& signals, const terminal_mode* mode) {
  const auto begin = std::chrono::steady_clock::now();
  const auto begin_ms = clock_ms(with);
  json::object body{{"session", session}, {"input", std::move(input)}};
  if (!turn.agent.empty()) body["agent"] = turn.agent;
  if (!turn.provider.empty()) body["provider"] = turn.provider;
  if (!turn.model.empty()) body["model"] = turn.model;
  if (turn.has_system) body["system"] = turn.system;
  if (turn.max_rounds > 0) body["max_rounds"] = turn.max_rounds;
  if (!turn.output_schema.empty()) body["response_format"] = response_format(turn.output_schema);
  auto context = with.context(turn, desk != nullptr);
  context["session"] = session;
  auto call = with.runtime().start("rustic.agent/default", "turn", body, context);

  with.log(RAI_LOG_INFO, "turn of session " + session + " begins", call->id());
  int signal = 0;
  std::string text;
  const auto show_events = [&] {
    while (auto event = call->try_next()) {
      if (event->kind == RAI_EVENT_RESTART) text.clear();
      if (event->kind == RAI_EVENT_TEXT) text += event->text;
      if (event->kind == RAI_EVENT_JSON &&
          event->text.find("\"type\":\"round\"") != std::string::npos)
        text.clear();
      log_event(with, call->id(), *event);
      report.event(*event);
    }
  };
  while (!call->finished()) {
    show_events();
    if (!report.writable()) call->cancel();
    if (call->finished()) break;
    const int ready =
        wait_readable(call->descriptor(), signals.descriptor(), -1, desk ? desk->descriptor() : -1,
                      mode ? signals.terminal_descriptor() : -1);
    if (mode && (ready & 8) != 0) (void)mode->renew_after_stop(signals);
    std::optional<int> came;
    if (desk && (ready & 4) != 0) {
      show_events();  // what led to the question stands above it
      came = desk->serve(signals);
    }
    if (!came) came = signals.take();
    if (came) {
      if (signal != 0) break;  // a second time: leave now
      signal = *came;
      call->cancel();
    }
  }
  if (signal != 0 && !call->finished()) {
    // The call is abandoned to the runtime's grace; what is stored is stored.
    auto problem = interrupted_error(signal);
    turn_end out;
    out.code = signal == SIGINT ? exit_code::interrupted : exit_code::terminated;
    json::object so_far{{"session", session}, {"text", text}};
    out.result = result_object(so_far, &problem, 0);
    report.end(out.result);
    call->cancel();
    return out;
  }

  const auto outcome = call->result();
  const auto end_ms = clock_ms(with);
  const std::int64_t duration_ms =
      begin_ms && end_ms
          ? std::max<std::int64_t>(*end_ms - *begin_ms, 0)
          : (std::chrono::steady_clock::now() - begin) / std::chrono::milliseconds(1);
  turn_end out;
  json::object done;
  std::optional<error> problem;
  if (outcome.ok()) {
    try {
      done = outcome.object();
      out.code = exit_code_of(done);
    } catch (const failure& unreadable) {
      problem = unreadable.problem();
    }
  } else {
    problem = outcome.problem();
  }
  if (problem) {
    done = partial_turn(*problem);
    if (problem->code == status_code::cancelled && signal != 0) {
      auto said = interrupted_error(signal);
      said.details = std::move(problem->details);
      problem = std::move(said);
    }
    out.code = exit_code_of(*problem);
    // Cancelled, and not by a person: something below gave up.
    if (problem->code == status_code::cancelled) out.code = exit_code::turn_failed;
    if (signal != 0) out.code = signal == SIGINT ? exit_code::interrupted : exit_code::terminated;
    if (!report.writable()) {
      out.code = exit_code::turn_failed;
      problem->message = report.write_problem();
      problem->hint = "the session keeps what had come; go on with: rustic-ai -c";
    }
  }
  if (text_or(done, "session").empty()) done["session"] = session;
  if (text_or(done, "text").empty() && problem) done["text"] = to_utf8(text);
  if (problem) add_usual_hint(*problem, out.code);
  with.log(problem && signal == 0 ? RAI_LOG_WARN : RAI_LOG_INFO,
           "turn of session " + session + " ended after " + std::to_string(duration_ms) + " ms" +
               (problem ? ": " + problem->message : ""));
  out.result = result_object(done, problem ? &*problem : nullptr, duration_ms);
  report.end(out.result);
  return out;
}
}  // namespace rustic::cli
