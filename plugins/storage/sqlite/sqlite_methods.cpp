// sqlite_methods.cpp - the methods of rustic.storage as SQL. Each runs inside a transaction of its
// caller.
#include <algorithm>
#include <limits>
#include <rustic/json.hpp>

#include <rustic/storage/message_text.hpp>
#include "schema.hpp"
#include "sqlite_store.hpp"

namespace rustic::storage {
namespace {
constexpr std::int64_t position_of(std::int64_t number, std::int64_t seq) {
  return number << 32 | seq;
}
constexpr std::int64_t seq_of(std::int64_t position) {
  return position & seq_max;
}

// A bit that rotted inside a text is nothing that SQLite could notice, and one such text would make
// the whole answer unreadable. A message or a session loses only the text itself.
constexpr std::string_view damaged_parts =
    R"([{"type":"text","text":"[This message cannot be read: the database is damaged here.]"}])";

std::string readable(std::string_view text) {
  return is_utf8(text) ? std::string(text) : to_utf8(text);
}
std::optional<std::string> readable(std::optional<std::string> text) {
  if (text && !is_utf8(*text)) text = to_utf8(*text);
  return text;
}
std::string_view sound(std::string_view json, json_kind kind, std::string_view instead) {
  return is_json(json, kind) ? json : instead;
}
// What a program keeps for itself cannot be replaced by something else.
std::string_view require_sound(std::string_view json, const std::string& what) {
  if (is_json(json)) return json;
  throw failure(status_code::data_loss, "reading " + what + ": the database is damaged there",
                "bring the file back from a backup, or write it anew");
}

constexpr std::string_view session_columns =
    "SELECT id, created_at_ms, updated_at_ms, title, agent, workspace, parent, metadata, version, "
    "next_seq - first_seq FROM sessions ";

session_record read_session(const statement& row) {
  session_record session;
  session.id = readable(row.text(0));
  session.created_at_ms = row.integer(1);
  session.updated_at_ms = row.integer(2);
  session.title = readable(row.optional_text(3));
  session.agent = readable(row.optional_text(4));
  session.workspace = readable(row.optional_text(5));
  session.parent = readable(row.optional_text(6));
  session.metadata = row.optional_text(7);
  if (session.metadata && !is_json(*session.metadata, json_kind::object)) session.metadata.reset();
  session.version = row.integer(8);
  session.message_count = row.integer(9);
  return session;
}

// The first text behind every text that begins with `prefix`; none when there is no such text.
std::optional<std::string> end_of_prefix(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (prefix.empty()) return std::nullopt;
  ++prefix.back();
  return prefix;
}

std::string seq_result(std::int64_t first_seq, std::int64_t last_seq) {
  return "{\"first_seq\":" + std::to_string(first_seq) +
         ",\"last_seq\":" + std::to_string(last_seq) + "}";
}
std::string deleted_result(bool deleted) {
  return deleted ? "{\"deleted\":true}" : "{\"deleted\":false}";
}
}  // namespace

sqlite_store::session_span sqlite_store::find_session(std::string_view id) {
  auto row = database_->query("SELECT number, first_seq, next_seq FROM sessions WHERE id = ?", id);
  if (!row.step()) fail_no_session(id);
  return {row.integer(0), row.integer(1), row.integer(2)};
}

std::string sqlite_store::session_create(const session_record& session) {
  // The engine would report the clash as a broken constraint, which says nothing to a caller.
  if (database_->query("SELECT 1 FROM sessions WHERE id = ?", session.id).step())
    fail_session_exists(session.id);
  database_->run(
      "INSERT INTO sessions(id, created_at_ms, updated_at_ms, title, agent, workspace, parent, "
      "metadata) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
      session.id, session.created_at_ms, session.updated_at_ms, session.title, session.agent,
      session.workspace, session.parent, session.metadata);
  return "{\"session\":" + to_json(session) + "}";
}

std::string sqlite_store::session_get(const std::string& id) {
  auto row = database_->query(std::string(session_columns) + "WHERE id = ?", id);
  if (!row.step()) fail_no_session(id);
  return "{\"session\":" + to_json(read_session(row)) + "}";
}

std::string sqlite_store::session_list(const session_list_request& request) {
  auto row = database_->query(
      std::string(session_columns) +
          "WHERE (updated_at_ms, id) < (?, ?) AND (?3 IS NULL OR workspace = ?3) "
          "ORDER BY updated_at_ms DESC, id DESC LIMIT ?",
      request.before_updated_at_ms.value_or(std::numeric_limits<std::int64_t>::max()),
      request.before_id.value_or(""), request.workspace, request.limit);
  std::string out = "{\"sessions\":[";
  for (bool first = true; row.step(); first = false) {
    if (!first) out += ',';
    out += to_json(read_session(row));
    check_answer(out);
  }
  return out += "]}";
}

std::string sqlite_store::session_update(const session_update_request& request) {
  session_record session;
  {
    auto row = database_->query(std::string(session_columns) + "WHERE id = ?", request.id);
    if (!row.step()) fail_no_session(request.id);
    session = read_session(row);
  }
  if (request.expected_version && *request.expected_version != session.version)
    fail_session_version(request.id, *request.expected_version, session.version);
  request.changes.apply_to(session);
  ++session.version;
  database_->run(
      "UPDATE sessions SET updated_at_ms = ?, title = ?, agent = ?, workspace = ?, parent = ?, "
      "metadata = ?, version = ? WHERE id = ?",
      session.updated_at_ms, session.title, session.agent, session.workspace, session.parent,
      session.metadata, session.version, session.id);
  return "{\"session\":" + to_json(session) + "}";
}

std::string sqlite_store::session_delete(const std::string& id) {
  // Triggers remove the messages and the records.
  if (database_->run("DELETE FROM sessions WHERE id = ?", id) == 0) return deleted_result(false);
  const auto scope = session_scope(id);
  {
    auto row = database_->query("SELECT max(version) FROM state WHERE scope = ?", scope);
    if (row.step() && row.integer(0) > 0) raise_counter("state_floor", row.integer(0));
  }
  database_->run("DELETE FROM state WHERE scope = ?", scope);
  const auto prefix = session_stream_prefix(id);
  database_->run("DELETE FROM streams WHERE name >= ? AND name < ?", prefix, end_of_prefix(prefix));
  freed_pages_ = true;
  return deleted_result(true);
}

std::string sqlite_store::messages_append(const messages_append_request& request) {
  const auto session = find_session(request.session);
  if (request.expected_next_seq && *request.expected_next_seq != session.next_seq)
    fail_next_seq(request.session, *request.expected_next_seq, session.next_seq);
  const auto count = static_cast<std::int64_t>(request.messages.size());
  if (session.next_seq + count - 1 > seq_max) fail_seq_range("session \"" + request.session + "\"");
  auto seq = session.next_seq;
  for (const auto& one : request.messages) {
    const auto metadata = one.metadata.value_or(std::string_view());
    database_->run(
        "INSERT INTO messages(position, bytes, created_at_ms, role, metadata, parts) "
        "VALUES(?, ?, ?, ?, ?, ?)",
        position_of(session.number, seq),
        message_bytes(seq, one.role, one.parts, one.created_at_ms, metadata), one.created_at_ms,
        one.role, one.metadata, borrowed{one.parts});
    ++seq;
  }
  const auto first_kept = std::max(session.first_seq, seq - settings_.max_history_size);
  if (first_kept > session.first_seq) {
    database_->run("DELETE FROM messages WHERE position >= ? AND position < ?",
                   position_of(session.number, session.first_seq),
                   position_of(session.number, first_kept));
    freed_pages_ = true;
  }
  database_->run("UPDATE sessions SET first_seq = ?, next_seq = ? WHERE number = ?", first_kept,
                 seq, session.number);
  return seq_result(session.next_seq, seq - 1);
}

std::string sqlite_store::messages_range(const messages_range_request& request) {
  const auto session = find_session(request.session);
  const auto first = std::max(request.from_seq, session.first_seq);
  const auto last = std::min(request.to_seq, session.next_seq - 1);
  if (first > last) return "{\"messages\":[],\"more\":false}";
  // Columns in the order of the table: `parts`, the large one, is read only for what is given.
  auto row = database_->query(
      request.reverse
          ? "SELECT position, bytes, created_at_ms, role, metadata, parts FROM messages "
            "WHERE position BETWEEN ? AND ? ORDER BY position DESC"
          : "SELECT position, bytes, created_at_ms, role, metadata, parts FROM messages "
            "WHERE position BETWEEN ? AND ? ORDER BY position",
      position_of(session.number, first), position_of(session.number, last));
  std::string out = "{\"messages\":[";
  std::int64_t given = 0, bytes = 0;
  bool more = false;
  while (row.step()) {
    const auto size = row.integer(1);
    if (given == request.limit || (given > 0 && size > request.max_bytes - bytes)) {
      more = true;
      break;
    }
    bytes += size;
    if (given++ > 0) out += ',';
    const auto role = readable(row.text(3));
    append_message(out, seq_of(row.integer(0)), role,
                   sound(row.text(5), json_kind::array, damaged_parts), row.integer(2),
                   sound(row.text(4), json_kind::object, ""));
  }
  out += "],\"more\":";
  out += more ? "true}" : "false}";
  return out;
}

std::string sqlite_store::messages_search(const messages_search_request& request) {
  read_progress own;
  auto& progress = progress_ ? *progress_ : own;
  std::int64_t low = 0, high = std::numeric_limits<std::int64_t>::max();
  if (request.session) {
    const auto session = find_session(*request.session);
    low = position_of(session.number, 0);
    high = position_of(session.number + 1, 0);
  }
  if (!progress.started) {
    progress.started = true;
    progress.created_at_ms = std::numeric_limits<std::int64_t>::max();
    progress.position = high;
  }
  // Several steps see several states of the database; each message is looked at once all the same.
  auto row = request.session
                 ? database_->query(
                       "SELECT position, created_at_ms, bytes, role, parts FROM messages "
                       "WHERE position >= ? AND position < ? ORDER BY position DESC",
                       low, progress.position)
                 : database_->query(
                       "SELECT position, created_at_ms, bytes, role, parts FROM messages "
                       "WHERE (created_at_ms, position) < (?, ?) "
                       "ORDER BY created_at_ms DESC, position DESC",
                       progress.created_at_ms, progress.position);
  const text_query query(request.query);
  std::int64_t step_bytes = 0;
  bool over = false;
  while (!over && progress.hits < request.limit && progress.scanned_bytes < search_bytes_max) {
    if (!row.step()) {
      over = true;
      break;
    }
    progress.position = row.integer(0);
    progress.created_at_ms = row.integer(1);
    progress.scanned_bytes += row.integer(2);
    step_bytes += row.integer(2);
    if (const auto snippet = query.match(row.text(4))) {
      auto session =
          database_->query("SELECT id FROM sessions WHERE number = ?", progress.position >> 32);
      if (session.step()) {
        if (progress.hits++ > 0) progress.found += ',';
        object_writer writer(progress.found);
        writer.text("session", session.text(0));
        writer.integer("seq", seq_of(progress.position));
        writer.text("role", row.text(3));
        writer.text("snippet", *snippet);
        writer.close();
      }
    }
    // Inside apply there is nobody to come back to.
    if (progress_ && step_bytes >= search_step_bytes && progress.hits < request.limit) return {};
  }
  const bool complete = over || progress.hits >= request.limit;
  return "{\"hits\":[" + progress.found + (complete ? "]}" : "],\"incomplete\":true}");
}

std::int64_t sqlite_store::state_version(const state_key& at) {
  auto row =
      database_->query("SELECT version FROM state WHERE scope = ? AND key = ?", at.scope, at.key);
  return row.step() ? row.integer(0) : 0;
}

std::int64_t sqlite_store::counter(std::string_view name) {
  auto row = database_->query("SELECT value FROM counters WHERE name = ?", name);
  return row.step() ? row.integer(0) : 0;
}

void sqlite_store::raise_counter(std::string_view name, std::int64_t at_least) {
  database_->run("UPDATE counters SET value = ?1 WHERE name = ?2 AND value < ?1", at_least, name);
}

std::string sqlite_store::state_get(const state_key& at) {
  auto row = database_->query("SELECT version, value FROM state WHERE scope = ? AND key = ?",
                              at.scope, at.key);
  if (!row.step()) fail_no_state(at);
  std::string out = "{\"value\":";
  out += require_sound(row.text(1), "state \"" + at.key + "\" of \"" + at.scope + "\"");
  return out += ",\"version\":" + std::to_string(row.integer(0)) + "}";
}

std::string sqlite_store::state_put(const state_put_request& request) {
  const auto& at = request.at;
  const auto found = state_version(at);
  if (request.expected_version && *request.expected_version != found)
    fail_state_version(at, *request.expected_version, found);
  const auto version = (found == 0 ? counter("state_floor") : found) + 1;
  if (found == 0) {
    database_->run("INSERT INTO state(scope, key, version, value) VALUES(?, ?, ?, ?)", at.scope,
                   at.key, version, borrowed{request.value});
  } else {
    database_->run("UPDATE state SET version = ?, value = ? WHERE scope = ? AND key = ?", version,
                   borrowed{request.value}, at.scope, at.key);
  }
  return "{\"version\":" + std::to_string(version) + "}";
}

std::string sqlite_store::state_delete(const state_delete_request& request) {
  const auto& at = request.at;
  const auto found = state_version(at);
  if (request.expected_version && *request.expected_version != found)
    fail_state_version(at, *request.expected_version, found);
  if (found == 0) return deleted_result(false);
  raise_counter("state_floor", found);
  database_->run("DELETE FROM state WHERE scope = ? AND key = ?", at.scope, at.key);
  freed_pages_ = true;
  return deleted_result(true);
}

std::string sqlite_store::state_list(const state_list_request& request) {
  auto row = database_->query(
      "SELECT key, version, value FROM state WHERE scope = ?1 AND key >= ?2 "
      "AND (?3 IS NULL OR key < ?3) ORDER BY key LIMIT ?4",
      request.scope, request.prefix, end_of_prefix(request.prefix), request.limit);
  std::string out = "{\"entries\":[";
  for (bool first = true; row.step(); first = false) {
    if (!first) out += ',';
    object_writer writer(out);
    const auto key = readable(row.text(0));
    writer.text("key", key);
    writer.raw("value",
               require_sound(row.text(2), "state \"" + key + "\" of \"" + request.scope + "\""));
    writer.integer("version", row.integer(1));
    writer.close();
    check_answer(out);
  }
  return out += "]}";
}

std::string sqlite_store::journal_append(const journal_append_request& request) {
  std::int64_t number = 0, next_seq = 1;
  {
    auto row =
        database_->query("SELECT number, next_seq FROM streams WHERE name = ?", request.stream);
    if (row.step()) {
      number = row.integer(0);
      next_seq = row.integer(1);
    }
  }
  const auto end_seq = next_seq + static_cast<std::int64_t>(request.records.size());
  if (end_seq - 1 > seq_max) fail_seq_range("journal \"" + request.stream + "\"");
  if (number == 0) {
    database_->run("INSERT INTO streams(name, next_seq) VALUES(?, ?)", request.stream, end_seq);
    number = sqlite3_last_insert_rowid(database_->handle());
  } else {
    database_->run("UPDATE streams SET next_seq = ? WHERE number = ?", end_seq, number);
  }
  auto seq = next_seq;
  for (const auto record : request.records)
    database_->run("INSERT INTO records(position, record) VALUES(?, ?)", position_of(number, seq++),
                   borrowed{record});
  return seq_result(next_seq, end_seq - 1);
}

std::string sqlite_store::journal_read(const journal_read_request& request) {
  std::int64_t number = 0;
  {
    auto row = database_->query("SELECT number FROM streams WHERE name = ?", request.stream);
    if (!row.step()) return "{\"records\":[],\"more\":false}";
    number = row.integer(0);
  }
  auto first = std::int64_t{1}, last = seq_max;
  if (request.from_seq > 0) (request.reverse ? last : first) = std::min(request.from_seq, seq_max);
  auto row = database_->query(
      request.reverse
          ? "SELECT position, record FROM records WHERE position BETWEEN ? AND ? "
            "ORDER BY position DESC"
          : "SELECT position, record FROM records WHERE position BETWEEN ? AND ? ORDER BY position",
      position_of(number, first), position_of(number, last));
  std::string out = "{\"records\":[";
  std::int64_t given = 0, bytes = 0;
  bool more = false;
  while (row.step()) {
    if (given == request.limit || bytes > answer_bytes_default) {
      more = true;
      break;
    }
    const auto record =
        require_sound(row.text(1), "record " + std::to_string(seq_of(row.integer(0))) +
                                       " of journal \"" + request.stream + "\"");
    bytes += static_cast<std::int64_t>(record.size());
    if (given++ > 0) out += ',';
    object_writer writer(out);
    writer.integer("seq", seq_of(row.integer(0)));
    writer.raw("record", record);
    writer.close();
  }
  out += "],\"more\":";
  out += more ? "true}" : "false}";
  return out;
}

std::string sqlite_store::journal_delete(const journal_delete_request& request) {
  std::int64_t number = 0;
  {
    auto row = database_->query("SELECT number FROM streams WHERE name = ?", request.stream);
    if (!row.step()) return "{\"deleted\":0}";
    number = row.integer(0);
  }
  const auto last = std::min(request.to_seq.value_or(seq_max), seq_max);
  const auto deleted = database_->run("DELETE FROM records WHERE position BETWEEN ? AND ?",
                                      position_of(number, 0), position_of(number, last));
  if (!request.to_seq) database_->run("DELETE FROM streams WHERE number = ?", number);
  freed_pages_ = true;
  return "{\"deleted\":" + std::to_string(deleted) + "}";
}

std::string sqlite_store::lease_acquire(const lease_acquire_request& request) {
  std::int64_t token = 0;
  {
    auto row = database_->query("SELECT owner, token, expires_at_ms FROM leases WHERE name = ?",
                                request.name);
    if (row.step() && row.integer(2) > request.now_ms) {
      if (row.text(0) != request.owner) fail_lease_held(request.name, row.text(0), row.integer(2));
      token = row.integer(1);
    }
  }
  if (token == 0) {
    token = counter("lease_token") + 1;
    raise_counter("lease_token", token);
  }
  database_->run(
      "INSERT OR REPLACE INTO leases(name, owner, token, expires_at_ms) "
      "VALUES(?, ?, ?, ?)",
      request.name, request.owner, token, request.now_ms + request.ttl_ms);
  return "{\"token\":" + std::to_string(token) + "}";
}

std::string sqlite_store::lease_renew(const lease_renew_request& request) {
  {
    auto row = database_->query("SELECT owner, token FROM leases WHERE name = ?", request.name);
    if (!row.step()) fail_lease_lost(request.name, "");
    if (row.integer(1) != request.token) fail_lease_lost(request.name, row.text(0));
  }
  database_->run("UPDATE leases SET expires_at_ms = ? WHERE name = ?",
                 request.now_ms + request.ttl_ms, request.name);
  return "{}";
}

std::string sqlite_store::lease_release(const lease_release_request& request) {
  database_->run("DELETE FROM leases WHERE name = ? AND token = ?", request.name, request.token);
  return "{}";
}

std::string sqlite_store::stats() {
  auto row =
      database_->query("SELECT count(*), coalesce(sum(next_seq - first_seq), 0) FROM sessions");
  row.step();
  std::string out;
  object_writer writer(out);
  writer.text("backend", "sqlite");
  writer.integer("sessions", row.integer(0));
  writer.integer("messages", row.integer(1));
  writer.integer("bytes",
                 database_->number("PRAGMA page_count") * database_->number("PRAGMA page_size"));
  writer.integer("schema_version", schema_version());
  writer.text("path", settings_.path);
  writer.text("library", sqlite3_libversion());
  writer.close();
  return out;
}
}  // namespace rustic::storage
