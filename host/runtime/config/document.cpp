// What all formats share: encoding, size, places.
#include "host/runtime/config/document.hpp"

#include <algorithm>

#include "host/runtime/config/key_path.hpp"
#include "host/runtime/config/limits.hpp"

namespace rustic::config {
namespace {
// The first byte that is not UTF-8, or npos.
std::size_t broken_byte(std::string_view text) {
  if (is_utf8(text)) return std::string_view::npos;
  std::size_t low = 0, high = text.size();
  while (low + 1 < high) {  // a prefix that ends inside a character is cut back to its start
    const std::size_t middle = low + (high - low) / 2;
    if (is_utf8(cut_utf8(text, middle)))
      low = middle;
    else
      high = middle;
  }
  return low;
}
}  // namespace

std::optional<format> format_of(const std::filesystem::path& file) {
  auto extension = file.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (extension == ".toml") return format::toml;
  if (extension == ".json") return format::json;
  if (extension == ".yaml" || extension == ".yml") return format::yaml;
  return std::nullopt;
}

location document::where(std::string_view key) const {
  for (std::string at(key);; at = std::string(parent_key(at))) {
    if (const auto label = labels.find(at); label != labels.end()) return {label->second, 0, 0};
    if (const auto found = marks.find(at); found != marks.end() && found->second.line)
      return {file, found->second.line, found->second.column};
    if (at.empty()) return {file, 0, 0};
  }
}

std::pair<std::uint32_t, std::uint32_t> detail::position_of(std::string_view text,
                                                            std::size_t byte) {
  std::uint32_t line = 1, column = 1;
  for (std::size_t i = 0; i < std::min(byte, text.size()); ++i) {
    if (text[i] == '\n') {
      ++line;
      column = 1;
    } else if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) {
      ++column;
    }
  }
  return {line, column};
}

document parse_document(std::string_view text, format kind, std::string file,
                        std::vector<problem>& problems) {
  document out;
  out.file = std::move(file);
  const auto refuse = [&](std::pair<std::uint32_t, std::uint32_t> at, std::string message) {
    problems.push_back({severity::error, {out.file, at.first, at.second}, {}, std::move(message)});
    out.root = {};
    out.marks.clear();
  };
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (text.size() > file_bytes_max) {
    refuse({0, 0}, "is larger than " + std::to_string(file_bytes_max) + " bytes");
    return out;
  }
  if (const auto at = text.find('\0'); at != std::string_view::npos) {
    refuse(detail::position_of(text, at), "has a NUL byte; this is not a text file");
    return out;
  }
  if (const auto at = broken_byte(text); at != std::string_view::npos) {
    refuse(detail::position_of(text, at), "is not valid UTF-8; save the file as UTF-8");
    return out;
  }
  try {
    if (kind == format::toml) detail::parse_toml(text, out);
    if (kind == format::json) detail::parse_json(text, out);
    if (kind == format::yaml) detail::parse_yaml(text, out);
  } catch (const detail::syntax_error& error) {
    refuse({error.line, error.column}, error.message);
  }
  return out;
}
}  // namespace rustic::config
