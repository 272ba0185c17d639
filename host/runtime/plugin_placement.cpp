#include "host/runtime/plugin_placement.hpp"

#include <algorithm>
#include <rustic/status.hpp>

#include "host/runtime/config/files.hpp"
#include "host/runtime/config/settings.hpp"
#include "host/runtime/config/surroundings.hpp"
#include "host/runtime/limits.hpp"

namespace rustic::runtime {
namespace {

constexpr std::string_view cell_id = "cell";

// What every program needs to find its files and to write texts; nothing that holds a secret.
constexpr std::string_view passed_variables[] = {"PATH", "HOME",   "USER", "LOGNAME", "SHELL",
                                                 "LANG", "TMPDIR", "TZ",   "LANGUAGE"};

const plugin_directory* directory_of(const kernel::abi::plugin_file& file, const options& with) {
  const auto index = file.directory;
  return index < with.plugin_directories.size() ? &with.plugin_directories[index] : nullptr;
}

std::filesystem::path sidecar_of(const std::filesystem::path& file) {
  return file.string() + ".json";
}

// Whether the sidecar asks for isolation. One that cannot be read asks for the safer thing.
bool sidecar_tightens(const std::filesystem::path& file) {
  try {
    const auto text = config::read_file(sidecar_of(file), sidecar_bytes_max);
    return text_or(parse_object(text, sidecar_of(file).string()), "isolation", "process") != "none";
  } catch (const failure& problem) {
    return problem.problem().code != status_code::not_found;
  }
}

json::array texts(const std::vector<std::string>& values) {
  return json::array(values.begin(), values.end());
}

bool permits(const kernel::abi::manifest& about, std::string_view permission) {
  return std::find(about.permissions.begin(), about.permissions.end(), permission) !=
         about.permissions.end();
}

// Directories of its own that its configuration names, what it may write by its manifest, and what
// the person added.
std::vector<std::string> write_paths(const kernel::abi::manifest& about, const json::object& config,
                                     const json::object& section, const options& with) {
  std::vector<std::string> out;
  for (const auto* key : {"state_dir", "spill_dir"})
    if (const auto path = text_or(config, key); !path.empty()) out.emplace_back(path);
  const bool stores = std::any_of(about.provides.begin(), about.provides.end(),
                                  [](const auto& e) { return e.interface == "rustic.storage"; });
  if (stores)
    if (const auto parent =
            std::filesystem::path(std::string(text_or(config, "connection_string"))).parent_path();
        !parent.empty())
      out.push_back(parent.string());
  if (permits(about, "files.write") || permits(about, "process.spawn")) {
    if (!with.working_directory.empty()) out.push_back(with.working_directory.string());
    const auto temporary = with.environment.find("TMPDIR");
    out.push_back(temporary == with.environment.end() || temporary->second.empty()
                      ? "/tmp"
                      : temporary->second);
  }
  config::surroundings around;
  around.env = with.environment;
  if (const auto home = with.environment.find("HOME"); home != with.environment.end())
    around.home = home->second;
  around.cwd = with.working_directory;
  for (const auto& path : array_or_empty(section, "write_paths"))
    if (path.is_string())
      out.push_back(
          config::expand_path(path.get_string(), around, with.working_directory).string());
  return out;
}

json::object environment_for(const json::object& section, const options& with) {
  json::object out;
  const auto pass = [&](const std::string& name) {
    const auto found = with.environment.find(name);
    if (found != with.environment.end()) out[name] = found->second;
  };
  for (const auto name : passed_variables) pass(std::string(name));
  for (const auto& [name, value] : with.environment)
    if (name.starts_with("LC_")) out[name] = value;
  for (const auto& name : array_or_empty(section, "environment"))
    if (name.is_string()) pass(std::string(name.get_string()));
  return out;
}
}  // namespace

placement place(const kernel::abi::plugin_file& file, const options& with) {
  placement out;
  const auto* from = directory_of(file, with);
  const bool shipped = from && from->shipped;
  out.in_place = shipped;
  out.dev = from && from->dev;
  out.isolated = !shipped;
  if (shipped && file.about.id == cell_id) {
    out.because = "it is what isolates others";
    return out;
  }
  out.because = shipped ? "it came with the program" : "it did not come with the program";
  if (from && !from->isolation.empty()) {
    out.isolated = from->isolation != "none";
    out.because = "its directory is configured so";
  }
  const auto& trusted = with.trusted_plugins;
  if (std::find(trusted.begin(), trusted.end(), file.about.id) != trusted.end()) {
    out.isolated = false;
    out.because = "[plugins] trusted names it";
  }
  const auto wanted = text_or(object_or_empty(with.plugin_sections, file.about.id), "isolation");
  if (!wanted.empty()) {
    out.isolated = wanted != "none";
    out.because = "[plugin." + file.about.id + "] isolation says so";
  }
  if (out.isolated) return out;
  if (!file.about.isolation.empty() && file.about.isolation != "any") {
    out.isolated = true;
    out.because = "its manifest asks for it";
  } else if (!shipped && sidecar_tightens(file.listed)) {
    out.isolated = true;
    out.because = sidecar_of(file.listed).filename().string() + " asks for it";
  }
  return out;
}

std::string disabled_because(std::string_view id, const options& with, const ledger_state& ledger) {
  const std::string name(id);
  if (!bool_or(object_or_empty(with.plugin_sections, id), "enabled", true))
    return "switched off by [plugin." + name + "] enabled = false";
  if (ledger.of(id).disabled) return "switched off; rustic-ai plugin enable " + name;
  return {};
}

std::vector<std::filesystem::path> paths_of(const std::vector<plugin_directory>& directories) {
  std::vector<std::filesystem::path> out;
  for (const auto& one : directories) {
    std::error_code problem;
    auto path = std::filesystem::absolute(one.path, problem).lexically_normal();
    out.push_back(path.has_filename() ? path : path.parent_path());
  }
  return out;
}

std::optional<std::filesystem::path> find_cell(const std::vector<kernel::abi::plugin_file>& files,
                                               const options& with) {
  for (const auto& file : files) {
    const auto* from = directory_of(file, with);
    if (file.about.id == cell_id && file.problem.empty() && from && from->shipped) return file.path;
  }
  return std::nullopt;
}

std::string cell_configuration(const kernel::abi::plugin_file& file,
                               const std::filesystem::path& image, std::string_view config,
                               const std::vector<std::string>& targets, const options& with,
                               const ledger_plugin& known) {
  const auto own = parse_object(config);
  const auto& section =
      object_or_empty(object_or_empty(with.plugin_sections, file.about.id), "cell");
  json::object limits;
  for (const auto* key : {"memory_bytes", "open_files", "processes", "cpu_seconds"})
    if (const auto* value = find(section, key)) limits[key] = *value;
  json::object isolated{
      {"id", file.about.id}, {"file", image.string()}, {"quarantined", known.quarantined}};
  isolated["write_paths"] = texts(write_paths(file.about, own, section, with));
  isolated["environment"] = environment_for(section, with);
  isolated["targets"] = texts(targets);
  isolated["deaths_unix_ms"] =
      json::array(known.deaths_unix_ms.begin(), known.deaths_unix_ms.end());
  isolated["limits"] = std::move(limits);
  isolated["config"] = own;
  json::object out = object_or_empty(with.plugin_sections, cell_id);
  for (const auto key : config::program_keys_of_plugin) out.erase(key);
  out["isolated"] = std::move(isolated);
  return json::serialize(out);
}
}  // namespace rustic::runtime
