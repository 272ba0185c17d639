#include "file_store.hpp"

#include <algorithm>
#include <filesystem>
#include <rustic/storage/message_text.hpp>
#include <tuple>
#include <vector>

namespace file_store_plugin {
using namespace rustic::storage;
using rustic::failure;
using rustic::status_code;

namespace {
// Names have no control characters, so this ends one, and sorts before everything in one.
constexpr char separator = '\n';

template <class... Parts>
std::string key_of(std::string_view kind, const Parts&... parts) {
  std::string out(kind);
  ((out += separator, out += parts), ...);
  return out;
}
// The beginning of all keys below.
template <class... Parts>
std::string below(std::string_view kind, const Parts&... parts) {
  return key_of(kind, parts...) + separator;
}
std::string_view last_part(std::string_view key) {
  return key.substr(key.rfind(separator) + 1);
}

// Of one length, so that keys are in the order of their numbers.
std::string seq_text(std::int64_t seq) {
  constexpr int digits = 16;
  std::string out(digits, '0');
  for (int i = digits - 1; seq != 0; --i, seq >>= 4)
    out[static_cast<std::size_t>(i)] = "0123456789abcdef"[seq & 15];
  return out;
}
std::int64_t seq_from(std::string_view text) {
  std::int64_t out = 0;
  for (const char c : text) out = out << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
  return out;
}

object_view view_of(std::string_view value) {
  return object_view::of_checked(value, "an entry of the file");
}

std::string span_text(std::int64_t first, std::int64_t next) {
  std::string out;
  object_writer writer(out);
  writer.integer("first", first);
  writer.integer("next", next);
  writer.close();
  return out;
}

// One message as it lies in the file.
struct stored_message {
  explicit stored_message(std::string_view value) {
    const auto view = view_of(value);
    role = view.text("role");
    parts = view.of_kind("parts", json_kind::array);
    created_at_ms = view.integer("created_at_ms");
    metadata = view.optional_of_kind("metadata", json_kind::object).value_or("");
  }
  std::string role;
  std::string_view parts, metadata;  // into the value
  std::int64_t created_at_ms = 0;
};

std::string to_text(const message_input& message) {
  std::string out;
  object_writer writer(out);
  writer.text("role", message.role);
  writer.integer("created_at_ms", message.created_at_ms);
  if (message.metadata) writer.raw("metadata", *message.metadata);
  writer.raw("parts", message.parts);
  writer.close();
  return out;
}

struct lease {
  std::string owner;
  std::int64_t token = 0, expires_at_ms = 0;
};
std::string to_text(const lease& one) {
  std::string out;
  object_writer writer(out);
  writer.text("owner", one.owner);
  writer.integer("token", one.token);
  writer.integer("expires_at_ms", one.expires_at_ms);
  writer.close();
  return out;
}
lease read_lease(std::string_view value) {
  const auto view = view_of(value);
  return {view.text("owner"), view.integer("token"), view.integer("expires_at_ms")};
}

std::string state_text(std::string_view value, std::int64_t version) {
  return "{\"value\":" + std::string(value) + ",\"version\":" + std::to_string(version) + "}";
}

constexpr std::string_view versions = "versions", tokens = "tokens";
}  // namespace

settings settings::read(const rustic::json::object& config) {
  settings out;
  const auto path = rustic::text_or(config, "connection_string");
  out.max_history_size = rustic::int_or(config, "max_history_size", out.max_history_size);
  out.max_bytes = rustic::int_or(config, "max_bytes", out.max_bytes);
  if (path.empty() || path.back() == '/' || path.find('\0') != path.npos)
    throw failure(status_code::invalid_argument,
                  "file-store: connection_string \"" + std::string(path) + "\" names no file",
                  "give the path of a file; it is made when it is missing");
  if (out.max_history_size < 1 || out.max_bytes < 1)
    throw failure(status_code::invalid_argument,
                  "file-store: max_history_size and max_bytes must be at least 1");
  // Links are followed, so that everybody who means this file takes the same lock.
  std::error_code problem;
  const auto absolute = std::filesystem::absolute(std::filesystem::path(path), problem);
  const auto real = std::filesystem::weakly_canonical(absolute, problem);
  out.path = problem ? absolute.lexically_normal() : real;
  return out;
}

file_store::file_store(settings with) : with_(std::move(with)), map_(with_.path, with_.max_bytes) {}

std::string file_store::execute(std::string_view method, std::string_view body) {
  const std::lock_guard lock(mutex_);
  log_map::transaction change(map_);
  auto answer = dispatch(*this, method, body);
  change.commit();
  return answer;
}

std::int64_t file_store::counter(std::string_view name) const {
  const auto* value = map_.find(key_of("counter", name));
  return value ? seq_from(*value) : 0;
}
void file_store::raise_counter(std::string_view name, std::int64_t at_least) {
  if (counter(name) < at_least) map_.put(key_of("counter", name), seq_text(at_least));
}

// --- Sessions ---

file_store::session_entry file_store::find_session(const std::string& id) const {
  const auto* value = map_.find(key_of("session", id));
  if (!value) fail_no_session(id);
  const auto view = view_of(*value);
  session_entry out;
  auto& record = out.record;
  record.id = id;
  record.created_at_ms = view.integer("created_at_ms");
  record.updated_at_ms = view.integer("updated_at_ms");
  record.title = view.optional_text("title");
  record.agent = view.optional_text("agent");
  record.workspace = view.optional_text("workspace");
  record.parent = view.optional_text("parent");
  if (const auto metadata = view.raw("metadata")) record.metadata = std::string(*metadata);
  record.version = view.integer("version");
  out.messages = {view.integer("first"), view.integer("next")};
  record.message_count = out.messages.size();
  return out;
}

void file_store::put_session(const session_entry& entry) {
  auto text = to_json(entry.record);
  text.pop_back();
  text += ',' + span_text(entry.messages.first, entry.messages.next).substr(1);
  map_.put(key_of("session", entry.record.id), std::move(text));
}

std::string file_store::session_create(const session_record& session) {
  if (map_.find(key_of("session", session.id))) fail_session_exists(session.id);
  put_session({session, {}});
  return "{\"session\":" + to_json(session) + "}";
}

std::string file_store::session_get(const std::string& id) {
  return "{\"session\":" + to_json(find_session(id).record) + "}";
}

std::string file_store::session_list(const session_list_request& request) {
  const auto prefix = below("session");
  std::vector<session_record> found;
  for (auto at = map_.entries().lower_bound(prefix);
       at != map_.entries().end() && at->first.starts_with(prefix); ++at) {
    auto record = find_session(at->first.substr(prefix.size())).record;
    if (request.workspace && record.workspace != request.workspace) continue;
    if (request.before_updated_at_ms) {
      const bool older = record.updated_at_ms < *request.before_updated_at_ms;
      const bool tie = record.updated_at_ms == *request.before_updated_at_ms && request.before_id &&
                       record.id < *request.before_id;
      if (!older && !tie) continue;
    }
    found.push_back(std::move(record));
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::tie(a.updated_at_ms, a.id) > std::tie(b.updated_at_ms, b.id);
  });
  std::string out = "{\"sessions\":[";
  std::int64_t count = 0;
  for (const auto& record : found) {
    if (count++ == request.limit) break;
    if (count > 1) out += ',';
    out += to_json(record);
    check_answer(out);
  }
  return out += "]}";
}

