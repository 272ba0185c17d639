// The configuration as the runtime uses it.
#pragma once
#include <optional>
#include <rustic/json.hpp>
#include <string>
#include <vector>

#include "host/runtime/config/surroundings.hpp"

namespace rustic::config {
struct provider_settings {
  std::string name;
  std::string type;
  std::string preset;    // the name of a known service that `type` said
  std::string base_url;  // empty: the plugin's own
  std::string api_key;   // as written, usually a reference; see resolve_secret()
  std::string model;
  std::vector<std::string> models;
  json::object section;  // everything that was written, for the plugin
  std::string origin;    // where it was found, for people
  // Only for one that the environment offered: see found_provider.
  std::string openai_base_url;
  bool from_environment = false;
};

struct agent_settings {
  std::string name;
  std::string provider;  // empty: the default one
  std::string model;     // empty: the provider's
  std::string description;
  std::string system_prompt;
  std::vector<std::string> tools;  // patterns
  json::object section;            // everything that was written, with system_prompt filled in
  std::string origin;
};

struct storage_settings {
  std::string backend;
  std::string connection_string;
  std::optional<std::int64_t> max_history_size;
};

struct log_settings {
  std::string level;
  std::string file;  // absolute, or empty
  std::string format;
};

// One entry of [plugins] paths.
struct plugin_path {
  std::filesystem::path path;  // absolute
  bool dev = false;
  std::string isolation;  // "process", "none" or empty
};

// The keys of [plugin.NAME] that are for the program; the others are the plugin's own.
inline constexpr std::string_view program_keys_of_plugin[] = {"enabled", "isolation", "cell",
                                                              "before", "order"};

struct settings {
  std::vector<provider_settings> providers;  // in order of appearance
  std::vector<agent_settings> agents;        // in order of appearance, never empty
  std::string default_provider;              // empty when there is none
  std::string default_agent;
  std::string default_model;
  std::string default_output;
  storage_settings storage;
  log_settings log;
  json::object permissions;
  json::object limits;
  json::object ui;
  json::object plugins;  // [plugin.NAME] by name
  json::object resilience;
  std::vector<std::string> fallback;  // PROVIDER or PROVIDER/MODEL
  std::vector<plugin_path> plugin_paths;
  std::vector<std::string> trusted_plugins;
  directories paths;

  const provider_settings* provider(std::string_view name) const;
  const agent_settings* agent(std::string_view name) const;
  // False only when [plugin.NAME] enabled = false.
  bool is_plugin_enabled(std::string_view name) const;
};
}  // namespace rustic::config
