#include "turn.hpp"

#include <algorithm>

#include "limits.hpp"
#include "project_notes.hpp"
#include "turn_lease.hpp"
#include "turn_text.hpp"

namespace rustic::agent {
namespace {

constexpr std::string_view conversation = "rustic.conversation/default";
constexpr std::string_view storage = "rustic.storage/default";

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
  const auto fallback =
      wanted == agent_->provider && !agent_->model.empty() ? agent_->model : provider_->model;
  asked_model_ = record_.model = text_or(request_, "model", fallback);
  if (array_or_empty(request_, "input").empty())
    throw failure(status_code::invalid_argument, "starting a turn: there is nothing to say");
  guard_ = repeat_guard(agent_->repeats_max);
  options_ = agent_->options;
  if (const auto* wanted_format = rustic::find(request_, "response_format"))
    options_["response_format"] = *wanted_format;
  if (const auto* wanted_format = rustic::find(options_, "response_format"))
    if (const auto* form = wanted_format->if_object()) format_ = answer_format(*form);
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
  const auto answer =
      std::min(int_or(agent_->options, "max_tokens", answer_tokens_default), tokens / 2);
  if (const auto offered = tools_.for_model(); !offered.empty())
    tools_text_ = json::serialize(offered);
  const auto fixed = tools_text_.size() + agent_->system_prompt.size();
  const auto all = static_cast<std::size_t>((tokens - answer) * bytes_per_token);
  window_bytes_ = std::max(window_bytes_min, all > fixed ? all - fixed : 0);
}

task<void> turn::read_clock() {
  const auto now = co_await ask("rustic.clock/default", "now", json::object());
  now_ms_ = int_or(now, "unix_ms");
}

// Shielded: a lease that was given but not seen would lock the session.
task<call_result> turn::acquire_lease(std::string owner) {
  json::object wanted{{"name", "session:" + record_.session},
                      {"owner", std::move(owner)},
                      {"ttl_ms", lease_ttl_ms},
                      {"now_ms", now_ms_}};
  const auto text = json::serialize(wanted);
  co_return co_await ctx_.call({.target = storage,
                                .method = "lease.acquire",
                                .body = text,
                                .timeout_ms = store_timeout_ms,
                                .shielded = true});
}

task<void> turn::release_lease(std::string token) {
  json::object wanted{{"name", "session:" + record_.session}};
  wanted["token"] = parse_json(token);
  const auto text = json::serialize(wanted);
  const auto done = co_await ctx_.call({.target = storage,
                                        .method = "lease.release",
                                        .body = text,
                                        .timeout_ms = save_timeout_ms,
                                        .shielded = true});
  if (!done.ok()) throw failure(done.problem());
}

// A lease whose owner has died is taken in the dead owner's name, given back, and then taken in
// ours: of several that try, one gets it.
task<void> turn::take_lease() {
  for (int attempt = 0;; ++attempt) {
    std::string mine = lease_owner(turn_id_);
    const auto got = co_await acquire_lease(std::move(mine));
    if (got.ok()) {
      const auto lease = got.object();
      lease_token_ = json::serialize(*lease.if_contains("token"));
      lease_renewed_ms_ = now_ms_;
      co_return;
    }
    auto problem = got.problem();
    if (problem.code != status_code::aborted) {
      // It may have been given all the same; asking again in the same name is harmless.
      if (attempt > 0) throw failure(problem);
      continue;
    }
    const auto* details = problem.details.if_object();
    const std::string holder(details ? text_or(*details, "owner") : "");
    if (attempt >= lease_takeovers_max || holder.empty() || !owner_is_dead(holder)) {
      problem.message = "starting a turn: session " + record_.session +
                        " is in use by another turn (" + holder + ")";
      problem.hint = "wait for it to end, or start another session";
      throw failure(problem);
    }
    std::string theirs = holder;
    const auto old = co_await acquire_lease(std::move(theirs));
    if (!old.ok()) continue;
    const auto lease = old.object();
    std::string token = json::serialize(*lease.if_contains("token"));
    co_await release_lease(std::move(token));
  }
}

// What the calls of this turn are made for, for whoever stands between the agent and a service.
std::string turn::scope_text() {
  json::object scope = ctx_.scope();
  scope["session"] = record_.session;
  scope["turn"] = turn_id_;
  scope["agent"] = record_.agent;
  if (!workspace_.empty()) scope["workspace"] = workspace_;
  return json::serialize(scope);
}

task<void> turn::begin() {
  json::object wanted{{"prefix", "t_"}};
  const auto id = co_await ask("rustic.id/default", "new", std::move(wanted));
  turn_id_ = text_or(id, "id");
  co_await read_clock();
  // The lease bears the whole id, whatever part of it was given.
  json::object asked{{"id", record_.session}};
  const auto found = co_await ask(conversation, "get", std::move(asked));
  record_.session = text_or(object_or_empty(found, "session"), "id");
  co_await take_lease();

  json::object which{{"id", record_.session}};
  const auto resumed = co_await ask(conversation, "resume", std::move(which));
  const auto& session = object_or_empty(resumed, "session");
  metadata_ = object_or_empty(session, "metadata");

  workspace_ = text_or(ctx_.scope(), "workspace", text_or(session, "workspace"));
  scope_ = scope_text();
  if (!workspace_.empty()) {
    auto notes = find_notes(workspace_);
    if (!notes.text.empty())
      notes_ = "Notes of this project, from " + to_utf8(notes.file.string()) + ":\n\n" + notes.text;
  }

  const auto& input = array_or_empty(request_, "input");
  json::object message{{"role", "user"}, {"parts", input}, {"created_at_ms", now_ms_}};
  json::object changes{{"agent", record_.agent}, {"updated_at_ms", now_ms_}};
  if (text_or(session, "title").empty())
    if (auto title = first_line(text_of(input)); !title.empty()) changes["title"] = title;
  json::object addition{{"messages", json::array{std::move(message)}},
                        {"changes", std::move(changes)}};
  co_await append(std::move(addition));
  opening_seq_ = next_seq_ - 1;
  if (json::serialize(input).size() > window_bytes_)
    ctx_.event(
        {{"type", "warning"},
         {"message", "the prompt is larger than the model's window: its middle is left out"}});
  co_await load_window();
}

task<void> turn::load_window() {
  json::object wanted{{"id", record_.session},
                      {"max_bytes", static_cast<std::int64_t>(window_bytes_)},
                      {"opening_seq", opening_seq_}};
  const auto window = co_await ask(conversation, "context", std::move(wanted));
  messages_.clear();
  messages_bytes_ = 0;
  for (const auto& message : array_or_empty(window, "messages")) {
    push(message.as_object());
    for (const auto& part : array_or_empty(message.as_object(), "parts"))
      if (const auto* call = part.if_object(); call && text_or(*call, "type") == "tool_call")
        used_ids_.emplace(text_or(*call, "id"));
  }
  if (const auto dropped = int_or(window, "dropped"); dropped > 0)
    ctx_.event({{"type", "truncated"}, {"dropped", dropped}});
}

void turn::push(const json::object& message) {
  json::object kept{{"role", text_or(message, "role")},
                    {"parts", array_or_empty(message, "parts")}};
  messages_bytes_ += messages_.emplace_back(json::serialize(kept)).size();
}

// Shielded, because what is stored must be known: a cancelled append may have happened all the
// same. The expected place makes a turn that lost its session stop instead of mixing into another
// one.
task<void> turn::append(json::object addition, bool last) {
  addition["id"] = record_.session;
  const bool has_messages = !array_or_empty(addition, "messages").empty();
  if (has_messages && next_seq_ > 0) addition["expected_next_seq"] = next_seq_;
  const auto text = json::serialize(addition);
  const auto done = co_await ctx_.call({.target = conversation,
                                        .method = "append",
                                        .body = text,
                                        .timeout_ms = last ? save_timeout_ms : store_timeout_ms,
                                        .shielded = true});
  const auto stored = done.object();
  if (has_messages) next_seq_ = int_or(stored, "last_seq") + 1;
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
      usage_text_.clear();
      return ctx_.emit(event);
    case RAI_EVENT_USAGE:
      usage_text_ = to_view(event.text);
      return ctx_.emit(event);
    case RAI_EVENT_REASONING:
    case RAI_EVENT_JSON:
      return ctx_.emit(event);
    default:
      return flow::go_on;
  }
}