std::string file_store::session_update(const session_update_request& request) {
  auto entry = find_session(request.id);
  if (request.expected_version && *request.expected_version != entry.record.version)
    fail_session_version(request.id, *request.expected_version, entry.record.version);
  request.changes.apply_to(entry.record);
  ++entry.record.version;
  put_session(entry);
  return "{\"session\":" + to_json(entry.record) + "}";
}

std::string file_store::session_delete(const std::string& id) {
  const auto key = key_of("session", id);
  if (!map_.find(key)) return "{\"deleted\":false}";
  map_.erase(key);
  map_.erase_prefix(below("message", id));
  forget_versions(below("state", session_scope(id)));
  map_.erase_prefix(below("state", session_scope(id)));
  map_.erase_prefix(key_of("stream", session_stream_prefix(id)));
  map_.erase_prefix(key_of("record", session_stream_prefix(id)));
  return "{\"deleted\":true}";
}

// --- Messages ---

std::string file_store::messages_append(const messages_append_request& request) {
  auto entry = find_session(request.session);
  auto& messages = entry.messages;
  const auto first_seq = messages.next;
  if (request.expected_next_seq && *request.expected_next_seq != first_seq)
    fail_next_seq(request.session, *request.expected_next_seq, first_seq);
  if (first_seq + static_cast<std::int64_t>(request.messages.size()) - 1 > seq_max)
    fail_seq_range("session \"" + request.session + "\"");
  for (const auto& message : request.messages)
    map_.put(key_of("message", request.session, seq_text(messages.next++)), to_text(message));
  for (; messages.size() > with_.max_history_size; ++messages.first)
    map_.erase(key_of("message", request.session, seq_text(messages.first)));
  put_session(entry);
  return "{\"first_seq\":" + std::to_string(first_seq) +
         ",\"last_seq\":" + std::to_string(messages.next - 1) + "}";
}

