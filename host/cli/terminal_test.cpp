// Text as it stands on a terminal: how wide it is, what of it is shown, how it is cut.
#include "host/cli/terminal.hpp"

#include <doctest/doctest.h>
#include <locale.h>

#include "host/cli/table.hpp"

using namespace rustic::cli;

namespace {
// As main does it.
struct utf8 {
  utf8() { REQUIRE(setlocale(LC_CTYPE, "C.UTF-8") != nullptr); }
};
}  // namespace

TEST_CASE_FIXTURE(utf8, "wide characters take two columns, combining ones none") {
  CHECK(columns_of("") == 0);
  CHECK(columns_of("abc") == 3);
  CHECK(columns_of("äöü") == 3);
  CHECK(columns_of("e\xCC\x81") == 1);
  CHECK(columns_of("漢字") == 4);
  CHECK(columns_of("\xF0\x9F\x98\x80") == 2);
  CHECK(columns_of("a\xFF"
                   "b") == 3);  // a byte that is no character
}

TEST_CASE_FIXTURE(utf8, "text is cut by columns, never inside a character") {
  CHECK(cut_columns("abc", 2) == "ab");
  CHECK(cut_columns("漢字", 3) == "漢");
  CHECK(cut_columns("漢字", 4) == "漢字");
  CHECK(cut_columns("e\xCC\x81x", 1) == "e\xCC\x81");
  CHECK(cut_columns("漢", 0).empty());
}

TEST_CASE_FIXTURE(utf8, "one line is no wider than was asked for") {
  CHECK(one_visible_line("a\nb\tc", 10) == "a b c");
  CHECK(one_visible_line("\x1b[31mred\x1b[0m", 10) == "red");
  CHECK(one_visible_line("abcdefghij", 10) == "abcdefghij");
  CHECK(one_visible_line("abcdefghijk", 10) == "abcdefg...");
  CHECK(one_visible_line("漢字漢字漢字", 12) == "漢字漢字漢字");
  const auto cut = one_visible_line("漢字漢字漢字", 10);
  CHECK(cut == "漢字漢...");
  CHECK(columns_of(cut) <= 10);
}

TEST_CASE_FIXTURE(utf8, "columns stand below each other whatever the text") {
  const auto table = to_table({"A", "B"}, {{"漢字", "x"}, {"abc", "y\x1b[31mz"}}, 0);
  CHECK(table == "A     B\n漢字  x\nabc   yz\n");
  const auto narrow = to_table({"A"}, {{"漢字漢字"}}, 5);
  CHECK(narrow == "A\n漢字…\n");
}
