#include "host/cli/plugin_commands.hpp"

#include <cstdio>

#include "host/cli/commands.hpp"
#include "host/cli/plugin_survey.hpp"
#include "host/cli/table.hpp"
#include "host/cli/terminal.hpp"

namespace rustic::cli {
namespace {

json::array texts(const std::vector<std::string>& values) {
  return json::array(values.begin(), values.end());
}

json::object to_json(const surveyed_plugin& one) {
  const auto& about = one.file.about;
  json::object out{{"id", about.id},
                   {"version", about.version},
                   {"description", about.description},
                   {"license", about.license},
                   {"path", to_utf8(one.file.listed.string())},
                   {"directory", to_utf8(one.file.listed.parent_path().string())},
                   {"from", one.from},
                   {"build_id", one.file.build_id},
                   {"state", one.state()}};
  const auto reason = one.reason();
  out["reason"] = reason.empty() ? json::value() : json::value(to_utf8(reason));
  const auto& first = one.file.shadowed_by;
  out["shadowed_by"] = first.empty() ? json::value() : json::value(to_utf8(first.string()));
  out["generation"] =
      one.served.empty() ? json::value() : json::value(one.served.front().generation);
  out["isolation"] = one.where.isolated ? "process" : "none";
  out["isolation_because"] = to_utf8(one.where.because);
  out["quarantined"] = one.known.quarantined;
  out["deaths"] = one.known.deaths_unix_ms.size();
  if (!one.known.last_death.empty()) out["last_death"] = to_utf8(one.known.last_death);
  json::array targets;
  for (const auto& entry : about.provides)
    targets.emplace_back(entry.target() + (entry.type.empty() ? "" : " (type " + entry.type + ")"));
  out["provides"] = std::move(targets);
  out["requires"] = texts(about.requires_targets);
  out["wants"] = texts(about.wants_targets);
  out["missing"] = texts(one.missing);
  out["permissions"] = texts(about.permissions);
  return out;
}

// One line of `plugin info` and the next, broken between words where the terminal ends.
void print_field(std::string_view key, std::string_view text, std::size_t width) {
  constexpr std::size_t indent = 13;
  std::printf("%-*s", static_cast<int>(indent), std::string(key).c_str());
  const auto room = width > indent + 20 ? width - indent - 1 : std::string::npos;
  auto left = visible(text);
  while (left.size() > room) {
    auto end = left.rfind(' ', room);
    if (end == std::string::npos || end == 0) break;
    std::printf("%s\n%*s", left.substr(0, end).c_str(), static_cast<int>(indent), "");
    left.erase(0, end + 1);
  }
  std::printf("%s\n", left.c_str());
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}
}  // namespace

exit_code plugin_list(program& with, const arguments& given) {
  const plugin_survey survey(with);
  if (given.json) {
    json::array objects;
    for (const auto& one : survey.plugins) objects.push_back(to_json(one));
    std::printf("%s\n", json::serialize(json::object{{"plugins", std::move(objects)}}).c_str());
    return exit_code::done;
  }
  std::vector<std::vector<std::string>> rows;
  std::string reasons;
  for (const auto& one : survey.plugins) {
    auto state = std::string(one.state());
    if (state == "ready" && one.where.isolated) state = "in a cell";
    const auto generation =
        one.served.empty() ? "-" : std::to_string(one.served.front().generation);
    rows.push_back({visible(one.name()), visible(one.file.about.version), state, generation,
                    one.from, visible(one.file.about.description)});
    if (const auto reason = one.reason(); !reason.empty())
      reasons += "! " + visible(one.name()) + " (" + one.file.listed.string() +
                 "): " + visible(reason) + "\n";
  }
  if (rows.empty()) {
    std::puts("There are no plugins; rustic-ai plugin doctor looks for the cause.");
    return exit_code::done;
  }
  std::fputs(
      to_table({"ID", "VERSION", "STATE", "GEN", "FROM", "ABOUT"}, rows, terminal_width()).c_str(),
      stdout);
  if (!reasons.empty()) std::printf("\n%s", reasons.c_str());
  if (!survey.known.problem.empty())
    with.notice("what is remembered about plugins cannot be read: " + survey.known.problem);
  return exit_code::done;
}

exit_code plugin_info(program& with, const arguments& given) {
  const plugin_survey survey(with);
  const auto& one = survey.at(given.subject);
  if (given.json) {
    auto out = to_json(one);
    json::array running;
    for (const auto& by : one.served)
      running.push_back({{"pid", by.process}, {"generation", by.generation}});
    out["running"] = std::move(running);
    std::printf("%s\n", json::serialize(out).c_str());
    return exit_code::done;
  }
  const auto width = terminal_width();
  const auto field = [&](std::string_view key, const std::string& text) {
    if (!text.empty()) print_field(key, text, width);
  };
  const auto& about = one.file.about;
  field("id", about.id);
  field("version", about.version);
  field("description", about.description);
  field("license", about.license);
  field("state", std::string(one.state()));
  field("reason", one.reason());
  field("file", one.file.listed.string());
  if (one.file.path != one.file.listed) field("leads to", one.file.path.string());
  field("from", one.from);
  field("runs", std::string(one.where.isolated ? "in a process of its own" : "in the program") +
                    ": " + one.where.because);
  std::vector<std::string> serving;
  for (const auto& by : one.served)
    serving.push_back(std::to_string(by.generation) + " in process " + std::to_string(by.process));
  field("generation", joined(serving));
  if (!one.known.deaths_unix_ms.empty())
    field("deaths", std::to_string(one.known.deaths_unix_ms.size()) + ", the last time of " +
                        one.known.last_death);
  std::vector<std::string> targets;
  for (const auto& entry : about.provides)
    targets.push_back(entry.target() + (entry.type.empty() ? "" : " (type " + entry.type + ")"));
  field("provides", joined(targets));
  field("requires", joined(about.requires_targets));
  field("wants", joined(about.wants_targets));
  field("permissions", joined(about.permissions));
  field("build id", one.file.build_id);
  return exit_code::done;
}

exit_code plugin_command(program& with, const arguments& given) {
  switch (given.what) {
    case command::plugin_list:
      return plugin_list(with, given);
    case command::plugin_info:
      return plugin_info(with, given);
    case command::plugin_install:
      return plugin_install(with, given);
    case command::plugin_remove:
      return plugin_remove(with, given);
    case command::plugin_enable:
      return plugin_enable(with, given);
    case command::plugin_disable:
      return plugin_disable(with, given);
    case command::plugin_reload:
      return plugin_reload(with, given);
    default:
      return plugin_doctor(with, given);
  }
}
}  // namespace rustic::cli
