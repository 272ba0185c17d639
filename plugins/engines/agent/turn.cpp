#include "turn.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "limits.hpp"
#include "project_notes.hpp"
#include "turn_lease.hpp"

namespace rustic::agent {
namespace {

constexpr std::string_view conversation = "rustic.conversation/default";
constexpr std::string_view storage = "rustic.storage/default";

std::string day_of(std::int64_t unix_ms) {
  const auto seconds = static_cast<std::time_t>(unix_ms / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[16];
  std::strftime(text, sizeof(text), "%Y-%m-%d", &parts);
  return text;
}

// The beginning and the end of a text that is too long, and how much is missing between them.
std::string bounded(std::string text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  const auto head = cut_utf8(text, bytes * 2 / 3);
  std::size_t tail = text.size() - bytes / 3;
  while (tail < text.size() && (static_cast<unsigned char>(text[tail]) & 0xC0) == 0x80) ++tail;
  return std::string(head) + "\n[... " + std::to_string(tail - head.size()) +
         " bytes left out ...]\n" + text.substr(tail);
}

std::string text_of(const json::array& parts) {
  std::string out;
  for (const auto& part : parts)
    if (const auto* object = part.if_object(); object && text_or(*object, "type") == "text")
      out += text_or(*object, "text");
  return out;
}

std::string first_line(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  text = text.substr(begin);
  text = text.substr(0, text.find_first_of("\r\n"));
  return text.size() <= 80 ? std::string(text) : std::string(cut_utf8(text, 77)) + "...";
}

bool ends_turn(status_code code) {
  return code == status_code::cancelled || code == status_code::deadline_exceeded;
}
}  // namespace

task<json::object> turn::ask(std::string_view target, std::string_view method, json::object body) {
  const auto text = json::serialize(body);
  const auto result = co_await ctx_.call({.target = target, .method = method, .body = text});
  co_return result.object();
}

void turn::read_request() {
  request_ = ctx_.request().object();
  agent_ = &known_.get(text_or(request_, "agent"));
  const auto wanted = text_or(request_, "provider", agent_->provider);
  provider_ = &known_.provider_of(wanted);
  record_.session = require_text(request_, "session", "turn");
  record_.agent = agent_->name;
  record_.provider = provider_->name;
  const auto fallback = wanted == agent_->provider && !agent_->model.empty() ? agent_->model
                                                                             : provider_->model;
  record_.model = text_or(request_, "model", fallback);
  if (array_or_empty(request_, "input").empty())
    throw failure(status_code::invalid_argument, "starting a turn: there is nothing to say");
  rounds_max_ = static_cast<int>(int_or(request_, "max_rounds", agent_->rounds_max));
  if (rounds_max_ <= 0) rounds_max_ = rounds_default;

  std::vector<std::vector<std::string>> patterns{agent_->tools};
  if (const auto* only = rustic::find(request_, "tools"); only && only->is_array()) {
    auto& list = patterns.emplace_back();
    for (const auto& one : only->get_array())
      if (one.is_string()) list.emplace_back(one.get_string());
    if (list.empty()) list.emplace_back("-");
  }
  tools_ = tool_catalogue::from_registry(ctx_.host(), patterns);

  auto tokens = agent_->window_tokens > 0 ? agent_->window_tokens : provider_->window_tokens;
  if (tokens <= 0) tokens = window_tokens_default;
  const auto answer = std::min(int_or(agent_->options, "max_tokens", answer_tokens_default), tokens / 2);
  const auto fixed = json::serialize(tools_.for_model()).size() + agent_->system_prompt.size();
  const auto all = static_cast<std::size_t>((tokens - answer) * bytes_per_token);
  window_bytes_ = std::max(window_bytes_min, all > fixed ? all - fixed : 0);
}

// A lease whose owner has died is taken over in the dead owner's name.
task<void> turn::take_lease() {
  std::string owner = lease_owner(turn_id_);
  for (int attempt = 0;; ++attempt) {
    json::object wanted{{"name", "session:" + record_.session},
                        {"owner", owner},
                        {"ttl_ms", lease_ttl_ms},
                        {"now_ms", now_ms_}};
    const auto text = json::serialize(wanted);
    const auto got =
        co_await ctx_.call({.target = storage, .method = "lease.acquire", .body = text});
    if (got.ok()) {
      const auto lease = got.object();
      lease_token_ = json::serialize(*lease.if_contains("token"));
      co_return;
    }
    auto problem = got.problem();
    if (problem.code != status_code::aborted) throw failure(problem);
    const auto* details = problem.details.if_object();
    const std::string holder(details ? text_or(*details, "owner") : "");
    if (attempt > 0 || holder.empty() || !owner_is_dead(holder)) {
      problem.message = "starting a turn: session " + record_.session +
                        " is in use by another turn (" + holder + ")";
      problem.hint = "wait for it to end, or start another session";
      throw failure(problem);
    }
    owner = holder;
  }
}

task<void> turn::begin() {
  json::object wanted{{"prefix", "t_"}};
  const auto id = co_await ask("rustic.id/default", "new", std::move(wanted));
  turn_id_ = text_or(id, "id");
  const auto now = co_await ask("rustic.clock/default", "now", json::object());
  now_ms_ = int_or(now, "unix_ms");
  co_await take_lease();

  json::object which{{"id", record_.session}};
  const auto resumed = co_await ask(conversation, "resume", std::move(which));
  const auto& session = object_or_empty(resumed, "session");
  record_.session = text_or(session, "id");

  workspace_ = text_or(ctx_.scope(), "workspace", text_or(session, "workspace"));
  if (!workspace_.empty()) {
    auto found = find_notes(workspace_);
    if (!found.text.empty())
      notes_ = "Notes of this project, from " + to_utf8(found.file.string()) + ":\n\n" + found.text;
  }

  const auto& input = array_or_empty(request_, "input");
  json::object message{{"role", "user"}, {"parts", input}, {"created_at_ms", now_ms_}};
  json::object changes{{"agent", record_.agent}, {"updated_at_ms", now_ms_}};
  if (text_or(session, "title").empty())
    if (auto title = first_line(text_of(input)); !title.empty()) changes["title"] = title;
  json::object addition{{"messages", json::array{std::move(message)}}, {"changes", std::move(changes)}};
  co_await append(std::move(addition));
  co_await load_window();
}

task<void> turn::load_window() {
  json::object wanted{{"id", record_.session},
                      {"max_bytes", static_cast<std::int64_t>(window_bytes_)}};
  const auto window = co_await ask(conversation, "context", std::move(wanted));
  messages_.clear();
  messages_bytes_ = 0;
  for (const auto& message : array_or_empty(window, "messages")) push(message.as_object());
  if (const auto dropped = int_or(window, "dropped"); dropped > 0)
    ctx_.event({{"type", "truncated"}, {"dropped", dropped}});
}

void turn::push(json::object message) {
  json::object kept{{"role", text_or(message, "role")}, {"parts", array_or_empty(message, "parts")}};
  messages_bytes_ += json::serialize(kept).size();
  messages_.push_back(std::move(kept));
}

task<void> turn::append(json::object addition, bool shielded) {
  addition["id"] = record_.session;
  const auto text = json::serialize(addition);
  const auto done = co_await ctx_.call({.target = conversation,
                                        .method = "append",
                                        .body = text,
                                        .timeout_ms = shielded ? save_timeout_ms : 0,
                                        .shielded = shielded});
  if (!done.ok()) throw failure(done.problem());
}

std::string turn::system_text() const {
  std::string text(text_or(request_, "system", agent_->system_prompt));
  if (!text.empty()) text += "\n\n";
  text += "Today is " + day_of(now_ms_) + ". The operating system is Linux.";
  if (!workspace_.empty())
    text += " The workspace is " + to_utf8(workspace_) + "; relative paths start from it.";
  if (!notes_.empty()) text += "\n\n" + notes_;
  return text;
}

flow turn::on_provider_event(const rai_event& event) {
  switch (event.kind) {
    case RAI_EVENT_TEXT:
      if (partial_text_.size() < partial_text_bytes_max) partial_text_ += to_view(event.text);
      return ctx_.emit(event);
    case RAI_EVENT_RESTART:
      partial_text_.clear();
      return ctx_.emit(event);
    case RAI_EVENT_REASONING:
    case RAI_EVENT_USAGE:
    case RAI_EVENT_JSON:
      return ctx_.emit(event);
    default:
      return flow::go_on;
  }
}

task<json::object> turn::generate() {
  const std::string target = "rustic.provider/" + provider_->name;
  for (int attempt = 0;; ++attempt) {
    if (messages_bytes_ > window_bytes_) co_await load_window();
    json::array messages;
    messages.reserve(messages_.size() + 1);
    json::object system{{"role", "system"}};
    system["parts"] = json::array{json::object{{"type", "text"}, {"text", system_text()}}};
    messages.push_back(std::move(system));
    for (const auto& message : messages_) messages.push_back(message);
    json::object body{{"stream", true}, {"messages", std::move(messages)}, {"options", agent_->options}};
    if (!record_.model.empty()) body["model"] = record_.model;
    if (auto offered = tools_.for_model(); !offered.empty()) body["tools"] = std::move(offered);
    const auto text = json::serialize(body);
    partial_text_.clear();
    const auto result = co_await ctx_.call(
        {.target = target, .method = "generate", .body = text, .on_event = [this](const rai_event& e) {
           return on_provider_event(e);
         }});
    if (result.ok()) co_return result.object();
    auto problem = result.problem();
    const auto* details = problem.details.if_object();
    const bool too_long = details && text_or(*details, "kind") == "context_length";
    if (!too_long || attempt >= window_retries_max || window_bytes_ <= window_bytes_min)
      throw failure(std::move(problem));
    window_bytes_ = std::max(window_bytes_min, std::min(window_bytes_, messages_bytes_) / 2);
    ctx_.event({{"type", "warning"},
                {"message", "the conversation is longer than the model takes: older messages are left out"}});
  }
}

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
  if (call.problem.empty() || !call.arguments.empty())
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

task<turn::outcome> turn::run_call(const checked_call& call) {
  outcome what;
  json::object announced{{"type", "tool_call"}, {"id", call.id}, {"name", call.name}};
  announced["arguments"] = call_record(call, nullptr)["arguments"];
  ctx_.event(announced);
  const auto begin = std::chrono::steady_clock::now();
  if (!call.problem.empty()) {
    what.error = call.problem;
  } else {
    json::object body{{"id", call.id}, {"arguments", call.arguments}};
    const auto text = json::serialize(body);
    const std::string target = "rustic.tool/" + call.name;
    const auto result = co_await ctx_.call(
        {.target = target,
         .method = "call",
         .body = text,
         .on_event = [this, &call](const rai_event& event) {
           if (event.kind == RAI_EVENT_JSON) return ctx_.emit(event);
           if (event.kind != RAI_EVENT_OUTPUT) return flow::go_on;
           return ctx_.event({{"type", "tool_output"},
                              {"id", call.id},
                              {"stream", event.index},
                              {"text", to_utf8(to_view(event.text))}});
         }});
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
      const auto* details = problem.details.if_object();
      if (problem.code == status_code::permission_denied && details &&
          text_or(*details, "kind") == "permission")
        record_.denials.push_back(
            {{"id", call.id}, {"name", call.name}, {"reason", problem.message}});
      else if (!problem.hint.empty())
        what.error += " (" + problem.hint + ")";
    }
    if (!what.success && what.error.empty()) what.error = "the tool failed and gave no reason";
  }
  what.duration_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                         std::chrono::steady_clock::now() - begin)
                         .count();
  auto shown = call_record(call, &what);
  shown["type"] = "tool_result";
  shown.erase("arguments");
  ctx_.event(shown);
  co_return what;
}

