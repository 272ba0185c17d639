// files_read.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "file_tools.hpp"
#include "operation.hpp"
#include "suggest.hpp"
#include "text.hpp"

namespace rustic::files {
namespace {

constexpr std::size_t notes_bytes = 512;  // kept free of the output for the closing remark

// Picks the wanted lines out of a text that comes in pieces; holds no more than it shows.
class line_window {
 public:
  line_window(std::size_t first, std::size_t count, std::size_t bytes_max, bool numbers)
      : first_(first), end_(first + count), room_(bytes_max), numbers_(numbers) {}

  void feed(std::string_view piece) {
    while (!piece.empty()) {
      if (number_ < first_ || full_) {
        skip(piece);
        continue;
      }
      const std::size_t end = piece.find('\n');
      const std::string_view part = piece.substr(0, end);
      const std::size_t room = line_bytes_max + 1 - std::min(line_.size(), line_bytes_max + 1);
      line_.append(part.substr(0, room));
      line_size_ += part.size();
      open_ = true;
      if (end == piece.npos) return;
      end_line(true);
      piece.remove_prefix(end + 1);
    }
  }
  void finish() {
    if (open_ && (number_ < first_ || full_)) {
      ++number_;
    } else if (open_) {
      end_line(false);
    }
    open_ = false;
  }

  bool full() const { return full_; }
  bool cut_lines() const { return cut_lines_; }
  bool ended_by_bytes() const { return ended_by_bytes_; }
  std::size_t lines_total() const { return number_ - 1; }  // after finish()
  std::size_t shown() const { return lines_.size(); }

  std::string text() const {
    const std::size_t width = std::to_string(first_ + lines_.size()).size();
    std::string out;
    out.reserve(used_ + lines_.size() * (width + 2));
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      if (numbers_) {
        const std::string number = std::to_string(first_ + i);
        out.append(width - number.size(), ' ');
        out += number;
        out += '\t';
      }
      out += lines_[i];
      out += '\n';
    }
    return out;
  }

 private:
  void skip(std::string_view& piece) {
    const std::size_t end = piece.find('\n');
    open_ = end == piece.npos;
    if (!open_) ++number_;
    piece.remove_prefix(open_ ? piece.size() : end + 1);
  }
  void end_line(bool had_end) {
    if (had_end && line_size_ == line_.size() && !line_.empty() && line_.back() == '\r') {
      line_.pop_back();
      --line_size_;
    }
    std::string shown;
    if (line_size_ <= line_bytes_max) {
      shown = utf8_clean(line_);
    } else {
      cut_lines_ = true;
      const std::string clean = utf8_clean(std::string_view(line_).substr(0, line_bytes_max));
      shown = std::string(utf8_prefix(clean, line_bytes_max)) + " ... [" +
              std::to_string(line_size_ - line_bytes_max) + " more bytes in this line]";
    }
    const std::size_t cost = shown.size() + 1 + (numbers_ ? 12 : 0);
    if (used_ + cost > room_ && !lines_.empty()) {
      full_ = ended_by_bytes_ = true;
    } else {
      used_ += cost;
      lines_.push_back(std::move(shown));
      full_ = number_ + 1 >= end_;
    }
    line_.clear();
    line_size_ = 0;
    open_ = false;
    ++number_;
  }

  const std::size_t first_;
  const std::size_t end_;
  const std::size_t room_;
  const bool numbers_;
  std::vector<std::string> lines_;
  std::size_t used_ = 0;
  std::size_t number_ = 1;  // of the line being read
  std::string line_;
  std::size_t line_size_ = 0;
  bool open_ = false;  // the line has begun and not ended
  bool full_ = false;
  bool cut_lines_ = false;
  bool ended_by_bytes_ = false;
};

failure binary_failure(const place& at, std::string_view what, std::uint64_t size) {
  return {reason::refused, "'" + at.shown + "' is not text: " + std::string(what) + ", " +
                               size_text(size) + ". Its content is not shown."};
}

struct stream_end {
  bool complete = false;  // the end of the file was reached
};

// Reads a file that is too large to hold. Stops when the window is full and counting the rest
// would take too long.
result<stream_end> stream_lines(int fd, const place& at, const limits& bounds,
                                const cancel_check& cancelled, line_window& window) {
  std::string chunk(chunk_bytes, '\0');
  std::size_t passed = 0;
  std::size_t counted = 0;
  while (true) {
    if (cancelled && cancelled()) return cancelled_failure();
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_failure("read", "'" + at.shown + "'", errno);
    if (got == 0) return stream_end{true};
    const auto size = static_cast<std::size_t>(got);
    std::string_view piece(chunk.data(), size);
    if (passed == 0) {
      const encoding form = sniff_encoding(piece);
      if (const auto binary = sniff_binary(piece)) {
        return binary_failure(at, *binary, static_cast<std::uint64_t>(at.info.st_size));
      }
      if (form == encoding::utf16_le || form == encoding::utf16_be) {
        return failure{reason::too_large,
                       "'" + at.shown + "' is " + std::string(encoding_name(form)) +
                           " and too large to convert (" +
                           size_text(static_cast<std::uint64_t>(at.info.st_size)) + ")"};
      }
      if (form == encoding::utf8_bom) piece.remove_prefix(3);
    }
    window.feed(piece);
    passed += size;
    if (window.full()) counted += size;
    if (passed > bounds.scan_bytes_max || counted > bounds.count_bytes_max) return stream_end{};
  }
}

}  // namespace

