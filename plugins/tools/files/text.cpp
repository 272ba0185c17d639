// Encodings, lines and display.
#include "text.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>

#include "limits.hpp"

namespace rustic::files {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";
constexpr std::string_view utf8_mark = "\xEF\xBB\xBF";

struct step {
  std::size_t size = 1;
  bool valid = false;
};

// The character (or the longest broken piece of one) at `at`, as the Unicode standard cuts it.
step next_character(std::string_view bytes, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return {1, true};
  std::size_t size = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    size = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    size = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    size = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return {1, false};
  }
  for (std::size_t i = 1; i < size; ++i) {
    if (at + i >= bytes.size() || byte(at + i) < low || byte(at + i) > high) return {i, false};
    low = 0x80;
    high = 0xBF;
  }
  return {size, true};
}

// The number of leading ASCII bytes from `at`, eight at a time.
std::size_t ascii_run(std::string_view bytes, std::size_t at) {
  const std::size_t start = at;
  while (at + 8 <= bytes.size()) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    if (word & 0x8080808080808080ULL) break;
    at += 8;
  }
  while (at < bytes.size() && static_cast<unsigned char>(bytes[at]) < 0x80) ++at;
  return at - start;
}

void append_utf8(std::string& out, std::uint32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xC0 | (point >> 6));
    out += static_cast<char>(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    out += static_cast<char>(0xE0 | (point >> 12));
    out += static_cast<char>(0x80 | ((point >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (point & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (point >> 18));
    out += static_cast<char>(0x80 | ((point >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((point >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (point & 0x3F));
  }
}

std::uint32_t code_point(std::string_view character) {
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(character[i]));
  };
  switch (character.size()) {
    case 1:
      return byte(0);
    case 2:
      return ((byte(0) & 0x1F) << 6) | (byte(1) & 0x3F);
    case 3:
      return ((byte(0) & 0x0F) << 12) | ((byte(1) & 0x3F) << 6) | (byte(2) & 0x3F);
    default:
      return ((byte(0) & 0x07) << 18) | ((byte(1) & 0x3F) << 12) | ((byte(2) & 0x3F) << 6) |
             (byte(3) & 0x3F);
  }
}

std::string from_utf16(std::string_view bytes, bool big_endian, bool& lossless) {
  std::string out;
  out.reserve(bytes.size() / 2 + 16);
  const auto unit = [&](std::size_t at) {
    const auto a = static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at]));
    const auto b = static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at + 1]));
    return big_endian ? (a << 8) | b : (b << 8) | a;
  };
  std::size_t at = 0;
  while (at + 2 <= bytes.size()) {
    std::uint32_t point = unit(at);
    at += 2;
    if (point >= 0xD800 && point <= 0xDFFF) {
      const std::uint32_t second = at + 2 <= bytes.size() ? unit(at) : 0;
      if (point < 0xDC00 && second >= 0xDC00 && second <= 0xDFFF) {
        point = 0x10000 + ((point - 0xD800) << 10) + (second - 0xDC00);
        at += 2;
      } else {
        point = 0xFFFD;
        lossless = false;
      }
    }
    append_utf8(out, point);
  }
  if (at != bytes.size()) lossless = false;
  return out;
}

