// files_grep.
#include <fcntl.h>

#include <algorithm>
#include <cstring>

#include "file_tools.hpp"
#include "glob_pattern.hpp"
#include "line_search.hpp"
#include "operation.hpp"
#include "suggest.hpp"
#include "text.hpp"
#include "tree_walk.hpp"

namespace rustic::files {
namespace {

constexpr std::size_t notes_bytes = 1024;

// One grep: what it found so far and when it has enough.
class search_run {
 public:
  search_run(const line_search& search, const grep_request& request, const limits& bounds,
             const cancel_check& cancelled)
      : search_(search), request_(request), bounds_(bounds), cancelled_(cancelled) {
    room_ = bounds.output_bytes_max - std::min(bounds.output_bytes_max, notes_bytes);
  }

  // Searches an open regular file. Fails only when cancelled.
  result<void> search_file(int fd, const std::string& shown, bool& binary) {
    struct stat info {};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return {};
    auto content = read_whole(fd, shown, bounds_.grep_file_bytes_max, cancelled_);
    if (!content) {
      if (content.error().why == reason::cancelled) return content.error();
      ++(content.error().why == reason::too_large ? too_large : unreadable);
      return {};
    }
    std::string& text = content->bytes;
    const encoding form = sniff_encoding(text);
    if (form == encoding::utf16_le || form == encoding::utf16_be || form == encoding::utf8_bom) {
      text = decode(std::move(text)).text;
    } else if (std::memchr(text.data(), '\0', text.size())) {
      binary = true;
      return {};
    }
    ++searched;
    if (text.find("\r\n") != text.npos) text = without_crlf(text);
    return search_text(text, shown, binary);
  }

  bool enough() const { return limited || full; }

  std::string output;
  std::size_t files = 0;  // with a match
  std::size_t lines = 0;  // that match
  std::size_t searched = 0;
  std::size_t too_large = 0;
  std::size_t unreadable = 0;
  bool limited = false;  // by the wanted number
  bool full = false;     // by the bytes of the output

 private:
  result<void> search_text(const std::string& text, const std::string& shown, bool& binary) {
    const bool content = request_.output == grep_output::content;
    std::vector<line_hit> hits;
    std::size_t count = 0;
    bool more = false;
    auto done = search_.run(text, cancelled_, [&](const line_hit& hit) {
      if (count == 0 && sniff_binary(text)) {
        binary = true;
        return false;
      }
      if (content && lines + count >= request_.limit) {
        more = true;
        return false;
      }
      ++count;
      if (content) hits.push_back(hit);
      return request_.output != grep_output::files;
    });
    if (!done) return done.error();
    limited = limited || more;
    if (count == 0) return {};
    if (!content && files >= request_.limit) {
      limited = true;
      return {};
    }
    std::string block = shown + "\n";
    if (content) {
      block += render_hits(text, hits, request_.context, grep_line_bytes_max);
      if (files > 0) block.insert(0, "\n");
    } else if (request_.output == grep_output::count) {
      block = shown + ": " + std::to_string(count) + "\n";
    }
    if (output.size() + block.size() > room_) {
      full = true;
      if (files > 0 || !content) return {};
      const std::size_t end = block.rfind('\n', room_ - 1);
      block.resize(end == block.npos ? 0 : end + 1);
    }
    output += block;
    ++files;
    lines += count;
    return {};
  }

  const line_search& search_;
  const grep_request& request_;
  const limits& bounds_;
  const cancel_check& cancelled_;
  std::size_t room_ = 0;
};

}  // namespace

result<tool_result> file_tools::do_grep(const grep_request& request,
                                        const call_scope& scope) const {
  auto search = line_search::make(request.pattern, request.ignore_case);
  if (!search) return search.error();
  std::optional<glob_pattern> filter;
  if (!request.glob.empty()) {
    auto parsed = glob_pattern::parse(request.glob);
    if (!parsed) return parsed.error();
    filter = std::move(*parsed);
  }
  auto paths = path_scope::open(scope.workspace, scope.roots);
  if (!paths) return paths.error();
  auto at = locate_shown(*paths, request.path, scope.withheld);
  if (!at) return at.error();
  if (!at->exists) return missing_failure(*at);

  search_run run(*search, request, bounds_, scope.cancelled);
  walk_report report;
  std::size_t binaries = 0;
  if (S_ISDIR(at->info.st_mode)) {
    std::optional<failure> problem;
    walk_options options;
    options.ignored = request.ignored;
    if (!scope.withheld.empty()) options.withheld = &scope.withheld;
    auto walked = walk_tree(*at, options, bounds_, scope.cancelled, [&](const walk_entry& entry) {
      if (entry.kind != entry_kind::file || (filter && !filter->matches(entry.path))) {
        return walk_step::go_on;
      }
      if (scope.cancelled && scope.cancelled()) {
        problem = cancelled_failure();
        return walk_step::stop;
      }
      const unique_fd fd(::openat(entry.directory_fd, std::string(entry.name).c_str(),
                                  O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC));
      if (!fd) {
        ++run.unreadable;
        return walk_step::go_on;
      }
      bool binary = false;
      auto done = run.search_file(fd.get(), paths->shown(at->path + "/" + entry.path), binary);
      if (binary) ++binaries;
      if (!done) problem = done.error();
      return problem || run.enough() ? walk_step::stop : walk_step::go_on;
    });
    if (!walked) return walked.error();
    if (problem) return *problem;
    report = *walked;
  } else {
    auto fd = open_regular(*at);
    if (!fd) return fd.error();
    bool binary = false;
    auto done = run.search_file(fd->get(), at->shown, binary);
    if (!done) return done.error();
    if (binary) return failure{reason::refused, "'" + at->shown + "' is not text."};
    if (run.too_large) {
      return failure{reason::too_large, "'" + at->shown + "' is larger than " +
                                            size_text(bounds_.grep_file_bytes_max) +
                                            " and is not searched."};
    }
  }

  tool_result out;
  out.success = true;
  out.output = std::move(run.output);
  std::vector<std::string> notes;
  if (run.files == 0 && !run.enough()) {
    notes.push_back("no match in " + count_text(run.searched, "file"));
    if (report.ignored) {
      notes.push_back(count_text(report.ignored, "entry") +
                      " ignored by .gitignore were not searched (set ignored)");
    }
  }
  if (run.limited) {
    notes.push_back("stopped after " +
                    count_text(request.limit, request.output == grep_output::content
                                                  ? "matching line"
                                                  : "matching file") +
                    "; narrow the pattern, path or glob, or raise limit");
  } else if (run.full) {
    notes.emplace_back("there are more matches than fit; narrow the pattern, path or glob");
  } else if (request.output == grep_output::count && run.files > 1) {
    notes.push_back(count_text(run.lines, "line") + " in " + count_text(run.files, "file"));
  }
  if (run.too_large) {
    notes.push_back(count_text(run.too_large, "file") + " larger than " +
                    size_text(bounds_.grep_file_bytes_max) + " not searched");
  }
  if (run.unreadable) notes.push_back(count_text(run.unreadable, "file") + " could not be read");
  if (const std::string remarks = report.remarks(); !remarks.empty()) notes.push_back(remarks);
  for (const std::string& note : notes) out.output += "[" + note + "]\n";
  out.metadata = {{"files", run.files},
                  {"lines", run.lines},
                  {"files_searched", run.searched},
                  {"binary_skipped", binaries},
                  {"complete", !run.enough() && !report.timed_out && !report.too_many}};
  return out;
}

tool_result file_tools::grep(const grep_request& request, const call_scope& scope) const {
  return finished(do_grep(request, scope));
}

}  // namespace rustic::files
