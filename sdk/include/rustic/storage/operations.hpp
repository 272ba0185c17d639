// operations.hpp - the methods of rustic.storage as typed requests, and the dispatch from a
// method's name to them.
//
// A backend implements `operations`; `dispatch` reads and checks a request, so that every backend
// refuses the same ones with the same words. Payloads (parts, metadata, values, records) are JSON
// texts that point into the request's body.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <rustic/storage/json_text.hpp>
#include <rustic/storage/limits.hpp>

namespace rustic::storage {

struct session_record {
  std::string id;
  std::int64_t created_at_ms = 0;
  std::int64_t updated_at_ms = 0;
  std::optional<std::string> title, agent, workspace, parent;
  std::optional<std::string> metadata;  // JSON object
  std::int64_t version = 1;
  std::int64_t message_count = 0;
};
std::string to_json(const session_record& session);

// Members to replace; an engaged outer and an empty inner optional removes.
struct session_changes {
  using text_change = std::optional<std::optional<std::string>>;
  std::optional<std::int64_t> updated_at_ms;
  text_change title, agent, workspace, parent, metadata;
  void apply_to(session_record& session) const;
};

struct session_list_request {
  std::int64_t limit = rows_default;
  std::optional<std::int64_t> before_updated_at_ms;
  std::optional<std::string> before_id;  // among those updated at before_updated_at_ms itself
  std::optional<std::string> workspace;
};
struct session_update_request {
  std::string id;
  session_changes changes;
  std::optional<std::int64_t> expected_version;
};

struct message_input {
  std::string role;
  std::string_view parts;  // JSON array
  std::int64_t created_at_ms = 0;
  std::optional<std::string_view> metadata;  // JSON object
};
struct messages_append_request {
  std::string session;
  std::vector<message_input> messages;
  std::optional<std::int64_t> expected_next_seq;
};
struct messages_range_request {
  std::string session;
  std::int64_t from_seq = 1;
  std::int64_t to_seq = seq_max;
  std::int64_t limit = rows_default;
  std::int64_t max_bytes = answer_bytes_default;
  bool reverse = false;
};
struct messages_search_request {
  std::string query;
  std::optional<std::string> session;
  std::int64_t limit = hits_default;
};

struct state_key {
  std::string scope, key;
};
struct state_put_request {
  state_key at;
  std::string_view value;  // JSON
  std::optional<std::int64_t> expected_version;
};
struct state_delete_request {
  state_key at;
  std::optional<std::int64_t> expected_version;
};
struct state_list_request {
  std::string scope, prefix;
  std::int64_t limit = rows_default;
};

struct journal_append_request {
  std::string stream;
  std::vector<std::string_view> records;  // JSON objects
};
struct journal_read_request {
  std::string stream;
  std::int64_t from_seq = 0;  // 0: the first, or the last when reverse
  std::int64_t limit = rows_default;
  bool reverse = false;
};
struct journal_delete_request {
  std::string stream;
  std::optional<std::int64_t> to_seq;
};

struct lease_acquire_request {
  std::string name, owner;
  std::int64_t ttl_ms = 0, now_ms = 0;
};
struct lease_renew_request {
  std::string name;
  std::int64_t token = 0, ttl_ms = 0, now_ms = 0;
};
struct lease_release_request {
  std::string name;
  std::int64_t token = 0;
};

// One method each; the result is the result's JSON text. Each one either changes everything it says
// or throws failure (or the backend's own exception) and changes nothing.
class operations {
 public:
  virtual ~operations() = default;
  virtual std::string session_create(const session_record& session) = 0;
  virtual std::string session_get(const std::string& id) = 0;
  virtual std::string session_list(const session_list_request& request) = 0;
  virtual std::string session_update(const session_update_request& request) = 0;
  virtual std::string session_delete(const std::string& id) = 0;
  virtual std::string messages_append(const messages_append_request& request) = 0;
  virtual std::string messages_range(const messages_range_request& request) = 0;
  virtual std::string messages_search(const messages_search_request& request) = 0;
  virtual std::string state_get(const state_key& at) = 0;
  virtual std::string state_put(const state_put_request& request) = 0;
  virtual std::string state_delete(const state_delete_request& request) = 0;
  virtual std::string state_list(const state_list_request& request) = 0;
  virtual std::string journal_append(const journal_append_request& request) = 0;
  virtual std::string journal_read(const journal_read_request& request) = 0;
  virtual std::string journal_delete(const journal_delete_request& request) = 0;
  virtual std::string lease_acquire(const lease_acquire_request& request) = 0;
  virtual std::string lease_renew(const lease_renew_request& request) = 0;
  virtual std::string lease_release(const lease_release_request& request) = 0;
  virtual std::string stats() = 0;
};

// False for methods that only read; true for unknown ones and `apply`.
bool is_write(std::string_view method) noexcept;

// Runs one method, `apply` included: its operations run in order and the first failure leaves with
// details.index. The caller makes the whole atomic: it undoes what ran when an exception comes out.
std::string dispatch(operations& backend, std::string_view method, std::string_view body);

// Errors that every backend raises in the same words.
[[noreturn]] void fail_no_session(std::string_view id);
[[noreturn]] void fail_session_exists(std::string_view id);
[[noreturn]] void fail_session_version(std::string_view id, std::int64_t expected,
                                       std::int64_t found);
[[noreturn]] void fail_next_seq(std::string_view session, std::int64_t expected,
                                std::int64_t found);
[[noreturn]] void fail_seq_range(std::string_view where);
[[noreturn]] void fail_no_state(const state_key& at);
[[noreturn]] void fail_state_version(const state_key& at, std::int64_t expected,
                                     std::int64_t found);
[[noreturn]] void fail_lease_held(std::string_view name, std::string_view owner,
                                  std::int64_t expires_at_ms);
[[noreturn]] void fail_lease_lost(std::string_view name, std::string_view owner);

// Throws failure(RESOURCE_EXHAUSTED) when an answer without `more` grows beyond answer_bytes_max.
void check_answer(const std::string& answer);

// The names of what goes with a session.
std::string session_scope(std::string_view session);
std::string session_stream_prefix(std::string_view session);

// One message as messages.range gives it, and how many bytes that is.
void append_message(std::string& out, std::int64_t seq, std::string_view role,
                    std::string_view parts, std::int64_t created_at_ms, std::string_view metadata);
std::int64_t message_bytes(std::int64_t seq, std::string_view role, std::string_view parts,
                           std::int64_t created_at_ms, std::string_view metadata);
}  // namespace rustic::storage
