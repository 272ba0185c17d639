#include "word_count.hpp"

namespace word_count_plugin {

counts count(std::string_view text) noexcept {
  counts out;
  bool in_word = false;
  for (const char byte : text) {
    const bool blank = byte == ' ' || (byte >= '\t' && byte <= '\r');
    if (!blank && !in_word) ++out.words;
    in_word = !blank;
    if (byte == '\n') ++out.lines;
    if ((static_cast<unsigned char>(byte) & 0xC0) != 0x80) ++out.characters;
  }
  if (!text.empty() && text.back() != '\n') ++out.lines;
  return out;
}
}  // namespace word_count_plugin
