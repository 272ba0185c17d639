#include "kernel/abi/private_copy.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "kernel/abi/limits.hpp"

namespace rustic::kernel::abi {
namespace {
namespace fs = std::filesystem;

class descriptor {
 public:
  explicit descriptor(int value) : value_(value) {}
  ~descriptor() {
    if (value_ >= 0) close(value_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  int get() const noexcept { return value_; }

 private:
  int value_;
};

std::string cause() {
  return strerror(errno);
}

// A directory that is the user's own: what lies in it is executed. Whoever owns the one above could
// put another in its place.
std::string directory_problem(const fs::path& directory) {
  std::error_code error;
  const auto above = directory.parent_path();
  fs::create_directories(above, error);
  struct stat outer {};
  if (stat(above.c_str(), &outer) == 0 && outer.st_uid != geteuid() && outer.st_uid != 0)
    return above.string() + " belongs to another user";
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    return "cannot make the directory " + directory.string() + ": " + cause();
  struct stat info {};
  if (stat(directory.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))
    return directory.string() + " is no directory";
  if (info.st_uid != geteuid()) return directory.string() + " belongs to another user";
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return directory.string() + " can be written by others; chmod go-w it";
  return {};
}

bool copy_bytes(int from, int to, std::uint64_t bytes) {
  if (ioctl(to, FICLONE, from) == 0) return true;  // shares the blocks where the file system can
  while (bytes > 0) {
    const auto sent = sendfile(to, from, nullptr, bytes);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return false;
    if (sent == 0) break;  // it got shorter: seen by its identity
    bytes -= static_cast<std::uint64_t>(sent);
  }
  return true;
}

// The process that made the copy, as its name says: ID-PID-GENERATION-XXXXXX.so. 0: no copy.
pid_t maker_of(const std::string& name) {
  if (!name.ends_with(".so")) return 0;
  auto end = name.rfind('-');
  if (end == std::string::npos || end == 0) return 0;
  end = name.rfind('-', end - 1);
  if (end == std::string::npos || end == 0) return 0;
  const auto begin = name.rfind('-', end - 1);
  if (begin == std::string::npos) return 0;
  pid_t out = 0;
  const auto [stop, problem] = std::from_chars(name.data() + begin + 1, name.data() + end, out);
  return problem == std::errc{} && stop == name.data() + end ? out : 0;
}
}  // namespace

std::optional<private_copy> private_copy::make(const fs::path& file, const file_identity& expected,
                                               const fs::path& directory, const std::string& id,
                                               std::uint32_t generation, std::string& problem) {
  const descriptor from(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (from.get() < 0) {
    problem = "cannot read " + file.string() + ": " + cause();
    return std::nullopt;
  }
  if (!identity_of(from.get()).same_content(expected)) {
    problem = file.string() + " has changed since it was looked at; reload the plugin";
    return std::nullopt;
  }
  problem = directory_problem(directory);
  if (!problem.empty()) return std::nullopt;
  auto name = (directory / (id + "-" + std::to_string(getpid()) + "-" + std::to_string(generation) +
                            "-XXXXXX.so"))
                  .string();
  const descriptor to(mkostemps(name.data(), 3, O_CLOEXEC));
  if (to.get() < 0) {
    problem = "cannot make a copy in " + directory.string() + ": " + cause();
    return std::nullopt;
  }
  private_copy out(name);
  if (!copy_bytes(from.get(), to.get(), expected.bytes) || fchmod(to.get(), 0500) != 0) {
    problem = "cannot copy " + file.string() + " to " + name + ": " + cause();
    return std::nullopt;
  }
  if (!identity_of(from.get()).same_content(expected)) {
    problem = file.string() + " was written while it was read; reload the plugin";
    return std::nullopt;
  }
  return out;
}

private_copy::~private_copy() {
  if (!path_.empty()) (void)unlink(path_.c_str());
}

std::size_t sweep_private_copies(const fs::path& directory) {
  std::size_t removed = 0;
  std::error_code problem;
  std::size_t seen = 0;
  const auto now = time(nullptr);
  for (fs::directory_iterator at(directory, problem), end;
       !problem && at != end && seen < plugin_files_per_directory_max; at.increment(problem)) {
    ++seen;
    const auto maker = maker_of(at->path().filename().string());
    if (maker <= 0 || maker == getpid()) continue;
    if (kill(maker, 0) == 0 || errno != ESRCH) continue;
    // A process of another PID namespace looks like none: its copy lives for moments only.
    struct stat info {};
    if (lstat(at->path().c_str(), &info) != 0 || now - info.st_mtime < private_copy_age_min_s)
      continue;
    if (unlink(at->path().c_str()) == 0) ++removed;
  }
  return removed;
}
}  // namespace rustic::kernel::abi
