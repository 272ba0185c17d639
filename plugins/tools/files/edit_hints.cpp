// Why a text to replace was not found: what the model most likely got wrong, and the lines nearby.
#include <algorithm>
#include <array>
#include <bitset>
#include <cctype>

#include "limits.hpp"
#include "text.hpp"
#include "text_edit.hpp"

namespace rustic::files {
namespace {

constexpr std::size_t shown_lines_max = 12;      // of the file, in one hint
constexpr std::size_t shown_line_bytes = 200;    // of each
constexpr std::size_t compared_bytes_max = 300;  // of a line, for its similarity

std::string_view trimmed(std::string_view line) {
  const std::size_t first = line.find_first_not_of(" \t\r");
  if (first == line.npos) return {};
  return line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
}

std::string numbered(const std::vector<std::string_view>& lines, std::size_t first,
                     std::size_t count) {
  std::string out;
  const std::size_t last = std::min({lines.size(), first + count, first + shown_lines_max});
  for (std::size_t i = first; i < last; ++i) {
    out += "\n" + std::to_string(i + 1) + "\t" + clip_line(lines[i], shown_line_bytes);
  }
  if (last < first + count && last < lines.size()) out += "\n...";
  return out;
}

std::string blanks_text(std::string_view line) {
  const std::string_view blanks =
      line.substr(0, std::min(line.find_first_not_of(" \t"), line.size()));
  const auto tabs = static_cast<std::size_t>(std::count(blanks.begin(), blanks.end(), '\t'));
  const std::size_t spaces = blanks.size() - tabs;
  if (blanks.empty()) return "no indentation";
  std::string out;
  if (tabs) out += count_text(tabs, "tab");
  if (spaces) out += (tabs ? " and " : "") + count_text(spaces, "space");
  return out;
}

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

bool equal_trimmed(std::string_view a, std::string_view b) {
  return trimmed(a) == trimmed(b);
}

bool equal_squeezed(std::string_view a, std::string_view b) {
  std::size_t i = 0;
  std::size_t j = 0;
  while (true) {
    while (i < a.size() && is_blank(a[i])) ++i;
    while (j < b.size() && is_blank(b[j])) ++j;
    if (i == a.size() || j == b.size()) return i == a.size() && j == b.size();
    if (a[i++] != b[j++]) return false;
  }
}

// The index of the first lines of `text` that equal `wanted`, or npos.
template <class Equal>
std::size_t find_lines(const std::vector<std::string_view>& text,
                       const std::vector<std::string_view>& wanted, Equal equal) {
  if (wanted.empty() || text.size() < wanted.size()) return std::string_view::npos;
  for (std::size_t at = 0; at + wanted.size() <= text.size(); ++at) {
    std::size_t same = 0;
    while (same < wanted.size() && equal(text[at + same], wanted[same])) ++same;
    if (same == wanted.size()) return at;
  }
  return std::string_view::npos;
}

// Drops the blank lines at both ends: they match anywhere and say nothing.
std::vector<std::string_view> without_blank_ends(std::vector<std::string_view> lines) {
  while (!lines.empty() && trimmed(lines.back()).empty()) lines.pop_back();
  std::size_t first = 0;
  while (first < lines.size() && trimmed(lines[first]).empty()) ++first;
  lines.erase(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(first));
  return lines;
}

// "  12\ttext" becomes "text" on every line; empty when a line has no such prefix.
std::string without_numbers(const std::vector<std::string_view>& lines) {
  std::string out;
  for (const std::string_view line : lines) {
    const std::size_t digit = line.find_first_not_of(' ');
    const std::size_t tab = line.find('\t');
    if (digit == line.npos || tab == line.npos || tab == digit) return {};
    for (std::size_t i = digit; i < tab; ++i) {
      if (!std::isdigit(static_cast<unsigned char>(line[i]))) return {};
    }
    out += std::string(out.empty() ? "" : "\n") + std::string(line.substr(tab + 1));
  }
  return out;
}

std::string without_typography(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 9> plain = {{
      {"\u2018", "'"},
      {"\u2019", "'"},
      {"\u201C", "\""},
      {"\u201D", "\""},
      {"\u2013", "-"},
      {"\u2014", "-"},
      {"\u2011", "-"},
      {"\u00A0", " "},
      {"\u2026", "..."},
  }};
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      out += text[at++];
      continue;
    }
    const auto* hit = std::find_if(plain.begin(), plain.end(), [&](const auto& each) {
      return text.compare(at, each.first.size(), each.first) == 0;
    });
    if (hit == plain.end()) {
      out += text[at++];
    } else {
      out += hit->second;
      at += hit->first.size();
    }
  }
  return out;
}

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char next = at + 1 < text.size() ? text[at + 1] : '\0';
    if (text[at] == '\\' && (next == 'n' || next == 't' || next == '"' || next == '\\')) {
      out += next == 'n' ? '\n' : next == 't' ? '\t' : next;
      ++at;
    } else {
      out += text[at];
    }
  }
  return out;
}

using letter_pairs = std::bitset<1024>;

letter_pairs pairs_of(std::string_view line) {
  letter_pairs out;
  unsigned before = 0;
  for (const char c : line.substr(0, compared_bytes_max)) {
    if (is_blank(c)) continue;
    const auto letter = static_cast<unsigned char>(c);
    if (before) out[(before * 67U + letter) % 1024] = true;
    before = letter;
  }
  return out;
}

