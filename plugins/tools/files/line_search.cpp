// Line-wise search and its display.
#include "line_search.hpp"

#include <re2/re2.h>

#include <algorithm>

#include "limits.hpp"
#include "text.hpp"

namespace rustic::files {
namespace {

constexpr std::size_t none = std::string_view::npos;

// Cuts a long line to the part around its match.
std::string around(std::string_view line, std::size_t match, std::size_t bytes_max) {
  if (line.size() <= bytes_max || match < bytes_max / 2) return clip_line(line, bytes_max);
  std::size_t begin = match - bytes_max / 4;
  while (begin < line.size() && (static_cast<unsigned char>(line[begin]) & 0xC0) == 0x80) ++begin;
  return "[" + std::to_string(begin) + " bytes] ... " + clip_line(line.substr(begin), bytes_max);
}

}  // namespace

line_search::line_search(std::unique_ptr<re2::RE2> expression, std::string literal)
    : expression_(std::move(expression)), literal_(std::move(literal)) {}
line_search::line_search(line_search&&) noexcept = default;
line_search& line_search::operator=(line_search&&) noexcept = default;
line_search::~line_search() = default;

result<line_search> line_search::make(std::string_view pattern, bool ignore_case) {
  if (pattern.empty()) return failure{reason::invalid, "the pattern is empty"};
  if (pattern.size() > grep_pattern_bytes_max) {
    return failure{reason::invalid, "the pattern is longer than " +
                                        std::to_string(grep_pattern_bytes_max) + " bytes"};
  }
  if (pattern.find('\n') != none) {
    return failure{reason::invalid,
                   "the pattern contains a line end, but lines are matched one at a time; search "
                   "for one of the lines and use context to see those around it"};
  }
  re2::RE2::Options options(re2::RE2::Quiet);
  options.set_max_mem(grep_memory_bytes);
  options.set_never_nl(true);
  options.set_case_sensitive(!ignore_case);
  const auto compile = [&](const std::string& text) {
    return std::make_unique<re2::RE2>(re2::StringPiece(text.data(), text.size()), options);
  };
  // Alone first, so that errors speak of what was given; then with ^ and $ meaning lines.
  auto expression = compile(std::string(pattern));
  if (expression->ok()) expression = compile("(?m)" + std::string(pattern));
  if (!expression->ok()) {
    return failure{reason::invalid,
                   "the pattern is not a valid RE2 expression: " + utf8_clean(expression->error()) +
                       ". Write a backslash before ( ) [ ] { } . * + ? | ^ $ to mean the character "
                       "itself; look-around and back-references do not exist in RE2."};
  }
  const bool literal = !ignore_case && pattern.find_first_of("\\^$.|?*+()[]{}") == none;
  return line_search(std::move(expression), literal ? std::string(pattern) : std::string());
}

result<void> line_search::run(std::string_view text, const cancel_check& cancelled,
                              const std::function<bool(const line_hit&)>& found) const {
  std::size_t number = 1;
  std::size_t counted = 0;  // line ends before here are in `number`
  for (std::size_t slice = 0; slice < text.size();) {
    if (slice > 0 && cancelled && cancelled()) return cancelled_failure();
    std::size_t slice_end = text.size();
    if (text.size() - slice > slice_bytes) {
      const std::size_t end = text.find('\n', slice + slice_bytes);
      if (end != none) slice_end = end + 1;
    }
    const bool ends_line = text[slice_end - 1] == '\n';
    std::size_t hits = 0;
    for (std::size_t at = slice; at < slice_end;) {
      std::size_t match = none;
      if (!literal_.empty()) {
        match = text.substr(0, slice_end).find(literal_, at);
      } else {
        re2::StringPiece where;
        if (expression_->Match(re2::StringPiece(text.data(), text.size()), at, slice_end,
                               re2::RE2::UNANCHORED, &where, 1)) {
          match = static_cast<std::size_t>(where.data() - text.data());
        }
      }
      // An empty match after the last line end belongs to the next slice, or to no line.
      if (match == none || (match >= slice_end && ends_line)) break;
      if (++hits % 1024 == 0 && cancelled && cancelled()) return cancelled_failure();
      line_hit hit;
      hit.match = match;
      const std::size_t before = match == 0 ? none : text.rfind('\n', match - 1);
      hit.begin = before == none ? 0 : before + 1;
      hit.end = std::min(text.find('\n', match), text.size());
      number += static_cast<std::size_t>(
          std::count(text.begin() + static_cast<std::ptrdiff_t>(counted),
                     text.begin() + static_cast<std::ptrdiff_t>(hit.begin), '\n'));
      counted = hit.begin;
      hit.number = number;
      if (!found(hit)) return {};
      at = hit.end + 1;
    }
    slice = slice_end;
  }
  return {};
}

std::string render_hits(std::string_view text, const std::vector<line_hit>& hits,
                        std::size_t context, std::size_t shown_bytes_max) {
  std::string out;
  std::size_t shown_end = 0;     // offset after the last line shown
  std::size_t shown_number = 0;  // its number
  const auto put = [&](std::size_t number, char mark, std::string_view line, std::size_t match) {
    out += std::to_string(number) + mark + around(line, match, shown_bytes_max) + "\n";
  };
  // Shows the lines after the last one, up to `count` of them and not beyond `limit`.
  const auto put_following = [&](std::size_t count, std::size_t limit) {
    for (; count > 0 && shown_end < limit; --count) {
      const std::size_t end = std::min(text.find('\n', shown_end), text.size());
      put(++shown_number, '-', text.substr(shown_end, end - shown_end), 0);
      shown_end = std::min(end + 1, text.size());
    }
  };
  for (std::size_t i = 0; i < hits.size(); ++i) {
    const line_hit& hit = hits[i];
    std::size_t begin = hit.begin;
    std::size_t lines = 0;
    while (lines < context && begin > shown_end) {
      const std::size_t before = begin < 2 ? none : text.rfind('\n', begin - 2);
      begin = before == none ? 0 : before + 1;
      ++lines;
    }
    if (context > 0 && shown_number > 0 && begin > shown_end) out += "--\n";
    shown_end = begin;
    shown_number = hit.number - lines - 1;
    put_following(lines, hit.begin);
    put(hit.number, ':', text.substr(hit.begin, hit.end - hit.begin), hit.match - hit.begin);
    shown_end = std::min(hit.end + 1, text.size());
    shown_number = hit.number;
    put_following(context, i + 1 < hits.size() ? hits[i + 1].begin : text.size());
  }
  return out;
}

}  // namespace rustic::files
