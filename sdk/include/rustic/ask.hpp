// rustic/ask.hpp - the structs of rustic.ask; docs/interfaces/ask.md says what they mean.
#pragma once
#include <rustic/describe.hpp>

namespace rustic {

struct ask_choice {
  std::string id, label, key;
};
BOOST_DESCRIBE_STRUCT(ask_choice, (), (id, label, key))

struct ask_request {
  std::string kind;  // permission, choice, text, secret
  std::string title, body;
  std::vector<ask_choice> choices;
  std::optional<std::string> tool;
  std::optional<json::object> arguments;
  std::optional<std::string> suggestion;
};
BOOST_DESCRIBE_STRUCT(ask_request, (), (kind, title, body, choices, tool, arguments, suggestion))

struct ask_result {
  std::string answer;
  std::optional<std::string> reason;
};
BOOST_DESCRIBE_STRUCT(ask_result, (), (answer, reason))
}  // namespace rustic
