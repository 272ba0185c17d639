// database.cpp - the thin layer over the C interface, and the words for its errors.
#include "database.hpp"

#include <cerrno>
#include <cstring>

namespace rustic::storage {
namespace {
sqlite_error error_of(sqlite3* handle, int code) {
  const int os_error = handle ? sqlite3_system_errno(handle) : 0;
  std::string text = handle ? sqlite3_errmsg(handle) : sqlite3_errstr(code);
  const int extended = handle ? sqlite3_extended_errcode(handle) : code;
  if (os_error != 0 && (code & 0xff) != SQLITE_CONSTRAINT && (code & 0xff) != SQLITE_CORRUPT)
    text += std::string(" (") + std::strerror(os_error) + ")";
  return {(extended & 0xff) == (code & 0xff) ? extended : code, os_error, text};
}
}  // namespace

bool sqlite_error::disk_full() const noexcept {
  // Growing the shared index reports a full disk as an I/O error.
  return code() == SQLITE_FULL || ((code() == SQLITE_IOERR || code() == SQLITE_CANTOPEN) &&
                                   (os_error_ == ENOSPC || os_error_ == EDQUOT));
}

error describe(const sqlite_error& problem, const std::string& path) {
  const auto make = [&](status_code code, const std::string& what, std::string hint) {
    return error{
        code, what + " " + path + ": " + problem.what(), std::move(hint), std::nullopt, {}};
  };
  if (problem.disk_full())
    return make(status_code::resource_exhausted, "no room to write",
                "free disk space and try again; nothing was changed");
  switch (problem.code()) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return make(
          status_code::data_loss, "the database is damaged:",
          "nothing was deleted. Stop every rustic-ai, then save what is readable: sqlite3 '" +
              path + "' .recover | sqlite3 '" + path +
              ".recovered', and move the damaged file and its -wal away");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return make(status_code::unavailable, "another process keeps the database locked:",
                  "try again, or look who uses it: fuser -v '" + path + "'");
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return make(status_code::unavailable, "cannot write to",
                  "the file, its folder and the -wal and -shm files beside it must be writable for "
                  "this user, on a local disk");
    case SQLITE_IOERR:
      return make(status_code::unavailable, "reading or writing failed for",
                  "look for disk errors in the system's log, then try again");
    case SQLITE_TOOBIG:
      return make(status_code::invalid_argument, "too large for", "store less at once");
    case SQLITE_NOMEM:
      return make(status_code::resource_exhausted, "out of memory while using", "");
    default:
      return make(status_code::internal, "SQLite refused an operation on", "");
  }
}

statement::~statement() {
  if (!prepared_) return;
  sqlite3_reset(prepared_);
  sqlite3_clear_bindings(prepared_);
}

void statement::check(int code) const {
  if (code != SQLITE_OK) throw error_of(database_, code);
}
void statement::bind(int index, std::int64_t value) {
  check(sqlite3_bind_int64(prepared_, index, value));
}
void statement::bind(int index, std::string_view value) {
  check(sqlite3_bind_text64(prepared_, index, value.empty() ? "" : value.data(), value.size(),
                            SQLITE_TRANSIENT, SQLITE_UTF8));
}
void statement::bind(int index, borrowed value) {
  check(sqlite3_bind_text64(prepared_, index, value.text.empty() ? "" : value.text.data(),
                            value.text.size(), SQLITE_STATIC, SQLITE_UTF8));
}
void statement::bind(int index, std::nullopt_t) {
  check(sqlite3_bind_null(prepared_, index));
}

bool statement::step() {
  const int code = sqlite3_step(prepared_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  throw error_of(database_, code);
}

std::int64_t statement::integer(int column) const {
  return sqlite3_column_int64(prepared_, column);
}

std::string_view statement::text(int column) const {
  const auto* begin = reinterpret_cast<const char*>(sqlite3_column_text(prepared_, column));
  if (!begin) {
    // Null stands for SQL NULL, or for memory that a large value did not get.
    if (sqlite3_errcode(database_) == SQLITE_NOMEM) throw error_of(database_, SQLITE_NOMEM);
    return {};
  }
  return {begin, static_cast<std::size_t>(sqlite3_column_bytes(prepared_, column))};
}

std::optional<std::string> statement::optional_text(int column) const {
  if (sqlite3_column_type(prepared_, column) == SQLITE_NULL) return std::nullopt;
  return std::string(text(column));
}

connection::connection(const std::string& path, int busy_timeout_ms) {
  const int code = sqlite3_open_v2(path.c_str(), &handle_,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                                       SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_PRIVATECACHE,
                                   nullptr);
  if (code != SQLITE_OK) {
    const auto problem = error_of(handle_, code);
    sqlite3_close_v2(handle_);
    throw problem;
  }
  sqlite3_busy_timeout(handle_, busy_timeout_ms);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_wal_hook(
      handle_,
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<connection*>(self)->wal_pages_ = pages;
        return SQLITE_OK;
      },
      this);
}

connection::~connection() {
  statements_.clear();
  sqlite3_close_v2(handle_);
}

void connection::fail(int code) const {
  throw error_of(handle_, code);
}

sqlite3_stmt* connection::prepare(std::string_view sql) {
  std::string key(sql);
  if (const auto found = statements_.find(key); found != statements_.end())
    return found->second.get();
  sqlite3_stmt* prepared = nullptr;
  const int code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &prepared, nullptr);
  if (code != SQLITE_OK) fail(code);
  statements_.emplace(std::move(key), prepared);
  return prepared;
}

void connection::script(const std::string& sql) {
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code);
}

void connection::sync_commits(bool on) {
  if (on == commits_synced_) return;
  script(on ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
  commits_synced_ = on;
}

std::int64_t connection::number(const std::string& sql) {
  const auto text = word(sql);
  return text.empty() ? 0 : std::stoll(text);
}

std::string connection::word(const std::string& sql) {
  sqlite3_stmt* prepared = nullptr;
  const int code =
      sqlite3_prepare_v2(handle_, sql.c_str(), static_cast<int>(sql.size()), &prepared, nullptr);
  if (code != SQLITE_OK) fail(code);
  const std::unique_ptr<sqlite3_stmt, finalizer> owner(prepared);
  statement one(handle_, prepared);
  return one.step() ? std::string(one.text(0)) : std::string();
}

void connection::roll_back() noexcept {
  if (in_transaction()) sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
}

bool connection::checkpoint() {
  int log_pages = 0, done_pages = 0;
  const int code = sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_PASSIVE,
                                             &log_pages, &done_pages);
  if (code == SQLITE_BUSY) return false;
  if (code != SQLITE_OK) fail(code);
  return log_pages == done_pages;
}

void connection::leave_files_alone() noexcept {
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  int keep = 1;
  sqlite3_file_control(handle_, nullptr, SQLITE_FCNTL_PERSIST_WAL, &keep);
}
}  // namespace rustic::storage