// Read-only calls that follow one another run side by side, all others alone and in their order.
task<std::vector<turn::outcome>> turn::run_batch(const std::vector<checked_call>& calls) {
  std::vector<outcome> outcomes;
  for (std::size_t at = 0; at < calls.size();) {
    std::size_t end = at + 1;
    if (calls[at].read_only)
      while (end < calls.size() && calls[end].read_only &&
             end - at < static_cast<std::size_t>(parallel_calls_max))
        ++end;
    std::vector<task<outcome>> batch;
    for (std::size_t i = at; i < end; ++i) batch.push_back(run_call(calls[i]));
    when_all<outcome> all(std::move(batch));
    co_await all;
    for (std::size_t i = at; i < end; ++i) outcomes.push_back(all.result(i - at));
    const bool last = end == calls.size();
    if (ctx_.cancelled()) throw failure(status_code::cancelled, "the turn was cancelled");
    // What has happened is durable before the next call that may depend on it runs.
    if (!last) {
      json::array records;
      for (std::size_t i = at; i < end; ++i)
        records.push_back({{"type", "result"},
                           {"turn", turn_id_},
                           {"id", calls[i].id},
                           {"result", call_record(calls[i], &outcomes[i])}});
      json::object addition{{"journal", std::move(records)}};
      co_await append(std::move(addition));
    }
    at = end;
  }
  co_return outcomes;
}

