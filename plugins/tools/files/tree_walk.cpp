// The walk: one open directory at a time, whatever the depth.
#include "tree_walk.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <memory>

#include "gitignore.hpp"
#include "text.hpp"

namespace rustic::files {
namespace {

using clock = std::chrono::steady_clock;

struct pending_directory {
  std::string path;  // relative to the start
  std::size_t depth = 0;
  std::shared_ptr<const ignore_chain> rules;  // of the directories above
};

struct found_entry {
  std::string name;
  entry_kind kind;
};

bool is_version_control(std::string_view name) {
  static constexpr std::array<std::string_view, 4> names = {".git", ".hg", ".svn", ".jj"};
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string below(const std::string& base, std::string_view name) {
  return base.empty() ? std::string(name) : base + "/" + std::string(name);
}

entry_kind kind_from_mode(mode_t mode) {
  if (S_ISREG(mode)) return entry_kind::file;
  if (S_ISDIR(mode)) return entry_kind::directory;
  return S_ISLNK(mode) ? entry_kind::link : entry_kind::other;
}

entry_kind kind_of_entry(int directory, const dirent& entry) {
  switch (entry.d_type) {
    case DT_REG:
      return entry_kind::file;
    case DT_DIR:
      return entry_kind::directory;
    case DT_LNK:
      return entry_kind::link;
    case DT_UNKNOWN:
      break;
    default:
      return entry_kind::other;
  }
  struct stat info {};
  if (::fstatat(directory, entry.d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) return entry_kind::other;
  return kind_from_mode(info.st_mode);
}

class tree_walk {
 public:
  tree_walk(const place& start, int start_fd, const walk_options& options, const limits& bounds,
            const cancel_check& cancelled, const walk_visitor& visit)
      : start_(start),
        start_fd_(start_fd),
        options_(options),
        cancelled_(cancelled),
        visit_(visit),
        deadline_(clock::now() + std::chrono::milliseconds(bounds.walk_time_max_ms)) {
    while (!base_.empty() && base_.front() == '/') base_.erase(0, 1);
  }

  result<walk_report> run() {
    pending_.push_back({"", 0, options_.ignored ? nullptr : rules_above()});
    while (!pending_.empty() && !done()) {
      pending_directory next;
      if (options_.breadth_first) {
        next = std::move(pending_.front());
        pending_.pop_front();
      } else {
        next = std::move(pending_.back());
        pending_.pop_back();
      }
      enter(next);
    }
    if (was_cancelled_) return cancelled_failure();
    return report_;
  }

 private:
  bool done() const {
    return was_cancelled_ || report_.stopped || report_.timed_out ||
           report_.entries > walk_entries_max;
  }

  // At every directory and every 64 entries.
  bool interrupted() {
    was_cancelled_ = was_cancelled_ || (cancelled_ && cancelled_());
    report_.timed_out = report_.timed_out || clock::now() > deadline_;
    return was_cancelled_ || report_.timed_out;
  }

  // The rules of the directories between the root and the start.
  std::shared_ptr<const ignore_chain> rules_above() const {
    std::shared_ptr<const ignore_chain> rules;
    std::string path;
    for (const std::string& name : split_path(base_)) {
      const unique_fd fd = open_directory_below(start_.root_fd, path);
      if (fd) rules = extend_from_directory(std::move(rules), fd.get(), path);
      path = below(path, name);
    }
    return rules;
  }

  void enter(const pending_directory& directory) {
    if (interrupted()) return;
    unique_fd fd = open_directory_below(start_fd_, directory.path);
    if (!fd || in_proc(fd.get())) {
      ++report_.unreadable;
      return;
    }
    std::shared_ptr<const ignore_chain> rules;
    if (!options_.ignored) {
      rules = extend_from_directory(directory.rules, fd.get(), below_root(directory.path));
    }
    std::vector<found_entry> entries = read_entries(std::move(fd), rules.get(), directory.path);
    if (!directory_ || done()) return;
    const int at = ::dirfd(directory_.get());
    const std::size_t queued = pending_.size();
    for (const found_entry& entry : entries) {
      if (done()) break;
      const std::string path = below(directory.path, entry.name);
      if (options_.withheld && options_.withheld->covers(start_path_ + "/" + path)) {
        ++report_.withheld;
        continue;
      }
      const walk_step step =
          visit_({path, entry.name, directory.path, entry.kind, at, directory.depth + 1});
      if (step == walk_step::stop) report_.stopped = true;
      if (step != walk_step::go_on || entry.kind != entry_kind::directory ||
          is_version_control(entry.name) || directory.depth + 1 >= options_.depth_max) {
        if (directory.depth + 1 >= walk_depth_max) report_.too_many = true;
        continue;
      }
      pending_.push_back({path, directory.depth + 1, rules});
    }
    if (!options_.breadth_first) {
      std::reverse(pending_.begin() + static_cast<std::ptrdiff_t>(queued), pending_.end());
    }
    directory_.reset();
  }

  std::string below_root(const std::string& path) const {
    if (base_.empty()) return path;
    return path.empty() ? base_ : base_ + "/" + path;
  }

  std::vector<found_entry> read_entries(unique_fd fd, const ignore_chain* rules,
                                        const std::string& path) {
    std::vector<found_entry> entries;
    directory_.reset(::fdopendir(fd.get()));
    if (!directory_) {
      ++report_.unreadable;
      return entries;
    }
    (void)fd.release();
    const int at = ::dirfd(directory_.get());
    const std::string prefix = below_root(path);
    while (const dirent* entry = ::readdir(directory_.get())) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (++report_.entries % 64 == 0 && interrupted()) break;
      if (report_.entries > walk_entries_max || entries.size() >= directory_entries_max) {
        report_.too_many = true;
        break;
      }
      if (!options_.hidden && name.front() == '.') {
        ++report_.hidden;
        continue;
      }
      const entry_kind kind = kind_of_entry(at, *entry);
      if (rules && rules->ignores(below(prefix, name), kind == entry_kind::directory)) {
        ++report_.ignored;
        continue;
      }
      entries.push_back({std::string(name), kind});
    }
    std::sort(entries.begin(), entries.end(),
              [](const found_entry& a, const found_entry& b) { return a.name < b.name; });
    return entries;
  }

  struct close_directory {
    void operator()(DIR* directory) const { ::closedir(directory); }
  };

  const place& start_;
  const int start_fd_;
  const walk_options& options_;
  const cancel_check& cancelled_;
  const walk_visitor& visit_;
  const clock::time_point deadline_;
  std::string base_ = start_.below;
  const std::string start_path_ = start_.path == "/" ? "" : start_.path;
  std::deque<pending_directory> pending_;
  std::unique_ptr<DIR, close_directory> directory_;
  walk_report report_;
  bool was_cancelled_ = false;
};

}  // namespace

std::string walk_report::remarks() const {
  std::string out;
  const auto add = [&](const std::string& text) { out += (out.empty() ? "" : "; ") + text; };
  if (timed_out) add("stopped after the time limit, so this is incomplete");
  if (too_many) add("there are more entries than are looked at, so this is incomplete");
  if (withheld) {
    add(withheld == 1 ? "1 entry is withheld by a rule of the user"
                      : std::to_string(withheld) + " entries are withheld by a rule of the user");
  }
  if (unreadable) {
    add(unreadable == 1 ? "1 directory could not be read"
                        : std::to_string(unreadable) + " directories could not be read");
  }
  return out;
}

result<walk_report> walk_tree(const place& start, const walk_options& options, const limits& bounds,
                              const cancel_check& cancelled, const walk_visitor& visit) {
  auto fd = open_directory(start);
  if (!fd) return fd.error();
  return tree_walk(start, fd->get(), options, bounds, cancelled, visit).run();
}

}  // namespace rustic::files
