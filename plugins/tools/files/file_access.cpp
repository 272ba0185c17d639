// Whole-file reads and atomic replacement.
#include "file_access.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>

#include "limits.hpp"

namespace rustic::files {
namespace {

// A write beyond RLIMIT_FSIZE raises SIGXFSZ, whose default is to end the process: while this
// stands, the signal is held back on this thread, taken back, and the write fails with EFBIG.
class file_size_signal_hold {
 public:
  file_size_signal_hold() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGXFSZ);
    sigset_t pending;
    sigemptyset(&pending);
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGXFSZ) == 1;
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~file_size_signal_hold() {
    if (!was_pending_) {
      const timespec now{};
      while (sigtimedwait(&set_, nullptr, &now) < 0 && errno == EINTR) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  file_size_signal_hold(const file_size_signal_hold&) = delete;
  file_size_signal_hold& operator=(const file_size_signal_hold&) = delete;

 private:
  sigset_t set_{};
  sigset_t before_{};
  bool was_pending_ = false;
};

// Removes the temporary file unless it became the real one.
class temporary_file {
 public:
  temporary_file(int directory, std::string name) : directory_(directory), name_(std::move(name)) {}
  ~temporary_file() {
    if (!kept_) ::unlinkat(directory_, name_.c_str(), 0);
  }
  temporary_file(const temporary_file&) = delete;
  temporary_file& operator=(const temporary_file&) = delete;
  void keep() { kept_ = true; }
  const char* name() const { return name_.c_str(); }

 private:
  int directory_;
  std::string name_;
  bool kept_ = false;
};

std::string random_name() {
  unsigned char bytes[8] = {};
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    for (std::size_t i = 0; i < sizeof bytes; ++i) {
      bytes[i] = static_cast<unsigned char>(now.tv_nsec >> (i * 3));
    }
  }
  std::string out = ".rustic-";
  static constexpr char digits[] = "0123456789abcdef";
  for (const unsigned char byte : bytes) {
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out + ".tmp";
}

std::string why_unwritable(int error, std::string_view directory) {
  std::string out = std::generic_category().message(error);
  if (error == EACCES || error == EPERM || error == EROFS) {
    out += " (the directory '" + std::string(directory) + "' must be writable)";
  }
  return out;
}

std::string_view parent_shown(const place& at) {
  const std::string_view shown = at.shown;
  const std::size_t slash = shown.rfind('/');
  if (slash == shown.npos) return ".";
  return slash == 0 ? "/" : shown.substr(0, slash);
}

result<void> make_directories(place& at) {
  std::string made;
  for (const std::string& name : at.missing) {
    made += (made.empty() ? "" : "/") + name;
    if (::mkdirat(at.parent.get(), name.c_str(), 0777) != 0 && errno != EEXIST) {
      return system_failure("make the directory '" + made + "' for", "'" + at.shown + "'", errno);
    }
    unique_fd next(
        ::openat(at.parent.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next) {
      return system_failure("open the directory '" + made + "' of", "'" + at.shown + "'", errno);
    }
    at.parent = std::move(next);
  }
  at.missing.clear();
  return {};
}

result<void> write_all(int fd, std::string_view bytes, const place& at,
                       const cancel_check* cancelled) {
  const file_size_signal_hold hold;
  const std::size_t total = bytes.size();
  while (!bytes.empty()) {
    if (cancelled && *cancelled && (*cancelled)()) return cancelled_failure();
    const ssize_t done = ::write(fd, bytes.data(), std::min(bytes.size(), chunk_bytes));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) {
      failure out = system_failure("write", "'" + at.shown + "'", errno);
      out.message += " (" + std::to_string(total) + " bytes were to be written; ";
      out.message += at.exists ? "the file keeps its old content)" : "no file was made)";
      return out;
    }
    bytes.remove_prefix(static_cast<std::size_t>(done));
  }
  return {};
}

// Copies access lists and user attributes, as far as the file system has them.
void copy_attributes(int from, int to) {
  std::string names(attribute_bytes_max, '\0');
  const ssize_t size = ::flistxattr(from, names.data(), names.size());
  if (size <= 0) return;
  std::string value(attribute_bytes_max, '\0');
  for (const char* name = names.data(); name < names.data() + size;
       name += std::char_traits<char>::length(name) + 1) {
    const std::string_view attribute(name);
    if (attribute.substr(0, 5) != "user." && attribute.substr(0, 16) != "system.posix_acl")
      continue;
    const ssize_t length = ::fgetxattr(from, name, value.data(), value.size());
    if (length >= 0) ::fsetxattr(to, name, value.data(), static_cast<std::size_t>(length), 0);
  }
}

// Gives the new file what the old one had besides its content.
void keep_properties(int from, int to, const struct stat& info, std::vector<std::string>& notes) {
  struct stat now {};
  if (::fstat(to, &now) == 0 && (now.st_uid != info.st_uid || now.st_gid != info.st_gid)) {
    if (::fchown(to, info.st_uid, info.st_gid) != 0 &&
        ::fchown(to, static_cast<uid_t>(-1), info.st_gid) != 0) {
      notes.emplace_back("its owner and group could not be kept");
    } else if (::fstat(to, &now) == 0 && now.st_uid != info.st_uid) {
      notes.emplace_back("its owner could not be kept");
    }
  }
  if (from >= 0) copy_attributes(from, to);
  // Changing the owner clears set-id bits; they come back only for the same owner.
  const bool same =
      ::fstat(to, &now) == 0 && now.st_uid == info.st_uid && now.st_gid == info.st_gid;
  ::fchmod(to, info.st_mode & (same ? 07777U : 0777U));
  if (info.st_nlink > 1) {
    notes.push_back("it had " + std::to_string(info.st_nlink) +
                    " hard links; the other names keep the old content");
  }
}

failure changed_failure(const place& at) {
  return {reason::changed, "'" + at.shown +
                               "' changed on disk while this call was working on it; nothing was "
                               "written. Read it again and repeat the change."};
}

}  // namespace

file_stamp stamp_of(const struct stat& info) {
  const auto ns = [](const timespec& time) {
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
  };
  return {info.st_dev, info.st_ino, info.st_size, ns(info.st_mtim), ns(info.st_ctim)};
}

result<file_content> read_whole(int fd, std::string_view shown, std::size_t bytes_max,
                                const cancel_check& cancelled) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return system_failure("look at", shown, errno);
  const failure too_large{reason::too_large, "'" + std::string(shown) + "' is larger than " +
                                                 std::to_string(bytes_max) + " bytes"};
  if (info.st_size > 0 && static_cast<std::size_t>(info.st_size) > bytes_max) return too_large;
  file_content out;
  out.stamp = stamp_of(info);
  std::size_t used = 0;
  // One byte more than expected, so that the end is seen without a further resize.
  out.bytes.resize(static_cast<std::size_t>(info.st_size) + 1);
  while (true) {
    if (cancelled && used > 0 && cancelled()) return cancelled_failure();
    if (used == out.bytes.size()) out.bytes.resize(used + chunk_bytes);
    const std::size_t room = std::min(out.bytes.size() - used, std::size_t{4} << 20);
    const ssize_t got = ::read(fd, out.bytes.data() + used, room);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_failure("read", "'" + std::string(shown) + "'", errno);
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
    if (used > bytes_max) return too_large;
  }
  out.bytes.resize(used);
  return out;
}