// Put together from texts: a long conversation is neither copied nor written anew for each round.
std::string turn::request_text() const {
  json::object system{{"role", "system"}};
  system["parts"] = json::array{json::object{{"type", "text"}, {"text", system_text()}}};
  json::object rest{{"stream", true}, {"options", options_}};
  if (!asked_model_.empty()) rest["model"] = asked_model_;
  std::string text = json::serialize(rest);
  text.reserve(text.size() + messages_bytes_ + messages_.size() + tools_text_.size() +
               request_frame_bytes);
  text.pop_back();  // the brace that ends it
  if (!tools_text_.empty()) text.append(",\"tools\":").append(tools_text_);
  text.append(",\"messages\":[").append(json::serialize(system));
  for (const auto& message : messages_) text.append(",").append(message);
  return text.append("]}");
}

task<json::object> turn::generate() {
  const std::string target = "rustic.provider/" + provider_->name;
  for (int attempt = 0;; ++attempt) {
    if (messages_bytes_ > window_bytes_) co_await load_window();
    const auto text = request_text();
    partial_text_.clear();
    usage_text_.clear();
    call_spec spec{.target = target, .method = "generate", .body = text, .context = scope_};
    spec.on_event = [this](const rai_event& e) { return on_provider_event(e); };
    const auto result = co_await ctx_.call(std::move(spec));
    if (result.ok()) co_return result.object();
    auto problem = result.problem();
    co_await count_failure(problem);
    const auto* details = problem.details.if_object();
    const bool too_long = details && text_or(*details, "kind") == "context_length";
    // What has been shown must not be shown once more.
    if (!too_long || attempt >= window_retries_max || window_bytes_ <= window_bytes_min ||
        !partial_text_.empty())
      throw failure(std::move(problem));
    window_bytes_ = std::max(window_bytes_min, std::min(window_bytes_, messages_bytes_) / 2);
    ctx_.event({{"type", "warning"},
                {"message",
                 "the conversation is longer than the model takes: older messages are left out"}});
  }
}

