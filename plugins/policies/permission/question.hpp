// The question put to a person about one call, the answer, and what the model is told.
#pragma once
#include <optional>
#include <rustic/json.hpp>
#include <rustic/status.hpp>
#include <string>
#include <string_view>

#include "rules.hpp"

namespace rustic::permission {

// The request of rustic.ask. may_session, may_project: whether there is something to remember it
// in.
json::object make_question(const call_request& call, const verdict& why, bool may_session,
                           bool may_project);

enum class answer_kind { once, session, project, deny };
struct answer {
  answer_kind kind = answer_kind::deny;
  std::string reason;
};
// Nothing when it is no answer to that question.
std::optional<answer> read_answer(const json::object& result, const json::object& question);

// Everything that could move a cursor or hide text is made visible.
std::string printable(std::string_view text);

// What the model reads about a call that did not run. who: "a rule", "the user", ...
error make_denial(std::string_view tool, const verdict& why, std::string_view hint);

}  // namespace rustic::permission
