// files_list.
#include <fcntl.h>

#include <algorithm>
#include <unordered_map>

#include "file_tools.hpp"
#include "operation.hpp"
#include "suggest.hpp"
#include "text.hpp"
#include "tree_walk.hpp"

namespace rustic::files {
namespace {

constexpr std::size_t crowded_entries_max = 200;  // shown of a directory below the listed one
constexpr std::size_t notes_bytes = 512;

struct node {
  std::string line;
  std::vector<std::size_t> children;
  std::size_t left_out = 0;
};

std::string line_of(const walk_entry& entry) {
  std::string out = utf8_name(entry.name);
  switch (entry.kind) {
    case entry_kind::directory:
      return out + "/";
    case entry_kind::other:
      return out + "  (not a regular file)";
    case entry_kind::link: {
      std::string target(path_bytes_max, '\0');
      const ssize_t size = ::readlinkat(entry.directory_fd, std::string(entry.name).c_str(),
                                        target.data(), target.size());
      target.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
      return out + " -> " + utf8_name(target);
    }
    case entry_kind::file:
      break;
  }
  struct stat info {};
  if (::fstatat(entry.directory_fd, std::string(entry.name).c_str(), &info, AT_SYMLINK_NOFOLLOW) ==
      0) {
    out += "  " + size_text(static_cast<std::uint64_t>(info.st_size));
  }
  return out;
}

class tree_text {
 public:
  tree_text(const std::vector<node>& nodes, std::size_t bytes_max)
      : nodes_(nodes), bytes_max_(bytes_max) {}
  void add(std::size_t index, std::size_t depth) {
    for (const std::size_t child : nodes_[index].children) {
      put(depth, nodes_[child].line);
      add(child, depth + 1);
    }
    if (nodes_[index].left_out) {
      put(depth, "... " + std::to_string(nodes_[index].left_out) + " more");
    }
  }
  std::string out;
  bool cut = false;

 private:
  void put(std::size_t depth, const std::string& line) {
    cut = cut || out.size() + depth * 2 + line.size() + 1 > bytes_max_;
    if (cut) return;
    out.append(depth * 2, ' ');
    out += line + "\n";
  }
  const std::vector<node>& nodes_;
  const std::size_t bytes_max_;
};

}  // namespace

result<tool_result> file_tools::do_list(const list_request& request,
                                        const call_scope& scope) const {
  auto paths = path_scope::open(scope.workspace, scope.roots);
  if (!paths) return paths.error();
  auto at = locate_shown(*paths, request.path, scope.withheld);
  if (!at) return at.error();
  if (!at->exists) return missing_failure(*at);
  if (!S_ISDIR(at->info.st_mode)) {
    return failure{reason::refused, "'" + at->shown + "' is " +
                                        std::string(kind_of(at->info.st_mode)) +
                                        ", not a directory; use files_read to read a file."};
  }
  std::vector<node> nodes(1);
  std::unordered_map<std::string, std::size_t> directories = {{"", 0}};
  const walk_options options{request.hidden, request.ignored, true, request.depth,
                             scope.withheld.empty() ? nullptr : &scope.withheld};
  auto report = walk_tree(*at, options, bounds_, scope.cancelled, [&](const walk_entry& entry) {
    const std::size_t parent = directories[std::string(entry.directory)];
    if (parent != 0 && nodes[parent].children.size() >= crowded_entries_max) {
      ++nodes[parent].left_out;
      return walk_step::skip;
    }
    if (nodes.size() > list_entries_max) return walk_step::stop;
    nodes[parent].children.push_back(nodes.size());
    if (entry.kind == entry_kind::directory) directories.emplace(entry.path, nodes.size());
    nodes.push_back({line_of(entry), {}, 0});
    return walk_step::go_on;
  });
  if (!report) return report.error();

  tree_text tree(nodes, bounds_.output_bytes_max - std::min(bounds_.output_bytes_max, notes_bytes));
  tree.add(0, 0);
  const std::size_t shown = nodes.size() - 1;
  std::vector<std::string> notes;
  if (shown == 0 && report->hidden + report->ignored == 0) {
    notes.push_back("'" + at->shown + "' is empty");
  }
  if (report->stopped || tree.cut) {
    notes.push_back("only the first " + count_text(shown, "entry") +
                    " are listed; list a subdirectory or use files_glob");
  }
  if (report->hidden) {
    notes.push_back(count_text(report->hidden, "hidden entry") + " left out (set hidden)");
  }
  if (report->ignored) {
    notes.push_back(count_text(report->ignored, "entry") + " left out by .gitignore (set ignored)");
  }
  if (const std::string remarks = report->remarks(); !remarks.empty()) notes.push_back(remarks);

  tool_result out;
  out.success = true;
  out.output = std::move(tree.out);
  for (const std::string& note : notes) out.output += "[" + note + "]\n";
  out.metadata = {{"path", at->shown},
                  {"entries", shown},
                  {"hidden", report->hidden},
                  {"ignored", report->ignored},
                  {"complete", !report->stopped && !tree.cut && !report->timed_out}};
  return out;
}

tool_result file_tools::list(const list_request& request, const call_scope& scope) const {
  return finished(do_list(request, scope));
}

}  // namespace rustic::files
