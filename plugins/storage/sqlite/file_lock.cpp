// file_lock.cpp - LOCK_NB and growing naps: a blocking flock could not be bounded or interrupted.
#include "file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <rustic/status.hpp>

#include "limits.hpp"

namespace rustic::storage {
namespace {
[[noreturn]] void unavailable(const std::string& what, const std::string& path, int problem,
                              std::string hint) {
  throw failure(status_code::unavailable, what + " " + path + ": " + std::strerror(problem),
                std::move(hint));
}
}  // namespace

void interrupt::raise() {
  const std::lock_guard lock(mutex_);
  if (!raised_at_) raised_at_ = std::chrono::steady_clock::now();
  changed_.notify_all();
}
std::optional<std::chrono::steady_clock::time_point> interrupt::raised_at() const {
  const std::lock_guard lock(mutex_);
  return raised_at_;
}
void interrupt::nap(std::chrono::microseconds duration) {
  std::unique_lock lock(mutex_);
  const bool was_raised = raised_at_.has_value();
  changed_.wait_for(lock, duration, [&] { return raised_at_.has_value() != was_raised; });
}

file_lock::~file_lock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void file_lock::open_file() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor_ < 0) {
    const int problem = errno;
    if (problem == ENOSPC || problem == EDQUOT)
      throw failure(status_code::resource_exhausted,
                    "cannot create the lock file " + path_ + ": " + std::strerror(problem),
                    "free disk space and try again");
    unavailable("cannot open the lock file", path_, problem,
                "its folder must be writable for this user");
  }
}

// False when somebody removed or replaced the file: a lock on the old one excludes nobody.
bool file_lock::is_current() const noexcept {
  struct stat ours {
  }, named{};
  return ::fstat(descriptor_, &ours) == 0 && ::stat(path_.c_str(), &named) == 0 &&
         ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

void file_lock::acquire(std::chrono::milliseconds timeout, interrupt& stop) {
  using clock = std::chrono::steady_clock;
  clock::duration left = timeout;
  auto nap = lock_nap_first;
  if (descriptor_ < 0) open_file();
  for (;;) {
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) {
      if (is_current()) return;
      open_file();
      continue;
    }
    if (errno != EWOULDBLOCK && errno != EINTR)
      unavailable("cannot lock", path_, errno, "the folder must be on a local disk");
    const auto now = clock::now();
    const auto raised_at = stop.raised_at();
    if (left <= clock::duration::zero() || (raised_at && now >= *raised_at + stop_grace))
      unavailable(
          "waited too long for", path_, ETIMEDOUT,
          "another process keeps writing; try again, or look who it is: fuser -v '" + path_ + "'");
    // A different length each time keeps many waiters from knocking together.
    const auto jitter =
        std::chrono::microseconds(now.time_since_epoch().count() / 64 % nap.count());
    stop.nap(nap / 2 + jitter);
    nap = std::min(nap * 3 / 2, lock_nap_longest);
    left -= std::min<clock::duration>(clock::now() - now, lock_nap_counted_max);
  }
}

void file_lock::release() noexcept {
  if (descriptor_ >= 0) ::flock(descriptor_, LOCK_UN);
}
}  // namespace rustic::storage
