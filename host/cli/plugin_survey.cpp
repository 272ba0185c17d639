#include "host/cli/plugin_survey.hpp"

#include <algorithm>
#include <iterator>
#include <rustic/schema.hpp>
#include <set>

#include "host/runtime/from_config.hpp"

namespace rustic::cli {
namespace {

// What the program itself offers.
constexpr std::string_view program_targets[] = {
    "rustic.clock/default",   "rustic.id/default",    "rustic.secret/default", "rustic.ask/default",
    "rustic.storage/default", "rustic.timer/default", "rustic.price/default"};

std::set<std::string, std::less<>> offered_targets(const std::vector<surveyed_plugin>& plugins) {
  std::set<std::string, std::less<>> out(std::begin(program_targets), std::end(program_targets));
  for (const auto& one : plugins)
    if (one.file.usable() && one.disabled.empty())
      for (const auto& entry : one.file.about.provides) out.insert(entry.target());
  return out;
}
}  // namespace

std::string_view surveyed_plugin::state() const {
  if (!file.problem.empty()) return "unusable";
  if (!file.shadowed_by.empty()) return "shadowed";
  if (!disabled.empty()) return "disabled";
  if (known.quarantined) return "quarantined";
  return missing.empty() ? "ready" : "incomplete";
}

std::string surveyed_plugin::reason() const {
  if (!file.problem.empty()) return file.problem;
  if (!file.shadowed_by.empty()) return file.shadowed_by.string() + " comes first";
  if (!disabled.empty()) return disabled;
  if (known.quarantined)
    return "it died " + std::to_string(known.deaths_unix_ms.size()) + " times, the last time of " +
           known.last_death + "; rustic-ai plugin enable " + file.about.id + " forgives";
  std::string out;
  for (const auto& target : missing) out += (out.empty() ? "nothing offers " : ", ") + target;
  return out;
}

std::string surveyed_plugin::name() const {
  return file.about.id.empty() ? file.listed.filename().string() : file.about.id;
}

plugin_survey::plugin_survey(program& with)
    : settings(with.options()),
      ledger(runtime::ledger_file(settings)),
      known(ledger.read()),
      user_directory(runtime::user_plugin_directory(with.around())) {
  const auto options_count = with.global().plugin_dirs.size();
  const auto paths = runtime::paths_of(settings.plugin_directories);
  const auto served =
      runtime::generation_notes::read(runtime::generation_notes_directory(settings));
  for (auto& file : kernel::abi::find_plugins(paths)) {
    auto& made = plugins.emplace_back();
    made.where = runtime::place(file, settings);
    made.known = known.of(file.about.id);
    made.disabled = file.about.id.empty()
                        ? std::string()
                        : runtime::disabled_because(file.about.id, settings, known);
    made.from = file.directory < options_count            ? "option"
                : shipped(file)                           ? "program"
                : paths[file.directory] == user_directory ? "user"
                                                          : "paths";
    const auto listed = to_utf8(file.listed.string());
    std::copy_if(served.begin(), served.end(), std::back_inserter(made.served),
                 [&](const auto& one) { return one.path == listed; });
    made.file = std::move(file);
  }
  const auto offered = offered_targets(plugins);
  for (auto& one : plugins)
    for (const auto& target : one.file.about.requires_targets)
      if (!offered.contains(target)) one.missing.push_back(target);
}

bool plugin_survey::shipped(const kernel::abi::plugin_file& file) const {
  return settings.plugin_directories[file.directory].shipped;
}

const surveyed_plugin& plugin_survey::at(const std::string& name) const {
  const surveyed_plugin* found = nullptr;
  std::vector<std::string_view> ids;
  for (const auto& one : plugins) {
    if (!one.file.about.id.empty()) ids.emplace_back(one.file.about.id);
    const bool named = one.file.about.id == name || one.file.listed.filename() == name;
    if (named && (!found || (one.file.usable() && !found->file.usable()))) found = &one;
  }
  if (found) return *found;
  const auto near = nearest_word(name, ids);
  throw failure(status_code::invalid_argument, "there is no plugin \"" + name + "\"",
                near.empty() ? "rustic-ai plugin list shows them"
                             : "did you mean " + std::string(near) + "?");
}
}  // namespace rustic::cli
