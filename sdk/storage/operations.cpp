// operations.cpp - the reading of every request, the table of methods, and the shared errors and
// renderings.
#include <rustic/storage/operations.hpp>

#include <algorithm>
#include <array>
#include <rustic/status.hpp>

namespace rustic::storage {
namespace {
[[noreturn]] void invalid(std::string message) {
  throw failure(status_code::invalid_argument, std::move(message));
}
[[noreturn]] void aborted(std::string message, std::string hint, json::value details) {
  error problem{status_code::aborted, std::move(message), std::move(hint), std::nullopt,
                std::move(details)};
  throw failure(std::move(problem));
}

std::string quoted(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

void check_bytes(std::string_view what, std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max)
    invalid(quoted(what) + " has " + std::to_string(text.size()) + " bytes; at most " +
            std::to_string(bytes_max) + " are taken");
}

void check_name(std::string_view key, std::string_view name) {
  if (name.empty()) invalid(quoted(key) + " is empty");
  check_bytes(key, name, name_bytes_max);
  for (const char c : name)
    if (static_cast<unsigned char>(c) < 0x20)
      invalid(quoted(key) + " must not hold control characters");
}

std::string name(const object_view& request, std::string_view key) {
  auto value = request.text(key);
  check_name(key, value);
  return value;
}

std::string session_id(const object_view& request, std::string_view key) {
  auto id = name(request, key);
  // A slash would make one session's streams look like another's.
  if (id.find('/') != std::string::npos) invalid(quoted(key) + " must not hold \"/\"");
  return id;
}

std::int64_t limited(const object_view& request, std::string_view key, std::int64_t fallback,
                     std::int64_t most) {
  const auto value = request.optional_integer(key);
  if (!value) return fallback;
  if (*value < 1) invalid(quoted(key) + " must be at least 1");
  return std::min(*value, most);
}

std::optional<std::int64_t> not_negative(const object_view& request, std::string_view key) {
  const auto value = request.optional_integer(key);
  if (value && *value < 0) invalid(quoted(key) + " must not be negative");
  return value;
}

std::optional<std::string> field(const object_view& request, std::string_view key) {
  auto value = request.optional_text(key);
  if (value) check_bytes(key, *value, field_bytes_max);
  if (value && value->find('\0') != std::string::npos)
    invalid(quoted(key) + " must not hold a NUL character");
  return value;
}

std::optional<std::string> metadata_of(const object_view& request) {
  const auto value = request.optional_of_kind("metadata", json_kind::object);
  if (!value) return std::nullopt;
  check_bytes("metadata", *value, item_bytes_max);
  return std::string(*value);
}

session_record read_session(const object_view& request) {
  const auto view =
      object_view::of_checked(request.of_kind("session", json_kind::object), "\"session\"");
  session_record session;
  session.id = session_id(view, "id");
  session.created_at_ms = view.integer("created_at_ms");
  session.updated_at_ms = view.integer("updated_at_ms");
  session.title = field(view, "title");
  session.agent = field(view, "agent");
  session.workspace = field(view, "workspace");
  session.parent = field(view, "parent");
  session.metadata = metadata_of(view);
  return session;
}

session_list_request read_session_list(const object_view& request) {
  session_list_request result;
  result.limit = limited(request, "limit", rows_default, rows_max);
  result.before_updated_at_ms = request.optional_integer("before_updated_at_ms");
  result.before_id = request.optional_text("before_id");
  if (result.before_id && !result.before_updated_at_ms)
    invalid("\"before_id\" needs \"before_updated_at_ms\"");
  result.workspace = request.optional_text("workspace");
  return result;
}

session_update_request read_session_update(const object_view& request) {
  session_update_request result;
  result.id = session_id(request, "id");
  result.expected_version = request.optional_integer("expected_version");
  const auto changes =
      object_view::of_checked(request.of_kind("changes", json_kind::object), "\"changes\"");
  for (const char* fixed : {"id", "created_at_ms", "version", "message_count"})
    if (changes.has(fixed)) invalid("\"changes\" must not hold " + quoted(fixed));
  if (changes.has("updated_at_ms")) result.changes.updated_at_ms = changes.integer("updated_at_ms");
  if (changes.has("title")) result.changes.title = field(changes, "title");
  if (changes.has("agent")) result.changes.agent = field(changes, "agent");
  if (changes.has("workspace")) result.changes.workspace = field(changes, "workspace");
  if (changes.has("parent")) result.changes.parent = field(changes, "parent");
  if (changes.has("metadata")) result.changes.metadata = metadata_of(changes);
  return result;
}

message_input read_message(std::string_view json) {
  const auto view = object_view::of_checked(json, "each of \"messages\"");
  message_input message;
  message.role = view.text("role");
  const bool plain = !message.role.empty() && message.role.size() <= role_bytes_max &&
                     std::all_of(message.role.begin(), message.role.end(), [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
                     });
  if (!plain)
    invalid("\"role\" must be 1 to " + std::to_string(role_bytes_max) +
            " letters, digits, \"_\", \"-\" or \".\"");
  message.parts = view.of_kind("parts", json_kind::array);
  message.created_at_ms = view.integer("created_at_ms");
  message.metadata = view.optional_of_kind("metadata", json_kind::object);
  check_bytes("messages", json, item_bytes_max);
  return message;
}

messages_append_request read_messages_append(const object_view& request) {
  messages_append_request result;
  result.session = session_id(request, "session");
  result.expected_next_seq = request.optional_integer("expected_next_seq");
  const auto messages = request.elements("messages");
  if (messages.empty()) invalid("\"messages\" is empty");
  if (messages.size() > items_per_append_max)
    invalid("\"messages\" holds " + std::to_string(messages.size()) + "; at most " +
            std::to_string(items_per_append_max) + " are taken at once");
  result.messages.reserve(messages.size());
  for (const auto json : messages) result.messages.push_back(read_message(json));
  return result;
}

messages_range_request read_messages_range(const object_view& request) {
  messages_range_request result;
  result.session = session_id(request, "session");
  result.from_seq = not_negative(request, "from_seq").value_or(1);
  result.to_seq = std::min(not_negative(request, "to_seq").value_or(seq_max), seq_max);
  result.limit = limited(request, "limit", rows_default, rows_max);
  result.max_bytes = limited(request, "max_bytes", answer_bytes_default, answer_bytes_max);
  result.reverse = request.flag("reverse", false);
  return result;
}

messages_search_request read_messages_search(const object_view& request) {
  messages_search_request result;
  result.query = request.text("query");
  if (result.query.empty()) invalid("\"query\" is empty");
  check_bytes("query", result.query, query_bytes_max);
  if (request.raw("session")) result.session = session_id(request, "session");
  result.limit = limited(request, "limit", hits_default, hits_max);
  return result;
}

state_key read_state_key(const object_view& request) {
  return {name(request, "scope"), name(request, "key")};
}

state_put_request read_state_put(const object_view& request) {
  state_put_request result;
  result.at = read_state_key(request);
  if (!request.has("value")) invalid("\"value\" is missing");
  result.value = request.raw("value").value_or("null");
  check_bytes("value", result.value, item_bytes_max);
  result.expected_version = not_negative(request, "expected_version");
  return result;
}

journal_append_request read_journal_append(const object_view& request) {
  journal_append_request result;
  result.stream = name(request, "stream");
  result.records = request.elements("records");
  if (result.records.empty()) invalid("\"records\" is empty");
  if (result.records.size() > items_per_append_max)
    invalid("\"records\" holds " + std::to_string(result.records.size()) + "; at most " +
            std::to_string(items_per_append_max) + " are taken at once");
  for (const auto record : result.records) {
    if (kind_of(record) != json_kind::object) invalid("each of \"records\" must be an object");
    check_bytes("records", record, item_bytes_max);
  }
  return result;
}

journal_read_request read_journal_read(const object_view& request) {
  journal_read_request result;
  result.stream = name(request, "stream");
  result.from_seq = not_negative(request, "from_seq").value_or(0);
  result.limit = limited(request, "limit", rows_default, rows_max);
  result.reverse = request.flag("reverse", false);
  return result;
}

std::int64_t ttl_ms(const object_view& request) {
  const auto value = request.integer("ttl_ms");
  if (value < 1 || value > lease_ttl_ms_max)
    invalid("\"ttl_ms\" must lie in 1 to " + std::to_string(lease_ttl_ms_max));
  return value;
}

std::int64_t now_ms(const object_view& request) {
  const auto value = request.integer("now_ms");
  if (value < 0 || value > std::int64_t{1} << 60) invalid("\"now_ms\" is no time");
  return value;
}

struct method_entry {
  std::string_view name;
  bool writes;
  std::string (*run)(operations&, const object_view&);
};

constexpr std::array methods{
    method_entry{
        "session.create", true,
        [](operations& b, const object_view& r) { return b.session_create(read_session(r)); }},
    method_entry{
        "session.get", false,
        [](operations& b, const object_view& r) { return b.session_get(session_id(r, "id")); }},
    method_entry{
        "session.list", false,
        [](operations& b, const object_view& r) { return b.session_list(read_session_list(r)); }},
    method_entry{"session.update", true,
                 [](operations& b, const object_view& r) {
                   return b.session_update(read_session_update(r));
                 }},
    method_entry{
        "session.delete", true,
        [](operations& b, const object_view& r) { return b.session_delete(session_id(r, "id")); }},
    method_entry{"messages.append", true,
                 [](operations& b, const object_view& r) {
                   return b.messages_append(read_messages_append(r));
                 }},
    method_entry{"messages.range", false,
                 [](operations& b, const object_view& r) {
                   return b.messages_range(read_messages_range(r));
                 }},
    method_entry{"messages.search", false,
                 [](operations& b, const object_view& r) {
                   return b.messages_search(read_messages_search(r));
                 }},
    method_entry{
        "state.get", false,
        [](operations& b, const object_view& r) { return b.state_get(read_state_key(r)); }},
    method_entry{
        "state.put", true,
        [](operations& b, const object_view& r) { return b.state_put(read_state_put(r)); }},
    method_entry{"state.delete", true,
                 [](operations& b, const object_view& r) {
                   return b.state_delete({read_state_key(r), not_negative(r, "expected_version")});
                 }},
    method_entry{"state.list", false,
                 [](operations& b, const object_view& r) {
                   return b.state_list({name(r, "scope"), r.optional_text("prefix").value_or(""),
                                        limited(r, "limit", rows_default, rows_max)});
                 }},
    method_entry{"journal.append", true,
                 [](operations& b, const object_view& r) {
                   return b.journal_append(read_journal_append(r));
                 }},
    method_entry{
        "journal.read", false,
        [](operations& b, const object_view& r) { return b.journal_read(read_journal_read(r)); }},
    method_entry{"journal.delete", true,
                 [](operations& b, const object_view& r) {
                   return b.journal_delete({name(r, "stream"), not_negative(r, "to_seq")});
                 }},
    method_entry{
        "lease.acquire", true,
        [](operations& b, const object_view& r) {
          return b.lease_acquire({name(r, "name"), name(r, "owner"), ttl_ms(r), now_ms(r)});
        }},
    method_entry{
        "lease.renew", true,
        [](operations& b, const object_view& r) {
          return b.lease_renew({name(r, "name"), r.integer("token"), ttl_ms(r), now_ms(r)});
        }},
    method_entry{"lease.release", true,
                 [](operations& b, const object_view& r) {
                   return b.lease_release({name(r, "name"), r.integer("token")});
                 }},
    method_entry{"stats", false, [](operations& b, const object_view&) { return b.stats(); }},
};

const method_entry* find_method(std::string_view method) noexcept {
  for (const auto& entry : methods)
    if (entry.name == method) return &entry;
  return nullptr;
}

std::string run_method(operations& backend, std::string_view method, const object_view& request) {
  const auto* entry = find_method(method);
  if (!entry)
    throw failure(status_code::unimplemented, "rustic.storage has no method " + quoted(method),
                  "docs/interfaces/storage.md lists the methods");
  try {
    return entry->run(backend, request);
  } catch (const failure& problem) {
    if (problem.problem().code != status_code::invalid_argument) throw;
    error named = problem.problem();
    named.message = std::string(method) + ": " + named.message;
    throw failure(std::move(named));
  }
}

std::string run_apply(operations& backend, const object_view& request) {
  const auto list = request.elements("operations");
  if (list.size() > operations_per_apply_max)
    invalid("\"operations\" holds " + std::to_string(list.size()) + "; at most " +
            std::to_string(operations_per_apply_max) + " are taken at once");
  std::string out = "{\"results\":[";
  std::int64_t index = 0;
  for (const auto text : list) {
    try {
      const auto operation = object_view::of_checked(text, "each of \"operations\"");
      const auto method = operation.text("method");
      if (method == "apply") invalid("\"apply\" cannot stand inside another");
      if (index != 0) out += ',';
      out += run_method(backend, method, operation);
      check_answer(out);
    } catch (const failure& problem) {
      error indexed = problem.problem();
      json::object details;
      if (indexed.details.is_object()) details = indexed.details.get_object();
      details["index"] = index;
      indexed.details = std::move(details);
      throw failure(std::move(indexed));
    }
    ++index;
  }
  return out += "]}";
}
}  // namespace

bool is_write(std::string_view method) noexcept {
  const auto* entry = find_method(method);
  return !entry || entry->writes;
}

std::string dispatch(operations& backend, std::string_view method, std::string_view body) {
  const auto request = object_view::parse(body);
  if (method == "apply") return run_apply(backend, request);
  return run_method(backend, method, request);
}

void session_changes::apply_to(session_record& session) const {
  if (updated_at_ms) session.updated_at_ms = *updated_at_ms;
  if (title) session.title = *title;
  if (agent) session.agent = *agent;
  if (workspace) session.workspace = *workspace;
  if (parent) session.parent = *parent;
  if (metadata) session.metadata = *metadata;
}

std::string to_json(const session_record& session) {
  std::string out;
  object_writer writer(out);
  writer.text("id", session.id);
  writer.integer("created_at_ms", session.created_at_ms);
  writer.integer("updated_at_ms", session.updated_at_ms);
  if (session.title) writer.text("title", *session.title);
  if (session.agent) writer.text("agent", *session.agent);
  if (session.workspace) writer.text("workspace", *session.workspace);
  if (session.parent) writer.text("parent", *session.parent);
  if (session.metadata) writer.raw("metadata", *session.metadata);
  writer.integer("version", session.version);
  writer.integer("message_count", session.message_count);
  writer.close();
  return out;
}

void append_message(std::string& out, std::int64_t seq, std::string_view role,
                    std::string_view parts, std::int64_t created_at_ms, std::string_view metadata) {
  out += "{\"seq\":";
  out += std::to_string(seq);
  out += ",\"role\":\"";
  out += role;
  out += "\",\"parts\":";
  out += parts;
  out += ",\"created_at_ms\":";
  out += std::to_string(created_at_ms);
  out += ",\"metadata\":";
  out += metadata.empty() ? std::string_view("{}") : metadata;
  out += '}';
}

std::int64_t message_bytes(std::int64_t seq, std::string_view role, std::string_view parts,
                           std::int64_t created_at_ms, std::string_view metadata) {
  std::string frame;
  append_message(frame, seq, role, {}, created_at_ms, "{}");
  return static_cast<std::int64_t>(frame.size() + parts.size() +
                                   (metadata.empty() ? 0 : metadata.size() - 2));
}

void check_answer(const std::string& answer) {
  if (answer.size() > static_cast<std::size_t>(answer_bytes_max))
    throw failure(status_code::resource_exhausted,
                  "the answer would have more than " + std::to_string(answer_bytes_max) + " bytes",
                  "ask for less at once: set \"limit\"");
}

std::string session_scope(std::string_view session) {
  return "session:" + std::string(session);
}
std::string session_stream_prefix(std::string_view session) {
  return "session:" + std::string(session) + "/";
}

void fail_no_session(std::string_view id) {
  throw failure(status_code::not_found, "there is no session " + quoted(id),
                "session.list gives those that exist");
}
void fail_session_exists(std::string_view id) {
  throw failure(status_code::already_exists, "there is a session " + quoted(id) + " already",
                "choose another id");
}
void fail_session_version(std::string_view id, std::int64_t expected, std::int64_t found) {
  aborted("session " + quoted(id) + " has version " + std::to_string(found) + ", not " +
              std::to_string(expected),
          "read the session again and repeat the change", {{"version", found}});
}
void fail_next_seq(std::string_view session, std::int64_t expected, std::int64_t found) {
  aborted("the next message of session " + quoted(session) + " has seq " + std::to_string(found) +
              ", not " + std::to_string(expected),
          "somebody else wrote to the session: load it again", {{"next_seq", found}});
}
void fail_seq_range(std::string_view where) {
  throw failure(
      status_code::resource_exhausted,
      std::string(where) + " has reached seq " + std::to_string(seq_max) + " and takes no more",
      "go on in a new one");
}
void fail_no_state(const state_key& at) {
  throw failure(status_code::not_found,
                "there is no state " + quoted(at.key) + " in scope " + quoted(at.scope));
}
void fail_state_version(const state_key& at, std::int64_t expected, std::int64_t found) {
  aborted(
      "state " + quoted(at.key) + " in scope " + quoted(at.scope) +
          (found == 0 ? std::string(" does not exist") : " has version " + std::to_string(found)) +
          (expected == 0 ? std::string(", it must not exist")
                         : ", not version " + std::to_string(expected)),
      "read it again and repeat the change", {{"version", found}});
}
void fail_lease_held(std::string_view name, std::string_view owner, std::int64_t expires_at_ms) {
  aborted("lease " + quoted(name) + " is held by " + quoted(owner),
          "wait for it to be released or to run out",
          {{"owner", json::string(owner)}, {"expires_at_ms", expires_at_ms}});
}
void fail_lease_lost(std::string_view name, std::string_view owner) {
  json::object details;
  if (!owner.empty()) details["owner"] = json::string(owner);
  aborted("lease " + quoted(name) + " is lost" +
              (owner.empty() ? std::string() : ": " + quoted(owner) + " holds it"),
          "stop what it protected, then acquire it again", std::move(details));
}
}  // namespace rustic::storage
