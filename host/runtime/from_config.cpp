#include "host/runtime/from_config.hpp"

#include <algorithm>
#include <map>

#include "host/runtime/config/secret.hpp"

namespace rustic::runtime {
namespace {

// Plugins never see a key: one that is written into a file is named by its place.
constexpr std::string_view literal_scheme = "config:";

bool is_literal(std::string_view key) {
  return !key.empty() && !key.starts_with("env:") && !key.starts_with("file:") &&
         !key.starts_with("cmd:");
}
std::string literal_name(const config::provider_settings& one) {
  return std::string(literal_scheme) + "providers." + one.name + ".api_key";
}

json::object provider_section(const config::provider_settings& one) {
  json::object section = one.section;
  section["type"] = one.type;
  if (!one.preset.empty()) section["preset"] = one.preset;
  if (!one.base_url.empty()) section["base_url"] = one.base_url;
  if (!one.api_key.empty())
    section["api_key"] = is_literal(one.api_key) ? literal_name(one) : one.api_key;
  if (!one.model.empty()) section["model"] = one.model;
  if (one.from_environment) {
    section["found"] = true;
    section["openai_base_url"] = one.openai_base_url;
  }
  return section;
}

json::object agent_section(const config::agent_settings& one, const config::settings& view) {
  json::object section = one.section;
  section["name"] = one.name;
  section["provider"] = one.provider.empty() ? view.default_provider : one.provider;
  if (!one.model.empty()) section["model"] = one.model;
  if (one.model.empty() && one.provider.empty() && !view.default_model.empty())
    section["model"] = view.default_model;
  section["description"] = one.description;
  section["system_prompt"] = one.system_prompt;
  for (const auto* key :
       {"max_rounds", "max_tool_calls", "max_repeats", "max_parallel_tools", "tool_timeout"})
    if (!section.contains(key))
      if (const auto* limit = find(view.limits, key)) section[key] = *limit;
  return section;
}
}  // namespace

std::filesystem::path user_plugin_directory(const config::surroundings& around) {
  return around.home / ".local/lib/rustic-ai/plugins";
}

std::vector<plugin_directory> plugin_directories_of(
    const std::vector<config::plugin_path>& configured, const config::surroundings& around,
    const std::filesystem::path& program,
    const std::vector<std::filesystem::path>& more_directories) {
  std::vector<plugin_directory> out;
  for (const auto& one : more_directories) out.emplace_back(one, false);
  for (const auto& one : configured) {
    auto& made = out.emplace_back(one.path, false);
    made.dev = one.dev;
    made.isolation = one.isolation;
  }
  out.emplace_back(user_plugin_directory(around), false);
  out.emplace_back(program.parent_path().parent_path() / "lib/rustic-ai/plugins", true);
  return out;
}

options from_config(const config::configuration& configuration, const config::surroundings& around,
                    const std::filesystem::path& program,
                    const std::vector<std::filesystem::path>& more_directories) {
  const auto& view = configuration.view();
  options out;
  out.plugin_directories =
      plugin_directories_of(view.plugin_paths, around, program, more_directories);
  out.trusted_plugins = view.trusted_plugins;

  if (const auto* first = view.provider(view.default_provider))
    out.providers[first->name] = provider_section(*first);
  for (const auto& one : view.providers)
    if (!out.providers.contains(one.name)) out.providers[one.name] = provider_section(one);
  if (const auto* first = view.agent(view.default_agent))
    out.agents.push_back(agent_section(*first, view));
  for (const auto& one : view.agents)
    if (one.name != view.default_agent) out.agents.push_back(agent_section(one, view));

  out.storage["backend"] = view.storage.backend.empty() ? "sqlite" : view.storage.backend;
  if (!view.storage.connection_string.empty())
    out.storage["connection_string"] = view.storage.connection_string;
  if (view.storage.max_history_size)
    out.storage["max_history_size"] = *view.storage.max_history_size;
  out.permissions = view.permissions;
  out.resilience = view.resilience;
  if (!view.fallback.empty())
    out.resilience["fallback"] = json::array(view.fallback.begin(), view.fallback.end());
  out.plugin_sections = view.plugins;
  out.price_file = program.parent_path().parent_path() / "share/rustic-ai/prices.json";
  out.prices = object_or_empty(configuration.value(), "prices");
  out.environment = around.env;
  out.working_directory = around.cwd;
  out.state_directory = view.paths.state_dir;
  out.data_directory = view.paths.data_dir;
  out.cache_directory = view.paths.cache_dir;
  std::map<std::string, std::string> literals;
  for (const auto& one : view.providers)
    if (is_literal(one.api_key)) literals[literal_name(one)] = one.api_key;
  out.resolve_secret = [around, literals = std::move(literals)](const std::string& reference) {
    if (const auto known = literals.find(reference); known != literals.end()) return known->second;
    return config::resolve_secret(reference, around).value;
  };
  return out;
}
}  // namespace rustic::runtime
