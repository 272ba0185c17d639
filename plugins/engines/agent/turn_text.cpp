#include "turn_text.hpp"

#include <algorithm>
#include <ctime>

#include "limits.hpp"

namespace rustic::agent {

std::string day_of(std::int64_t unix_ms) {
  const auto seconds = static_cast<std::time_t>(unix_ms / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[16];
  std::strftime(text, sizeof(text), "%Y-%m-%d", &parts);
  return text;
}

std::string bounded(std::string text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  const auto head = cut_utf8(text, bytes * 2 / 3);
  std::size_t tail = text.size() - bytes / 3;
  while (tail < text.size() && (static_cast<unsigned char>(text[tail]) & 0xC0) == 0x80) ++tail;
  return std::string(head) + "\n[... " + std::to_string(tail - head.size()) +
         " bytes left out ...]\n" + text.substr(tail);
}

std::string text_of(const json::array& parts) {
  std::string out;
  for (const auto& part : parts)
    if (const auto* object = part.if_object(); object && text_or(*object, "type") == "text")
      out += text_or(*object, "text");
  return out;
}

std::string tool_name(std::string_view name) {
  std::string out(name.substr(0, tool_name_bytes_max));
  std::replace_if(
      out.begin(), out.end(),
      [](char c) {
        return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 c == '_' || c == '-');
      },
      '_');
  return out.empty() ? "unnamed" : out;
}

std::string first_line(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  text = text.substr(begin);
  text = text.substr(0, text.find_first_of("\r\n"));
  return text.size() <= 80 ? std::string(text) : std::string(cut_utf8(text, 77)) + "...";
}

std::string text_decoder::decode(std::string_view bytes) {
  std::string whole = std::move(rest_);
  whole += bytes;
  // The last code point may go on in the next piece: at most three bytes of it can be here.
  std::size_t keep = 0;
  for (std::size_t back = 1; back <= 3 && back <= whole.size(); ++back) {
    const auto byte = static_cast<unsigned char>(whole[whole.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    const std::size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    if (length > back) keep = back;
    break;
  }
  rest_ = whole.substr(whole.size() - keep);
  whole.resize(whole.size() - keep);
  return to_utf8(whole);
}

std::string text_decoder::finish() {
  return to_utf8(std::exchange(rest_, {}));
}
}  // namespace rustic::agent
