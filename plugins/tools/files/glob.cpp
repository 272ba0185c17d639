// files_glob.
#include <fcntl.h>

#include <algorithm>

#include "file_tools.hpp"
#include "glob_pattern.hpp"
#include "operation.hpp"
#include "suggest.hpp"
#include "text.hpp"
#include "tree_walk.hpp"

namespace rustic::files {
namespace {

constexpr std::size_t notes_bytes = 512;

struct match {
  std::int64_t modified_ns;
  std::string path;  // absolute
};

// The newest first; equal times by name, so that the order does not vary.
bool newer(const match& a, const match& b) {
  return a.modified_ns != b.modified_ns ? a.modified_ns > b.modified_ns : a.path < b.path;
}

// Leading directories that hold no wildcard belong to the path, not to the pattern.
void move_literal_directory(std::string& path, std::string& pattern) {
  if (pattern.find('{') == pattern.npos) {
    std::size_t begin = 0;
    for (std::size_t slash = pattern.find('/'); slash != pattern.npos;
         slash = pattern.find('/', begin)) {
      if (has_wildcard(std::string_view(pattern).substr(begin, slash - begin))) break;
      begin = slash + 1;
    }
    if (begin > 0) {
      const std::string directory = pattern.substr(0, begin);
      path = directory.front() == '/' ? directory : path + "/" + directory;
      pattern.erase(0, begin);
    }
  }
}

}  // namespace

result<tool_result> file_tools::do_glob(const glob_request& request,
                                        const call_scope& scope) const {
  auto paths = path_scope::open(scope.workspace, scope.roots);
  if (!paths) return paths.error();
  std::string path = request.path;
  std::string rest = request.pattern;
  // "src/*.cpp" is "*.cpp" in src, but "*.cpp" alone means any depth.
  const bool rooted = rest.find('/') != rest.npos;
  move_literal_directory(path, rest);
  if (rest.empty()) rest = "**";
  auto pattern = glob_pattern::parse(rest, rooted);
  if (!pattern) return pattern.error();
  auto at = locate_shown(*paths, path, scope.withheld);
  if (!at) return at.error();
  if (!at->exists) return missing_failure(*at);
  if (!S_ISDIR(at->info.st_mode)) {
    return failure{reason::refused, "'" + at->shown + "' is not a directory."};
  }

  std::vector<match> matches;
  std::size_t total = 0;
  walk_options options;
  options.ignored = request.ignored;
  if (!scope.withheld.empty()) options.withheld = &scope.withheld;
  auto report = walk_tree(*at, options, bounds_, scope.cancelled, [&](const walk_entry& entry) {
    if (entry.kind == entry_kind::directory || !pattern->matches(entry.path)) {
      return walk_step::go_on;
    }
    struct stat info {};
    const std::string name(entry.name);
    if (::fstatat(entry.directory_fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return walk_step::go_on;
    }
    ++total;
    matches.push_back({stamp_of(info).modified_ns, at->path + "/" + entry.path});
    // Twice the wanted number at most: the older half goes.
    if (matches.size() >= std::max<std::size_t>(2 * request.limit, 64)) {
      std::nth_element(matches.begin(),
                       matches.begin() + static_cast<std::ptrdiff_t>(request.limit), matches.end(),
                       newer);
      matches.resize(request.limit);
    }
    return walk_step::go_on;
  });
  if (!report) return report.error();
  std::sort(matches.begin(), matches.end(), newer);

  tool_result out;
  out.success = true;
  const std::size_t room =
      bounds_.output_bytes_max - std::min(bounds_.output_bytes_max, notes_bytes);
  std::size_t shown = 0;
  for (const match& each : matches) {
    const std::string line = paths->shown(each.path) + "\n";
    if (shown == request.limit || out.output.size() + line.size() > room) break;
    out.output += line;
    ++shown;
  }
  if (total == 0) {
    out.output = "[no file matches '" + utf8_name(request.pattern) + "'";
    if (report->ignored) {
      out.output += "; " + count_text(report->ignored, "entry") +
                    " ignored by .gitignore were not looked at (set ignored)";
    }
    out.output += "]\n";
  } else if (shown < total) {
    out.output += "[the newest " + std::to_string(shown) + " of " + std::to_string(total) +
                  " files; narrow the pattern or the path]\n";
  }
  if (const std::string remarks = report->remarks(); !remarks.empty()) {
    out.output += "[" + remarks + "]\n";
  }
  out.metadata = {{"files", total},
                  {"shown", shown},
                  {"complete", shown == total && !report->timed_out && !report->too_many}};
  return out;
}

tool_result file_tools::glob(const glob_request& request, const call_scope& scope) const {
  return finished(do_glob(request, scope));
}

}  // namespace rustic::files
