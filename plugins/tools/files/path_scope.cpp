// Resolving paths inside the roots.
#include "path_scope.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>

#include "limits.hpp"
#include "text.hpp"

namespace rustic::files {
namespace {

// openat2 without its glibc wrapper; fails with ENOSYS or EPERM where it is not offered.
int open_beneath(int base, const char* path, int flags) {
  open_how how{};
  how.flags = static_cast<unsigned>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, base, path, &how, sizeof how));
}

std::string join(const std::string& base, const std::string& name) {
  if (name == "." || name.empty()) return base;
  return base == "/" ? "/" + name : base + "/" + name;
}

std::string join_all(std::string base, const std::vector<std::string>& names, std::size_t from) {
  for (std::size_t i = from; i < names.size(); ++i) base = join(base, names[i]);
  return base;
}

bool is_below(std::string_view path, std::string_view base) {
  if (base == "/") return true;
  return path.substr(0, base.size()) == base &&
         (path.size() == base.size() || path[base.size()] == '/');
}

result<std::string> link_target(int fd, std::string_view shown) {
  std::string target(path_bytes_max, '\0');
  const ssize_t size = ::readlinkat(fd, "", target.data(), target.size());
  if (size < 0) return system_failure("follow the link", shown, errno);
  if (static_cast<std::size_t>(size) == target.size()) {
    return failure{reason::refused, "the link " + std::string(shown) + " is too long"};
  }
  target.resize(static_cast<std::size_t>(size));
  return target;
}

}  // namespace

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view name = path.substr(0, end);
    if (!name.empty() && name != ".") out.emplace_back(name);
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return out;
}

bool in_proc(int fd) {
  struct statfs info {};
  return ::fstatfs(fd, &info) == 0 && info.f_type == PROC_SUPER_MAGIC;
}

std::string_view kind_of(mode_t mode) {
  if (S_ISREG(mode)) return "a regular file";
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISLNK(mode)) return "a symbolic link";
  if (S_ISCHR(mode)) return "a character device";
  if (S_ISBLK(mode)) return "a block device";
  return "of an unknown kind";
}

bool place::inside(std::string_view name) const {
  for (const std::string& component : split_path(below)) {
    if (component.size() == name.size() &&
        ::strncasecmp(component.data(), name.data(), name.size()) == 0) {
      return true;
    }
  }
  return false;
}

result<path_scope> path_scope::open(std::string_view workspace,
                                    const std::vector<std::string>& roots) {
  path_scope scope;
  if (auto added = scope.add(workspace); !added) {
    return failure{added.error().why, "the workspace cannot be used: " + added.error().message};
  }
  for (const std::string& directory : roots) {
    if (scope.roots_.size() >= roots_max) {
      return failure{reason::invalid, "more than " + std::to_string(roots_max) + " roots"};
    }
    if (auto added = scope.add(directory); !added && added.error().why == reason::invalid) {
      return added.error();
    }
  }
  return scope;
}

result<void> path_scope::add(std::string_view directory) {
  const std::string spelled(directory);
  if (spelled.empty() || spelled.front() != '/' || spelled.find('\0') != std::string::npos) {
    return failure{reason::invalid, "'" + utf8_name(spelled) + "' is not an absolute path"};
  }
  root next;
  next.fd.reset(::open(spelled.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!next.fd) return system_failure("open", utf8_name(spelled), errno);
  std::string canonical(path_bytes_max, '\0');
  const std::string self = "/proc/self/fd/" + std::to_string(next.fd.get());
  const ssize_t size = ::readlink(self.c_str(), canonical.data(), canonical.size());
  if (size > 0 && static_cast<std::size_t>(size) < canonical.size() && canonical[0] == '/') {
    canonical.resize(static_cast<std::size_t>(size));
  } else {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(spelled.c_str(), nullptr),
                                                           &std::free);
    if (!real) return system_failure("resolve", utf8_name(spelled), errno);
    canonical = real.get();
  }
  next.path = std::move(canonical);
  next.spelled = join_all("/", split_path(spelled), 0);
  for (const root& known : roots_) {
    if (known.path == next.path && known.spelled == next.spelled) return {};
  }
  roots_.push_back(std::move(next));
  return {};
}

std::string path_scope::shown(std::string_view absolute) const {
  const std::string& base = roots_.front().path;
  if (!is_below(absolute, base)) return utf8_name(absolute);
  if (absolute.size() == base.size()) return ".";
  return utf8_name(absolute.substr(base == "/" ? 1 : base.size() + 1));
}

std::string path_scope::roots_text() const {
  std::string out;
  std::vector<std::string_view> named;
  for (const root& each : roots_) {
    if (std::find(named.begin(), named.end(), each.path) != named.end()) continue;
    named.push_back(each.path);
    if (!out.empty()) out += ", ";
    out += utf8_name(each.path);
  }
  return out;
}

