// Applying one exact edit.
#include "text_edit.hpp"

#include <string.h>  // memmem

#include <algorithm>

#include "limits.hpp"
#include "text.hpp"

namespace rustic::files {
namespace {

// A text with "\r\n" read as "\n", and the way back to its own offsets.
class unified_text {
 public:
  explicit unified_text(std::string_view raw) {
    if (raw.find("\r\n") == raw.npos) {
      view_ = raw;
      return;
    }
    own_.reserve(raw.size());
    for (std::size_t at = 0; at < raw.size(); ++at) {
      if (raw[at] == '\r' && at + 1 < raw.size() && raw[at + 1] == '\n') {
        dropped_.push_back(own_.size());
      } else {
        own_ += raw[at];
      }
    }
    view_ = own_;
  }
  unified_text(const unified_text&) = delete;
  unified_text& operator=(const unified_text&) = delete;

  std::string_view view() const { return view_; }
  std::size_t raw_offset(std::size_t at) const {
    return at + static_cast<std::size_t>(std::lower_bound(dropped_.begin(), dropped_.end(), at) -
                                         dropped_.begin());
  }
  // Does the first line end at or after `at` (or else the last one before it) have a "\r"?
  bool crlf_near(std::size_t at) const {
    std::size_t end = view_.find('\n', at);
    if (end == view_.npos) end = view_.rfind('\n');
    return end != view_.npos && std::binary_search(dropped_.begin(), dropped_.end(), end);
  }

 private:
  std::string own_;
  std::string_view view_;
  std::vector<std::size_t> dropped_;  // offsets in view_ of the "\n" that lost their "\r"
};

std::string lines_text(std::string_view text, const std::vector<std::size_t>& offsets) {
  std::string out;
  std::size_t line = 1;
  std::size_t from = 0;
  for (std::size_t i = 0; i < std::min(offsets.size(), listed_lines_max); ++i) {
    line += static_cast<std::size_t>(
        std::count(text.begin() + static_cast<std::ptrdiff_t>(from),
                   text.begin() + static_cast<std::ptrdiff_t>(offsets[i]), '\n'));
    from = offsets[i];
    out += (i ? ", " : "") + std::to_string(line);
  }
  if (offsets.size() > listed_lines_max) out += ", ...";
  return out;
}

}  // namespace

std::size_t find_text(std::string_view text, std::string_view wanted, std::size_t from) {
  if (from > text.size()) return text.npos;
  const void* at = memmem(text.data() + from, text.size() - from, wanted.data(), wanted.size());
  if (!at) return text.npos;
  return static_cast<std::size_t>(static_cast<const char*>(at) - text.data());
}

result<edit_outcome> apply_edit(std::string& text, const text_edit& edit, std::string_view shown) {
  const std::string file = "'" + std::string(shown) + "'";
  if (edit.old_text.empty()) {
    return failure{reason::invalid,
                   "old_text is empty. Give the text to replace, or use files_write for the whole "
                   "content of " +
                       file + "."};
  }
  const std::string wanted = without_crlf(edit.old_text);
  const std::string replacement = without_crlf(edit.new_text);
  if (wanted == replacement) {
    return failure{reason::invalid,
                   "old_text and new_text are equal: nothing would change in " + file + "."};
  }
  const unified_text unified(text);
  const std::string_view view = unified.view();
  std::vector<std::size_t> found;
  for (std::size_t at = find_text(view, wanted); at != view.npos;
       at = find_text(view, wanted, at + wanted.size())) {
    found.push_back(at);
    if (found.size() > replacements_max) {
      return failure{reason::too_large, "old_text occurs more than " +
                                            std::to_string(replacements_max) + " times in " + file};
    }
  }
  if (found.empty()) {
    return failure{reason::not_found, "old_text was not found in " + file + ". " +
                                          explain_missing(view, wanted, replacement)};
  }
  // "aa" stands at two places in "aaa", although it can be replaced at one of them only.
  if (found.size() == 1 && !edit.replace_all)
    if (const std::size_t other = find_text(view, wanted, found[0] + 1); other != view.npos)
      found.push_back(other);
  if (found.size() > 1 && !edit.replace_all) {
    return failure{reason::invalid,
                   "old_text occurs " + std::to_string(found.size()) + " times in " + file +
                       ", at lines " + lines_text(view, found) +
                       ". Add neighbouring lines so that it is unique, or set replace_all."};
  }
  std::string out;
  out.reserve(text.size());
  edit_outcome outcome;
  outcome.replacements = found.size();
  std::size_t copied = 0;
  std::size_t line = 1;
  std::size_t counted = 0;
  for (const std::size_t at : found) {
    const std::size_t begin = unified.raw_offset(at);
    out.append(text, copied, begin - copied);
    out += unified.crlf_near(at) ? with_crlf(replacement) : replacement;
    copied = unified.raw_offset(at + wanted.size());
    if (outcome.lines.size() < listed_lines_max) {
      line += static_cast<std::size_t>(
          std::count(view.begin() + static_cast<std::ptrdiff_t>(counted),
                     view.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
      counted = at;
      outcome.lines.push_back(line);
    }
  }
  out.append(text, copied);
  text = std::move(out);
  return outcome;
}

}  // namespace rustic::files