std::string file_store::messages_range(const messages_range_request& request) {
  const auto messages = find_session(request.session).messages;
  const auto first = std::max(request.from_seq, messages.first);
  const auto last = std::min(request.to_seq, messages.next - 1);
  std::string out = "{\"messages\":[";
  std::int64_t given = 0, bytes = 0;
  for (; given <= last - first && given < request.limit; ++given) {
    const auto seq = request.reverse ? last - given : first + given;
    const auto* value = map_.find(key_of("message", request.session, seq_text(seq)));
    const stored_message one(value ? std::string_view(*value) : "{}");
    const auto more = message_bytes(seq, one.role, one.parts, one.created_at_ms, one.metadata);
    if (given > 0 && bytes + more > request.max_bytes) break;
    bytes += more;
    if (given > 0) out += ',';
    append_message(out, seq, one.role, one.parts, one.created_at_ms, one.metadata);
  }
  out += "],\"more\":";
  out += given <= last - first ? "true}" : "false}";
  return out;
}

std::string file_store::messages_search(const messages_search_request& request) {
  struct candidate {
    std::int64_t created_at_ms;
    std::string_view key, value;
  };
  if (request.session) find_session(*request.session);
  const auto prefix = request.session ? below("message", *request.session) : below("message");
  std::vector<candidate> candidates;
  for (auto at = map_.entries().lower_bound(prefix);
       at != map_.entries().end() && at->first.starts_with(prefix); ++at)
    candidates.push_back({stored_message(at->second).created_at_ms, at->first, at->second});
  // Newest first: within one session the greatest seq, across sessions the latest time.
  std::sort(candidates.begin(), candidates.end(), [&](const candidate& a, const candidate& b) {
    if (request.session) return a.key > b.key;
    return std::tie(a.created_at_ms, a.key) > std::tie(b.created_at_ms, b.key);
  });
  const text_query query(request.query);
  std::string out = "{\"hits\":[";
  std::int64_t hits = 0;
  for (const auto& one : candidates) {
    if (hits == request.limit) break;
    const stored_message message(one.value);
    const auto snippet = query.match(message.parts);
    if (!snippet) continue;
    if (hits++ > 0) out += ',';
    const auto id = one.key.substr(below("message").size());
    object_writer writer(out);
    writer.text("session", id.substr(0, id.find(separator)));
    writer.integer("seq", seq_from(last_part(one.key)));
    writer.text("role", message.role);
    writer.text("snippet", *snippet);
    writer.close();
  }
  return out += "]}";
}

// --- State: small values with versions ---

std::int64_t file_store::state_version(const std::string& key) const {
  const auto* value = map_.find(key);
  return value ? view_of(*value).integer("version") : 0;
}

// A version that was once given out means that value, also after its end.
void file_store::forget_versions(std::string_view prefix) {
  for (auto at = map_.entries().lower_bound(prefix);
       at != map_.entries().end() && at->first.starts_with(prefix); ++at)
    raise_counter(versions, state_version(at->first));
}

std::string file_store::state_get(const state_key& at) {
  const auto* value = map_.find(key_of("state", at.scope, at.key));
  if (!value) fail_no_state(at);
  return *value;
}

std::string file_store::state_put(const state_put_request& request) {
  const auto key = key_of("state", request.at.scope, request.at.key);
  const auto version = state_version(key);
  if (request.expected_version && *request.expected_version != version)
    fail_state_version(request.at, *request.expected_version, version);
  const auto next = (version == 0 ? counter(versions) : version) + 1;
  map_.put(key, state_text(request.value, next));
  return "{\"version\":" + std::to_string(next) + "}";
}

std::string file_store::state_delete(const state_delete_request& request) {
  const auto key = key_of("state", request.at.scope, request.at.key);
  const auto version = state_version(key);
  if (request.expected_version && *request.expected_version != version)
    fail_state_version(request.at, *request.expected_version, version);
  if (version == 0) return "{\"deleted\":false}";
  raise_counter(versions, version);
  map_.erase(key);
  return "{\"deleted\":true}";
}

std::string file_store::state_list(const state_list_request& request) {
  const auto prefix = below("state", request.scope) + request.prefix;
  std::string out = "{\"entries\":[";
  std::int64_t count = 0;
  for (auto at = map_.entries().lower_bound(prefix);
       at != map_.entries().end() && at->first.starts_with(prefix) && count < request.limit; ++at) {
    if (count++ > 0) out += ',';
    const auto view = view_of(at->second);
    object_writer writer(out);
    writer.text("key", last_part(at->first));
    writer.raw("value", view.raw("value").value_or("null"));
    writer.integer("version", view.integer("version"));
    writer.close();
    check_answer(out);
  }
  return out += "]}";
}

// --- Journals ---

