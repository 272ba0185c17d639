#include "kernel/abi/plugin_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

#include "kernel/abi/limits.hpp"
#include "kernel/abi/manifest_note.hpp"

namespace rustic::kernel::abi {
namespace {
namespace fs = std::filesystem;

class descriptor {
 public:
  explicit descriptor(const fs::path& path, int flags) : value_(open(path.c_str(), flags)) {}
  ~descriptor() {
    if (value_ >= 0) close(value_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  int get() const noexcept { return value_; }

 private:
  int value_;
};

std::string access_problem(const struct stat& status, const std::string& what) {
  if (status.st_uid != 0 && status.st_uid != geteuid())
    return what + " belongs to another user (uid " + std::to_string(status.st_uid) + ")";
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return what + " can be written by others; chmod go-w it";
  return {};
}

file_identity identity_of(const struct stat& status) noexcept {
  constexpr std::int64_t ns_per_s = 1'000'000'000;
  return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
          status.st_mtim.tv_sec * ns_per_s + status.st_mtim.tv_nsec,
          status.st_ctim.tv_sec * ns_per_s + status.st_ctim.tv_nsec};
}

// `resolved` leads through no link.
plugin_file inspect(const fs::path& listed, fs::path resolved) {
  plugin_file out;
  out.listed = listed;
  out.path = std::move(resolved);
  const descriptor file(out.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  struct stat status {};
  if (file.get() < 0 || fstat(file.get(), &status) != 0) {
    out.problem = strerror(errno);
    return out;
  }
  out.identity = identity_of(status);
  out.problem = access_problem(status, "the file");
  if (!out.problem.empty()) return out;
  auto note = read_manifest_note(file.get());
  out.build_id = std::move(note.build_id);
  if (!note.problem.empty()) {
    out.problem = std::move(note.problem);
    return out;
  }
  auto read = parse_manifest(note.manifest);
  if (!read.value) {
    out.problem = std::move(read.problem);
    return out;
  }
  out.about = std::move(*read.value);
  out.problem = abi_problem(out.about);
  return out;
}
}  // namespace

file_identity identity_of(int descriptor) noexcept {
  struct stat status {};
  return fstat(descriptor, &status) != 0 ? file_identity{} : identity_of(status);
}

plugin_file inspect_plugin(const fs::path& path) {
  std::error_code problem;
  auto resolved = fs::canonical(path, problem);
  if (!problem) return inspect(path, std::move(resolved));
  plugin_file out;
  out.listed = out.path = path;
  out.problem = problem.message();
  return out;
}

namespace {
// Who may write a directory may put another file there, whatever the file's own mode is.
std::string directory_problem(const fs::path& directory) {
  struct stat status {};
  return stat(directory.c_str(), &status) != 0
             ? std::string(strerror(errno))
             : access_problem(status, "its directory " + directory.string());
}
}  // namespace

std::vector<plugin_file> find_plugins(const std::vector<fs::path>& directories) {
  std::vector<plugin_file> out;
  std::map<std::string, fs::path> first;  // id -> file
  for (std::size_t i = 0; i < directories.size(); ++i) {
    const auto& directory = directories[i];
    std::error_code problem;
    struct found {
      fs::path name;
      bool link = false;
      bool operator<(const found& other) const { return name < other.name; }
    };
    std::vector<found> names;
    for (fs::directory_iterator
             at(directory, fs::directory_options::skip_permission_denied, problem),
         end;
         !problem && at != end && names.size() < plugin_files_per_directory_max;
         at.increment(problem))
      if (std::error_code unknown; at->path().extension() == ".so")
        names.push_back({at->path(), at->is_symlink(unknown) || unknown});
    if (names.empty()) continue;
    std::sort(names.begin(), names.end());
    const auto here = fs::canonical(directory, problem);
    const auto untrusted = directory_problem(directory);
    for (const auto& [name, link] : names) {
      const bool direct = !link && !here.empty();
      auto file = direct ? inspect(name, here / name.filename()) : inspect_plugin(name);
      file.directory = i;
      if (file.problem.empty()) file.problem = untrusted;
      if (file.problem.empty() && !direct && file.path.parent_path() != here)
        file.problem = directory_problem(file.path.parent_path());
      if (file.problem.empty()) {
        const auto [at, added] = first.emplace(file.about.id, file.path);
        if (!added) file.shadowed_by = at->second;
      }
      out.push_back(std::move(file));
    }
  }
  return out;
}
}  // namespace rustic::kernel::abi
