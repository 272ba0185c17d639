// sqlite_store.hpp - rustic.storage in one SQLite file: every method, several calls in one durable
// commit.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <rustic/status.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <rustic/storage/operations.hpp>
#include "database.hpp"
#include "file_lock.hpp"
#include "limits.hpp"

namespace rustic::storage {

struct sqlite_settings {
  std::string path;  // made when it is missing, folders included
  std::int64_t max_history_size = history_size_default;
  std::chrono::milliseconds busy_timeout{busy_timeout_ms_default};
  std::int64_t max_pages = 0;  // the file grows no further; 0: SQLite's own limit
};

struct sqlite_reply {
  status_code status = status_code::ok;
  std::string body;
};

struct sqlite_call {
  std::string_view method;
  std::string_view body;
};

// How far a long read has come. A fresh one starts at the beginning.
struct read_progress {
  bool started = false;
  std::int64_t created_at_ms = 0, position = 0;  // the message looked at last
  std::int64_t scanned_bytes = 0, hits = 0;
  std::string found;
};

// One database file over one connection. Opened by the first call, and again when opening failed or
// the file was replaced. Threads: one at a time; other stores and processes may use the same file.
// Errors: in the replies; only prepare_location throws.
class sqlite_store final : private operations {
 public:
  explicit sqlite_store(sqlite_settings settings);
  ~sqlite_store() override;

  // Makes the folder, and finds out early that nothing can be written there. Touches no database.
  // Throws failure(UNAVAILABLE) or (INVALID_ARGUMENT).
  static void prepare_location(const std::string& path);
  // An absolute path without links, from what the configuration says ("sqlite:" in front is
  // allowed).
  // Throws failure(INVALID_ARGUMENT).
  static std::string resolve_path(std::string_view connection_string);

  // One call in a transaction of its own; durable when it returns.
  sqlite_reply execute(std::string_view method, std::string_view body);
  // All calls in one commit, yet each on its own: a refused one changes nothing and stops no other.
  // Gives one reply for each call, when everything is durable.
  std::vector<sqlite_reply> execute_group(std::span<const sqlite_call> calls);
  // One step of a method that only reads; nothing when there is more to do: call it again.
  std::optional<sqlite_reply> execute_read(const sqlite_call& call, read_progress& progress);

  // One bounded step of housekeeping: log written back, free pages returned. True: there is more.
  bool maintain();
  bool wants_maintenance() const noexcept;
  // The last of several stores to close writes the log back and removes it.
  void close() noexcept;
  // From any thread: waits for other processes end soon.
  void interrupt_waits() { interrupt_.raise(); }

 private:
  void open();
  void open_locked();
  void reopen_if_replaced();
  void require_healthy();
  // What a caller gets for the exception being handled; looks closer when it smells of damage.
  sqlite_reply reply_for_current_exception();
  void write_log_back();
  void examine(const sqlite_error& problem);
  sqlite_reply execute_alone(const sqlite_call& call);
  sqlite_reply execute_in_group(const sqlite_call& call);
  void check_log_size(const std::string& path);

  std::string session_create(const session_record& session) override;
  std::string session_get(const std::string& id) override;
  std::string session_list(const session_list_request& request) override;
  std::string session_update(const session_update_request& request) override;
  std::string session_delete(const std::string& id) override;
  std::string messages_append(const messages_append_request& request) override;
  std::string messages_range(const messages_range_request& request) override;
  std::string messages_search(const messages_search_request& request) override;
  std::string state_get(const state_key& at) override;
  std::string state_put(const state_put_request& request) override;
  std::string state_delete(const state_delete_request& request) override;
  std::string state_list(const state_list_request& request) override;
  std::string journal_append(const journal_append_request& request) override;
  std::string journal_read(const journal_read_request& request) override;
  std::string journal_delete(const journal_delete_request& request) override;
  std::string lease_acquire(const lease_acquire_request& request) override;
  std::string lease_renew(const lease_renew_request& request) override;
  std::string lease_release(const lease_release_request& request) override;
  std::string stats() override;

  struct session_span {
    std::int64_t number = 0, first_seq = 1, next_seq = 1;
  };
  session_span find_session(std::string_view id);
  std::int64_t state_version(const state_key& at);
  std::int64_t counter(std::string_view name);
  void raise_counter(std::string_view name, std::int64_t at_least);

  const sqlite_settings settings_;
  interrupt interrupt_;
  file_lock lock_;
  std::optional<connection> database_;
  ino_t opened_inode_ = 0;
  dev_t opened_device_ = 0;
  std::optional<error> damage_;  // found in this file: writes are refused from then on
  bool freed_pages_ = false;     // something was deleted since the last look
  int pages_at_failed_checkpoint_ = 0;
  bool housekeeping_postponed_ = false;  // until the next write
  read_progress* progress_ = nullptr;    // of the read that runs; null inside apply
};
}  // namespace rustic::storage
