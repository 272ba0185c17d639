// The rules of the permission policy and the decision about one call. No I/O but resolving paths.
//
// Rules about the text of commands are a convenience and a guard against accidents. They are no
// boundary: a program that may run can do anything that the process may do. The boundary is a
// sandbox.
#pragma once
#include <functional>
#include <optional>
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grants.hpp"
#include "shell_command.hpp"

namespace rustic::permission {

enum class decision { allow, ask, deny };
[[nodiscard]] std::string_view name_of(decision value) noexcept;

enum class mode {
  normal,        // "default": rules, then read-only tools run and the others are asked about
  accept_edits,  // also writes of files inside the workspace
  read_only,     // only tools that are annotated read_only
  bypass         // everything but what a rule denies
};
[[nodiscard]] std::optional<mode> mode_from_name(std::string_view name);
inline constexpr std::string_view mode_names = "default, accept-edits, read-only, bypass";

struct rule {
  std::string tool;               // glob over the tool's name
  std::string agent;              // glob; empty: every agent
  std::vector<std::string> argv;  // leading words of a command; empty: any
  bool exact = false;             // argv is the whole command
  // A name or a JSON pointer, and a glob (for text) or a value.
  std::vector<std::pair<std::string, json::value>> arguments;
  std::string path;  // glob over `path` and its like; empty: any
  decision what = decision::ask;
  std::string reason;
  std::string label;  // "rules[3]: deny shell `rm`"
};

// One call, as the policy sees it. Views live as long as decide runs.
struct call_request {
  std::string_view tool;
  const json::object* arguments = nullptr;
  std::string_view agent;
  std::string_view workspace;
  bool read_only = false;  // the tool's annotation
  mode in_mode = mode::normal;
};

struct verdict {
  decision what = decision::deny;
  std::string rule;    // what decided: a rule's label, "mode read-only", "grant", "default"
  std::string reason;  // for the model and the person
  // ask: what a lasting answer would allow. Empty: it can be answered once only, and why_once says
  // why.
  std::vector<grant> suggestion;
  std::string why_once;
};

class rule_set {
 public:
  // config: {"mode", "rules", "shell_tools", "edit_tools"}. Throws failure(INVALID_ARGUMENT) that
  // names the rule and the member. The order of rules has no meaning: deny beats ask beats allow.
  explicit rule_set(const json::object& config);

  // grants: of the session and of the project. Bounded by limits.hpp; may throw only for lack of
  // memory.
  verdict decide(const call_request& call, const std::vector<grant>& grants) const;

  // Expressions (path_expression) of the paths that rules deny to such a call, for tools that walk
  // directories or resolve a path again.
  std::vector<std::string> withheld(const call_request& call) const;
  mode configured_mode() const noexcept { return mode_; }
  std::size_t size() const noexcept { return rules_.size(); }

 private:
  struct subject;
  subject look_at(const call_request& call) const;
  bool applies(const rule& one, const call_request& call, const subject& what) const;
  bool path_matches(const rule& one, const call_request& call, const subject& what) const;
  verdict allowed_or_asked(const call_request& call, const std::vector<grant>& grants,
                           const subject& what, const rule* ask_rule, const rule* allow_rule,
                           const std::vector<bool>& commands_allowed,
                           const rule* unsure_rule) const;
  void suggest(const call_request& call, const subject& what, const std::vector<bool>& covered,
               verdict& out) const;

  mode mode_ = mode::normal;
  std::vector<rule> rules_;
  // Tools that run a command line, and the argument that holds it.
  std::vector<std::pair<std::string, std::string>> shell_tools_;
  std::vector<std::string> edit_tools_;
};

}  // namespace rustic::permission