// The calls of a round that a limit forbids: told in the result, and answered in the session.
void turn::not_run(const std::vector<checked_call>& calls, std::string limit) {
  for (const auto& call : calls) record_.tool_calls.push_back(call_record(call, nullptr));
  record_.limit = std::move(limit);
}

// A call without an id, or with one that this conversation has already, gets an id of ours, so that
// results and the journal cannot be taken for another call's.
void turn::settle_id(json::object& call, std::size_t place) {
  const auto id = text_or(call, "id");
  if (!id.empty() && id.size() <= call_id_bytes_max && used_ids_.emplace(id).second) return;
  const auto suffix = turn_id_.substr(turn_id_.find('_') + 1);
  call["id"] =
      "c_" + suffix + "_" + std::to_string(record_.rounds) + "_" + std::to_string(place + 1);
  used_ids_.emplace(text_or(call, "id"));
}

// Not with each message: a turn that had lost its session finds another next place in it.
void turn::renew_lease(json::object& addition) {
  if (now_ms_ - lease_renewed_ms_ < lease_renewal_ms) return;
  json::object renewal{{"method", "lease.renew"}, {"name", "session:" + record_.session}};
  renewal["token"] = parse_json(lease_token_);
  renewal["ttl_ms"] = lease_ttl_ms;
  renewal["now_ms"] = now_ms_;
  addition["operations"] = json::array{std::move(renewal)};
  lease_renewed_ms_ = now_ms_;
}

