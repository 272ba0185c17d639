// host/runtime/from_config.hpp - the runtime's options as a loaded configuration says them.
#pragma once
#include <filesystem>

#include "host/runtime/config/configuration.hpp"
#include "host/runtime/options.hpp"

namespace rustic::runtime {

// `program` is the running program's file: shipped plugins lie relative to it, in
// ../lib/rustic-ai/plugins. `more_directories` come first. The log is left for the caller to set.
options from_config(const config::configuration& configuration, const config::surroundings& around,
                    const std::filesystem::path& program,
                    const std::vector<std::filesystem::path>& more_directories = {});

// The same for the directories alone: `configured` is [plugins] paths.
std::vector<plugin_directory> plugin_directories_of(
    const std::vector<config::plugin_path>& configured, const config::surroundings& around,
    const std::filesystem::path& program,
    const std::vector<std::filesystem::path>& more_directories = {});

// Where `rustic-ai plugin install` puts plugins.
std::filesystem::path user_plugin_directory(const config::surroundings& around);
}  // namespace rustic::runtime