// The lines most like the longest line of `wanted`, best first.
std::string similar_lines(const std::vector<std::string_view>& text,
                          const std::vector<std::string_view>& wanted) {
  const auto longest = std::max_element(
      wanted.begin(), wanted.end(),
      [](std::string_view a, std::string_view b) { return trimmed(a).size() < trimmed(b).size(); });
  if (longest == wanted.end()) return {};
  const letter_pairs sought = pairs_of(*longest);
  if (sought.none()) return {};
  std::vector<std::pair<double, std::size_t>> scored;
  for (std::size_t i = 0; i < std::min(text.size(), similar_scan_lines_max); ++i) {
    const letter_pairs pairs = pairs_of(text[i]);
    const double both = static_cast<double>((pairs & sought).count());
    const double all = static_cast<double>(pairs.count() + sought.count());
    const double score = all > 0 ? 2 * both / all : 0;
    if (score >= 0.5) scored.emplace_back(-score, i);
  }
  std::sort(scored.begin(), scored.end());
  std::string out;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, scored.size()); ++i) {
    out += numbered(text, scored[i].second, 1);
  }
  return out;
}

std::string difference_text(std::string_view in_file, std::string_view wanted, std::size_t line) {
  const std::string number = std::to_string(line);
  if (blanks_text(in_file) != blanks_text(wanted)) {
    return " Line " + number + " begins with " + blanks_text(in_file) + ", old_text with " +
           blanks_text(wanted) + ".";
  }
  const std::size_t file_end = in_file.find_last_not_of(" \t") + 1;
  const std::size_t wanted_end = wanted.find_last_not_of(" \t") + 1;
  if (in_file.size() - file_end != wanted.size() - wanted_end) {
    return " Line " + number + " ends with " + count_text(in_file.size() - file_end, "blank") +
           ", that of old_text with " + count_text(wanted.size() - wanted_end, "blank") + ".";
  }
  return " The blanks inside line " + number + " differ.";
}

}  // namespace

std::string explain_missing(std::string_view text, std::string_view old_text,
                            std::string_view new_text) {
  constexpr std::size_t none = std::string_view::npos;
  if (text.empty()) return "The file is empty; use files_write.";
  const std::vector<std::string_view> lines = split_lines(text);
  const std::vector<std::string_view> wanted = without_blank_ends(split_lines(old_text));
  if (wanted.empty()) return "old_text has nothing but blank space; add lines around it.";

  if (const std::string plain = without_numbers(wanted);
      !plain.empty() && find_text(text, plain) != none) {
    return "old_text begins its lines with the line numbers that files_read shows; leave out the "
           "number and the tab after it.";
  }
  if (const std::string plain = unescaped(old_text);
      plain != old_text && find_text(text, plain) != none) {
    return "It is there at line " + std::to_string(line_at(text, find_text(text, plain))) +
           " without the backslash escapes: give line ends, tabs and quotes as they are.";
  }
  for (const auto equal : {&equal_trimmed, &equal_squeezed}) {
    const std::size_t at = find_lines(lines, wanted, equal);
    if (at == none) continue;
    std::string out =
        "The text at line " + std::to_string(at + 1) + " differs only in blank space.";
    bool line_differs = false;
    for (std::size_t i = 0; i < wanted.size() && !line_differs; ++i) {
      line_differs = lines[at + i] != wanted[i];
      if (line_differs) out += difference_text(lines[at + i], wanted[i], at + i + 1);
    }
    if (!line_differs) out += " The lines are equal; the blank lines around them are not.";
    return out + " The file has:" + numbered(lines, at, wanted.size());
  }
  const auto is_ascii = [](std::string_view bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](char c) { return (c & 0x80) == 0; });
  };
  if (!is_ascii(text) || !is_ascii(old_text)) {
    const std::string plain = without_typography(text);
    const std::size_t at = find_text(plain, without_typography(old_text));
    if (at != none) {
      const std::size_t line = line_at(plain, at);
      return "The text at line " + std::to_string(line) +
             " differs only in typographic quotes, dashes or spaces. The file has:" +
             numbered(lines, line - 1, wanted.size());
    }
  }
  if (trimmed(new_text).size() >= 8 && find_text(text, new_text) != none) {
    return "new_text is already there, at line " +
           std::to_string(line_at(text, find_text(text, new_text))) +
           ": has this edit been made before?";
  }
  if (const std::size_t at =
          wanted.size() > 1 ? find_lines(lines, {wanted.front()}, &equal_trimmed) : none;
      at != none && trimmed(wanted.front()).size() > 3) {
    std::size_t same = 0;
    while (same < wanted.size() && at + same < lines.size() &&
           equal_trimmed(lines[at + same], wanted[same])) {
      ++same;
    }
    return "Its first " + count_text(same, "line") + " match from line " + std::to_string(at + 1) +
           "; then the file goes on:" + numbered(lines, at + same, 3);
  }
  const std::string similar = similar_lines(lines, wanted);
  if (!similar.empty()) return "The most similar lines are:" + similar;
  return "Nothing in the file resembles it. Read the file again before editing.";
}

}  // namespace rustic::files
