// Where in a TOML text a key stands or could stand.
#include <algorithm>

#include "host/runtime/config/edit.hpp"
#include "host/runtime/config/key_path.hpp"

namespace rustic::config {
namespace {
// The byte at a line and column, both from 1; columns count code points.
std::size_t byte_of(std::string_view text, std::uint32_t line, std::uint32_t column) {
  std::size_t at = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  for (std::uint32_t i = 1; i < line; ++i) {
    const auto end = text.find('\n', at);
    if (end == std::string_view::npos) return text.size();
    at = end + 1;
  }
  for (std::uint32_t i = 1; i < column && at < text.size(); ++i) {
    ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  }
  return at;
}

std::size_t line_begin(std::string_view text, std::size_t at) {
  if (at == 0) return 0;
  const auto before = text.rfind('\n', at - 1);
  return before == std::string_view::npos ? 0 : before + 1;
}

// The byte after the line's newline, or the end of the text.
std::size_t line_end(std::string_view text, std::size_t at) {
  const auto end = text.find('\n', at);
  return end == std::string_view::npos ? text.size() : end + 1;
}

std::string_view newline_of(std::string_view text) {
  const auto at = text.find('\n');
  return at != std::string_view::npos && at > 0 && text[at - 1] == '\r' ? "\r\n" : "\n";
}

std::string path_of(const std::vector<std::string>& names, std::size_t count) {
  std::string key;
  for (std::size_t i = 0; i < count; ++i) key = join(key, names[i]);
  return key;
}

std::string relative(const std::vector<std::string>& names, std::size_t from) {
  std::string key;
  for (std::size_t i = from; i < names.size(); ++i) key = join(key, names[i]);
  return key;
}

std::string with_line_at(std::string_view text, std::size_t at, const std::string& line) {
  std::string result(text.substr(0, at));
  if (!result.empty() && result.back() != '\n') result += newline_of(text);
  result += line;
  result += newline_of(text);
  result += text.substr(at);
  return result;
}

// After the last line of the table's own keys, or after its header, or (for the root) before the
// first header. The places lie in the table's own block, so the line belongs to that table.
std::vector<std::size_t> ends_of_table(std::string_view text, const document& doc,
                                       const json::object& table, const std::string& key) {
  std::vector<std::size_t> places;
  std::size_t last = std::string_view::npos;
  for (const auto& [name, member] : table) {
    const auto found = doc.marks.find(join(key, name));
    if (found == doc.marks.end()) continue;
    const auto& place = found->second;
    const bool own = !member.is_object() || place.inline_table;
    const bool tables =
        member.is_array() && !member.as_array().empty() &&
        text[std::min(byte_of(text, place.line, place.column), text.size() - 1)] == '[';
    if (!own || tables || !place.end_line) continue;
    const auto end = byte_of(text, place.end_line, std::max(place.end_column, 2u) - 1);
    if (last == std::string_view::npos || end > last) last = end;
  }
  if (last != std::string_view::npos) places.push_back(line_end(text, last));
  if (key.empty()) {
    // Before the first header, behind the comments that open the file.
    std::size_t at = 0;
    while (at < text.size()) {
      const auto first = text.find_first_not_of(" \t", at);
      if (first != std::string_view::npos && text[first] == '[') break;
      at = line_end(text, at);
    }
    places.push_back(at);
    places.push_back(0);
  } else if (const auto found = doc.marks.find(key); found != doc.marks.end()) {
    places.push_back(line_end(text, byte_of(text, found->second.value_line, 1)));
    places.push_back(line_end(text, byte_of(text, found->second.line, 1)));
  }
  return places;
}

// The same text, with the value in place of bytes [begin, end).
std::string replaced(std::string_view text, std::size_t begin, std::size_t end,
                     std::string_view value) {
  return std::string(text.substr(0, begin)) + std::string(value) + std::string(text.substr(end));
}
}  // namespace

std::vector<std::string> detail::toml_candidates(std::string_view text, const document& doc,
                                                 const std::vector<std::string>& key,
                                                 const json::value& value) {
  std::vector<std::string> candidates;
  const std::string written = to_toml(value);
  if (const auto found = doc.marks.find(path_of(key, key.size())); found != doc.marks.end()) {
    const auto& place = found->second;
    const auto begin = byte_of(text, place.value_line, place.value_column);
    const auto end = byte_of(text, place.end_line, place.end_column);
    for (const auto stop : {end, std::min(end + 1, text.size()), end ? end - 1 : 0})
      if (stop >= begin) candidates.push_back(replaced(text, begin, stop, written));
    return candidates;
  }
  // The deepest table that is there takes the rest of the key.
  for (std::size_t depth = key.size() - 1;; --depth) {
    const auto parent = path_of(key, depth);
    const json::object* table = &doc.root;
    for (std::size_t i = 0; i < depth && table; ++i) {
      const auto* next = table->if_contains(key[i]);
      table = next ? next->if_object() : nullptr;
    }
    if (table) {
      const auto line = relative(key, depth) + " = " + written;
      const auto mark = doc.marks.find(parent);
      if (depth > 0 && mark != doc.marks.end() && mark->second.inline_table) {
        const auto end = byte_of(text, mark->second.end_line, mark->second.end_column);
        const auto brace = text.rfind('}', end);
        if (brace != std::string_view::npos) {
          auto before = brace;
          while (before > 0 && text[before - 1] == ' ') --before;
          candidates.push_back(
              replaced(text, before, brace, (table->empty() ? " " : ", ") + line + " "));
        }
      } else if (depth > 0 || key.size() == 1) {
        for (const auto at : ends_of_table(text, doc, *table, parent))
          candidates.push_back(with_line_at(text, at, line));
      }
    }
    if (depth + 1 >= key.size() && key.size() > 1) {
      // A header of its own at the end, which is how people write it.
      const std::string eol(newline_of(text));
      std::string result(text);
      if (!result.empty() && result.back() != '\n') result += eol;
      if (!result.empty()) result += eol;
      const std::vector<std::string> head(key.begin(), key.end() - 1);
      candidates.push_back(result + "[" + path_of(head, head.size()) + "]" + eol +
                           relative(key, key.size() - 1) + " = " + written + eol);
    }
    if (depth == 0) break;
  }
  for (const auto at : ends_of_table(text, doc, doc.root, ""))
    candidates.push_back(with_line_at(text, at, relative(key, 0) + " = " + written));
  return candidates;
}

std::vector<std::string> detail::toml_removals(std::string_view text, const document& doc,
                                               const std::vector<std::string>& key) {
  std::vector<std::string> candidates;
  const auto found = doc.marks.find(path_of(key, key.size()));
  if (found == doc.marks.end()) return candidates;
  const auto& place = found->second;
  const auto begin = byte_of(text, place.line, place.column);
  const auto end = byte_of(text, place.end_line, place.end_column);
  // Its lines; or, inside an inline table, the member with one of the commas beside it.
  candidates.push_back(
      replaced(text, line_begin(text, begin), line_end(text, end > begin ? end - 1 : end), ""));
  auto after = end;
  while (after < text.size() && (text[after] == ' ' || text[after] == '\t')) ++after;
  if (after < text.size() && text[after] == ',') {
    ++after;
    while (after < text.size() && text[after] == ' ') ++after;
    candidates.push_back(replaced(text, begin, after, ""));
  }
  auto before = begin;
  while (before > 0 && (text[before - 1] == ' ' || text[before - 1] == '\t')) --before;
  if (before > 0 && text[before - 1] == ',')
    candidates.push_back(replaced(text, before - 1, end, ""));
  candidates.push_back(replaced(text, begin, end, ""));
  // A table with a header: from there to the next header.
  const auto header = line_begin(text, begin);
  auto next = line_end(text, begin);
  while (next < text.size()) {
    const auto first = text.find_first_not_of(" \t", next);
    if (first != std::string_view::npos && text[first] == '[') break;
    next = line_end(text, next);
  }
  candidates.push_back(replaced(text, header, next, ""));
  return candidates;
}
}  // namespace rustic::config
