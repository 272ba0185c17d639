#include "rules.hpp"

#include <algorithm>

#include "argv_match.hpp"
#include "limits.hpp"
#include "pattern.hpp"
#include "shell_programs.hpp"

namespace rustic::permission {
namespace {

constexpr std::string_view path_arguments[] = {"path", "file_path", "source",    "destination",
                                               "from", "to",        "directory", "paths"};

// A value as a glob sees it.
std::string text_of(const json::value& value) {
  if (value.is_string()) return std::string(value.get_string());
  return json::serialize(value);
}

const json::value* argument_at(const json::object& arguments, const std::string& name) {
  if (!name.starts_with('/')) return arguments.if_contains(name);
  const json::value* at = nullptr;
  const json::object* object = &arguments;
  std::size_t begin = 1;
  while (begin <= name.size()) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    std::string key;
    for (std::size_t i = begin; i < end; ++i) {
      if (name[i] == '~' && i + 1 < end && (name[i + 1] == '0' || name[i + 1] == '1'))
        key.push_back(name[++i] == '0' ? '~' : '/');
      else
        key.push_back(name[i]);
    }
    if (object != nullptr) {
      at = object->if_contains(key);
    } else if (at != nullptr && at->is_array()) {
      std::size_t index = 0;
      if (key.empty() || key.size() > 6 || key.find_first_not_of("0123456789") != std::string::npos)
        return nullptr;
      index = std::stoul(key);
      at = index < at->get_array().size() ? &at->get_array()[index] : nullptr;
    } else {
      return nullptr;
    }
    if (at == nullptr) return nullptr;
    object = at->if_object();
    begin = end + 1;
  }
  return at;
}

// What a lasting answer about a command need not name: how long, and what is looked at by itself.
bool among_shell_arguments(std::string_view name) {
  static constexpr std::string_view known[] = {"timeout", "timeout_ms",       "description",
                                               "env",     "environment",      "workdir",
                                               "cwd",     "working_directory"};
  return std::find(std::begin(known), std::end(known), name) != std::end(known);
}

bool value_matches(const json::value& wanted, const json::value& have) {
  if (wanted.is_string()) return matches_glob(wanted.get_string(), text_of(have));
  return wanted == have;
}

std::string_view variable_name(std::string_view assignment) {
  std::string_view name = assignment.substr(0, assignment.find_first_of("=[+"));
  return name;
}

// A path as a pattern that matches it alone.
std::string escaped(std::string_view path) {
  std::string out;
  for (char c : path) {
    if (c == '*' || c == '?' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

const std::string* harmful_variable(const simple_command& command) {
  for (const std::string& one : command.env)
    if (!harmless_variable(variable_name(one))) return &one;
  return nullptr;
}

bool grant_covers_command(const grant& one, std::string_view tool, const simple_command& command) {
  return one.tool == tool && !one.argv.empty() && begins_with(command, one.argv, one.exact) &&
         (one.exact || !runs_arguments(command.argv));
}

}  // namespace

std::string_view name_of(decision value) noexcept {
  switch (value) {
    case decision::allow:
      return "allow";
    case decision::ask:
      return "ask";
    case decision::deny:
      return "deny";
  }
  return "deny";
}

std::optional<mode> mode_from_name(std::string_view name) {
  std::string normal(name);
  std::replace(normal.begin(), normal.end(), '_', '-');
  if (normal == "default") return mode::normal;
  if (normal == "accept-edits") return mode::accept_edits;
  if (normal == "read-only") return mode::read_only;
  if (normal == "bypass") return mode::bypass;
  return std::nullopt;
}

// What is known of a call before any rule is looked at.
struct rule_set::subject {
  bool shell = false;
  bool too_long = false;
  shell_command line;
  // Each path argument with all its names; unresolved: one of them leads nobody knows where.
  std::vector<std::vector<std::string>> paths;
  bool unresolved = false;
  bool workdir_elsewhere = false;
  // An argument of a shell tool that changes what its command means, such as a host.
  std::string further_argument;
};

rule_set::subject rule_set::look_at(const call_request& call) const {
  subject out;
  const json::object& arguments = *call.arguments;
  for (const auto& [pattern, argument] : shell_tools_) {
    if (!matches_glob(pattern, call.tool)) continue;
    out.shell = true;
    const json::value* command = arguments.if_contains(argument);
    if (command == nullptr || !command->is_string()) {
      out.line.complete = false;
      out.line.reason = "the call has no text in the argument `" + argument + "`";
      break;
    }
    out.too_long = command->get_string().size() > max_checked_bytes;
    if (!out.too_long) out.line = parse_shell_command(command->get_string());
    // Variables beside the command count like those in front of it.
    for (const char* name : {"env", "environment"})
      if (const json::value* env = arguments.if_contains(name); env && env->is_object())
        for (const auto& [key, value] : env->get_object())
          for (simple_command& one : out.line.commands)
            one.env.push_back(std::string(key) + "=" + text_of(value));
    for (const auto& [key, value] : arguments)
      if (key != argument && !among_shell_arguments(key)) out.further_argument = std::string(key);
    break;
  }
  auto add_path = [&](std::string_view text) {
    std::vector<std::string> names = names_of_path(text, call.workspace);
    if (names.empty()) out.unresolved = true;
    out.paths.push_back(std::move(names));
  };
  if (!out.shell)
    for (std::string_view name : path_arguments) {
      const json::value* value = arguments.if_contains(name);
      if (value == nullptr) continue;
      if (value->is_string()) add_path(value->get_string());
      if (value->is_array())
        for (const json::value& one : value->get_array())
          if (one.is_string()) add_path(one.get_string());
    }
  if (out.shell)
    for (const char* name : {"workdir", "cwd", "working_directory"})
      if (const json::value* value = arguments.if_contains(name); value && value->is_string()) {
        const std::optional<std::string> root = normal_path(call.workspace, "");
        const std::vector<std::string> names = names_of_path(value->get_string(), call.workspace);
        if (!root || names.empty() ||
            !std::all_of(names.begin(), names.end(),
                         [&](const std::string& one) { return inside(one, *root); }))
          out.workdir_elsewhere = true;
      }
  return out;
}

// What forbids needs one path and one of its names; what allows needs all of both.
bool rule_set::path_matches(const rule& one, const call_request& call, const subject& what) const {
  if (one.path.empty()) return true;
  if (what.paths.empty()) return false;
  const bool allows = one.what == decision::allow;
  if (allows && what.unresolved) return false;
  const bool by_name = one.path.find('/') == std::string::npos;
  std::string pattern = one.path;
  if (!by_name && !pattern.starts_with('/')) {
    if (call.workspace.empty()) return !allows;
    pattern = escaped(call.workspace) + "/" + pattern;
  }
  std::vector<std::string> patterns = {pattern};
  // The workspace may itself be reached through a link.
  if (!by_name && !one.path.starts_with('/'))
    for (const std::string& root : names_of_path(call.workspace, ""))
      patterns.push_back(escaped(root) + "/" + one.path);
  auto name_matches = [&](const std::string& name) {
    if (by_name) {
      // "*.env" and "secrets" mean the file or a directory on the way to it.
      std::string_view rest = name;
      while (!rest.empty()) {
        const std::size_t slash = rest.rfind('/');
        if (matches_glob(pattern, rest.substr(slash == std::string_view::npos ? 0 : slash + 1)))
          return true;
        if (allows || slash == std::string_view::npos) return false;
        rest = rest.substr(0, slash);
      }
      return false;
    }
    return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& p) {
      // What forbids a directory forbids what is in it.
      return matches_path(p, name) || (!allows && matches_path(p + "/**", name));
    });
  };
  auto matches = [&](const std::vector<std::string>& names) {
    return allows ? !names.empty() && std::all_of(names.begin(), names.end(), name_matches)
                  : std::any_of(names.begin(), names.end(), name_matches);
  };
  if (!allows && what.unresolved) return true;
  return allows ? std::all_of(what.paths.begin(), what.paths.end(), matches)
                : std::any_of(what.paths.begin(), what.paths.end(), matches);
}

// Everything of the rule but argv and path.
bool concerns(const rule& one, const call_request& call) {
  if (!matches_glob(one.tool, call.tool)) return false;
  if (!one.agent.empty() && !matches_glob(one.agent, call.agent)) return false;
  return std::all_of(one.arguments.begin(), one.arguments.end(), [&](const auto& member) {
    const json::value* have = argument_at(*call.arguments, member.first);
    return have != nullptr && value_matches(member.second, *have);
  });
}

// Everything of the rule but argv.
bool rule_set::applies(const rule& one, const call_request& call, const subject& what) const {
  return concerns(one, call) && (one.argv.empty() || what.shell) && path_matches(one, call, what);
}

std::vector<std::string> rule_set::withheld(const call_request& call) const {
  std::vector<std::string> out;
  for (const rule& one : rules_) {
    if (one.what != decision::deny || one.path.empty() || !one.argv.empty() || !concerns(one, call))
      continue;
    if (one.path.find('/') == std::string::npos || one.path.starts_with('/')) {
      out.push_back(path_expression(one.path));
      continue;
    }
    // The workspace has two names when it is reached through a link.
    for (const std::string& root : names_of_path(call.workspace, ""))
      out.push_back(path_expression(escaped(root) + "/" + one.path));
  }
  return out;
}

verdict rule_set::decide(const call_request& call, const std::vector<grant>& grants) const {
  verdict out;
  if (call.in_mode == mode::read_only && !call.read_only) {
    out.rule = "mode read-only";
    out.reason = "the tool can change things, and the permission mode is read-only";
    return out;
  }
  const subject what = look_at(call);
  if (what.too_long) {
    out.rule = "limit";
    out.reason = "the command is longer than 1 MiB and cannot be checked";
    return out;
  }
  const rule* ask_rule = nullptr;
  const rule* unsure_rule = nullptr;
  const rule* allow_rule = nullptr;
  std::vector<bool> commands_allowed(what.line.commands.size(), false);
  for (const rule& one : rules_) {
    if (!applies(one, call, what)) continue;
    if (one.what == decision::allow) {
      if (!what.shell) {
        allow_rule = &one;
        continue;
      }
      for (std::size_t i = 0; i < commands_allowed.size(); ++i) {
        const simple_command& command = what.line.commands[i];
        const bool named = one.argv.empty() || begins_with(command, one.argv, one.exact);
        if (named && (one.argv.empty() || harmful_variable(command) == nullptr)) {
          commands_allowed[i] = true;
          allow_rule = &one;
        }
      }
      continue;
    }
    likeness found = one.argv.empty() ? likeness::yes : occurs_in(what.line, one.argv);
    if (one.what == decision::deny && found == likeness::yes) {
      out.rule = one.label;
      out.reason = one.reason.empty() ? "a rule denies it" : one.reason;
      if (!one.argv.empty() && !what.line.complete)
        out.reason += " (the command is not understood completely: " + what.line.reason +
                      "; the rule's words occur in it)";
      return out;
    }
    if (one.what == decision::deny && found == likeness::maybe) unsure_rule = &one;
    if (one.what == decision::ask && found != likeness::no && ask_rule == nullptr) ask_rule = &one;
  }
  return allowed_or_asked(call, grants, what, ask_rule, allow_rule, commands_allowed, unsure_rule);
}

// No rule denies. Decides between running and asking.
verdict rule_set::allowed_or_asked(const call_request& call, const std::vector<grant>& grants,
                                   const subject& what, const rule* ask_rule,
                                   const rule* allow_rule,
                                   const std::vector<bool>& commands_allowed,
                                   const rule* unsure_rule) const {
  verdict out;
  out.what = decision::allow;
  if (call.in_mode == mode::bypass) {
    out.rule = "mode bypass";
    return out;
  }
  std::vector<bool> covered(what.line.commands.size(), false);
  bool granted = false;
  if (what.shell) {
    const bool usable = what.line.complete && !what.workdir_elsewhere && unsure_rule == nullptr;
    for (std::size_t i = 0; usable && i < covered.size(); ++i) {
      const simple_command& command = what.line.commands[i];
      covered[i] = harmful_variable(command) == nullptr && what.further_argument.empty() &&
                   std::any_of(grants.begin(), grants.end(), [&](const grant& one) {
                     return grant_covers_command(one, call.tool, command);
                   });
      // A question that a rule demands is answered by a grant only, not by another rule.
      if (ask_rule == nullptr && commands_allowed[i]) covered[i] = true;
    }
    granted = usable && !covered.empty() &&
              std::find(covered.begin(), covered.end(), false) == covered.end();
  } else {
    granted = std::any_of(grants.begin(), grants.end(), [&](const grant& one) {
      return one.tool == call.tool && one.argv.empty() && one.directory.empty();
    });
    if (!granted && !what.paths.empty() && !what.unresolved)
      granted = std::all_of(what.paths.begin(), what.paths.end(), [&](const auto& names) {
        return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
          return std::any_of(grants.begin(), grants.end(), [&](const grant& one) {
            return one.tool == call.tool && !one.directory.empty() && inside(name, one.directory);
          });
        });
      });
  }
  if (granted) {
    out.rule = ask_rule == nullptr && allow_rule != nullptr ? allow_rule->label : "grant";
    return out;
  }
  if (ask_rule == nullptr && unsure_rule == nullptr) {
    if (!what.shell && allow_rule != nullptr) {
      out.rule = allow_rule->label;
      return out;
    }
    if (call.read_only && !what.shell) {
      out.rule = "default";
      return out;
    }
    const bool edit =
        std::any_of(edit_tools_.begin(), edit_tools_.end(),
                    [&](const std::string& one) { return matches_glob(one, call.tool); });
    const std::vector<std::string> roots = names_of_path(call.workspace, "");
    if (call.in_mode == mode::accept_edits && edit && !what.unresolved && !what.paths.empty() &&
        std::all_of(what.paths.begin(), what.paths.end(), [&](const auto& names) {
          return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
            return std::any_of(roots.begin(), roots.end(),
                               [&](const std::string& root) { return inside(name, root); });
          });
        })) {
      out.rule = "mode accept-edits";
      return out;
    }
  }
  out.what = decision::ask;
  out.rule = ask_rule ? ask_rule->label : unsure_rule ? unsure_rule->label : "default";
  if (ask_rule != nullptr)
    out.reason = ask_rule->reason.empty() ? "a rule asks for a decision" : ask_rule->reason;
  else if (unsure_rule != nullptr)
    out.reason = "what the shell expands in it could make it a command that a rule denies";
  else if (what.shell && !what.line.complete)
    out.reason = "the command is not understood completely: " + what.line.reason;
  else
    out.reason = what.shell ? "no rule allows every command in it" : "no rule covers it";
  if (unsure_rule != nullptr)
    out.why_once = out.reason;
  else
    suggest(call, what, covered, out);
  return out;
}

