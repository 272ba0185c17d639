// database.hpp - one SQLite connection in C++: cached statements, bound arguments, errors as
// exceptions.
#pragma once
#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <rustic/status.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace rustic::storage {

// What SQLite refused. os_error is errno, or 0.
class sqlite_error : public std::runtime_error {
 public:
  sqlite_error(int code, int os_error, const std::string& text)
      : std::runtime_error(text), code_(code), os_error_(os_error) {}
  int code() const noexcept { return code_ & 0xff; }
  int extended_code() const noexcept { return code_; }
  int os_error() const noexcept { return os_error_; }
  bool corrupt() const noexcept { return code() == SQLITE_CORRUPT || code() == SQLITE_NOTADB; }
  bool disk_full() const noexcept;

 private:
  int code_;
  int os_error_;
};

// The error that a caller gets for it: which file, why, and what to do.
error describe(const sqlite_error& problem, const std::string& path);

// A payload that outlives the statement's run: bound without a copy.
struct borrowed {
  std::string_view text;
};

// A cached statement in use; given back (reset) when it ends. Text columns live until the next
// step.
class statement {
 public:
  statement(sqlite3* database, sqlite3_stmt* prepared) noexcept
      : database_(database), prepared_(prepared) {}
  statement(statement&& other) noexcept
      : database_(other.database_), prepared_(std::exchange(other.prepared_, nullptr)) {}
  statement(const statement&) = delete;
  statement& operator=(const statement&) = delete;
  ~statement();

  void bind(int index, std::int64_t value);
  void bind(int index, std::string_view value);
  void bind(int index, borrowed value);
  void bind(int index, std::nullopt_t);
  template <class T>
  void bind(int index, const std::optional<T>& value) {
    if (value) {
      bind(index, *value);
    } else {
      bind(index, std::nullopt);
    }
  }

  bool step();  // true: there is a row
  std::int64_t integer(int column) const;
  std::string_view text(int column) const;
  std::optional<std::string> optional_text(int column) const;

 private:
  void check(int code) const;
  sqlite3* database_;
  sqlite3_stmt* prepared_;
};

// An open database file. Threads: one at a time.
class connection {
 public:
  // Opens an existing file for reading and writing. Throws sqlite_error.
  connection(const std::string& path, int busy_timeout_ms);
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection();

  template <class... T>
  statement query(std::string_view sql, const T&... arguments) {
    statement prepared(handle_, prepare(sql));
    int index = 0;
    (prepared.bind(++index, arguments), ...);
    return prepared;
  }
  // Runs a statement that gives no rows; how many rows it changed.
  template <class... T>
  std::int64_t run(std::string_view sql, const T&... arguments) {
    query(sql, arguments...).step();
    return sqlite3_changes64(handle_);
  }
  // Any number of statements, not cached, rows ignored.
  void script(const std::string& sql);
  // The first column of the first row.
  std::int64_t number(const std::string& sql);
  std::string word(const std::string& sql);

  bool in_transaction() const noexcept { return sqlite3_get_autocommit(handle_) == 0; }
  // Whether commits from now on wait for the disk; those of before are then written too. Outside a
  // transaction.
  void sync_commits(bool on);
  // Undoes whatever is open; throws nothing.
  void roll_back() noexcept;
  // Writes the log back into the file; false when a reader kept a part of it in the log.
  bool checkpoint();
  // Pages in the log after the newest commit of this connection.
  int wal_pages() const noexcept { return wal_pages_; }
  void wal_written_back() noexcept { wal_pages_ = 0; }
  // Closing will neither write to the file nor remove its log.
  void leave_files_alone() noexcept;
  sqlite3* handle() const noexcept { return handle_; }

 private:
  [[noreturn]] void fail(int code) const;
  sqlite3_stmt* prepare(std::string_view sql);

  struct finalizer {
    void operator()(sqlite3_stmt* prepared) const noexcept { sqlite3_finalize(prepared); }
  };
  sqlite3* handle_ = nullptr;
  // By their text; as many as the program has.
  std::unordered_map<std::string, std::unique_ptr<sqlite3_stmt, finalizer>> statements_;
  int wal_pages_ = 0;
  bool commits_synced_ = false;
};
}  // namespace rustic::storage
