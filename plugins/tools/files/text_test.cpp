// Text as it is shown to a model: UTF-8, encodings, binary data, lines, diffs.
#include "text.hpp"

#include <doctest/doctest.h>

#include "diff.hpp"
#include "limits.hpp"

namespace rustic::files {
namespace {

using namespace std::string_view_literals;

TEST_CASE("invalid UTF-8 is replaced piece by piece as Unicode recommends") {
  CHECK(utf8_clean("plain") == "plain");
  CHECK(utf8_clean("gr\u00FC\u00DFe \U0001F600") == "gr\u00FC\u00DFe \U0001F600");
  CHECK(utf8_clean("\xFF") == "\uFFFD");
  CHECK(utf8_clean("a\xE2\x82z") == "a\uFFFDz");                        // cut short
  CHECK(utf8_clean("\xC0\x80") == "\uFFFD\uFFFD");                      // overlong
  CHECK(utf8_clean("\xED\xA0\x80") == "\uFFFD\uFFFD\uFFFD");            // a surrogate
  CHECK(utf8_clean("\xF4\x90\x80\x80") == "\uFFFD\uFFFD\uFFFD\uFFFD");  // above U+10FFFF
  CHECK(utf8_clean("12345678\xE2\x82") == "12345678\uFFFD");
  CHECK(utf8_valid("\U0010FFFF"));
  CHECK_FALSE(utf8_valid("12345678\x80"));
}

TEST_CASE("names stay on one line") {
  CHECK(utf8_name("a\nb\x1B[31m\x7F") == "a\\x0ab\\x1b[31m\\x7f");
  CHECK(utf8_name("\u00FC\xFF") == "\u00FC\uFFFD");
}

TEST_CASE("cutting never splits a character") {
  CHECK(utf8_prefix("a\u00FCb", 2) == "a");
  CHECK(utf8_prefix("a\u00FCb", 3) == "a\u00FC");
  CHECK(utf8_prefix("\U0001F600", 3).empty());
  const std::string cut = clip_line("\u20AC\u20AC\u20AC", 4);
  CHECK(utf8_valid(cut));
  CHECK(cut.find("5 more bytes") != cut.npos);
}

TEST_CASE("encodings survive decoding and encoding") {
  const std::string text = "z\u00FC\U0001F600\r\n";
  for (const encoding form :
       {encoding::utf8, encoding::utf8_bom, encoding::utf16_le, encoding::utf16_be}) {
    const std::string bytes = encode(text, form);
    const decoded_text back = decode(bytes);
    CHECK(back.form == form);
    CHECK(back.text == text);
    CHECK(back.lossless);
    CHECK_FALSE(sniff_binary(bytes));
  }
  CHECK(decode("caf\xE9").form == encoding::other);
  CHECK(decode("caf\xE9").text == "caf\xE9");
}

TEST_CASE("half a UTF-16 character is noticed") {
  CHECK_FALSE(decode(std::string("\xFF\xFE\x00\xD8"sv)).lossless);  // a lone surrogate
  CHECK_FALSE(decode(std::string("\xFF\xFE"
                                 "a\0b"sv))
                  .lossless);  // an odd byte
}

TEST_CASE("binary data is told from text") {
  CHECK(sniff_binary("\x89PNG\r\n\x1a\n\0\0\0\rIHDR"sv) == "PNG image");
  CHECK(sniff_binary("\x7F"
                     "ELF\2\1\1\0\0\0"sv) == "ELF program or library");
  CHECK(sniff_binary("%PDF-1.7\n%text so far") == "PDF document");
  CHECK(sniff_binary("abc\0def"sv) == "binary data");
  CHECK_FALSE(sniff_binary(""));
  CHECK_FALSE(sniff_binary("\xE9"));  // one Latin-1 letter
  CHECK_FALSE(sniff_binary("d\xE9j\xE0 vu: \xE9t\xE9"));
  CHECK_FALSE(sniff_binary("\x1B[31mred\x1B[0m\n"));
  CHECK_FALSE(sniff_binary("MZ is how this text begins"));
  std::string tar(600, '\0');
  tar.replace(257, 5, "ustar");
  CHECK(sniff_binary(tar) == "tar archive");
}

TEST_CASE("lines") {
  CHECK(split_lines("").empty());
  CHECK(split_lines("a\r\nb\n\nc").size() == 4);
  CHECK(split_lines("a\r\n")[0] == "a");
  CHECK(count_lines("a\nb") == 2);
  CHECK(count_lines("a\nb\n") == 2);
  CHECK(line_at("a\nb\nc", 4) == 3);
  CHECK(line_ends_of("a\r\nb\r\n") == line_ends::crlf);
  CHECK(line_ends_of("a\nb\r\n") == line_ends::mixed);
  CHECK(line_ends_of("a") == line_ends::none);
  CHECK(without_crlf("a\r\r\nb\r") == "a\r\nb\r");
}

TEST_CASE("sizes and counts read well") {
  CHECK(size_text(0) == "0 B");
  CHECK(size_text(1023) == "1023 B");
  CHECK(size_text(1234) == "1.2 KB");
  CHECK(size_text(10 << 20) == "10 MB");
  CHECK(size_text(UINT64_MAX) == "15 EB");
  CHECK(count_text(1, "line") == "1 line");
  CHECK(count_text(2, "entry") == "2 entries");
}

TEST_CASE("a unified diff is what diff -u prints") {
  const text_diff diff =
      unified_diff("a\nb\nc\nd\ne\nf\ng\nh\n", "a\nb\nc\nD\ne\nf\ng\nh\ni", "x", "x");
  CHECK(diff.text ==
        "--- x\n+++ x\n@@ -1,8 +1,9 @@\n a\n b\n c\n-d\n+D\n e\n f\n g\n h\n+i\n"
        "\\ No newline at end of file\n");
  CHECK(diff.added == 2);
  CHECK(diff.removed == 1);
  CHECK(unified_diff("", "a\n", nullptr, "n").text == "--- /dev/null\n+++ n\n@@ -0,0 +1 @@\n+a\n");
  CHECK(unified_diff("same", "same", "x", "x").text.empty());
  // Two hunks, because the changes are far apart.
  std::string lines;
  for (int i = 0; i < 40; ++i) lines += std::to_string(i) + "\n";
  std::string changed = lines;
  changed.replace(changed.find("5\n"), 1, "five");
  changed.replace(changed.find("35\n"), 2, "x");
  const std::string hunks = unified_diff(lines, changed, "x", "x").text;
  CHECK(hunks.find("@@ -3,7 +3,7 @@") != hunks.npos);
  CHECK(hunks.find("@@ -33,7 +33,7 @@") != hunks.npos);
}

TEST_CASE("a diff of random texts turns the one into the other") {
  std::uint32_t seed = 7;
  const auto random = [&](std::uint32_t below) {
    seed = seed * 1664525 + 1013904223;
    return (seed >> 16) % below;
  };
  for (int round = 0; round < 300; ++round) {
    std::string a;
    std::string b;
    for (std::uint32_t i = random(12); i > 0; --i)
      a += std::string(1, 'a' + static_cast<char>(random(3))) + "\n";
    for (std::uint32_t i = random(12); i > 0; --i)
      b += std::string(1, 'a' + static_cast<char>(random(3))) + "\n";
    const text_diff diff = unified_diff(a, b, "x", "x");
    // All lines of both lie within the context of such short texts or in the parts left out: apply.
    std::string made;
    std::size_t at = 0;
    const std::vector<std::string_view> old_lines = split_lines(a);
    for (const std::string_view line : split_lines(diff.text)) {
      if (line.substr(0, 3) == "---" || line.substr(0, 3) == "+++") continue;
      if (line.substr(0, 2) == "@@") {
        const std::size_t begin = std::stoul(std::string(line.substr(4)));
        const bool nothing = line.find(",0 +") != line.npos;
        const std::size_t start = nothing ? begin : begin - 1;
        while (at < start) made += std::string(old_lines[at++]) + "\n";
        continue;
      }
      if (line[0] == '+') {
        made += std::string(line.substr(1)) + "\n";
        continue;
      }
      REQUIRE(at < old_lines.size());
      REQUIRE(old_lines[at] == line.substr(1));
      if (line[0] == ' ') made += std::string(line.substr(1)) + "\n";
      ++at;
    }
    if (!diff.text.empty()) {
      while (at < old_lines.size()) made += std::string(old_lines[at++]) + "\n";
      REQUIRE(made == b);
    } else {
      REQUIRE(a == b);
    }
  }
}

TEST_CASE("diffs of large and wild texts stay bounded") {
  std::string a;
  std::string b;
  for (int i = 0; i < 20000; ++i) {
    a += "a" + std::to_string(i) + "\n";
    b += "b" + std::to_string(i * 7) + "\n";
  }
  const text_diff diff = unified_diff(a, b, "x", "x");
  CHECK(diff.cut);
  CHECK(diff.text.size() <= diff_bytes_max + 64);
  CHECK(diff.added == 20000);
  CHECK(diff.removed == 20000);
  CHECK(utf8_valid(unified_diff("\xFF\n", std::string(5000, '\xC3'), "x", "x").text));
}

}  // namespace
}  // namespace rustic::files