struct signature {
  std::size_t offset;
  std::string_view bytes;
  std::string_view name;
};
using namespace std::string_view_literals;
constexpr std::array signatures = {
    signature{0, "\x89PNG\r\n\x1a\n"sv, "PNG image"},
    signature{0, "\xFF\xD8\xFF"sv, "JPEG image"},
    signature{0, "GIF8"sv, "GIF image"},
    signature{8, "WEBP"sv, "WebP image"},
    signature{8, "WAVE"sv, "WAVE audio"},
    signature{0, "\0\0\1\0"sv, "icon"},
    signature{0, "%PDF-"sv, "PDF document"},
    signature{0, "PK\x03\x04"sv, "ZIP archive (or a format built on it, such as docx or jar)"},
    signature{0, "\x1F\x8B"sv, "gzip data"},
    signature{0, "BZh"sv, "bzip2 data"},
    signature{0,
              "\xFD"
              "7zXZ"sv,
              "xz data"},
    signature{0, "\x28\xB5\x2F\xFD"sv, "zstd data"},
    signature{0, "7z\xBC\xAF"sv, "7-Zip archive"},
    signature{257, "ustar"sv, "tar archive"},
    signature{0,
              "\x7F"
              "ELF"sv,
              "ELF program or library"},
    signature{0, "MZ"sv, "Windows program or library"},
    signature{0, "!<arch>\n"sv, "static library"},
    signature{0, "\0asm"sv, "WebAssembly module"},
    signature{0, "SQLite format 3\0"sv, "SQLite database"},
    signature{0, "OggS"sv, "Ogg media"},
    signature{0, "ID3"sv, "MP3 audio"},
    signature{4, "ftyp"sv, "MP4 media"},
    signature{0, "wOFF"sv, "font"},
    signature{0, "wOF2"sv, "font"},
    signature{0, "\xCA\xFE\xBA\xBE"sv, "Java class or Mach-O program"},
};

}  // namespace

bool utf8_valid(std::string_view bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    at += ascii_run(bytes, at);
    if (at >= bytes.size()) break;
    const step next = next_character(bytes, at);
    if (!next.valid) return false;
    at += next.size;
  }
  return true;
}

std::string utf8_clean(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t plain = ascii_run(bytes, at);
    out.append(bytes.substr(at, plain));
    at += plain;
    if (at >= bytes.size()) break;
    const step next = next_character(bytes, at);
    out.append(next.valid ? bytes.substr(at, next.size) : replacement);
    at += next.size;
  }
  return out;
}

std::string utf8_name(std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const char c : utf8_clean(bytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7F) {
      out += c;
    } else {
      out += "\\x";
      out += digits[byte >> 4];
      out += digits[byte & 15];
    }
  }
  return out;
}

std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

std::string clip_line(std::string_view line, std::size_t bytes_max) {
  if (line.size() <= bytes_max) return utf8_clean(line);
  const std::string clean = utf8_clean(line.substr(0, bytes_max));
  const std::string_view kept = utf8_prefix(clean, bytes_max);
  return std::string(kept) + " ... [" + std::to_string(line.size() - bytes_max) +
         " more bytes in this line]";
}

std::string_view encoding_name(encoding value) {
  switch (value) {
    case encoding::utf8:
      return "utf-8";
    case encoding::utf8_bom:
      return "utf-8 with byte order mark";
    case encoding::utf16_le:
      return "utf-16le";
    case encoding::utf16_be:
      return "utf-16be";
    case encoding::other:
      break;
  }
  return "not utf-8";
}

encoding sniff_encoding(std::string_view head) {
  if (head.substr(0, 3) == utf8_mark) return encoding::utf8_bom;
  if (head.substr(0, 2) == "\xFF\xFE"sv && head.substr(0, 4) != "\xFF\xFE\0\0"sv) {
    return encoding::utf16_le;
  }
  if (head.substr(0, 2) == "\xFE\xFF"sv) return encoding::utf16_be;
  return encoding::utf8;
}

decoded_text decode(std::string bytes) {
  decoded_text out;
  out.form = sniff_encoding(bytes);
  if (out.form == encoding::utf16_le || out.form == encoding::utf16_be) {
    out.text =
        from_utf16(std::string_view(bytes).substr(2), out.form == encoding::utf16_be, out.lossless);
    return out;
  }
  if (out.form == encoding::utf8_bom) bytes.erase(0, utf8_mark.size());
  if (!utf8_valid(bytes)) {
    if (out.form == encoding::utf8_bom) bytes.insert(0, utf8_mark);
    out.form = encoding::other;
  }
  out.text = std::move(bytes);
  return out;
}