failure path_scope::outside(std::string_view asked, std::string_view resolved) const {
  std::string message = "'" + utf8_name(asked) + "'";
  if (resolved != asked) message += " leads to '" + utf8_name(resolved) + "', which";
  message += " is outside the directories that file tools may touch (" + roots_text() +
             "). Use a path inside one of them; relative paths start from " +
             utf8_name(roots_.front().path) + ".";
  return {reason::outside, message};
}

// The root that contains an absolute path; `used` becomes the number of components it covers.
const path_scope::root* path_scope::root_of(const std::vector<std::string>& components,
                                            std::size_t& used) const {
  const root* best = nullptr;
  for (const root& each : roots_) {
    for (const std::string* spelling : {&each.path, &each.spelled}) {
      const std::vector<std::string> base = split_path(*spelling);
      if (base.size() > components.size() || (best && base.size() <= used)) continue;
      if (std::equal(base.begin(), base.end(), components.begin())) {
        best = &each;
        used = base.size();
      }
    }
  }
  return best;
}

result<place> path_scope::locate(std::string_view path) const {
  if (path.empty()) return failure{reason::invalid, "the path is empty; '.' is the workspace"};
  if (path.find('\0') != std::string_view::npos) {
    return failure{reason::invalid, "the path contains a NUL character"};
  }
  if (path.size() >= path_bytes_max) {
    return failure{reason::invalid,
                   "the path is longer than " + std::to_string(path_bytes_max - 1) + " bytes"};
  }
  const bool absolute = path.front() == '/';
  std::vector<std::string> components = split_path(path);
  if (path.front() == '~' && (path.size() == 1 || path[1] == '/')) {
    struct stat info {};
    if (::fstatat(roots_.front().fd.get(), "~", &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return failure{reason::invalid, "'" + utf8_name(path) +
                                          "': '~' is not expanded; give a path relative to " +
                                          utf8_name(roots_.front().path) + " or an absolute one"};
    }
  }
  const bool plain = std::find(components.begin(), components.end(), "..") == components.end();
  if (plain) {
    std::size_t used = 0;
    const root* from = absolute ? root_of(components, used) : &roots_.front();
    if (!from) return outside(path, path);
    const std::vector<std::string> rest(components.begin() + static_cast<std::ptrdiff_t>(used),
                                        components.end());
    if (auto found = locate_fast(*from, rest)) return found;
  }
  return locate_slow(std::move(components), absolute, path);
}

// One system call for the directory and one for the name; gives up wherever there is a link.
result<place> path_scope::locate_fast(const root& from,
                                      const std::vector<std::string>& components) const {
  place out;
  std::string directory = ".";
  for (std::size_t i = 0; i + 1 < components.size(); ++i) directory += "/" + components[i];
  out.leaf = components.empty() ? "." : components.back();
  out.parent.reset(open_beneath(from.fd.get(), directory.c_str(), O_PATH | O_DIRECTORY));
  if (!out.parent) return failure{};
  if (::fstatat(out.parent.get(), out.leaf.c_str(), &out.info, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISLNK(out.info.st_mode)) return failure{};
    out.exists = true;
  } else if (errno != ENOENT) {
    return failure{};
  }
  out.path = join_all(from.path, components, 0);
  out.below = join_all("", components, 0);
  out.root_fd = from.fd.get();
  out.shown = shown(out.path);
  return out;
}

result<place> path_scope::locate_slow(std::vector<std::string> components, bool absolute,
                                      std::string_view asked) const {
  std::deque<std::string> pending(components.begin(), components.end());
  const root* from = &roots_.front();
  std::vector<unique_fd> opened;   // of the directories below the root
  std::vector<std::string> names;  // and their names
  int links = 0;

  // Continues from an absolute path: `base` followed by what is pending.
  const auto enter = [&](const std::vector<std::string>& base) -> bool {
    std::vector<std::string> all = base;
    all.insert(all.end(), pending.begin(), pending.end());
    std::size_t used = 0;
    from = root_of(all, used);
    opened.clear();
    names.clear();
    pending.assign(all.begin() + static_cast<std::ptrdiff_t>(used), all.end());
    if (!from) pending.assign(all.begin(), all.end());
    return from != nullptr;
  };
  const auto resolved = [&] {
    std::string path = from ? join_all(from->path, names, 0) : "/";
    for (const std::string& name : pending) path = join(path, name);
    return path;
  };
  const auto top = [&] { return opened.empty() ? from->fd.get() : opened.back().get(); };

  if (absolute && !enter({})) return outside(asked, asked);
  while (!pending.empty()) {
    const std::string name = pending.front();
    pending.pop_front();
    if (name == "..") {
      if (!opened.empty()) {
        opened.pop_back();
        names.pop_back();
        continue;
      }
      std::vector<std::string> above = split_path(from->path);
      if (above.empty()) continue;  // "/.." is "/"
      above.pop_back();
      if (!enter(above)) return outside(asked, resolved());
      continue;
    }
    unique_fd next(::openat(top(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    const std::string here = shown(join(join_all(from->path, names, 0), name));
    if (!next && errno == ENOENT) {
      place out;
      out.leaf = name;
      for (const std::string& rest : pending) {
        if (rest == "..") {
          return failure{reason::not_found,
                         "'" + utf8_name(asked) + "': the directory '" + here + "' does not exist"};
        }
        out.missing.push_back(std::exchange(out.leaf, rest));
      }
      out.path = join(join_all(join_all(from->path, names, 0), out.missing, 0), out.leaf);
      out.below = out.path.substr(from->path.size());
      out.root_fd = from->fd.get();
      out.shown = shown(out.path);
      out.parent.reset(::fcntl(top(), F_DUPFD_CLOEXEC, 0));
      if (!out.parent) return system_failure("open", here, errno);
      return out;
    }
    if (!next) return system_failure("open", "'" + here + "'", errno);
    struct stat info {};
    if (::fstat(next.get(), &info) != 0) return system_failure("look at", here, errno);
    if (S_ISLNK(info.st_mode)) {
      if (in_proc(next.get())) {
        return failure{
            reason::refused,
            "'" + utf8_name(asked) + "' goes through a link of /proc, which is not followed"};
      }
      if (++links > links_max) {
        return failure{reason::refused, "'" + utf8_name(asked) + "' goes through more than " +
                                            std::to_string(links_max) + " links"};
      }
      auto target = link_target(next.get(), here);
      if (!target) return target.error();
      const std::vector<std::string> parts = split_path(*target);
      if (!target->empty() && target->front() == '/') {
        if (!enter(parts)) return outside(asked, resolved());
      } else {
        pending.insert(pending.begin(), parts.begin(), parts.end());
      }
      continue;
    }
    if (S_ISDIR(info.st_mode) && !pending.empty()) {
      opened.push_back(std::move(next));
      names.push_back(name);
      continue;
    }
    if (!pending.empty()) {
      return failure{reason::not_found, "'" + utf8_name(asked) + "': '" + here + "' is " +
                                            std::string(kind_of(info.st_mode)) +
                                            ", not a directory"};
    }
    place out;
    out.parent.reset(::fcntl(top(), F_DUPFD_CLOEXEC, 0));
    if (!out.parent) return system_failure("open", here, errno);
    out.leaf = name;
    out.exists = true;
    out.info = info;
    out.path = join(join_all(from->path, names, 0), name);
    out.below = out.path.substr(from->path.size());
    out.root_fd = from->fd.get();
    out.shown = shown(out.path);
    return out;
  }

  // The path ended at a directory by "..", "." or an absolute root.
  place out;
  out.parent.reset(::fcntl(top(), F_DUPFD_CLOEXEC, 0));
  if (!out.parent || ::fstat(top(), &out.info) != 0) {
    return system_failure("open", utf8_name(asked), errno);
  }
  out.leaf = ".";
  out.exists = true;
  out.path = join_all(from->path, names, 0);
  out.below = out.path.substr(from->path.size());
  out.root_fd = from->fd.get();
  out.shown = shown(out.path);
  return out;
}

result<unique_fd> open_regular(const place& at) {
  const std::string name = "'" + at.shown + "'";
  if (!S_ISREG(at.info.st_mode)) {
    return failure{reason::refused, name + " is " + std::string(kind_of(at.info.st_mode)) +
                                        "; only regular files can be read and written"};
  }
  // O_NONBLOCK: a FIFO that took the file's place meanwhile must not hold us.
  unique_fd fd(::openat(at.parent.get(), at.leaf.c_str(),
                        O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC));
  if (!fd) return system_failure("open", name, errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return system_failure("look at", name, errno);
  if (!S_ISREG(info.st_mode)) {
    return failure{reason::refused, name + " is " + std::string(kind_of(info.st_mode)) +
                                        "; only regular files can be read and written"};
  }
  if (in_proc(fd.get())) {
    return failure{reason::refused, name + " is in /proc, which file tools do not touch"};
  }
  return fd;
}

result<unique_fd> open_directory(const place& at) {
  const std::string name = "'" + at.shown + "'";
  unique_fd fd(
      ::openat(at.parent.get(), at.leaf.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return system_failure("open", name, errno);
  if (in_proc(fd.get())) {
    return failure{reason::refused, name + " is in /proc, which file tools do not touch"};
  }
  return fd;
}

unique_fd open_directory_below(int base, const std::string& relative) {
  const std::string from_base = relative.empty() ? "." : "./" + relative;
  unique_fd fd(open_beneath(base, from_base.c_str(), O_RDONLY | O_DIRECTORY));
  if (fd || (errno != ENOSYS && errno != EPERM)) return fd;
  unique_fd at(::openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (const std::string& name : split_path(relative)) {
    if (!at) break;
    at.reset(::openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }
  return at;
}

}  // namespace rustic::files
