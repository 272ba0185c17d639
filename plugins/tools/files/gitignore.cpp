// Reading and matching .gitignore files.
#include "gitignore.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "file_access.hpp"
#include "glob_pattern.hpp"
#include "limits.hpp"
#include "path_scope.hpp"

namespace rustic::files {
namespace {

// Spaces at the end do not count unless a backslash precedes them.
std::string_view without_trailing_spaces(std::string_view line) {
  while (!line.empty() && line.back() == ' ') {
    std::size_t slashes = 0;
    while (slashes + 1 < line.size() && line[line.size() - 2 - slashes] == '\\') ++slashes;
    if (slashes % 2 == 1) break;
    line.remove_suffix(1);
  }
  return line;
}

ignore_rules rules_at(int directory, const char* path) {
  unique_fd fd(
      ::openat(directory, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return {};
  const auto content = read_whole(fd.get(), path, ignore_file_bytes_max, {});
  return content ? ignore_rules::parse(content->bytes) : ignore_rules{};
}

}  // namespace

ignore_rules ignore_rules::parse(std::string_view text) {
  ignore_rules out;
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
  while (!text.empty() && out.rules_.size() < ignore_rules_max) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    line = without_trailing_spaces(line);
    if (line.empty() || line.front() == '#' || line.size() > glob_bytes_max) continue;
    rule next;
    if (line.front() == '!') {
      next.negated = true;
      line.remove_prefix(1);
    }
    if (!line.empty() && line.back() == '/') {
      next.directories_only = true;
      line.remove_suffix(1);
    }
    const bool anchored = line.find('/') != line.npos;
    if (!line.empty() && line.front() == '/') line.remove_prefix(1);
    if (line.empty()) continue;
    next.pattern = line;
    if (anchored) {
      next.how = form::wildcard_path;
    } else if (!has_wildcard(line)) {
      next.how = form::name;
    } else if (line.front() == '*' && !has_wildcard(line.substr(1))) {
      next.how = form::suffix;
      next.pattern = line.substr(1);
    } else {
      next.how = form::wildcard_name;
    }
    out.rules_.push_back(std::move(next));
  }
  return out;
}

ignore_verdict ignore_rules::match(std::string_view path, bool directory) const {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  for (auto each = rules_.rbegin(); each != rules_.rend(); ++each) {
    if (each->directories_only && !directory) continue;
    bool matched = false;
    switch (each->how) {
      case form::name:
        matched = name == each->pattern;
        break;
      case form::suffix:
        matched = name.size() >= each->pattern.size() &&
                  name.substr(name.size() - each->pattern.size()) == each->pattern;
        break;
      case form::wildcard_name:
        matched = wildcard_match(each->pattern, name);
        break;
      case form::wildcard_path:
        matched = wildcard_match(each->pattern, path);
        break;
    }
    if (matched) return each->negated ? ignore_verdict::kept : ignore_verdict::ignored;
  }
  return ignore_verdict::none;
}

std::shared_ptr<const ignore_chain> ignore_chain::extend(std::shared_ptr<const ignore_chain> above,
                                                         std::string base, ignore_rules rules) {
  if (rules.empty()) return above;
  auto out = std::make_shared<ignore_chain>();
  out->above_ = std::move(above);
  out->base_ = std::move(base);
  out->rules_ = std::move(rules);
  return out;
}

bool ignore_chain::ignores(std::string_view path, bool directory) const {
  for (const ignore_chain* level = this; level; level = level->above_.get()) {
    std::string_view relative = path;
    if (!level->base_.empty()) {
      if (relative.size() <= level->base_.size()) continue;
      relative.remove_prefix(level->base_.size() + 1);
    }
    const ignore_verdict verdict = level->rules_.match(relative, directory);
    if (verdict != ignore_verdict::none) return verdict == ignore_verdict::ignored;
  }
  return false;
}

std::shared_ptr<const ignore_chain> extend_from_directory(std::shared_ptr<const ignore_chain> above,
                                                          int fd, const std::string& base) {
  struct stat info {};
  if (::fstatat(fd, ".git", &info, AT_SYMLINK_NOFOLLOW) == 0) {
    above = S_ISDIR(info.st_mode)
                ? ignore_chain::extend(nullptr, base, rules_at(fd, ".git/info/exclude"))
                : nullptr;
  }
  return ignore_chain::extend(std::move(above), base, rules_at(fd, ".gitignore"));
}

}  // namespace rustic::files
