// What configuration takes from outside the process: variables, home, working directory.
#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace rustic::config {
struct surroundings {
  std::map<std::string, std::string> env;
  std::filesystem::path home;
  std::filesystem::path cwd;

  // The variable, or nullopt when it is unset or empty.
  std::optional<std::string> variable(const std::string& name) const;
};

// Those of this process; the only place that reads its environment. Home comes from HOME, else from
// the user database. Not safe while another thread changes the environment.
surroundings surroundings_of_process();
// Blanks the values of variables named like secrets where /proc/PID/environ shows them: whatever
// runs as this user may read that. Not while another thread reads the environment.
void blank_secrets_of_process();

// Where this program keeps things, per the XDG base directories (relative ones are ignored).
struct directories {
  std::filesystem::path config_dir;  // ~/.config/rustic-ai
  std::filesystem::path state_dir;   // ~/.local/state/rustic-ai
  std::filesystem::path data_dir;    // ~/.local/share/rustic-ai
  std::filesystem::path cache_dir;   // ~/.cache/rustic-ai
  std::filesystem::path history_file;
  std::filesystem::path trust_file;
};
directories directories_of(const surroundings& around);

// "~" and "~/x" against home, relative paths against `base`.
std::filesystem::path expand_path(std::string_view text, const surroundings& around,
                                  const std::filesystem::path& base);
}  // namespace rustic::config
