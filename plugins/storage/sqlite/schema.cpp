// schema.cpp - each migration as it was published: a new one is added below, an old one never
// changes.
#include "schema.hpp"

#include <array>

namespace rustic::storage {
namespace {
constexpr std::int64_t application_id = 0x52414931;  // "RAI1"

struct migration {
  const char* name;
  const char* sql;
};

constexpr std::array migrations{
    migration{"sessions, messages, state, journals, leases", R"sql(
CREATE TABLE sessions(
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  created_at_ms INTEGER NOT NULL,
  updated_at_ms INTEGER NOT NULL,
  version INTEGER NOT NULL DEFAULT 1,
  first_seq INTEGER NOT NULL DEFAULT 1,
  next_seq INTEGER NOT NULL DEFAULT 1,
  title TEXT, agent TEXT, workspace TEXT, parent TEXT, metadata TEXT) STRICT;
CREATE INDEX sessions_by_update ON sessions(updated_at_ms, id);
CREATE TABLE messages(
  session INTEGER NOT NULL REFERENCES sessions(number) ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  role TEXT NOT NULL,
  parts TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  metadata TEXT,
  PRIMARY KEY(session, seq)) STRICT;
CREATE TABLE state(
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  version INTEGER NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY(scope, key)) STRICT;
CREATE TABLE streams(
  number INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  next_seq INTEGER NOT NULL DEFAULT 1) STRICT;
CREATE TABLE records(
  position INTEGER PRIMARY KEY, -- stream number << 32 | seq
  record TEXT NOT NULL) STRICT;
CREATE TRIGGER stream_goes AFTER DELETE ON streams BEGIN
  DELETE FROM records WHERE position >= old.number << 32 AND position < (old.number + 1) << 32;
END;
CREATE TABLE leases(
  name TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  token INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE counters(
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL) STRICT;
INSERT INTO counters VALUES('state_floor', 0), ('lease_token', 0);
)sql"},
    // Ranges stop by bytes without touching what they leave out, one session's messages lie
    // together, and a search over all sessions goes from the newest back.
    migration{"messages by position, with bytes and time", R"sql(
ALTER TABLE messages RENAME TO messages_before;
CREATE TABLE messages(
  position INTEGER PRIMARY KEY, -- session number << 32 | seq
  bytes INTEGER NOT NULL,       -- of the message's JSON
  created_at_ms INTEGER NOT NULL,
  role TEXT NOT NULL,
  metadata TEXT,
  parts TEXT NOT NULL) STRICT;
INSERT INTO messages SELECT session << 32 | seq,
  56 + length(seq) + length(role) + length(CAST(parts AS BLOB)) + length(created_at_ms)
    + coalesce(length(CAST(metadata AS BLOB)), 2),
  created_at_ms, role, metadata, parts FROM messages_before ORDER BY session, seq;
DROP TABLE messages_before;
CREATE INDEX messages_by_time ON messages(created_at_ms);
CREATE TRIGGER session_goes AFTER DELETE ON sessions BEGIN
  DELETE FROM messages WHERE position >= old.number << 32 AND position < (old.number + 1) << 32;
END;
)sql"},
};

[[noreturn]] void refuse(std::string message, std::string hint) {
  throw failure(status_code::failed_precondition, std::move(message), std::move(hint));
}
}  // namespace

std::int64_t schema_version() noexcept {
  return static_cast<std::int64_t>(migrations.size());
}

bool is_fresh(connection& database, const std::string& path) {
  const auto version = database.number("PRAGMA user_version");
  const bool ours = database.number("PRAGMA application_id") == application_id;
  if (!ours && version == 0 && database.number("SELECT count(*) FROM sqlite_schema") == 0)
    return true;
  if (!ours) refuse(path + " is a database of another program", "choose another connection_string");
  if (version > schema_version())
    refuse("the database " + path + " has schema version " + std::to_string(version) +
               "; this program knows versions up to " + std::to_string(schema_version()),
           "use a newer rustic-ai, or another connection_string; the file was not changed");
  return false;
}

void migrate(connection& database) {
  auto version = database.number("PRAGMA user_version");
  if (version == schema_version()) return;
  database.script("BEGIN IMMEDIATE");
  try {
    version = database.number("PRAGMA user_version");
    database.script(
        "CREATE TABLE IF NOT EXISTS migrations(version INTEGER PRIMARY KEY, name TEXT NOT NULL, "
        "sqlite TEXT NOT NULL) STRICT");
    for (auto next = static_cast<std::size_t>(version); next < migrations.size(); ++next) {
      database.script(migrations[next].sql);
      database.run("INSERT INTO migrations VALUES(?, ?, ?)", static_cast<std::int64_t>(next) + 1,
                   std::string_view(migrations[next].name), std::string_view(sqlite3_libversion()));
    }
    database.script("PRAGMA user_version = " + std::to_string(schema_version()));
    database.script("PRAGMA application_id = " + std::to_string(application_id));
    database.script("COMMIT");
  } catch (...) {
    database.roll_back();
    throw;
  }
}
}  // namespace rustic::storage
