// sqlite_store.cpp - opening, transactions, damage and housekeeping; the methods are in
// sqlite_methods.cpp.
#include "sqlite_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "schema.hpp"

namespace rustic::storage {
namespace {
namespace fs = std::filesystem;

constexpr std::string_view lock_suffix = ".lock";
// An empty log may be left behind; one with a header and a page holds commits.
constexpr off_t empty_log_bytes_max = 32;

[[noreturn]] void unavailable(const std::string& what, const std::string& path, int problem) {
  throw failure(problem == ENOSPC || problem == EDQUOT ? status_code::resource_exhausted
                                                       : status_code::unavailable,
                what + " " + path + ": " + std::strerror(problem),
                problem == ENOSPC || problem == EDQUOT
                    ? "free disk space and try again"
                    : "set the storage's connection_string to a file in a folder that this user "
                      "can write to");
}

void sync_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

// Makes what is missing of a folder's path, for this user only.
void make_folders(const fs::path& folder) {
  struct stat found {};
  if (::stat(folder.c_str(), &found) == 0) {
    if (!S_ISDIR(found.st_mode)) unavailable("cannot use the folder", folder, ENOTDIR);
    return;
  }
  if (folder.has_parent_path() && folder != folder.parent_path())
    make_folders(folder.parent_path());
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    unavailable("cannot make the folder", folder, errno);
  sync_folder(folder.parent_path());
}

sqlite_reply reply_of(const error& problem) {
  return {problem.code, error_body(problem)};
}
}  // namespace

std::string sqlite_store::resolve_path(std::string_view connection_string) {
  for (const std::string_view scheme : {"sqlite://", "sqlite:"})
    if (connection_string.substr(0, scheme.size()) == scheme) {
      connection_string.remove_prefix(scheme.size());
      break;
    }
  if (connection_string.empty() || connection_string == ":memory:" ||
      connection_string.find('\0') != std::string_view::npos || connection_string.back() == '/')
    throw failure(status_code::invalid_argument,
                  "sqlite storage: connection_string \"" + std::string(connection_string) +
                      "\" names no file",
                  "give the path of a file, or use rustic.storage/memory");
  std::error_code code;
  // Links are followed so that everybody who means this file takes the same lock. An absolute path
  // is
  // also never read as a URI.
  const auto path = fs::weakly_canonical(fs::absolute(fs::path(connection_string)), code);
  if (code) return fs::absolute(fs::path(connection_string)).lexically_normal();
  return path;
}

void sqlite_store::prepare_location(const std::string& path) {
  const auto folder = fs::path(path).parent_path();
  make_folders(folder);
  // access and stat only: opening and closing the file here would drop the locks that SQLite holds
  // on it for another store of this process.
  if (::access(folder.c_str(), W_OK | X_OK) != 0)
    unavailable("cannot write into the folder", folder, errno);
  struct stat found {};
  if (::stat(path.c_str(), &found) == 0) {
    if (!S_ISREG(found.st_mode))
      throw failure(status_code::unavailable, path + " is no regular file",
                    "choose another connection_string");
    if (::access(path.c_str(), R_OK | W_OK) != 0)
      unavailable("cannot read and write the database", path, errno);
  } else if (errno != ENOENT) {
    unavailable("cannot look at the database", path, errno);
  }
}

sqlite_store::sqlite_store(sqlite_settings settings)
    : settings_(std::move(settings)), lock_(settings_.path + std::string(lock_suffix)) {}

sqlite_store::~sqlite_store() {
  close();
}

void sqlite_store::close() noexcept {
  if (!database_) return;
  try {
    const held_lock held(lock_, settings_.busy_timeout, interrupt_);
    if (damage_) database_->leave_files_alone();
    database_.reset();
  } catch (...) {
    // Without the lock the log must stay for the next one to open the file.
    database_->leave_files_alone();
    database_.reset();
  }
}

void sqlite_store::open() {
  if (database_) return reopen_if_replaced();
  prepare_location(settings_.path);
  const held_lock held(lock_, settings_.busy_timeout, interrupt_);
  open_locked();
}

// A file that somebody removed or replaced takes writes that nobody will ever read.
void sqlite_store::reopen_if_replaced() {
  struct stat found {};
  if (::stat(settings_.path.c_str(), &found) == 0 && found.st_ino == opened_inode_ &&
      found.st_dev == opened_device_)
    return;
  // The log's name may belong to the new file by now.
  database_->leave_files_alone();
  database_.reset();
  damage_.reset();
  open();
}

// SQLite takes an empty file for a new database and removes its log, with all commits in it.
void sqlite_store::check_log_size(const std::string& path) {
  struct stat log {};
  if (::stat((path + "-wal").c_str(), &log) == 0 && log.st_size > empty_log_bytes_max)
    throw failure(status_code::data_loss,
                  "the database " + path + " is empty, but its log " + path + "-wal holds " +
                      std::to_string(log.st_size) + " bytes",
                  "nothing was deleted. Bring the file back from a backup, or move the log away to "
                  "begin anew");
}

void sqlite_store::open_locked() {
  const auto& path = settings_.path;
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0 || found.st_size == 0) check_log_size(path);
  const int made = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (made >= 0) {
    ::close(made);
  } else if (errno != EEXIST) {
    unavailable("cannot make the database", path, errno);
  }

