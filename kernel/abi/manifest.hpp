// kernel/abi/manifest.hpp - what a plugin says about itself before any of its code runs.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::kernel::abi {

// One entry of "provides". With `instances`, the configuration section of that name lists the
// services: each of its members whose "type" equals `type` is one, named by its key.
struct provided {
  std::string interface;  // "rustic.tool"
  std::uint32_t revision = 1;
  std::string name;        // "shell"; "*" with instances
  std::string type;        // for instances
  std::string instances;   // "providers"
  std::string attributes;  // a JSON object as text

  std::string target() const { return interface + "/" + name; }
};

// A variable of the environment whose value the plugin wants as a member of its configuration.
struct wanted_variable {
  std::string name;    // "HTTPS_PROXY"
  std::string member;  // "https_proxy"
};

struct manifest {
  std::string id;
  std::string version;
  std::string description;
  std::string license;
  std::uint32_t abi_major = 0;
  std::uint32_t abi_min_minor = 0;
  std::vector<provided> provides;
  std::vector<std::string> requires_targets;  // "rustic.http/default"
  std::vector<std::string> wants_targets;
  std::vector<wanted_variable> environment;
  std::string config_schema;  // JSON Schema as text; empty: anything goes
  std::string isolation;      // "any" or "process"
  std::vector<std::string> permissions;
};

struct manifest_result {
  std::optional<abi::manifest> value;
  std::string problem;  // why not, when value is empty
};

// Reads the JSON text of a manifest. Any text is safe to read; unknown members are passed over.
manifest_result parse_manifest(std::string_view text);

// Whether this host can load it: empty, or the reason why not.
std::string abi_problem(const manifest& plugin);
}  // namespace rustic::kernel::abi
