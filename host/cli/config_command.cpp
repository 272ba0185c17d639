#include <cstdio>

#include "host/cli/commands.hpp"
#include "host/cli/table.hpp"
#include "host/cli/terminal.hpp"
#include "host/runtime/config/edit.hpp"

namespace rustic::cli {
namespace {

std::filesystem::path file_of(program& with, const std::string& scope) {
  if (scope == "project") {
    if (const auto& project = with.configuration().project()) return project->file;
    return with.workspace() / ".rustic-ai" / "config.toml";
  }
  return with.configuration().view().paths.config_dir / "config.toml";
}

// A value as one line of text: strings bare, numbers as people write them, the rest as JSON.
std::string shown(const json::value& value) {
  if (value.is_string()) return std::string(value.get_string());
  return value.is_double() ? config::to_toml(value) : json::serialize(value);
}

// A table written out as dotted keys.
void print_keys(const std::string& base, const json::value& value) {
  if (const auto* object = value.if_object(); object && !object->empty()) {
    for (const auto& [key, inner] : *object)
      print_keys(base.empty() ? std::string(key) : base + "." + std::string(key), inner);
    return;
  }
  std::string text = shown(value);
  if (const auto end = text.find('\n'); end != std::string::npos)
    text = text.substr(0, end) + " ...";
  std::printf("%s = %s\n", base.c_str(), text.c_str());
}

exit_code show(program& with, const arguments& given) {
  const auto value = with.configuration().shown(given.subject);
  if (!given.subject.empty() && value.is_null())
    throw failure(status_code::not_found, "the key " + given.subject + " is not set",
                  "rustic-ai config show lists what is set");
  if (given.json)
    std::printf("%s\n", json::serialize(value).c_str());
  else if (given.subject.empty())
    print_keys({}, value);
  else if (value.is_object())
    print_keys(given.subject, value);
  else
    std::printf("%s\n", shown(value).c_str());
  return exit_code::done;
}

exit_code explain(program& with, const arguments& given) {
  const auto layers = with.configuration().explain(given.subject);
  if (given.json) {
    json::array list;
    for (const auto& one : layers)
      list.push_back({{"layer", one.layer},
                      {"where", config::to_text(one.where)},
                      {"value", one.value},
                      {"effective", one.effective},
                      {"ignored", one.ignored}});
    std::printf("%s\n",
                json::serialize(json::object{{"key", given.subject}, {"layers", list}}).c_str());
    return exit_code::done;
  }
  if (layers.empty()) {
    std::printf("%s is set nowhere.\n", given.subject.c_str());
    return exit_code::done;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& one : layers)
    rows.push_back({one.effective ? "*"
                    : one.ignored ? "ignored"
                                  : "",
                    one.layer, config::to_text(one.where), shown(one.value)});
  std::fputs(to_table({"", "LAYER", "WHERE", "VALUE"}, rows, terminal_width()).c_str(), stdout);
  return exit_code::done;
}

exit_code validate(program& with, const arguments& given) {
  auto& configuration = with.configuration();
  with.set_quiet(true);  // the problems are listed below, once
  std::string boot_problem;
  std::vector<config::problem> missing;
  if (configuration.ok()) {
    try {
      for (const auto& plugin : with.runtime().plugins().list()) {
        const auto& schema = plugin.file.about.config_schema;
        const auto& id = plugin.file.about.id;
        if (plugin.file.usable() && !schema.empty() && configuration.view().plugins.contains(id))
          (void)configuration.validate_plugin_section(id, parse_json(schema));
      }
    } catch (const failure& problem) {
      boot_problem = problem.problem().message;
    }
    // The file is right when a key is not there today; the provider cannot be used until it is.
    missing = configuration.check_secrets();
    for (auto& one : missing) one.level = config::severity::warning;
  }
  const bool good = configuration.ok() && boot_problem.empty();
  auto problems = configuration.problems();
  problems.insert(problems.end(), missing.begin(), missing.end());
  if (given.json) {
    json::array list;
    for (const auto& problem : problems)
      list.push_back({{"level", problem.level == config::severity::error ? "error" : "warning"},
                      {"where", config::to_text(problem.where)},
                      {"key", problem.key},
                      {"message", problem.message}});
    if (!boot_problem.empty())
      list.push_back({{"level", "error"}, {"where", ""}, {"key", ""}, {"message", boot_problem}});
    std::printf("%s\n", json::serialize(json::object{{"valid", good}, {"problems", list}}).c_str());
  } else {
    for (const auto& problem : problems)
      std::printf("%s\n", visible(config::to_text(problem)).c_str());
    if (!boot_problem.empty()) std::printf("error: %s\n", boot_problem.c_str());
    if (good) std::puts("The configuration is valid.");
  }
  return good ? exit_code::done : exit_code::configuration;
}

exit_code path(program& with, const arguments& given) {
  const auto& paths = with.configuration().view().paths;
  json::object out{{"config", (paths.config_dir / "config.toml").string()},
                   {"data", paths.data_dir.string()},
                   {"state", paths.state_dir.string()},
                   {"cache", paths.cache_dir.string()},
                   {"history", paths.history_file.string()}};
  json::array read;
  for (const auto& file : with.configuration().files()) read.emplace_back(file.string());
  out["read"] = read;
  if (given.json) {
    std::printf("%s\n", json::serialize(out).c_str());
    return exit_code::done;
  }
  for (const auto& [key, value] : out) {
    if (value.is_string())
      std::printf("%-8s %s\n", std::string(key).c_str(), value.get_string().c_str());
    if (value.is_array())
      for (const auto& file : value.get_array())
        std::printf("%-8s %s\n", "read", file.get_string().c_str());
  }
  return exit_code::done;
}
}  // namespace

exit_code config_command(program& with, const arguments& given) {
  switch (given.what) {
    case command::config_init: {
      const auto file = file_of(with, given.scope);
      config::write_starter(file);
      std::printf("Wrote %s\n", file.c_str());
      return exit_code::done;
    }
    case command::config_set: {
      const auto done = config::set_value(file_of(with, given.scope), given.subject, given.value);
      for (const auto& warning : done.warnings) with.notice(config::to_text(warning));
      std::printf("%s: %s\n", done.file.c_str(), given.subject.c_str());
      return exit_code::done;
    }
    case command::config_explain:
      return explain(with, given);
    case command::config_validate:
      return validate(with, given);
    case command::config_path:
      return path(with, given);
    default:
      return show(with, given);
  }
}
}  // namespace rustic::cli
