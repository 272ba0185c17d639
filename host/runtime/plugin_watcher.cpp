#include "host/runtime/plugin_watcher.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <rustic/status.hpp>

#include "host/runtime/limits.hpp"

namespace rustic::runtime {
namespace {
namespace fs = std::filesystem;

constexpr std::uint32_t gone = IN_DELETE_SELF | IN_MOVE_SELF;
constexpr std::uint32_t of_plugins = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO |
                                     IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | gone;
constexpr std::uint32_t of_appearance = IN_CREATE | IN_MOVED_TO | gone;
constexpr int looks_in_a_row_max = 16;
constexpr int arm_tries_max = 8;  // while somebody makes and removes the directory
constexpr std::size_t event_bytes_max = 16u * 1024;

bool is_link(const fs::path& path) {
  std::error_code ignored;
  return fs::is_symlink(fs::symlink_status(path, ignored));
}

bool is_plugin_name(const std::string& name) {
  return name.ends_with(".so");
}

// A new name of a file that was written before: a link to it needs no close.
bool is_complete_link(const fs::path& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return false;
  return S_ISLNK(info.st_mode) || info.st_nlink > 1;
}
}  // namespace

plugin_watcher::plugin_watcher(std::vector<fs::path> directories, fs::path ledger, look changed)
    : directories_(std::move(directories)), ledger_(std::move(ledger)), look_(std::move(changed)) {
  stop_ = eventfd(0, EFD_CLOEXEC);
  inotify_ = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (stop_ < 0 || inotify_ < 0) {
    const std::string cause = strerror(errno);
    if (stop_ >= 0) close(stop_);
    if (inotify_ >= 0) close(inotify_);
    throw failure(status_code::resource_exhausted, "watching the plugin directories: " + cause,
                  "raise fs.inotify.max_user_instances, or use /plugin reload NAME");
  }
  arm();
  if (unwatched_ != 0) {
    close(stop_);
    close(inotify_);
    throw failure(status_code::resource_exhausted,
                  std::string("watching the plugin directories: ") + strerror(unwatched_),
                  "raise fs.inotify.max_user_watches, or use /plugin reload NAME");
  }
  thread_ = std::thread([this] { run(); });
}

plugin_watcher::~plugin_watcher() {
  const std::uint64_t one = 1;
  (void)!write(stop_, &one, sizeof one);
  thread_.join();
  close(stop_);
  if (inotify_ >= 0) close(inotify_);
}

// Watches the directory, or the nearest one above it that is there for the name that is missing.
void plugin_watcher::arm_directory(const fs::path& directory, wanted what, const std::string& file,
                                   const fs::path& link) {
  auto at = directory;
  std::string awaited;
  for (int tries = 0; tries < arm_tries_max;) {
    const bool there = awaited.empty();
    const auto mask = !there || what == wanted::appearance ? of_appearance : of_plugins;
    const int id = inotify_add_watch(inotify_, at.c_str(), mask | IN_ONLYDIR | IN_MASK_ADD);
    if (id >= 0) {
      auto& one = watches_[id];
      if (!one.plugins) one.directory = at;
      if (!there)
        one.awaited.insert(awaited);
      else if (what == wanted::plugins)
        one.plugins = true;
      else if (what == wanted::target)
        one.targets[file] = link;
      else
        one.awaited.insert(file);
      // It may have been made before the watch was there.
      std::error_code ignored;
      if (there || !fs::is_directory(at / awaited, ignored)) return;
      at = directory;
      awaited.clear();
      ++tries;
      continue;
    }
    if (errno == ENOSPC || errno == ENOMEM) unwatched_ = errno;
    if (errno != ENOENT && errno != ENOTDIR) return;  // not for us to read
    if (!at.has_relative_path()) return;
    awaited = at.filename().string();
    at = at.parent_path();
  }
}

void plugin_watcher::arm() {
  // A new instance: watches of directories that moved away are of no use.
  const int fresh = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (fresh >= 0) {
    close(inotify_);
    inotify_ = fresh;
  }
  watches_.clear();
  busy_.clear();
  std::size_t count = 0;
  for (const auto& directory : directories_)
    if (++count <= watched_directories_max) {
      arm_directory(directory, wanted::plugins);
      if (is_link(directory))
        arm_directory(directory.parent_path(), wanted::appearance, directory.filename().string());
      arm_links(directory);
    }
  if (!ledger_.empty())
    arm_directory(ledger_.parent_path(), wanted::appearance, ledger_.filename().string());
}

// A plugin that is a link changes where the link leads to.
void plugin_watcher::arm_links(const fs::path& directory) {
  std::error_code problem;
  std::size_t count = 0;
  for (fs::directory_iterator at(directory, problem), end; !problem && at != end;
       at.increment(problem)) {
    const auto& path = at->path();
    if (!is_plugin_name(path.filename().string()) || !is_link(path)) continue;
    if (++count > watched_links_max) return;
    std::error_code unread;
    const auto to = (directory / fs::read_symlink(path, unread)).lexically_normal();
    if (!unread) arm_directory(to.parent_path(), wanted::target, to.filename().string(), path);
  }
}

void plugin_watcher::note_plugin(const fs::path& path, std::uint32_t mask, bool& look_due) {
  changed_.insert(path);
  if ((mask & IN_MODIFY) != 0 || ((mask & IN_CREATE) != 0 && !is_complete_link(path))) {
    busy_.insert(path);
  } else {
    if ((mask & IN_ATTRIB) == 0) busy_.erase(path);
    look_due = true;
  }
}

void plugin_watcher::note(const watched& from, std::uint32_t mask, const std::string& name,
                          bool& look_due, bool& arm_due) {
  if ((mask & gone) != 0) {
    arm_due = true;
    return;
  }
  if (from.awaited.contains(name) && (mask & (IN_CREATE | IN_MOVED_TO)) != 0) {
    if (from.directory / name == ledger_)
      look_due = true;
    else
      arm_due = true;
  }
  // What a link leads to is often removed to be written anew: then the link waits for it.
  const auto target = from.targets.find(name);
  if (target != from.targets.end()) {
    const bool away = (mask & (IN_DELETE | IN_MOVED_FROM | IN_CREATE)) != 0;
    note_plugin(target->second, away ? IN_MODIFY : mask, look_due);
  }
  if (!from.plugins || !is_plugin_name(name)) return;
  const auto path = from.directory / name;
  note_plugin(path, mask, look_due);
  if ((mask & (IN_CREATE | IN_MOVED_TO)) != 0 && is_link(path)) arm_due = true;
}

// Takes what there is; whether something is to be looked at.
bool plugin_watcher::take_events() {
  bool look_due = false, arm_due = false;
  alignas(inotify_event) char buffer[event_bytes_max];
  for (;;) {
    const auto bytes = read(inotify_, buffer, sizeof buffer);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) break;
    for (const char* at = buffer; at < buffer + bytes;) {
      inotify_event event{};
      std::memcpy(&event, at, sizeof event);
      const std::string name(event.len > 0 ? at + sizeof event : "");
      at += sizeof event + event.len;
      if ((event.mask & IN_Q_OVERFLOW) != 0) {
        busy_.clear();
        look_due = true;
      }
      const auto found = watches_.find(event.wd);
      if (found != watches_.end()) note(found->second, event.mask, name, look_due, arm_due);
    }
  }
  if (arm_due) arm();
  return look_due || arm_due;
}

