#include <rustic/storage/json_text.hpp>

#include <doctest/doctest.h>

#include <rustic/status.hpp>

#include <rustic/storage/message_text.hpp>

using namespace rustic::storage;

TEST_CASE("members keep their text") {
  const auto view = object_view::parse(
      R"( { "a" : [1, {"x":"]}\\\""}, "\\"] , "b":"\"}", "n" : null,"\u0063":1.50 ,"e":{},"t":true} )");
  CHECK(view.raw("a") == R"([1, {"x":"]}\\\""}, "\\"])");
  CHECK(view.text("b") == "\"}");
  CHECK(view.raw("c") == "1.50");
  CHECK(view.raw("e") == "{}");
  CHECK_FALSE(view.raw("n"));
  CHECK(view.has("n"));
  CHECK_FALSE(view.has("z"));
  CHECK(view.flag("t", false));
  const auto elements = view.elements("a");
  REQUIRE(elements.size() == 3);
  CHECK(elements[0] == "1");
  CHECK(elements[1] == R"({"x":"]}\\\""})");
  CHECK(elements[2] == R"("\\")");
  CHECK(object_view::parse(R"({"a":1,"a":2})").integer("a") == 2);
  CHECK(object_view::parse("").members().empty());
  CHECK(object_view::parse("{}").members().empty());
}

TEST_CASE("integers are read however they are written") {
  const auto view = object_view::parse(
      R"({"a":-9223372036854775808,"b":3E0,"c":3.0,"d":3.5,"e":1e300,"f":9223372036854775808,"g":"3"})");
  CHECK(view.integer("a") == std::numeric_limits<std::int64_t>::min());
  CHECK(view.integer("b") == 3);
  CHECK(view.integer("c") == 3);
  for (const char* bad : {"d", "e", "f", "g"})
    CHECK_THROWS_AS((void)view.integer(bad), rustic::failure);
}

TEST_CASE("what is not JSON is refused") {
  for (const char* bad : {"[", "{\"a\":1", "{\"a\" 1}", "{\"a\":1}}", "\"\\ud800\"", "{\"a\":01}",
                          "{\"a\":'x'}", "{\"a\":\"\n\"}", "null", "{,}"})
    CHECK_THROWS_AS((void)object_view::parse(bad), rustic::failure);
}

TEST_CASE("quoting survives a round trip") {
  std::string all;
  for (int c = 0; c < 0x80; ++c) all += static_cast<char>(c);
  all += "é😀";
  std::string quoted;
  append_quoted(quoted, all);
  CHECK(decode_string(quoted) == all);
  CHECK(object_view::parse("{\"a\":" + quoted + "}").text("a") == all);
}

TEST_CASE("folding keeps the length and meets Latin, Greek and Cyrillic") {
  CHECK(fold_case("ÀÉÎÕÜÞ×ß ŁŹŻĆ ΑΩΆΏ ЁЖЯҐ AZ") == "àéîõüþ×ß łźżć αωάώ ёжяґ az");
  const std::string mixed = "İstanbul ẞ 漢字 😀 \xc3";
  CHECK(fold_case(mixed).size() == mixed.size());
}

TEST_CASE("a snippet never cuts a character in two") {
  const text_query query("needle");
  for (int pad = 70; pad < 100; ++pad) {
    std::string words;
    for (int i = 0; i < pad; ++i) words += "é";
    const auto snippet = query.match("[{\"text\":\"x" + words + "NEEDLE" + words + "\"}]");
    REQUIRE(snippet);
    CHECK(rustic::is_utf8(*snippet));
    CHECK(snippet->size() < 300);
  }
  CHECK(text_query("AB").match(R"([{"text":"x\u0061b"}])"));
  CHECK(text_query("/").match(R"([{"text":"\/"}])"));
  CHECK(text_query("plain").match(R"(["plain"])"));
  CHECK_FALSE(text_query("x").match(R"([{"data":"x"}, 7, null])"));
}

TEST_CASE("what a disk gave back is told apart from JSON") {
  for (const char* good : {"[]", " {\"a\":1} ", "7", "\"x\"", "null"}) CHECK(is_json(good));
  for (const char* bad : {"", "[", "[1,]", "[]]", "{\"a\":\"\xFF\"}", "nul", "\x01"})
    CHECK_FALSE(is_json(bad));
  CHECK_FALSE(is_json(std::string_view("[]\0", 3)));
  CHECK(is_json("[]", json_kind::array));
  CHECK_FALSE(is_json("[]", json_kind::object));
}
