// memory_store.hpp - sessions, messages, state, journals and leases in memory: for tests and where
// no disk can be written.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <rustic/status.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <rustic/storage/operations.hpp>

namespace rustic::storage {

struct memory_settings {
  std::int64_t max_history_size = history_size_default;  // messages of one session
  std::int64_t max_bytes = std::int64_t{512} << 20;      // payload of everything together
};

struct memory_reply {
  status_code status = status_code::ok;
  std::string body;
};

// Everything of rustic.storage but durability. Owns its data, which ends with it.
// Threads: execute from any; calls run one after another. Errors: in the reply, nothing is thrown.
class memory_store final : private operations {
 public:
  explicit memory_store(memory_settings settings = {}) : settings_(settings) {}
  memory_reply execute(std::string_view method, std::string_view body) noexcept;

 private:
  struct message {
    std::string role, parts, metadata;
    std::int64_t created_at_ms = 0;
    std::int64_t bytes = 0;
  };
  struct session_entry {
    session_record record;
    std::deque<message> messages;
    std::int64_t first_seq = 1;
  };
  struct state_entry {
    std::string value;
    std::int64_t version = 0;
  };
  struct stream_entry {
    std::deque<std::string> records;
    std::int64_t first_seq = 1;
  };
  struct lease_entry {
    std::string owner;
    std::int64_t token = 0, expires_at_ms = 0;
  };
  using state_map = std::map<std::pair<std::string, std::string>, state_entry>;

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

  session_entry& find_session(const std::string& id);
  static session_record snapshot(const session_entry& entry);
  void erase_state(state_map::iterator entry);
  void erase_stream(std::map<std::string, stream_entry>::iterator entry);
  void take_bytes(std::int64_t bytes);
  void undo_with(std::function<void()> step) { undo_.push_back(std::move(step)); }

  const memory_settings settings_;
  std::mutex mutex_;  // guards what follows
  std::map<std::string, session_entry> sessions_;
  state_map state_;
  std::map<std::string, stream_entry> streams_;
  std::map<std::string, lease_entry> leases_;
  std::int64_t bytes_ = 0;
  std::int64_t state_floor_ = 0;  // no new state starts at or below a version that was deleted
  std::int64_t last_token_ = 0;
  std::vector<std::function<void()>> undo_;  // takes back the call in progress, last step first
};
}  // namespace rustic::storage
