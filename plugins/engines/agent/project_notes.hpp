// plugins/engines/agent/project_notes.hpp - the nearest AGENTS.md or CLAUDE.md of the workspace.
#pragma once
#include <filesystem>
#include <string>

namespace rustic::agent {

struct notes {
  std::filesystem::path file;  // empty: none was found
  std::string text;            // UTF-8, bounded
};

// Looks in `workspace` and upwards, up to and including the first directory with a .git, and never
// beyond the file system's root. In one directory AGENTS.md goes before CLAUDE.md. A file that is
// only a line such as "@AGENTS.md" is followed once, to a file beside it.
notes find_notes(const std::filesystem::path& workspace);
}  // namespace rustic::agent
