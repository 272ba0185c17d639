// Everything configuration: loads the layers, checks them, says what is in force and why.
#pragma once
#include <memory>
#include <optional>
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "host/runtime/config/layers.hpp"
#include "host/runtime/config/problem.hpp"
#include "host/runtime/config/settings.hpp"
#include "host/runtime/config/surroundings.hpp"

namespace rustic::config {
struct load_request {
  surroundings around;
  std::optional<std::filesystem::path> config_file;  // --config; else RUSTIC_AI_CONFIG
  std::vector<std::string> flags;                    // "key=value"
  bool without_project = false;
};

// The project whose configuration file was found, trusted or not.
struct project_file {
  std::filesystem::path directory;
  std::filesystem::path file;
  std::string hash;  // what trust_store takes
  bool trusted = false;
};

// One layer's say about a key. Secrets are hidden.
struct explanation {
  std::string layer;
  location where;
  json::value value;
  bool effective = false;
  bool ignored = false;  // of a project that is not trusted
};

// One loaded configuration. A value: copy it, keep it, load another when a file has changed. Not
// safe for writing from one thread while another reads.
class configuration {
 public:
  // Never throws for anything a file, a variable or a flag says: see problems().
  static configuration load(const load_request& request);

  const json::object& value() const { return value_; }
  const settings& view() const { return view_; }
  const std::vector<problem>& problems() const { return problems_; }
  bool ok() const { return !has_errors(problems_); }
  const std::optional<project_file>& project() const { return project_; }
  // The files that were read, lowest layer first.
  std::vector<std::filesystem::path> files() const;

  // Where the effective value of a dotted key comes from.
  location where(std::string_view key) const;
  // Every layer that says something about the key, the effective one first. For a table the first
  // is the top layer that adds to it. Throws failure(INVALID_ARGUMENT) when it is no dotted key.
  std::vector<explanation> explain(std::string_view key) const;
  // The value, or that of one key, with secrets hidden. Null when the key is not set.
  json::value shown(std::string_view key = {}) const;

  // Checks [plugin.NAME] against the plugin's own schema, and fits values from the environment and
  // from flags to it. The problems found are also added to problems(). A section that is absent is
  // checked as an empty one.
  std::vector<problem> validate_plugin_section(std::string_view name, const json::value& schema);

  // Secrets of providers that cannot be had now; nothing is run. For a check, not for each start.
  std::vector<problem> check_secrets() const;

 private:
  void add_file(const std::filesystem::path& file, const std::string& name);
  void add_directory(const std::filesystem::path& directory, const std::string& name);
  void add_project();
  void add_layer(layer entry);
  void rebuild();
  void build_view();
  void build_providers();
  void build_agents();
  void check_references();
  void check_prices();
  void check_fallback(const std::string& section_key, const json::object& section);
  void report(severity level, std::string_view key, std::string message);

  surroundings around_;
  std::shared_ptr<const json::value> schema_;
  std::vector<layer> layers_;
  std::vector<problem> problems_;
  std::optional<project_file> project_;
  json::object value_;
  settings view_;
};
}  // namespace rustic::config
