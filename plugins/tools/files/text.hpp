// Bytes of files as text for a model: encodings, binary data, lines, and bounded valid UTF-8.
// Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::files {

bool utf8_valid(std::string_view bytes);
// Every invalid sequence becomes U+FFFD.
std::string utf8_clean(std::string_view bytes);
// A file name: valid UTF-8 with control characters written as \x0a, so that it stays on one line.
std::string utf8_name(std::string_view bytes);
// The longest prefix of valid UTF-8 text that has at most `bytes_max` bytes and whole characters.
std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max);
// One line for display: clean, at most `bytes_max` bytes, with a remark when it was cut.
std::string clip_line(std::string_view line, std::size_t bytes_max);

enum class encoding { utf8, utf8_bom, utf16_le, utf16_be, other };
std::string_view encoding_name(encoding value);

// The content of a text file as UTF-8 without its byte order mark. With `other` (not valid UTF-8)
// the text holds the file's own bytes.
struct decoded_text {
  encoding form = encoding::utf8;
  std::string text;
  bool lossless = true;  // encode() gives the same bytes again
};
decoded_text decode(std::string bytes);
std::string encode(std::string_view text, encoding form);
encoding sniff_encoding(std::string_view head);

// What a binary file is ("PNG image"), or nothing when `head`, its first bytes, look like text.
std::optional<std::string> sniff_binary(std::string_view head);

// Lines without their ends ("\n" or "\r\n"). A final line end starts no further line.
std::vector<std::string_view> split_lines(std::string_view text);
std::size_t count_lines(std::string_view text);
// The 1-based number of the line that contains `offset`.
std::size_t line_at(std::string_view text, std::size_t offset);

enum class line_ends { none, lf, crlf, mixed };
line_ends line_ends_of(std::string_view text);
std::string with_crlf(std::string_view text);     // every "\n" becomes "\r\n"
std::string without_crlf(std::string_view text);  // every "\r\n" becomes "\n"

std::string size_text(std::uint64_t bytes);                      // "812 B", "1.2 KB"
std::string count_text(std::size_t count, std::string_view of);  // "1 line", "2 lines"
std::uint64_t content_hash(std::string_view bytes);

}  // namespace rustic::files
