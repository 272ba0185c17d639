#include "conversation.hpp"

#include <algorithm>
#include <set>

#include "export.hpp"
#include "limits.hpp"
#include "window.hpp"

namespace rustic::conversation {
namespace {

task<json::object> ask(context& ctx, std::string_view target, std::string_view method,
                       json::object body) {
  const auto text = json::serialize(body);
  const auto result = co_await ctx.call({.target = target, .method = method, .body = text});
  co_return result.object();
}
task<json::object> storage(context& ctx, std::string_view method, json::object body) {
  return ask(ctx, "rustic.storage/default", method, std::move(body));
}

task<std::int64_t> now_ms(context& ctx) {
  const auto now = co_await ask(ctx, "rustic.clock/default", "now", json::object());
  co_return int_or(now, "unix_ms");
}

task<std::string> create(context& ctx, const json::object& body) {
  json::object wanted{{"prefix", "s_"}};
  const auto id = co_await ask(ctx, "rustic.id/default", "new", std::move(wanted));
  const auto now = co_await now_ms(ctx);
  json::object session{{"id", text_or(id, "id")}, {"created_at_ms", now}, {"updated_at_ms", now}};
  for (const auto key : {"agent", "workspace", "title", "parent", "metadata"})
    if (const auto* value = find(body, key)) session[key] = *value;
  json::object query{{"session", std::move(session)}};
  auto made = co_await storage(ctx, "session.create", std::move(query));
  co_return json::serialize(made);
}

task<json::object> session_of(context& ctx, const json::object& body) {
  if (bool_or(body, "latest")) {
    json::object query{{"limit", 1}};
    if (const auto* workspace = find(body, "workspace")) query["workspace"] = *workspace;
    auto listed = co_await storage(ctx, "session.list", std::move(query));
    const auto& sessions = array_or_empty(listed, "sessions");
    if (sessions.empty())
      throw failure(status_code::not_found, "finding the latest session: there is none here yet",
                    "start one with: rustic-ai");
    co_return sessions[0].as_object();
  }
  const std::string id(require_text(body, "id", ctx.request().method));
  const auto text = json::serialize(json::object{{"id", id}});
  const auto exact = co_await ctx.call(
      {.target = "rustic.storage/default", .method = "session.get", .body = text});
  if (exact.ok()) co_return object_or_empty(exact.object(), "session");
  if (exact.status != status_code::not_found) throw failure(exact.problem());

  json::array matches;
  const std::string full = id.starts_with("s_") ? id : "s_" + id;
  if (full.size() >= prefix_chars_min + 2) {
    json::object query{{"limit", prefix_sessions_max}};
    auto listed = co_await storage(ctx, "session.list", std::move(query));
    for (const auto& session : array_or_empty(listed, "sessions")) {
      const auto known = text_or(session.as_object(), "id");
      if (known.starts_with(full) || known.ends_with(id)) matches.push_back(session);
    }
  }
  if (matches.size() == 1) co_return matches[0].as_object();
  if (matches.empty())
    throw failure(status_code::not_found, "finding session \"" + id + "\": no such session",
                  "rustic-ai session list shows them");
  throw failure(
      status_code::invalid_argument,
      "finding session \"" + id + "\": " + std::to_string(matches.size()) + " sessions match",
      "give more characters of the id");
}

// The results of calls that the journal of the session knows, by call id.
task<json::object> journalled_results(context& ctx, std::string_view session) {
  json::object known;
  std::set<std::string, std::less<>> begun;  // what is older belongs to another call of that id
  const std::string stream = "session:" + std::string(session) + "/calls";
  const auto text = json::serialize(
      json::object{{"stream", stream}, {"reverse", true}, {"limit", page_messages}});
  const auto read = co_await ctx.call(
      {.target = "rustic.storage/default", .method = "journal.read", .body = text});
  if (!read.ok()) co_return known;
  const auto journal = read.object();
  for (const auto& entry : array_or_empty(journal, "records")) {
    const auto& record = object_or_empty(entry.as_object(), "record");
    const auto id = text_or(record, "id");
    if (text_or(record, "type") == "start") begun.emplace(id);
    if (text_or(record, "type") != "result" || begun.contains(id)) continue;
    if (!known.contains(id)) known[id] = object_or_empty(record, "result");
  }
  co_return known;
}

task<std::string> resume(context& ctx, const json::object& body) {
  auto session = co_await session_of(ctx, body);
  const std::string id(text_or(session, "id"));
  json::object query{{"session", id},
                     {"reverse", true},
                     {"limit", repair_messages_max},
                     {"max_bytes", static_cast<std::int64_t>(context_bytes_default)}};
  auto read = co_await storage(ctx, "messages.range", std::move(query));
  json::array messages = array_or_empty(read, "messages");
  std::reverse(messages.begin(), messages.end());
  const auto open = open_calls(messages);
  json::array repaired;
  if (!open.empty()) {
    const auto known = co_await journalled_results(ctx, id);
    const auto now = co_await now_ms(ctx);
    for (const auto& call : open) repaired.emplace_back(call.id);
    const auto next = int_or(messages.back().as_object(), "seq") + 1;
    json::array repair;
    repair.push_back(repair_message(open, known, now));
    json::object addition{
        {"session", id}, {"messages", std::move(repair)}, {"expected_next_seq", next}};
    co_await storage(ctx, "messages.append", std::move(addition));
    ctx.log(RAI_LOG_WARN, "session " + id + ": " + std::to_string(open.size()) +
                              " interrupted tool calls were given results");
  }
  co_return json::serialize(
      json::object{{"session", std::move(session)}, {"repaired", std::move(repaired)}});
}

task<std::string> history(context& ctx, const json::object& body) {
  const auto session = co_await session_of(ctx, body);
  json::object query{{"session", text_or(session, "id")}, {"reverse", true}};
  query["limit"] = std::clamp<std::int64_t>(int_or(body, "limit", page_messages), 1, 10'000);
  if (const auto before = int_or(body, "before_seq"); before > 0) query["to_seq"] = before - 1;
  if (const auto bytes = int_or(body, "max_bytes"); bytes > 0) query["max_bytes"] = bytes;
  auto read = co_await storage(ctx, "messages.range", std::move(query));
  json::array messages = array_or_empty(read, "messages");
  std::reverse(messages.begin(), messages.end());
  co_return json::serialize(
      json::object{{"messages", std::move(messages)}, {"more", bool_or(read, "more")}});
}

task<std::string> context_window(context& ctx, const json::object& body) {
  const std::string id(require_text(body, "id", "context"));
  const auto wanted = int_or(body, "max_bytes", static_cast<std::int64_t>(context_bytes_default));
  const auto max_bytes = static_cast<std::size_t>(
      std::clamp<std::int64_t>(wanted, 1024, static_cast<std::int64_t>(context_bytes_max)));
  // Twice the window: enough to find a group's beginning, bounded by the window and not by the
  // history.
  json::array newest_first;
  std::size_t bytes = 0;
  std::int64_t before = 0;
  bool more = true;
  while (more && bytes <= max_bytes * 2) {
    json::object query{{"session", id},
                       {"reverse", true},
                       {"limit", page_messages},
                       {"max_bytes", static_cast<std::int64_t>(max_bytes)}};
    if (before > 0) query["to_seq"] = before - 1;
    auto read = co_await storage(ctx, "messages.range", std::move(query));
    const auto& page = array_or_empty(read, "messages");
    more = bool_or(read, "more") && !page.empty();
    for (const auto& message : page) {
      bytes += json::serialize(message).size();
      before = int_or(message.as_object(), "seq");
      newest_first.push_back(message);
    }
  }
  // A turn longer than that begins with a message that is further back.
  const bool opened = std::any_of(newest_first.begin(), newest_first.end(),
                                  [](const auto& one) { return opens_group(one.as_object()); });
  const auto opening = int_or(body, "opening_seq");
  if (!opened && opening > 0 && opening < before) {
    json::object query{{"session", id}, {"from_seq", opening}, {"to_seq", opening}, {"limit", 1}};
    auto read = co_await storage(ctx, "messages.range", std::move(query));
    for (const auto& message : array_or_empty(read, "messages")) newest_first.push_back(message);
  }
  std::reverse(newest_first.begin(), newest_first.end());
  auto chosen = fit(newest_first, max_bytes);
  const auto unread = before > 1 ? before - 1 : 0;
  co_return json::serialize(
      json::object{{"messages", std::move(chosen.messages)}, {"dropped", chosen.dropped + unread}});
}

json::object with_method(json::object request, std::string_view method) {
  request["method"] = method;
  return request;
}

task<std::string> append(context& ctx, const json::object& body) {
  const std::string id(require_text(body, "id", "append"));
  const auto* given = body.if_contains("changes");
  const bool changing = !given || !given->is_null();
  json::object changes = object_or_empty(body, "changes");
  if (changing && !changes.contains("updated_at_ms"))
    changes["updated_at_ms"] = co_await now_ms(ctx);
  json::array operations;
  const auto& messages = array_or_empty(body, "messages");
  if (!messages.empty()) {
    json::object addition{{"session", id}, {"messages", messages}};
    if (const auto* expected = find(body, "expected_next_seq"))
      addition["expected_next_seq"] = *expected;
    operations.push_back(with_method(std::move(addition), "messages.append"));
  }
  for (const auto& operation : array_or_empty(body, "operations")) operations.push_back(operation);
  if (bool_or(body, "journal_done"))  // every result is in a message now
    operations.push_back(with_method({{"stream", "session:" + id + "/calls"}}, "journal.delete"));
  if (const auto& records = array_or_empty(body, "journal"); !records.empty())
    operations.push_back(with_method({{"stream", "session:" + id + "/calls"}, {"records", records}},
                                     "journal.append"));
  if (changing)
    operations.push_back(
        with_method({{"id", id}, {"changes", std::move(changes)}}, "session.update"));
  json::object all{{"operations", std::move(operations)}};
  auto applied = co_await storage(ctx, "apply", std::move(all));
  const auto& results = array_or_empty(applied, "results");
  if (messages.empty() || results.empty()) co_return "{}";
  co_return json::serialize(results[0]);
}

task<std::string> export_session(context& ctx, const json::object& body) {
  const auto session = co_await session_of(ctx, body);
  const std::string id(text_or(session, "id"));
  const auto format = text_or(body, "format", "json");
  if (format != "json" && format != "markdown")
    throw failure(status_code::invalid_argument,
                  "exporting session " + id + ": unknown format \"" + std::string(format) + "\"",
                  "json or markdown");
  const bool as_json = format == "json";
  if (as_json) {
    ctx.text("{\"session\":" + json::serialize(session) + ",\"messages\":[");
  } else {
    ctx.text(markdown_heading(session));
  }
  std::int64_t from = 1;
  std::int64_t count = 0;
  for (bool more = true; more;) {
    json::object query{{"session", id}, {"from_seq", from}, {"limit", page_messages}};
    auto read = co_await storage(ctx, "messages.range", std::move(query));
    for (const auto& message : array_or_empty(read, "messages")) {
      const auto& object = message.as_object();
      from = int_or(object, "seq") + 1;
      if (as_json) ctx.text((count == 0 ? "\n" : ",\n") + json::serialize(message));
      if (!as_json) ctx.text(to_markdown(object));
      ++count;
      co_await ctx.writable();
    }
    more = bool_or(read, "more");
  }
  if (as_json) ctx.text("\n]}\n");
  co_return json::serialize(json::object{{"messages", count}});
}

task<std::string> list(context& ctx, const json::object& body) {
  json::object query;
  query["limit"] =
      std::clamp<std::int64_t>(int_or(body, "limit", list_sessions_default), 1, list_sessions_max);
  for (const auto key : {"workspace", "before_updated_at_ms"})
    if (const auto* value = find(body, key)) query[key] = *value;
  co_return json::serialize(co_await storage(ctx, "session.list", std::move(query)));
}
}  // namespace

std::string title_from(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  text.remove_prefix(begin);
  text = text.substr(0, text.find_first_of("\r\n"));
  if (text.size() <= title_chars_max) return std::string(text);
  return std::string(cut_utf8(text, title_chars_max)) + "...";
}

task<std::string> serve(context& ctx) {
  const auto body = ctx.request().object();
  const std::string& method = ctx.request().method;
  if (method == "create") co_return co_await create(ctx, body);
  if (method == "list") co_return co_await list(ctx, body);
  if (method == "get") {
    json::object found;
    found["session"] = co_await session_of(ctx, body);
    co_return json::serialize(found);
  }
  if (method == "resume") co_return co_await resume(ctx, body);
  if (method == "history") co_return co_await history(ctx, body);
  if (method == "context") co_return co_await context_window(ctx, body);
  if (method == "append") co_return co_await append(ctx, body);
  if (method == "export") co_return co_await export_session(ctx, body);
  if (method == "delete") {
    const auto session = co_await session_of(ctx, body);
    json::object query{{"id", text_or(session, "id")}};
    co_return json::serialize(co_await storage(ctx, "session.delete", std::move(query)));
  }
  throw failure(status_code::unimplemented, "rustic.conversation has no method " + method);
}
}  // namespace rustic::conversation
