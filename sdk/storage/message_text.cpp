// message_text.cpp - case folding that keeps byte offsets, matching, snippets.
#include <rustic/storage/message_text.hpp>

#include <algorithm>
#include <array>
#include <rustic/json.hpp>

#include <rustic/storage/json_text.hpp>
#include <rustic/storage/limits.hpp>

namespace rustic::storage {
namespace {
constexpr std::array<std::string_view, 4> searched_members{"text", "output", "arguments", "name"};

constexpr char lower_ascii(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

// Lower case of a letter that is two bytes long in UTF-8 and stays so.
constexpr unsigned lower_two_byte(unsigned c) {
  if (c >= 0xC0 && c <= 0xDE && c != 0xD7) return c + 0x20;
  if ((c >= 0x100 && c <= 0x12F) || (c >= 0x132 && c <= 0x137) || (c >= 0x14A && c <= 0x177) ||
      (c >= 0x460 && c <= 0x481) || (c >= 0x48A && c <= 0x4BF) || (c >= 0x4D0 && c <= 0x52F))
    return c | 1;
  if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E)) return c % 2 == 1 ? c + 1 : c;
  if (c == 0x386) return 0x3AC;
  if (c >= 0x388 && c <= 0x38A) return c + 0x25;
  if (c == 0x38C) return 0x3CC;
  if (c == 0x38E || c == 0x38F) return c + 0x3F;
  if (c >= 0x391 && c <= 0x3AB && c != 0x3A2) return c + 0x20;
  if (c >= 0x400 && c <= 0x40F) return c + 0x50;
  if (c >= 0x410 && c <= 0x42F) return c + 0x20;
  return c;
}

// Without regard to the case of ASCII letters. `needle` is folded.
bool contains_folded(std::string_view text, std::string_view needle) {
  const char first = needle.front();
  const bool letter = first >= 'a' && first <= 'z';
  const char other = letter ? static_cast<char>(first - ('a' - 'A')) : first;
  for (std::size_t at = 0; at + needle.size() <= text.size(); ++at) {
    if (text[at] != first && text[at] != other) continue;
    std::size_t same = 1;
    while (same < needle.size() && lower_ascii(text[at + same]) == needle[same]) ++same;
    if (same == needle.size()) return true;
  }
  return false;
}

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}
}  // namespace

std::string fold_case(std::string_view text) {
  std::string out(text);
  for (std::size_t at = 0; at < out.size(); ++at) {
    const auto lead = static_cast<unsigned char>(out[at]);
    if (lead < 0x80) {
      out[at] = lower_ascii(out[at]);
    } else if (lead >= 0xC3 && lead <= 0xD4 && at + 1 < out.size()) {
      const auto trail = static_cast<unsigned char>(out[at + 1]);
      const unsigned lower = lower_two_byte((lead & 0x1Fu) << 6 | (trail & 0x3Fu));
      out[at] = static_cast<char>(0xC0u | lower >> 6);
      out[++at] = static_cast<char>(0x80u | (lower & 0x3Fu));
    }
  }
  return out;
}

text_query::text_query(std::string_view query)
    : folded_(fold_case(query)), plain_(std::all_of(folded_.begin(), folded_.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == ' ' || c == '_' || c == '.';
      })) {}

std::optional<std::string> text_query::match(std::string_view parts) const {
  // The text as it stands holds every match of a plain query, unless somebody escaped letters.
  if (plain_ && !contains_folded(parts, folded_) && parts.find("\\u00") == std::string_view::npos)
    return std::nullopt;
  std::string wrapped = "{\"p\":";
  wrapped += parts;
  wrapped += '}';
  const auto view = object_view::of_checked(wrapped, "a message");
  for (const auto part : view.elements("p")) {
    if (kind_of(part) == json_kind::string) {
      if (auto snippet = match_text(decode_string(part))) return snippet;
    } else if (kind_of(part) == json_kind::object) {
      if (auto snippet = match_object(part)) return snippet;
    }
  }
  return std::nullopt;
}

std::optional<std::string> text_query::match_object(std::string_view object) const {
  const auto view = object_view::of_checked(object, "a part");
  for (const auto key : searched_members) {
    const auto json = view.raw(key);
    if (!json || kind_of(*json) != json_kind::string) continue;
    if (auto snippet = match_text(decode_string(*json))) return snippet;
  }
  return std::nullopt;
}

std::optional<std::string> text_query::match_text(std::string_view text) const {
  const auto at = fold_case(text).find(folded_);
  if (at == std::string::npos) return std::nullopt;
  std::size_t begin = at > snippet_bytes_each_side ? at - snippet_bytes_each_side : 0;
  while (begin < at && is_continuation(text[begin])) ++begin;
  std::size_t end = std::min(text.size(), at + folded_.size() + snippet_bytes_each_side);
  while (end < text.size() && is_continuation(text[end])) ++end;
  std::string snippet = begin == 0 ? "" : "…";
  for (const char c : text.substr(begin, end - begin))
    snippet += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  if (end < text.size()) snippet += "…";
  return snippet;
}
}  // namespace rustic::storage
