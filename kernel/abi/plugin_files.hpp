// kernel/abi/plugin_files.hpp - finds plugin files along a search path and says which can be used,
// without running any.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "kernel/abi/manifest.hpp"

namespace rustic::kernel::abi {

// Which bytes a file had when it was looked at, as far as its status tells.
struct file_identity {
  std::uint64_t device = 0, inode = 0, bytes = 0;
  std::int64_t modified_ns = 0;  // the content
  std::int64_t changed_ns = 0;   // the status too: mode, owner, links
  bool operator==(const file_identity&) const = default;
  // Whether the content is the same.
  bool same_content(const file_identity& other) const noexcept {
    return device == other.device && inode == other.inode && bytes == other.bytes &&
           modified_ns == other.modified_ns;
  }
};
// Of an open file; all zero when it has no status.
file_identity identity_of(int descriptor) noexcept;

struct plugin_file {
  std::filesystem::path path;    // canonical
  std::filesystem::path listed;  // as its directory names it
  std::size_t directory = 0;     // which of the directories that were searched
  file_identity identity;
  std::string problem;  // empty: usable; else why not, for a person to read
  std::string build_id;
  std::filesystem::path shadowed_by;  // the file of the same id that comes first; then not usable
  manifest about;                     // as far as it could be read

  bool usable() const noexcept { return problem.empty() && shadowed_by.empty(); }
};

// Lists the *.so files of the directories in order, files by name. A directory that is not there
// counts as empty. The first file with an id wins. Refused with the reason: files and directories
// that belong to somebody other than the user and root or that others may write, foreign and
// half-written files, unreadable manifests, other contract versions. Never throws for a file's
// sake. Threads: any.
std::vector<plugin_file> find_plugins(const std::vector<std::filesystem::path>& directories);

// The same for one file.
plugin_file inspect_plugin(const std::filesystem::path& path);
}  // namespace rustic::kernel::abi