  auto& database = database_.emplace(path, static_cast<int>(settings_.busy_timeout.count()));
  try {
    // Before anything is set: what is newer or not ours must not change.
    if (is_fresh(database, path)) database.script("PRAGMA auto_vacuum = INCREMENTAL");
    if (const auto mode = database.word("PRAGMA journal_mode = WAL"); mode != "wal")
      throw failure(status_code::unavailable,
                    "the database " + path + " cannot use a write-ahead log (" + mode + ")",
                    "put it on a local disk");
    database.sync_commits(true);
    database.script(
        "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;"
        "PRAGMA secure_delete = FAST; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
        "PRAGMA wal_autocheckpoint = 0");
    database.script("PRAGMA journal_size_limit = " + std::to_string(wal_bytes_kept));
    migrate(database);
    if (settings_.max_pages > 0)
      database.script("PRAGMA max_page_count = " + std::to_string(settings_.max_pages));
    freed_pages_ = database.number("PRAGMA freelist_count") > free_pages_kept;
  } catch (...) {
    database_->leave_files_alone();
    database_.reset();
    throw;
  }
  damage_.reset();
  if (::stat(path.c_str(), &found) == 0) {
    opened_inode_ = found.st_ino;
    opened_device_ = found.st_dev;
  }
}

void sqlite_store::require_healthy() {
  if (damage_) throw failure(*damage_);
}

// Asks SQLite what is broken, within a time limit, so that the message can say it.
void sqlite_store::examine(const sqlite_error& problem) {
  damage_ = describe(problem, settings_.path);
  if (!database_) return;
  struct budget {
    std::chrono::steady_clock::time_point end;
  } limit{std::chrono::steady_clock::now() + examination_time_max};
  constexpr int instructions_between_looks = 10'000;
  sqlite3_progress_handler(
      database_->handle(), instructions_between_looks,
      [](void* self) -> int {
        return std::chrono::steady_clock::now() > static_cast<budget*>(self)->end;
      },
      &limit);
  try {
    const auto finding = database_->word("PRAGMA quick_check(1)");
    if (finding != "ok") damage_->message += "; " + finding;
  } catch (const sqlite_error&) {
    // Too broken, or too large, to be examined: the first error says enough.
  }
  sqlite3_progress_handler(database_->handle(), 0, nullptr, nullptr);
}

sqlite_reply sqlite_store::reply_for_current_exception() {
  try {
    throw;
  } catch (const sqlite_error& problem) {
    if (problem.corrupt()) {
      if (!damage_) examine(problem);
      return reply_of(*damage_);
    }
    return reply_of(describe(problem, settings_.path));
  } catch (...) {
    return reply_of(current_error());
  }
}

sqlite_reply sqlite_store::execute(std::string_view method, std::string_view body) {
  const sqlite_call call{method, body};
  if (is_write(method)) return std::move(execute_group({&call, 1}).front());
  read_progress progress;
  for (;;)
    if (auto reply = execute_read(call, progress)) return *std::move(reply);
}

std::optional<sqlite_reply> sqlite_store::execute_read(const sqlite_call& call,
                                                       read_progress& progress) {
  try {
    open();
    progress_ = &progress;
    database_->run("BEGIN");
    auto body = dispatch(*this, call.method, call.body);
    database_->run("COMMIT");
    progress_ = nullptr;
    if (progress.started && body.empty()) return std::nullopt;
    return sqlite_reply{status_code::ok, std::move(body)};
  } catch (...) {
    progress_ = nullptr;
    auto reply = reply_for_current_exception();
    if (database_) database_->roll_back();
    return reply;
  }
}