void rule_set::suggest(const call_request& call, const subject& what,
                       const std::vector<bool>& covered, verdict& out) const {
  auto once = [&](std::string why) {
    out.suggestion.clear();
    out.why_once = std::move(why);
  };
  if (what.shell) {
    if (!what.line.complete) return once("the command is not understood completely");
    if (what.workdir_elsewhere) return once("it starts in a directory outside the workspace");
    if (!what.further_argument.empty())
      return once("its argument `" + what.further_argument + "` would not be part of the answer");
    if (what.line.commands.empty()) return once("there is no command in it");
    for (std::size_t i = 0; i < what.line.commands.size(); ++i) {
      if (covered[i]) continue;
      const simple_command& command = what.line.commands[i];
      if (command.argv.empty()) return once("it only sets variables");
      if (const std::string* variable = harmful_variable(command))
        return once("it sets the variable " + std::string(variable_name(*variable)));
      grant one;
      one.tool = call.tool;
      const std::size_t words = verb_words(command.argv);
      one.exact = words == 0;
      if (one.exact && command.reads_input && input_decides(program_name(command.argv[0])))
        return once("what is fed to " + command.argv[0] + " decides what it does");
      const std::size_t count = one.exact ? command.argv.size() : words;
      if (command.known_words < count) return once("an argument is the result of an expansion");
      one.argv.assign(command.argv.begin(),
                      command.argv.begin() + static_cast<std::ptrdiff_t>(count));
      std::size_t bytes = 0;
      for (const std::string& word : one.argv) {
        bytes += word.size();
        if (!is_utf8(word)) return once("the command is not valid UTF-8");
      }
      if (bytes > max_grant_bytes) return once("the command is too long to be remembered");
      merge_grants(out.suggestion, {one});
    }
    return;
  }
  grant one;
  one.tool = call.tool;
  if (what.unresolved) return once("a path in it cannot be resolved");
  if (call.read_only || what.paths.empty()) {
    out.suggestion.push_back(std::move(one));
    return;
  }
  for (const auto& names : what.paths)
    for (const std::string& name : names) {
      const std::size_t slash = name.rfind('/');
      one.directory = slash == 0 ? "/" : name.substr(0, slash);
      // The whole file system is never what somebody meant by one answer.
      if (one.directory == "/") return once("the file stands at the root of the file system");
      if (!is_utf8(one.directory)) return once("the path is not valid UTF-8");
      merge_grants(out.suggestion, {one});
    }
}

}  // namespace rustic::permission