task<void> turn::store_results(const std::vector<checked_call>& calls,
                               const std::vector<outcome>& outcomes) {
  json::array parts;
  json::array records;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    auto what = outcomes[i];
    const auto verdict = guard_.seen(calls[i].name, calls[i].text, what.output + what.error);
    if (verdict != repeat_guard::verdict::fine) {
      what.output +=
          "\n[This exact call has now given this exact result several times. Do something else.]";
      stop_after_results_ |= verdict == repeat_guard::verdict::stop;
    }
    parts.push_back(result_part(calls[i], what));
    records.push_back({{"type", "result"},
                       {"turn", turn_id_},
                       {"id", calls[i].id},
                       {"result", call_record(calls[i], &outcomes[i])}});
    record_.tool_calls.push_back(call_record(calls[i], &outcomes[i]));
  }
  json::object message{{"role", "user"}, {"parts", std::move(parts)}, {"created_at_ms", now_ms_}};
  push(message);
  json::object addition{{"journal", std::move(records)}};
  addition["messages"] = json::array{std::move(message)};
  co_await append(std::move(addition));
  open_calls_.clear();
}

// The calls of a round that a limit forbids: told in the result, and answered in the session.
void turn::not_run(const std::vector<checked_call>& calls, std::string limit) {
  for (const auto& call : calls) record_.tool_calls.push_back(call_record(call, nullptr));
  record_.limit = std::move(limit);
}

