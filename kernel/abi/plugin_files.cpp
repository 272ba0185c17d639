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

std::string access_problem(int file, const std::string& what) {
  struct stat status {};
  if (fstat(file, &status) != 0) return "cannot read its status: " + std::string(strerror(errno));
  if (status.st_uid != 0 && status.st_uid != geteuid())
    return what + " belongs to another user (uid " + std::to_string(status.st_uid) + ")";
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return what + " can be written by others; chmod go-w it";
  return {};
}
}  // namespace

file_identity identity_of(int descriptor) noexcept {
  struct stat status {};
  if (fstat(descriptor, &status) != 0) return {};
  constexpr std::int64_t ns_per_s = 1'000'000'000;
  return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
          status.st_mtim.tv_sec * ns_per_s + status.st_mtim.tv_nsec,
          status.st_ctim.tv_sec * ns_per_s + status.st_ctim.tv_nsec};
}

plugin_file inspect_plugin(const fs::path& path) {
  plugin_file out;
  std::error_code problem;
  out.listed = path;
  out.path = fs::canonical(path, problem);
  if (problem) {
    out.path = path;
    out.problem = problem.message();
    return out;
  }
  const descriptor file(out.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.get() < 0) {
    out.problem = strerror(errno);
    return out;
  }
  out.identity = identity_of(file.get());
  out.problem = access_problem(file.get(), "the file");
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

namespace {
// Who may write a directory may put another file there, whatever the file's own mode is.
std::string directory_problem(const fs::path& directory) {
  const descriptor opened(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return opened.get() < 0 ? std::string(strerror(errno))
                          : access_problem(opened.get(), "its directory " + directory.string());
}
}  // namespace

std::vector<plugin_file> find_plugins(const std::vector<fs::path>& directories) {
  std::vector<plugin_file> out;
  std::map<std::string, fs::path> first;  // id -> file
  for (std::size_t i = 0; i < directories.size(); ++i) {
    const auto& directory = directories[i];
    std::error_code problem;
    std::vector<fs::path> names;
    for (fs::directory_iterator
             at(directory, fs::directory_options::skip_permission_denied, problem),
         end;
         !problem && at != end && names.size() < plugin_files_per_directory_max;
         at.increment(problem))
      if (at->path().extension() == ".so") names.push_back(at->path());
    if (names.empty()) continue;
    std::sort(names.begin(), names.end());
    const auto here = fs::canonical(directory, problem);
    const auto untrusted = directory_problem(directory);
    for (const auto& name : names) {
      auto file = inspect_plugin(name);
      file.directory = i;
      if (file.problem.empty()) file.problem = untrusted;
      if (file.problem.empty() && file.path.parent_path() != here)  // a link
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
