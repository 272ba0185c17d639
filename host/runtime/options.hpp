// host/runtime/options.hpp - what a runtime is made of. Configuration files become one of these; an
// embedding program may fill it itself.
#pragma once
#include <rustic/abi.h>

#include <filesystem>
#include <functional>
#include <map>
#include <rustic/json.hpp>
#include <string>
#include <vector>

namespace rustic::runtime {

// A place where plugins lie.
struct plugin_directory {
  // A path alone is a directory of the program's own.
  plugin_directory(std::filesystem::path where, bool of_the_program = true)
      : path(std::move(where)), shipped(of_the_program) {}
  plugin_directory(const char* where) : plugin_directory(std::filesystem::path(where)) {}
  plugin_directory(const std::string& where) : plugin_directory(std::filesystem::path(where)) {}

  std::filesystem::path path;
  // The program's own: nobody writes there while it runs. Its plugins are opened where they lie and
  // run in the process; those of other directories are opened from private copies.
  bool shipped;
  bool dev = false;       // a watching program takes up changed files without asking
  std::string isolation;  // "process", "none", or empty: "process" unless it is shipped
};

struct options {
  std::vector<plugin_directory> plugin_directories;  // first wins
  std::vector<std::string> trusted_plugins;  // ids that run in the process wherever they lie
  // Name -> section of [providers.NAME], the default first. A section with "found": true came from
  // the environment: when no plugin has its type it is spoken to at "openai_base_url", or left out.
  // "preset" names a known service, for a plugin that has it for its type.
  json::object providers;
  json::array agents;  // objects with a name, the default first
  json::object storage{{"backend", "sqlite"}};
  json::object permissions;      // mode and rules
  json::object resilience;       // thresholds, and "fallback"; those of providers and agents apply
  json::object plugin_sections;  // plugin id -> section of [plugin.ID]

  std::map<std::string, std::string> environment;  // of the process
  std::filesystem::path working_directory;         // where tools may write; empty: nowhere
  std::filesystem::path state_directory;           // spilled output, plugin state, the ledger
  std::filesystem::path data_directory;            // the sessions' database
  std::filesystem::path cache_directory;

  std::filesystem::path price_file;  // empty: only what `prices` says has a price
  json::object prices;               // "NAME/MODEL" -> section of [prices."NAME/MODEL"]

  // Turns a reference (env:, file:, cmd:) into its value; throws failure.
  std::function<std::string(const std::string&)> resolve_secret;
  // Any thread. Levels of rai_log_level.
  std::function<void(int level, std::string_view plugin, rai_call call, std::string_view text)> log;

  // Recording and replay: sections that the recorder plugin gets. Empty: it stays unopened.
  json::object recorder;
};
}  // namespace rustic::runtime