// Stores the model's message and answers its calls. True when there were calls to go on with.
task<bool> turn::answer_calls(json::array parts) {
  std::vector<checked_call> calls;
  for (const auto& part : parts)
    if (const auto* object = part.if_object(); object && text_or(*object, "type") == "tool_call")
      calls.push_back(tools_.check(*object));

  json::object message{{"role", "assistant"}, {"parts", std::move(parts)}, {"created_at_ms", now_ms_}};
  message["metadata"] = json::object{{"provider", record_.provider}, {"model", record_.model}};
  push(message);
  json::object addition;
  addition["messages"] = json::array{std::move(message)};
  if (calls.empty()) {
    co_await append(std::move(addition));
    partial_text_.clear();
    co_return false;
  }

  std::string limit;
  if (record_.rounds >= rounds_max_) limit = "max_rounds";
  if (calls_run_ + static_cast<int>(calls.size()) > agent_->tool_calls_max) limit = "max_tool_calls";
  json::array starts;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (i >= calls_per_answer_max && calls[i].problem.empty())
      calls[i].problem = "Too many calls in one answer; the first " +
                         std::to_string(calls_per_answer_max) + " were run.";
    if (limit.empty())
      starts.push_back({{"type", "start"},
                        {"turn", turn_id_},
                        {"id", calls[i].id},
                        {"name", calls[i].name},
                        {"read_only", calls[i].read_only}});
  }
  if (!limit.empty()) {
    not_run(calls, limit);
    json::array results;
    for (const auto& call : calls) {
      outcome what;
      what.error = "not run: the limit " + limit + " of this turn was reached";
      results.push_back(result_part(call, what));
    }
    json::object reply{{"role", "user"}, {"parts", std::move(results)}, {"created_at_ms", now_ms_}};
    addition["messages"].as_array().push_back(std::move(reply));
    co_await append(std::move(addition));
    partial_text_.clear();
    co_return false;
  }
  addition["journal"] = std::move(starts);
  co_await append(std::move(addition));
  partial_text_.clear();
  open_calls_ = calls;
  calls_run_ += static_cast<int>(calls.size());
  const auto outcomes = co_await run_batch(calls);
  co_await store_results(calls, outcomes);
  if (stop_after_results_) record_.limit = "repeat";
  co_return !stop_after_results_;
}

