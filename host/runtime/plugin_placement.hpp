// host/runtime/plugin_placement.hpp - how a plugin is to be run: in the process or in the cell,
// where it lies or from a copy, or not at all.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "host/runtime/options.hpp"
#include "host/runtime/plugin_ledger.hpp"
#include "kernel/abi/plugin_files.hpp"

namespace rustic::runtime {

struct placement {
  bool isolated = false;  // in a process of its own, by the cell
  std::string because;    // what decided it, for a person
  bool in_place = false;  // its file is opened where it lies
  bool dev = false;
};

// Configuration decides, then the directory; the manifest and a sidecar NAME.so.json with
// {"isolation": "process"} can only tighten. Reads the sidecar; runs nothing.
placement place(const kernel::abi::plugin_file& file, const options& with);

// Why the plugin is switched off; empty when it is not.
std::string disabled_because(std::string_view id, const options& with, const ledger_state& ledger);

// The absolute paths of the directories, in order, without a slash at the end.
std::vector<std::filesystem::path> paths_of(const std::vector<plugin_directory>& directories);

// The cell among these files: the program's own, whatever lies elsewhere under its name.
std::optional<std::filesystem::path> find_cell(const std::vector<kernel::abi::plugin_file>& files,
                                               const options& with);

// The plugin's own configuration is `config`, as text; what create of the cell gets for it. `image`
// is the file that the cell opens.
std::string cell_configuration(const kernel::abi::plugin_file& file,
                               const std::filesystem::path& image, std::string_view config,
                               const std::vector<std::string>& targets, const options& with,
                               const ledger_plugin& known);
}  // namespace rustic::runtime