// Stores the model's message and answers its calls. True when there were calls to go on with.
task<bool> turn::answer_calls(json::array parts, bool goes_on) {
  std::vector<checked_call> calls;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    auto* object = parts[i].if_object();
    if (!object || text_or(*object, "type") != "tool_call") continue;
    settle_id(*object, calls.size());
    const bool cut_off = i + 1 == parts.size() && record_.finish_reason == "length";
    auto& call = calls.emplace_back(tools_.check(*object, cut_off));
    call.name = tool_name(call.name);
    (*object)["name"] = call.name;
    (*object)["arguments"] = call.text;
  }

  json::object message{
      {"role", "assistant"}, {"parts", std::move(parts)}, {"created_at_ms", now_ms_}};
  message["metadata"] = json::object{{"provider", record_.provider}, {"model", record_.model}};
  push(message);
  json::object addition;
  addition["messages"] = json::array{std::move(message)};
  renew_lease(addition);
  if (calls.empty()) {
    if (format_.any_text() && !goes_on)
      co_await append_last(std::move(addition));
    else
      co_await append(std::move(addition));
    partial_text_.clear();
    co_return false;
  }

  std::string limit;
  if (record_.rounds >= rounds_max_) limit = "max_rounds";
  if (calls_run_ + static_cast<int>(calls.size()) > agent_->tool_calls_max)
    limit = "max_tool_calls";
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
    co_await append_last(std::move(addition));
    partial_text_.clear();
    co_return false;
  }
  addition["journal"] = std::move(starts);
  addition["changes"] = nullptr;
  co_await append(std::move(addition));
  partial_text_.clear();
  open_calls_ = std::move(calls);
  outcomes_.clear();
  calls_run_ += static_cast<int>(open_calls_.size());
  co_await run_calls();
  co_await store_results();
  if (stop_after_results_) record_.limit = "repeat";
  co_return !stop_after_results_;
}

task<void> turn::play() {
  read_request();
  co_await begin();
  std::string begun;  // what a server that paused has said of its answer
  for (bool more = true; more;) {
    ++record_.rounds;
    ctx_.event({{"type", "round"}, {"round", record_.rounds}});
    const auto result = co_await generate();
    co_await read_clock();
    co_await count_answer(result);
    record_.finish_reason = text_or(result, "finish_reason", "other");
    auto parts = array_or_empty(object_or_empty(result, "message"), "parts");
    record_.text = begun + text_of(parts);
    const bool goes_on = bool_or(result, "goes_on");
    begun = goes_on ? record_.text : std::string();
    more = co_await answer_calls(std::move(parts), goes_on);
    if (!more && record_.limit.empty() && goes_on) {
      more = record_.rounds < rounds_max_;
      if (!more) record_.limit = "max_rounds";
      continue;
    }
    if (!more && record_.limit.empty() && !format_.any_text()) more = co_await ask_for_form();
  }
}

// True when the last word does not have the form that was asked for, and the model was told so.
task<bool> turn::ask_for_form() {
  auto told = format_.settle(record_.text);
  if (told.empty()) co_return false;
  if (form_asked_ || record_.rounds >= rounds_max_) {
    error problem;
    problem.code = status_code::data_loss;
    problem.message =
        "answering in the form that was asked for: the model's answer does not have it";
    problem.hint = "try another model, or a simpler schema";
    problem.details = json::object{{"kind", "response_format"}, {"expected", told}};
    throw failure(std::move(problem));
  }
  form_asked_ = true;
  ctx_.event({{"type", "warning"},
              {"message", "the answer does not have the form that was asked for: asking again"}});
  json::object part{{"type", "text"}, {"text", std::move(told)}};
  json::object message{
      {"role", "user"}, {"parts", json::array{std::move(part)}}, {"created_at_ms", now_ms_}};
  message["metadata"] = json::object{{"synthetic", "response_format"}};
  push(message);
  json::object addition;
  addition["messages"] = json::array{std::move(message)};
  co_await append(std::move(addition));
  co_return true;
}