task<void> turn::play() {
  read_request();
  co_await begin();
  for (bool more = true; more;) {
    ++record_.rounds;
    ctx_.event({{"type", "round"}, {"round", record_.rounds}});
    const auto result = co_await generate();
    record_.usage.add(object_or_empty(result, "usage"));
    record_.finish_reason = text_or(result, "finish_reason", "other");
    if (const auto model = text_or(result, "model"); !model.empty()) record_.model = model;
    auto parts = array_or_empty(object_or_empty(result, "message"), "parts");
    record_.text = text_of(parts);
    more = co_await answer_calls(std::move(parts));
  }
}

// The end of every turn: gives the lease back, and for a turn cut short stores what there is, so that
// the session can go on from it.
task<void> turn::leave(const error* problem) {
  if (lease_token_.empty()) co_return;
  json::array messages;
  if (problem && !partial_text_.empty() && open_calls_.empty()) {
    json::object message{{"role", "assistant"}, {"created_at_ms", now_ms_}};
    message["parts"] = json::array{json::object{{"type", "text"}, {"text", to_utf8(partial_text_)}}};
    message["metadata"] =
        json::object{{"incomplete", true}, {"reason", status_name(problem->code)}};
    record_.text = to_utf8(partial_text_);
    messages.push_back(std::move(message));
  }
  if (problem && !open_calls_.empty()) {
    json::array parts;
    for (const auto& call : open_calls_) {
      outcome what;
      what.error = "interrupted, effect unknown: the turn ended (" +
                   std::string(status_name(problem->code)) + ") while this call was running";
      parts.push_back(result_part(call, what));
      record_.tool_calls.push_back(call_record(call, &what));
    }
    json::object message{{"role", "user"}, {"parts", std::move(parts)}, {"created_at_ms", now_ms_}};
    message["metadata"] = json::object{{"synthetic", "interrupted"}};
    messages.push_back(std::move(message));
  }
  json::object release{{"method", "lease.release"}, {"name", "session:" + record_.session}};
  release["token"] = parse_json(lease_token_);
  json::object addition{{"messages", std::move(messages)}};
  addition["operations"] = json::array{std::move(release)};
  addition["changes"] = json::object{{"usage", record_.usage.to_json()}};
  co_await append(std::move(addition), true);
}

task<std::string> turn::run() {
  std::optional<error> problem;
  try {
    co_await play();
  } catch (...) {
    problem = current_error();
  }
  try {
    co_await leave(problem ? &*problem : nullptr);
  } catch (...) {
    const auto second = current_error();
    ctx_.log(RAI_LOG_ERROR, "storing the end of a turn failed: " + second.message);
    if (!problem) problem = second;
  }
  if (!problem) co_return json::serialize(record_.to_json());
  auto* details = problem->details.if_object();
  json::object all = details ? *details : json::object();
  all["turn"] = record_.to_json();
  problem->details = std::move(all);
  throw failure(*problem);
}
}  // namespace rustic::agent
