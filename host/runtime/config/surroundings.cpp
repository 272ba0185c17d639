// The process's environment, read once, and the directories that follow from it.
#include "host/runtime/config/surroundings.hpp"

#include <pwd.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "host/runtime/config/redact.hpp"

extern "C" char** environ;

namespace rustic::config {
std::optional<std::string> surroundings::variable(const std::string& name) const {
  const auto found = env.find(name);
  if (found == env.end() || found->second.empty()) return std::nullopt;
  return found->second;
}

surroundings surroundings_of_process() {
  surroundings around;
  for (char** entry = environ; entry && *entry; ++entry) {
    const std::string_view text = *entry;
    const auto equals = text.find('=');
    if (equals == std::string_view::npos || equals == 0) continue;
    around.env.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  if (const auto home = around.variable("HOME")) {
    around.home = *home;
  } else {
    std::vector<char> buffer(16 * 1024);
    passwd entry{}, *found = nullptr;
    if (getpwuid_r(geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found)
      around.home = found->pw_dir;
    else
      around.home = "/";
  }
  std::error_code problem;
  around.cwd = std::filesystem::current_path(problem);
  if (problem) around.cwd = around.home;
  return around;
}

void blank_secrets_of_process() {
  for (char** entry = environ; entry && *entry; ++entry) {
    char* equals = std::strchr(*entry, '=');
    if (equals && is_secret_name({*entry, static_cast<std::size_t>(equals - *entry)}))
      std::memset(equals + 1, 0, std::strlen(equals + 1));
  }
}

directories directories_of(const surroundings& around) {
  const auto base = [&](const char* name, const char* fallback) {
    if (const auto value = around.variable(name)) {
      const std::filesystem::path path = *value;
      if (path.is_absolute()) return path / "rustic-ai";
    }
    return around.home / fallback / "rustic-ai";
  };
  directories result;
  result.config_dir = base("XDG_CONFIG_HOME", ".config");
  result.state_dir = base("XDG_STATE_HOME", ".local/state");
  result.data_dir = base("XDG_DATA_HOME", ".local/share");
  result.cache_dir = base("XDG_CACHE_HOME", ".cache");
  result.history_file = result.state_dir / "history";
  result.trust_file = result.state_dir / "trust.json";
  return result;
}

std::filesystem::path expand_path(std::string_view text, const surroundings& around,
                                  const std::filesystem::path& base) {
  if (text == "~") return around.home;
  if (text.starts_with("~/")) return around.home / text.substr(2);
  const std::filesystem::path path = text;
  return path.is_absolute() ? path : (base / path).lexically_normal();
}
}  // namespace rustic::config
