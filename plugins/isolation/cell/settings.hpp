// settings.hpp - what the cell is told: the plugin that it runs, and how.
#pragma once
#include <cstdint>
#include <filesystem>
#include <rustic/json.hpp>
#include <string>
#include <vector>

#include "limits.hpp"

namespace rustic::cell {

struct cell_settings {
  std::string program;  // path of rustic-ai-cell
  std::string id;       // of the plugin
  std::string file;
  std::string config;  // a JSON object as text
  std::vector<std::string> targets;
  std::vector<std::string> write_paths;
  std::vector<std::string> environment;  // NAME=value
  std::vector<std::int64_t> deaths_unix_ms;
  bool quarantined = false;
  std::uint64_t memory_bytes = memory_bytes_default;
  std::uint64_t open_files = open_files_default;
  std::uint64_t processes = processes_default;  // 0: as it is
  std::uint64_t cpu_seconds = 0;                // 0: as it is
  std::int64_t cancel_grace_ms = cell::cancel_grace_ms;
  std::int64_t ping_after_ms = cell::ping_after_ms;
  std::int64_t pong_timeout_ms = cell::pong_timeout_ms;
  std::int64_t load_timeout_ms = cell::load_timeout_ms;
};

// `plugin_file` is where cell.so was loaded from and `program_file` the running program: the
// child's program is looked for near both when none is configured. Throws failure naming the
// member.
cell_settings read_settings(const json::object& config, const std::filesystem::path& plugin_file,
                            const std::filesystem::path& program_file);

}  // namespace rustic::cell
