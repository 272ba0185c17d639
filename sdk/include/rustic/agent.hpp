// rustic/agent.hpp - the structs of rustic.agent and rustic.conversation; see
// docs/interfaces/agent.md and conversation.md.
#pragma once
#include <rustic/storage.hpp>

namespace rustic {

struct turn_request {
  std::string session;
  std::vector<message_part> input;
  std::optional<std::string> agent, provider, model, system;
  std::optional<std::int64_t> max_rounds;
  std::optional<std::vector<std::string>> tools;  // patterns
};
BOOST_DESCRIBE_STRUCT(turn_request, (),
                      (session, input, agent, provider, model, system, max_rounds, tools))

struct tool_call_record {
  std::string id, name;
  json::value arguments;
  std::optional<bool> success;  // absent: it was not run
  std::optional<std::string> output, error;
  std::optional<std::int64_t> duration_ms;
};
BOOST_DESCRIBE_STRUCT(tool_call_record, (),
                      (id, name, arguments, success, output, error, duration_ms))

struct permission_denial {
  std::string id, name, reason;
};
BOOST_DESCRIBE_STRUCT(permission_denial, (), (id, name, reason))

struct turn_result {
  std::string session, agent, provider, model, text, finish_reason;
  std::int64_t rounds = 0;
  std::vector<tool_call_record> tool_calls;
  std::vector<permission_denial> permission_denials;
  token_usage usage;
  std::optional<std::string> limit;
};
BOOST_DESCRIBE_STRUCT(turn_result, (),
                      (session, agent, provider, model, text, finish_reason, rounds, tool_calls,
                       permission_denials, usage, limit))

struct create_session_request {
  std::optional<std::string> agent, workspace, title;
  std::optional<json::value> metadata;
};
BOOST_DESCRIBE_STRUCT(create_session_request, (), (agent, workspace, title, metadata))

struct session_result {
  session_record session;
};
BOOST_DESCRIBE_STRUCT(session_result, (), (session))

struct resume_result {
  session_record session;
  std::vector<std::string> repaired;
};
BOOST_DESCRIBE_STRUCT(resume_result, (), (session, repaired))

struct context_result {
  std::vector<message> messages;
  std::int64_t dropped = 0;
};
BOOST_DESCRIBE_STRUCT(context_result, (), (messages, dropped))
}  // namespace rustic