// Whatever the look found in a directory has told of itself before it was found.
std::optional<std::chrono::milliseconds> plugin_watcher::call_look() {
  std::optional<std::chrono::milliseconds> again;
  for (int rounds = 0; rounds < looks_in_a_row_max; ++rounds) {
    look_again_ = false;
    changed_.clear();
    again = look_([this] {
      if (take_events()) look_again_ = true;
      busy_files out = busy_;
      out.insert(changed_.begin(), changed_.end());
      return out;
    });
    if (!look_again_) return again;
  }
  return std::chrono::milliseconds(0);  // after whoever wants this thread to end
}

void plugin_watcher::run() {
  using clock = std::chrono::steady_clock;
  auto again = call_look();
  auto due = clock::now() + again.value_or(std::chrono::milliseconds(0));
  for (;;) {
    int timeout_ms = -1;
    if (again)
      timeout_ms = static_cast<int>(std::max<std::int64_t>(
          0, std::chrono::ceil<std::chrono::milliseconds>(due - clock::now()).count()));
    pollfd set[2] = {{stop_, POLLIN, 0}, {inotify_, POLLIN, 0}};
    const int ready = poll(set, 2, timeout_ms);
    if (ready < 0 && errno != EINTR) return;
    if (ready > 0 && set[0].revents != 0) return;
    const bool changed = ready > 0 && set[1].revents != 0 && take_events();
    if (!changed && !(again && clock::now() >= due)) continue;
    again = call_look();
    due = clock::now() + again.value_or(std::chrono::milliseconds(0));
  }
}
}  // namespace rustic::runtime
