// file_store.hpp - the methods of rustic.storage on an ordered map of texts.
//
// Keys begin with what they are, and their parts are separated by a character that no name holds:
//   session ID            the record, with the first and the next seq of its messages
//   message ID SEQ        state SCOPE KEY        lease NAME
//   stream NAME           the first and the next seq of a journal
//   record NAME SEQ       counter NAME           numbers that never come back
// Values are JSON; payloads stand in them byte for byte.
#pragma once
#include <cstdint>
#include <mutex>
#include <rustic/status.hpp>
#include <rustic/storage/operations.hpp>
#include <string>
#include <string_view>

#include "log_map.hpp"

namespace file_store_plugin {

struct settings {
  std::string path;
  std::int64_t max_history_size = rustic::storage::history_size_default;
  std::int64_t max_bytes = live_bytes_max_default;

  // Throws failure(INVALID_ARGUMENT).
  static settings read(const rustic::json::object& config);
};

// Threads: any; calls run one after another. Errors: failure.
class file_store final : private rustic::storage::operations {
 public:
  explicit file_store(settings with);

  void prepare() const { map_.prepare(); }
  // One call: what it changed is on the disk when it returns, or nothing is changed.
  std::string execute(std::string_view method, std::string_view body);
  void stop_waiting() noexcept { map_.stop_waiting(); }

 private:
  // The messages of a session or the records of a journal: seq from first up to next, without gaps.
  struct span {
    std::int64_t first = 1, next = 1;
    std::int64_t size() const noexcept { return next - first; }
  };
  struct session_entry {
    rustic::storage::session_record record;
    span messages;
  };

  std::string session_create(const rustic::storage::session_record& session) override;
  std::string session_get(const std::string& id) override;
  std::string session_list(const rustic::storage::session_list_request& request) override;
  std::string session_update(const rustic::storage::session_update_request& request) override;
  std::string session_delete(const std::string& id) override;
  std::string messages_append(const rustic::storage::messages_append_request& request) override;
  std::string messages_range(const rustic::storage::messages_range_request& request) override;
  std::string messages_search(const rustic::storage::messages_search_request& request) override;
  std::string state_get(const rustic::storage::state_key& at) override;
  std::string state_put(const rustic::storage::state_put_request& request) override;
  std::string state_delete(const rustic::storage::state_delete_request& request) override;
  std::string state_list(const rustic::storage::state_list_request& request) override;
  std::string journal_append(const rustic::storage::journal_append_request& request) override;
  std::string journal_read(const rustic::storage::journal_read_request& request) override;
  std::string journal_delete(const rustic::storage::journal_delete_request& request) override;
  std::string lease_acquire(const rustic::storage::lease_acquire_request& request) override;
  std::string lease_renew(const rustic::storage::lease_renew_request& request) override;
  std::string lease_release(const rustic::storage::lease_release_request& request) override;
  std::string stats() override;

  session_entry find_session(const std::string& id) const;
  void put_session(const session_entry& entry);
  span find_stream(const std::string& key) const;
  std::int64_t state_version(const std::string& key) const;
  std::int64_t counter(std::string_view name) const;
  void raise_counter(std::string_view name, std::int64_t at_least);
  void forget_versions(std::string_view prefix);

  const settings with_;
  std::mutex mutex_;  // guards the map
  log_map map_;
};
}  // namespace file_store_plugin
