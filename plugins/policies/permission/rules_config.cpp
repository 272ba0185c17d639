// Reading rules from a configuration, with errors that name the rule and the member.
#include <algorithm>

#include <rustic/status.hpp>

#include "limits.hpp"
#include "rules.hpp"

namespace rustic::permission {
namespace {

[[noreturn]] void refuse(const std::string& where, const std::string& what, std::string hint = {}) {
  throw failure(status_code::invalid_argument, "permissions: " + where + ": " + what,
                std::move(hint));
}

std::string read_pattern(const json::object& object, std::string_view key,
                         const std::string& where) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return {};
  if (!value->is_string()) refuse(where, std::string(key) + " must be text");
  const json::string& text = value->get_string();
  if (text.empty())
    refuse(where, std::string(key) + " must not be empty", "leave it out to match all");
  if (text.size() > max_pattern_bytes)
    refuse(where, std::string(key) + " is longer than 4096 bytes");
  return std::string(text);
}

// A list of words, or one text that is read as a command line.
std::vector<std::string> read_argv(const json::value& value, const std::string& where) {
  std::vector<std::string> words;
  if (value.is_string()) {
    shell_command line = parse_shell_command(value.get_string());
    if (!line.complete)
      refuse(where, "argv cannot be read as one command: " + line.reason,
             "write it as a list of words");
    if (line.commands.size() != 1 || !line.commands[0].env.empty() ||
        !line.commands[0].forms.empty() ||
        line.commands[0].known_words != line.commands[0].argv.size())
      refuse(where, "argv must be one plain command, without wrappers, variables and patterns",
             "write it as a list of words");
    words = std::move(line.commands[0].argv);
  } else if (value.is_array()) {
    for (const json::value& word : value.get_array()) {
      if (!word.is_string() || word.get_string().empty())
        refuse(where, "argv must be a list of words that are not empty");
      words.emplace_back(word.get_string());
    }
  } else {
    refuse(where, "argv must be a list of words or a command line");
  }
  if (words.empty()) refuse(where, "argv has no words", "leave it out to match every command");
  if (words.size() > max_rule_words) refuse(where, "argv has more than 64 words");
  return words;
}

decision read_decision(const json::object& object, const std::string& where) {
  const std::string_view text = text_or(object, "decision");
  if (text == "allow") return decision::allow;
  if (text == "ask") return decision::ask;
  if (text == "deny") return decision::deny;
  refuse(where, "decision must be allow, ask or deny");
}

rule read_rule(const json::value& value, const std::string& where) {
  const json::object* object = value.if_object();
  if (object == nullptr) refuse(where, "a rule must be a table");
  static constexpr std::string_view known[] = {"tool",      "agent", "argv",     "exact",
                                               "arguments", "path",  "decision", "reason"};
  for (const auto& [key, ignored] : *object)
    if (std::find(std::begin(known), std::end(known), std::string_view(key)) == std::end(known))
      refuse(where, "unknown member " + std::string(key),
             "a rule has tool, agent, argv, exact, arguments, path, decision, reason");
  rule out;
  out.tool = read_pattern(*object, "tool", where);
  if (out.tool.empty())
    refuse(where, "tool is missing", "name a tool or a pattern such as files_*");
  out.agent = read_pattern(*object, "agent", where);
  out.path = read_pattern(*object, "path", where);
  if (out.path.starts_with('~'))
    refuse(where, "path must not begin with ~", "write the directory in full");
  if (out.path.find("/../") != std::string::npos || out.path.starts_with("../"))
    refuse(where, "path must not contain ..", "write the directory in full");
  while (out.path.starts_with("./")) out.path.erase(0, 2);
  out.what = read_decision(*object, where);
  if (const json::value* argv = object->if_contains("argv")) out.argv = read_argv(*argv, where);
  if (const json::value* exact = object->if_contains("exact")) {
    if (!exact->is_bool()) refuse(where, "exact must be true or false");
    out.exact = exact->get_bool();
    if (out.exact && (out.argv.empty() || out.what != decision::allow))
      refuse(where, "exact goes with argv and decision allow only");
  }
  if (const json::value* arguments = object->if_contains("arguments")) {
    const json::object* members = arguments->if_object();
    if (members == nullptr || members->empty())
      refuse(where, "arguments must be a table of names and patterns");
    for (const auto& [name, wanted] : *members) {
      if (wanted.is_string() && wanted.get_string().size() > max_pattern_bytes)
        refuse(where, "arguments." + std::string(name) + " is longer than 4096 bytes");
      out.arguments.emplace_back(std::string(name), wanted);
    }
  }
  const json::value* reason = object->if_contains("reason");
  if (reason != nullptr && !reason->is_string()) refuse(where, "reason must be text");
  out.reason = cut_utf8(text_or(*object, "reason"), max_reason_bytes);
  out.label = where + ": " + std::string(name_of(out.what)) + " " + out.tool;
  if (!out.argv.empty()) {
    grant words;
    words.tool = "";
    out.label += " `";
    for (std::size_t i = 0; i < out.argv.size(); ++i) out.label += (i ? " " : "") + out.argv[i];
    out.label += "`";
  }
  if (!out.path.empty()) out.label += " in " + out.path;
  return out;
}

std::vector<std::string> read_names(const json::object& config, std::string_view key,
                                    std::vector<std::string> fallback) {
  const json::value* value = config.if_contains(key);
  if (value == nullptr) return fallback;
  const json::array* list = value->if_array();
  if (list == nullptr) refuse(std::string(key), "must be a list of tool names");
  std::vector<std::string> out;
  for (const json::value& one : *list) {
    if (!one.is_string() || one.get_string().empty())
      refuse(std::string(key), "must be a list of tool names");
    out.emplace_back(one.get_string());
  }
  return out;
}

}  // namespace

rule_set::rule_set(const json::object& config) {
  if (const json::value* name = config.if_contains("mode")) {
    const std::optional<mode> found =
        name->is_string() ? mode_from_name(name->get_string()) : std::nullopt;
    if (!found) refuse("mode", "must be one of " + std::string(mode_names));
    mode_ = *found;
  }
  if (const json::value* rules = config.if_contains("rules")) {
    const json::array* list = rules->if_array();
    if (list == nullptr) refuse("rules", "must be a list");
    if (list->size() > max_rules) refuse("rules", "has more than 1024 entries");
    for (std::size_t i = 0; i < list->size(); ++i)
      rules_.push_back(read_rule((*list)[i], "rules[" + std::to_string(i) + "]"));
  }
  // Configured ones come first and do not replace these: a forgotten entry must not open a shell.
  if (const json::value* tools = config.if_contains("shell_tools")) {
    const json::object* members = tools->if_object();
    if (members == nullptr) refuse("shell_tools", "must be a table of tools and argument names");
    for (const auto& [tool, argument] : *members) {
      if (!argument.is_string() || argument.get_string().empty())
        refuse("shell_tools." + std::string(tool), "must name the argument that holds the command");
      shell_tools_.emplace_back(std::string(tool), std::string(argument.get_string()));
    }
  }
  for (const char* name : {"shell", "shell_*", "bash", "ssh", "ssh_*", "terminal"})
    shell_tools_.emplace_back(name, "command");
  edit_tools_ = read_names(config, "edit_tools", {"files_write", "files_edit"});
}

}  // namespace rustic::permission
