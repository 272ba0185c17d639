// rustic/storage.hpp - the structs of rustic.storage; docs/interfaces/storage.md says what they
// mean.
#pragma once
#include <rustic/provider.hpp>

namespace rustic {

struct session_record {
  std::string id;
  std::int64_t created_at_ms = 0;
  std::int64_t updated_at_ms = 0;
  std::optional<std::string> title;
  std::optional<std::string> agent;
  std::optional<std::string> workspace;
  std::optional<std::string> parent;
  std::optional<json::value> metadata;
  std::optional<std::int64_t> version;        // given by storage
  std::optional<std::int64_t> message_count;  // given by storage
};
BOOST_DESCRIBE_STRUCT(session_record, (),
                      (id, created_at_ms, updated_at_ms, title, agent, workspace, parent, metadata,
                       version, message_count))

struct stored_message {
  std::optional<std::int64_t> seq;  // given by storage
  std::string role;
  std::vector<message_part> parts;
  std::int64_t created_at_ms = 0;
  std::optional<json::value> metadata;
};
BOOST_DESCRIBE_STRUCT(stored_message, (), (seq, role, parts, created_at_ms, metadata))

struct append_messages_request {
  std::string session;
  std::vector<stored_message> messages;
  std::optional<std::int64_t> expected_next_seq;
};
BOOST_DESCRIBE_STRUCT(append_messages_request, (), (session, messages, expected_next_seq))

struct message_range_request {
  std::string session;
  std::optional<std::int64_t> from_seq, to_seq, limit, max_bytes;
  std::optional<bool> reverse;
};
BOOST_DESCRIBE_STRUCT(message_range_request, (),
                      (session, from_seq, to_seq, limit, max_bytes, reverse))

struct message_range_result {
  std::vector<stored_message> messages;
  bool more = false;
};
BOOST_DESCRIBE_STRUCT(message_range_result, (), (messages, more))

struct put_state_request {
  std::string scope, key;
  json::value value;
  std::optional<std::int64_t> expected_version;  // 0: must not exist
};
BOOST_DESCRIBE_STRUCT(put_state_request, (), (scope, key, value, expected_version))

struct state_record {
  json::value value;
  std::int64_t version = 0;
};
BOOST_DESCRIBE_STRUCT(state_record, (), (value, version))

struct acquire_lease_request {
  std::string name, owner;
  std::int64_t ttl_ms = 0, now_ms = 0;
};
BOOST_DESCRIBE_STRUCT(acquire_lease_request, (), (name, owner, ttl_ms, now_ms))
}  // namespace rustic