sqlite_reply sqlite_store::execute_in_group(const sqlite_call& call) {
  database_->run("SAVEPOINT one");
  try {
    auto body = dispatch(*this, call.method, call.body);
    database_->run("RELEASE one");
    return {status_code::ok, std::move(body)};
  } catch (const sqlite_error&) {
    throw;  // the whole transaction is in doubt
  } catch (...) {
    const auto problem = current_error();
    database_->run("ROLLBACK TO one");
    database_->run("RELEASE one");
    return reply_of(problem);
  }
}

sqlite_reply sqlite_store::execute_alone(const sqlite_call& call) {
  try {
    database_->run("BEGIN IMMEDIATE");
    auto body = dispatch(*this, call.method, call.body);
    database_->run("COMMIT");
    return {status_code::ok, std::move(body)};
  } catch (...) {
    auto reply = reply_for_current_exception();
    database_->roll_back();
    return reply;
  }
}

namespace {
// Whether a power failure may undo the call. A lease binds processes, which do not outlive one; and
// a session is empty until something is appended, which writes it to the disk too.
bool may_be_undone(const sqlite_call& call) {
  return call.method == "session.create" || call.method.starts_with("lease.");
}
}  // namespace

std::vector<sqlite_reply> sqlite_store::execute_group(std::span<const sqlite_call> calls) {
  std::vector<sqlite_reply> replies;
  replies.reserve(calls.size());
  try {
    open();
    require_healthy();
    const held_lock held(lock_, settings_.busy_timeout, interrupt_);
    housekeeping_postponed_ = false;
    // When others always come first, housekeeping never gets its turn and the log would grow.
    if (database_->wal_pages() >= pages_at_failed_checkpoint_ + wal_pages_before_backpressure)
      write_log_back();
    database_->sync_commits(!std::all_of(calls.begin(), calls.end(), may_be_undone));
    if (calls.size() > 1) {
      try {
        database_->run("BEGIN IMMEDIATE");
        for (const auto& call : calls) replies.push_back(execute_in_group(call));
        database_->run("COMMIT");
        return replies;
      } catch (const sqlite_error& problem) {
        database_->roll_back();
        replies.clear();
        if (problem.corrupt()) throw;
        // Somebody's write did not fit, or the disk failed: each on its own finds out whose.
      }
    }
    for (const auto& call : calls) replies.push_back(execute_alone(call));
  } catch (...) {
    const auto reply = reply_for_current_exception();
    replies.resize(calls.size(), reply);
  }
  return replies;
}

void sqlite_store::write_log_back() {
  if (database_->checkpoint()) {
    database_->wal_written_back();
    pages_at_failed_checkpoint_ = 0;
  } else {
    // A reader of another process needs a part of the log: try again when it has grown.
    pages_at_failed_checkpoint_ = database_->wal_pages();
  }
}

bool sqlite_store::wants_maintenance() const noexcept {
  if (!database_ || damage_ || housekeeping_postponed_) return false;
  return freed_pages_ ||
         database_->wal_pages() >= pages_at_failed_checkpoint_ + wal_pages_before_checkpoint;
}

bool sqlite_store::maintain() {
  if (!wants_maintenance()) return false;
  try {
    const held_lock held(lock_, housekeeping_wait, interrupt_);
    if (freed_pages_) {
      const auto free_pages = database_->number("PRAGMA freelist_count");
      if (free_pages > free_pages_kept) {
        database_->script("PRAGMA incremental_vacuum(" + std::to_string(free_pages_step) + ")");
        freed_pages_ = free_pages - free_pages_step > free_pages_kept;
      } else {
        freed_pages_ = false;
      }
    }
    if (database_->wal_pages() >= pages_at_failed_checkpoint_ + wal_pages_before_checkpoint)
      write_log_back();
    return wants_maintenance();
  } catch (...) {
    // Nothing is lost by leaving it for later; the next write reports what is wrong.
    database_->roll_back();
    housekeeping_postponed_ = true;
    return false;
  }
}
}  // namespace rustic::storage
