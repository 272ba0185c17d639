#include "project_notes.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rustic/json.hpp>
#include <string>

#include "limits.hpp"

namespace rustic::agent {
namespace {
namespace fs = std::filesystem;

// The beginning of a regular file; empty when it cannot be read. Never waits on a pipe or device.
std::string read_bounded(const fs::path& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return {};
  std::string text;
  struct stat status {};
  if (fstat(file, &status) == 0 && S_ISREG(status.st_mode)) {
    text.resize(project_notes_bytes_max + 1);
    std::size_t used = 0;
    while (used < text.size()) {
      const auto got = read(file, text.data() + used, text.size() - used);
      if (got <= 0) break;
      used += static_cast<std::size_t>(got);
    }
    text.resize(used);
  }
  close(file);
  const bool cut = text.size() > project_notes_bytes_max;
  text = to_utf8(cut_utf8(text, project_notes_bytes_max));
  if (cut) text += "\n[... the rest of this file was left out ...]\n";
  return text;
}

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}
}  // namespace

notes find_notes(const fs::path& workspace) {
  std::error_code problem;
  fs::path directory = fs::weakly_canonical(workspace, problem);
  for (int level = 0; level < project_notes_levels_max && !directory.empty(); ++level) {
    for (const auto* name : {"AGENTS.md", "CLAUDE.md"}) {
      auto text = read_bounded(directory / name);
      const auto line = trimmed(text);
      if (line.empty()) continue;
      if (line.size() > 1 && line.front() == '@' && line.find('\n') == std::string_view::npos) {
        const fs::path other = fs::path(line.substr(1)).filename();
        auto followed = read_bounded(directory / other);
        if (!followed.empty()) return {directory / other, std::move(followed)};
      }
      return {directory / name, std::move(text)};
    }
    if (fs::exists(directory / ".git", problem) || directory == directory.root_path()) break;
    directory = directory.parent_path();
    // What anybody may have put there (as into /tmp) is no instruction.
    const auto mode = fs::status(directory, problem).permissions();
    if ((mode & fs::perms::others_write) != fs::perms::none) break;
  }
  return {};
}
}  // namespace rustic::agent