result<file_content> load(const place& at, std::size_t bytes_max, const cancel_check& cancelled) {
  auto fd = open_regular(at);
  if (!fd) return fd.error();
  return read_whole(fd->get(), at.shown, bytes_max, cancelled);
}

result<write_outcome> replace_file(place& at, std::string_view bytes,
                                   const write_options& options) {
  if (auto made = make_directories(at); !made) return made.error();
  // The place holds an O_PATH descriptor, which cannot be synced.
  unique_fd directory(::openat(at.parent.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const int parent = directory ? directory.get() : at.parent.get();

  unique_fd old;
  struct stat info {};
  if (options.expected) {
    auto opened = open_regular(at);
    if (!opened) return opened.error();
    old = std::move(*opened);
    if (::fstat(old.get(), &info) != 0) return system_failure("look at", at.shown, errno);
    if (stamp_of(info) != *options.expected) return changed_failure(at);
    // The rename below needs no right on the file itself: who took it away meant to keep the file.
    if ((info.st_mode & 0222U) == 0 ||
        (::faccessat(at.parent.get(), at.leaf.c_str(), W_OK, AT_EACCESS) != 0 && errno == EACCES)) {
      return failure{reason::refused,
                     "'" + at.shown +
                         "' is read-only; nothing was written. If it is meant to be "
                         "changed, make it writable first (chmod u+w)."};
    }
  }

  temporary_file temporary(parent, random_name());
  // A new file takes its mode from the process's mask; a replacement is private until it has the
  // mode of the old one.
  unique_fd fd(::openat(parent, temporary.name(),
                        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                        options.expected ? 0600 : 0666));
  if (!fd) {
    return failure{reason::system,
                   "cannot write '" + at.shown + "': " + why_unwritable(errno, parent_shown(at))};
  }
  if (auto written = write_all(fd.get(), bytes, at, options.cancelled); !written) {
    return written.error();
  }
  write_outcome out;
  if (options.expected) keep_properties(old.get(), fd.get(), info, out.notes);
  if (options.sync && ::fsync(fd.get()) != 0) {
    return system_failure("sync", "'" + at.shown + "'", errno);
  }
  struct stat now {};
  if (options.expected) {
    if (::fstatat(parent, at.leaf.c_str(), &now, AT_SYMLINK_NOFOLLOW) != 0 ||
        stamp_of(now) != *options.expected) {
      return changed_failure(at);
    }
    if (::renameat(parent, temporary.name(), parent, at.leaf.c_str()) != 0) {
      return failure{reason::system, "cannot replace '" + at.shown +
                                         "': " + why_unwritable(errno, parent_shown(at))};
    }
  } else {
    int done = static_cast<int>(::syscall(SYS_renameat2, parent, temporary.name(), parent,
                                          at.leaf.c_str(), RENAME_NOREPLACE));
    if (done != 0 && (errno == EINVAL || errno == ENOSYS)) {
      // File systems without RENAME_NOREPLACE: a hard link is as exclusive.
      done = ::linkat(parent, temporary.name(), parent, at.leaf.c_str(), 0);
      if (done == 0) ::unlinkat(parent, temporary.name(), 0);
    }
    if (done != 0 && errno == EEXIST) return changed_failure(at);
    if (done != 0) {
      return failure{reason::system,
                     "cannot make '" + at.shown + "': " + why_unwritable(errno, parent_shown(at))};
    }
  }
  temporary.keep();
  if (options.sync && directory) ::fsync(directory.get());
  if (::fstat(fd.get(), &now) != 0) return system_failure("look at", at.shown, errno);
  out.stamp = stamp_of(now);
  at.exists = true;
  at.info = now;
  return out;
}

}  // namespace rustic::files