std::string encode(std::string_view text, encoding form) {
  if (form == encoding::utf8 || form == encoding::other) return std::string(text);
  if (form == encoding::utf8_bom) return std::string(utf8_mark) + std::string(text);
  const bool big_endian = form == encoding::utf16_be;
  std::string out;
  out.reserve(text.size() * 2 + 2);
  const auto put = [&](std::uint32_t unit) {
    const char high = static_cast<char>(unit >> 8);
    const char low = static_cast<char>(unit & 0xFF);
    out += big_endian ? high : low;
    out += big_endian ? low : high;
  };
  put(0xFEFF);
  for (std::size_t at = 0; at < text.size();) {
    const step next = next_character(text, at);
    std::uint32_t point = next.valid ? code_point(text.substr(at, next.size)) : 0xFFFD;
    at += next.size;
    if (point < 0x10000) {
      put(point);
    } else {
      point -= 0x10000;
      put(0xD800 + (point >> 10));
      put(0xDC00 + (point & 0x3FF));
    }
  }
  return out;
}

std::optional<std::string> sniff_binary(std::string_view head) {
  const encoding form = sniff_encoding(head);
  if (form == encoding::utf16_le || form == encoding::utf16_be) return std::nullopt;
  head = head.substr(0, sniff_bytes);
  bool nul = false;
  std::size_t odd = 0;
  std::size_t control = 0;
  for (std::size_t at = 0; at < head.size();) {
    const step next = next_character(head, at);
    const auto byte = static_cast<unsigned char>(head[at]);
    if (byte == 0) nul = true;
    if (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r' && byte != '\f' &&
        byte != '\b' && byte != 0x1B) {
      ++control;
    }
    if (!next.valid) ++odd;
    at += next.size;
  }
  // Latin-1 text has few bytes above 0x7F; compressed data has about half, and control characters.
  const bool binary = nul || (control > 0 && control + odd > head.size() / 10);
  if (head.substr(0, 5) != "%PDF-" && !binary) return std::nullopt;
  for (const signature& each : signatures) {
    if (head.size() >= each.offset && head.substr(each.offset, each.bytes.size()) == each.bytes) {
      return std::string(each.name);
    }
  }
  return "binary data";
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (end < text.size() && !line.empty() && line.back() == '\r') line.remove_suffix(1);
    out.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::size_t count_lines(std::string_view text) {
  const auto ends = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  return ends + (!text.empty() && text.back() != '\n' ? 1 : 0);
}

std::size_t line_at(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  return 1 + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
}

line_ends line_ends_of(std::string_view text) {
  bool lf = false;
  bool crlf = false;
  for (std::size_t at = text.find('\n'); at != text.npos; at = text.find('\n', at + 1)) {
    (at > 0 && text[at - 1] == '\r' ? crlf : lf) = true;
    if (lf && crlf) return line_ends::mixed;
  }
  return crlf ? line_ends::crlf : lf ? line_ends::lf : line_ends::none;
}

std::string with_crlf(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 16);
  for (const char c : text) {
    if (c == '\n') out += '\r';
    out += c;
  }
  return out;
}

std::string without_crlf(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\r' && at + 1 < text.size() && text[at + 1] == '\n') continue;
    out += text[at];
  }
  return out;
}

std::string size_text(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  static constexpr std::array units = {"KB", "MB", "GB", "TB", "PB", "EB"};
  std::size_t unit = 0;
  std::uint64_t scale = 1024;
  while (bytes / scale >= 1024 && unit + 1 < units.size()) {
    scale *= 1024;
    ++unit;
  }
  const std::uint64_t whole = bytes / scale;
  std::string out = std::to_string(whole);
  if (whole < 10) out += "." + std::to_string(bytes % scale * 10 / scale);
  return out + " " + units[unit];
}

std::string count_text(std::size_t count, std::string_view of) {
  std::string out = std::to_string(count) + " " + std::string(of);
  if (count == 1) return out;
  const bool ies = of.size() > 1 && of.back() == 'y';
  const bool es = !of.empty() && (of.back() == 'h' || of.back() == 's');
  if (ies) {
    out.back() = 'i';
    return out + "es";
  }
  return out + (es ? "es" : "s");
}

std::uint64_t content_hash(std::string_view bytes) {
  return std::hash<std::string_view>{}(bytes);
}

}  // namespace rustic::files