// What a turn that was cut short leaves in the session.
json::array turn::last_words(const error& problem) {
  json::array messages;
  if (!open_calls_.empty()) {
    json::array parts;
    for (std::size_t i = 0; i < open_calls_.size(); ++i) {
      const auto& call = open_calls_[i];
      const std::string why = "the turn ended (" + std::string(status_name(problem.code)) + ")";
      outcome what;
      if (i < outcomes_.size() && !outcomes_[i].cancelled)
        what = outcomes_[i];
      else if (i < started_calls_)
        what.error = "interrupted, effect unknown: " + why + " while this call was running";
      else
        what.error = "not run: " + why + " before it";
      parts.push_back(result_part(call, what));
      record_.tool_calls.push_back(call_record(call, i < started_calls_ ? &what : nullptr));
    }
    json::object message{{"role", "user"}, {"parts", std::move(parts)}, {"created_at_ms", now_ms_}};
    message["metadata"] = json::object{{"synthetic", "interrupted"}};
    messages.push_back(std::move(message));
  } else if (!partial_text_.empty()) {
    record_.text = to_utf8(partial_text_);
    json::object message{{"role", "assistant"}, {"created_at_ms", now_ms_}};
    message["parts"] = json::array{json::object{{"type", "text"}, {"text", record_.text}}};
    message["metadata"] = json::object{{"incomplete", true}, {"reason", status_name(problem.code)}};
    messages.push_back(std::move(message));
  }
  return messages;
}

// What ends every turn: the lease is given back, and what the turn has cost goes to the session's.
void turn::close(json::object& addition) {
  json::object release{{"method", "lease.release"}, {"name", "session:" + record_.session}};
  release["token"] = parse_json(lease_token_);
  auto operations = array_or_empty(addition, "operations");
  operations.push_back(std::move(release));
  addition["operations"] = std::move(operations);
  if (auto spent = spent_.to_json(); !spent.empty()) {
    spending all;
    all.add(array_or_empty(metadata_, "usage_by_model"));
    all.add(spent);
    auto metadata = metadata_;
    metadata["usage_by_model"] = all.to_json();
    addition["changes"] = json::object{{"metadata", std::move(metadata)}};
  }
  if (calls_run_ > 0) addition["journal_done"] = true;
}

// The last message and the end of the turn in one commit: each waits for the disk.
task<void> turn::append_last(json::object addition) {
  close(addition);
  co_await append(std::move(addition));
  lease_token_.clear();
}

// For a turn that did not end with its last message: stores what there is, so that the session can
// go on from it.
task<void> turn::leave(const error* problem) {
  if (lease_token_.empty()) co_return;
  json::object addition;
  if (problem) addition["messages"] = last_words(*problem);
  close(addition);
  std::optional<error> failed;
  try {
    co_await append(std::move(addition), true);
  } catch (...) {
    failed = current_error();
  }
  if (!failed) co_return;
  // The next turn repairs what is missing; a session that stays locked nobody could repair.
  std::string token = lease_token_;
  co_await release_lease(std::move(token));
  throw failure(std::move(*failed));
}

task<std::string> turn::run() {
  std::optional<error> problem;
  try {
    co_await play();
  } catch (...) {
    problem = current_error();
  }
  // Everything that was said is stored by now, or is about to be reported as lost by `problem`.
  try {
    co_await leave(problem ? &*problem : nullptr);
  } catch (...) {
    const auto second = current_error();
    ctx_.log(RAI_LOG_ERROR, "storing the end of a turn failed: " + second.message);
  }
  record_.cost_usd = spent_.cost_usd();
  record_.usage_by_model = spent_.to_json();
  if (!problem) co_return json::serialize(record_.to_json());
  auto* details = problem->details.if_object();
  json::object all = details ? *details : json::object();
  all["turn"] = record_.to_json();
  problem->details = std::move(all);
  throw failure(*problem);
}
}  // namespace rustic::agent
