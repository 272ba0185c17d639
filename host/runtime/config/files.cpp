// POSIX files.
#include "host/runtime/config/files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <rustic/status.hpp>
#include <thread>

namespace rustic::config {
namespace {
constexpr auto lock_wait = std::chrono::seconds(5);
constexpr auto lock_pause = std::chrono::milliseconds(20);

class descriptor {
 public:
  explicit descriptor(int fd) : fd_(fd) {}
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

[[noreturn]] void refuse(std::string_view operation, const std::filesystem::path& path, int cause) {
  throw failure(cause == ENOENT ? status_code::not_found : status_code::unavailable,
                "cannot " + std::string(operation) + " " + path.string() + ": " +
                    std::generic_category().message(cause));
}

void write_all(int fd, std::string_view text, const std::filesystem::path& path) {
  while (!text.empty()) {
    const auto written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) refuse("write", path, errno);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(fd) != 0) refuse("flush", path, errno);
}

void make_directories(const std::filesystem::path& directory) {
  if (directory.empty() || ::access(directory.c_str(), F_OK) == 0) return;
  make_directories(directory.parent_path());
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    refuse("make the directory", directory, errno);
}

void flush_directory(const std::filesystem::path& directory) {
  const descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() >= 0) (void)::fsync(fd.get());
}
}  // namespace

std::string read_file(const std::filesystem::path& file, std::size_t bytes_max) {
  const descriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) refuse("read", file, errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) refuse("read", file, errno);
  if (!S_ISREG(info.st_mode))
    throw failure(status_code::failed_precondition,
                  "cannot read " + file.string() + ": it is not a regular file");
  std::string text;
  char buffer[16 * 1024];
  while (true) {
    const auto count = ::read(fd.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse("read", file, errno);
    if (count == 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
    if (text.size() > bytes_max)
      throw failure(status_code::resource_exhausted, "cannot read " + file.string() +
                                                         ": it is larger than " +
                                                         std::to_string(bytes_max) + " bytes");
  }
}

void write_atomically(const std::filesystem::path& file, std::string_view text, mode_t mode) {
  std::error_code problem;
  auto target = std::filesystem::weakly_canonical(file, problem);
  if (problem) target = file;
  make_directories(target.parent_path());
  struct stat info {};
  const bool exists = ::stat(target.c_str(), &info) == 0;
  std::string name = target.string() + ".XXXXXX";
  descriptor fd(::mkostemp(name.data(), O_CLOEXEC));
  if (fd.get() < 0) refuse("write beside", target, errno);
  try {
    if (::fchmod(fd.get(), exists ? info.st_mode & 07777 : mode) != 0)
      refuse("set the mode of", name, errno);
    write_all(fd.get(), text, name);
    if (::rename(name.c_str(), target.c_str()) != 0) refuse("replace", target, errno);
  } catch (...) {
    (void)::unlink(name.c_str());
    throw;
  }
  flush_directory(target.parent_path());
}

void write_new(const std::filesystem::path& file, std::string_view text, mode_t mode) {
  make_directories(file.parent_path());
  const descriptor fd(
      ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (fd.get() < 0) {
    const int cause = errno;
    if (cause == EEXIST)
      throw failure(status_code::already_exists, file.string() + " is there already",
                    "edit it, or move it away first");
    refuse("create", file, cause);
  }
  write_all(fd.get(), text, file);
  flush_directory(file.parent_path());
}

directory_lock::directory_lock(const std::filesystem::path& directory) : fd_(-1) {
  make_directories(directory);
  descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) refuse("lock", directory, errno);
  const auto deadline = std::chrono::steady_clock::now() + lock_wait;
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) refuse("lock", directory, errno);
    if (std::chrono::steady_clock::now() > deadline)
      throw failure(status_code::unavailable,
                    "cannot lock " + directory.string() + ": another process holds it",
                    "try again when it has finished");
    std::this_thread::sleep_for(lock_pause);
  }
  fd_ = fd.release();
}

directory_lock::~directory_lock() {
  ::close(fd_);
}
}  // namespace rustic::config