file_store::span file_store::find_stream(const std::string& key) const {
  const auto* value = map_.find(key);
  if (!value) return {};
  const auto view = view_of(*value);
  return {view.integer("first"), view.integer("next")};
}

std::string file_store::journal_append(const journal_append_request& request) {
  const auto key = key_of("stream", request.stream);
  auto stream = find_stream(key);
  const auto first_seq = stream.next;
  if (first_seq + static_cast<std::int64_t>(request.records.size()) - 1 > seq_max)
    fail_seq_range("journal \"" + request.stream + "\"");
  for (const auto record : request.records)
    map_.put(key_of("record", request.stream, seq_text(stream.next++)), std::string(record));
  map_.put(key, span_text(stream.first, stream.next));
  return "{\"first_seq\":" + std::to_string(first_seq) +
         ",\"last_seq\":" + std::to_string(stream.next - 1) + "}";
}

std::string file_store::journal_read(const journal_read_request& request) {
  const auto stream = find_stream(key_of("stream", request.stream));
  auto first = stream.first, last = stream.next - 1;
  if (request.from_seq > 0 && request.reverse) last = std::min(last, request.from_seq);
  if (request.from_seq > 0 && !request.reverse) first = std::max(first, request.from_seq);
  std::string out = "{\"records\":[";
  std::int64_t given = 0, bytes = 0;
  for (; given <= last - first && given < request.limit; ++given) {
    const auto seq = request.reverse ? last - given : first + given;
    const auto* record = map_.find(key_of("record", request.stream, seq_text(seq)));
    const std::string_view text = record ? *record : std::string_view("{}");
    const auto more = static_cast<std::int64_t>(text.size());
    if (given > 0 && bytes + more > answer_bytes_default) break;
    bytes += more;
    if (given > 0) out += ',';
    object_writer writer(out);
    writer.integer("seq", seq);
    writer.raw("record", text);
    writer.close();
  }
  out += "],\"more\":";
  out += given <= last - first ? "true}" : "false}";
  return out;
}

std::string file_store::journal_delete(const journal_delete_request& request) {
  const auto key = key_of("stream", request.stream);
  auto stream = find_stream(key);
  const auto before = stream.size();
  if (!request.to_seq) {
    map_.erase(key);
    map_.erase_prefix(below("record", request.stream));
    return "{\"deleted\":" + std::to_string(before) + "}";
  }
  for (; stream.size() > 0 && stream.first <= *request.to_seq; ++stream.first)
    map_.erase(key_of("record", request.stream, seq_text(stream.first)));
  if (stream.size() != before) map_.put(key, span_text(stream.first, stream.next));
  return "{\"deleted\":" + std::to_string(before - stream.size()) + "}";
}

// --- Leases ---

std::string file_store::lease_acquire(const lease_acquire_request& request) {
  const auto key = key_of("lease", request.name);
  const auto* value = map_.find(key);
  const auto held = value ? read_lease(*value) : lease{};
  const bool taken = value && held.expires_at_ms > request.now_ms;
  if (taken && held.owner != request.owner)
    fail_lease_held(request.name, held.owner, held.expires_at_ms);
  const auto token = taken ? held.token : counter(tokens) + 1;
  raise_counter(tokens, token);
  map_.put(key, to_text({request.owner, token, request.now_ms + request.ttl_ms}));
  return "{\"token\":" + std::to_string(token) + "}";
}

std::string file_store::lease_renew(const lease_renew_request& request) {
  const auto key = key_of("lease", request.name);
  const auto* value = map_.find(key);
  if (!value) fail_lease_lost(request.name, "");
  auto held = read_lease(*value);
  if (held.token != request.token) fail_lease_lost(request.name, held.owner);
  held.expires_at_ms = request.now_ms + request.ttl_ms;
  map_.put(key, to_text(held));
  return "{}";
}

std::string file_store::lease_release(const lease_release_request& request) {
  const auto key = key_of("lease", request.name);
  const auto* value = map_.find(key);
  if (value && read_lease(*value).token == request.token) map_.erase(key);
  return "{}";
}

std::string file_store::stats() {
  std::int64_t sessions = 0, messages = 0;
  const auto prefix = below("session");
  for (auto at = map_.entries().lower_bound(prefix);
       at != map_.entries().end() && at->first.starts_with(prefix); ++at) {
    ++sessions;
    messages += find_session(at->first.substr(prefix.size())).messages.size();
  }
  std::string out;
  object_writer writer(out);
  writer.text("backend", "file-store");
  writer.integer("sessions", sessions);
  writer.integer("messages", messages);
  writer.integer("bytes", map_.file_bytes());
  writer.integer("schema_version", 1);
  writer.close();
  return out;
}
}  // namespace file_store_plugin