result<tool_result> file_tools::do_read(const read_request& request, const call_scope& scope) {
  auto paths = path_scope::open(scope.workspace, scope.roots);
  if (!paths) return paths.error();
  auto at = locate_shown(*paths, request.path, scope.withheld);
  if (!at) return at.error();
  if (!at->exists) return missing_failure(*at);
  if (S_ISDIR(at->info.st_mode)) {
    return failure{reason::refused,
                   "'" + at->shown + "' is a directory; use files_list to see its entries."};
  }
  auto fd = open_regular(*at);
  if (!fd) return fd.error();
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0) return system_failure("look at", at->shown, errno);
  const std::size_t room =
      bounds_.output_bytes_max - std::min(bounds_.output_bytes_max, notes_bytes);
  line_window window(request.offset, request.limit, room, request.line_numbers);

  seen_file seen;
  seen.stamp = stamp_of(info);
  encoding form = encoding::utf8;
  bool whole = true;
  std::string remark;
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size <= bounds_.whole_file_bytes_max) {
    auto content = read_whole(fd->get(), at->shown, bounds_.whole_file_bytes_max, scope.cancelled);
    if (!content) return content.error();
    if (const auto binary = sniff_binary(content->bytes)) {
      return binary_failure(*at, *binary, content->bytes.size());
    }
    seen.stamp = content->stamp;
    seen.hash = content_hash(content->bytes);
    const decoded_text text = decode(std::move(content->bytes));
    form = text.form;
    window.feed(text.text);
  } else {
    at->info = info;
    auto end = stream_lines(fd->get(), *at, bounds_, scope.cancelled, window);
    if (!end) return end.error();
    whole = end->complete;
  }
  window.finish();

  const std::size_t total = window.lines_total();
  const std::size_t last = request.offset + window.shown() - 1;
  if (window.shown() == 0 && total > 0) {
    return failure{reason::invalid,
                   whole ? "'" + at->shown + "' has " + count_text(total, "line") + "; offset " +
                               std::to_string(request.offset) + " is beyond its end."
                         : "'" + at->shown + "': offset " + std::to_string(request.offset) +
                               " lies beyond the part that can be searched (" +
                               size_text(bounds_.scan_bytes_max) + ")."};
  }
  const bool more = last < total || !whole;
  const std::optional<seen_file> before = seen_.find(scope.session, at->path);
  if (before && before->matches(seen.stamp, seen.hash)) {
    seen.lines_through = before->lines_through;
    seen.complete = before->complete;
  }
  if (!window.cut_lines() && request.offset <= seen.lines_through + 1) {
    seen.lines_through = std::max(seen.lines_through, last);
  }
  if (whole && seen.lines_through >= total && form != encoding::other) seen.complete = true;
  seen_.put(scope.session, at->path, seen);

  tool_result out;
  out.success = true;
  out.output = window.text();
  if (total == 0) {
    remark = "[" + at->shown + " is empty]";
  } else if (more) {
    remark = "[lines " + std::to_string(request.offset) + "-" + std::to_string(last) + " of " +
             (whole ? std::to_string(total) : "more than " + std::to_string(total)) +
             (window.ended_by_bytes() ? ", as much as fits" : "") + "; continue with offset " +
             std::to_string(last + 1) + "]";
  }
  if (form != encoding::utf8 && form != encoding::utf8_bom) {
    remark +=
        std::string(remark.empty() ? "" : "\n") + "[the file is " +
        std::string(encoding_name(form)) +
        (form == encoding::other ? "; bytes that are not text are shown as \xEF\xBF\xBD]" : "]");
  }
  out.output += remark;
  out.metadata = {
      {"path", at->shown}, {"size_bytes", size}, {"first_line", request.offset},
      {"last_line", last}, {"more", more},       {"encoding", std::string(encoding_name(form))}};
  if (whole) out.metadata["lines_total"] = total;
  return out;
}

tool_result file_tools::read(const read_request& request, const call_scope& scope) {
  return finished(do_read(request, scope));
}

}  // namespace rustic::files
