// JSON access, texts, durations and errors: the small values that every plugin handles.
#include <doctest/doctest.h>

#include <rustic/json.hpp>
#include <rustic/status.hpp>
#include <stdexcept>
#include <string>

using namespace rustic;

TEST_CASE("members are read with a fallback for what is missing, null or of another type") {
  const auto object = parse_object(
      R"({"t":"x","i":-7,"u":18446744073709551615,"d":2.5,"w":3.0,"b":true,"n":null,"o":{"k":1},"a":[1]})");
  CHECK(text_or(object, "t", "no") == "x");
  CHECK(text_or(object, "i", "no") == "no");
  CHECK(text_or(object, "n", "no") == "no");
  CHECK(int_or(object, "i") == -7);
  CHECK(int_or(object, "u", 5) == 5);
  CHECK(int_or(object, "d", 5) == 5);
  CHECK(int_or(object, "w", 5) == 3);
  CHECK(number_or(object, "d", 0) == 2.5);
  CHECK(bool_or(object, "b", false));
  CHECK(bool_or(object, "t", true));
  CHECK(find(object, "n") == nullptr);
  CHECK(int_or(object_or_empty(object, "o"), "k") == 1);
  CHECK(object_or_empty(object, "a").empty());
  CHECK(array_or_empty(object, "a").size() == 1);
  CHECK_THROWS_AS(require_text(object, "i", "test"), failure);
  CHECK_THROWS_AS(require_int(object, "d", "test"), failure);
  CHECK(require_int(object, "w", "test") == 3);
}

TEST_CASE("what is no JSON is refused with its place, and an empty text is an empty object") {
  CHECK(parse_object("").empty());
  for (const auto* bad : {"{", "[]", "1", "{}x", "{\"a\":}", "{'a':1}", "\xFF", "{\"a\":\"\xC3\"}"})
    CHECK_THROWS_AS(parse_object(bad), failure);
  std::string deep;
  for (int i = 0; i < 10'000; ++i) deep += "[";
  CHECK_THROWS_AS(parse_json(deep), failure);
  try {
    parse_json("{\"a\": nul}", "the thing");
    FAIL("accepted");
  } catch (const failure& problem) {
    CHECK(problem.problem().code == status_code::invalid_argument);
    CHECK(problem.problem().message.find("the thing") != std::string::npos);
    CHECK(problem.problem().message.find("byte") != std::string::npos);
  }
}

TEST_CASE("durations have a unit") {
  CHECK(parse_duration_ms("500ms", "x") == 500);
  CHECK(parse_duration_ms("1.5s", "x") == 1500);
  CHECK(parse_duration_ms("2m", "x") == 120'000);
  CHECK(parse_duration_ms("1h", "x") == 3'600'000);
  CHECK(parse_duration_ms("1d", "x") == 86'400'000);
  for (const auto* bad :
       {"", "5", "s", "-1s", "5 s", "5sec", "nan", "inf", "infs", "nans", "1e300d"})
    CHECK_THROWS_AS(parse_duration_ms(bad, "x"), failure);
  CHECK(duration_ms_or(parse_object(R"({"t":"2s"})"), "t", 9) == 2000);
  CHECK(duration_ms_or(parse_object("{}"), "t", 9) == 9);
  CHECK_THROWS_AS(duration_ms_or(parse_object(R"({"t":2})"), "t", 9), failure);
}

TEST_CASE("any bytes become UTF-8, and cuts keep code points whole") {
  CHECK(to_utf8("a\xC3\xA9") == "a\xC3\xA9");
  CHECK(to_utf8("\xC0\x80") == "\xEF\xBF\xBD\xEF\xBF\xBD");  // overlong
  CHECK(to_utf8("\xED\xA0\x80x") != "\xED\xA0\x80x");        // surrogate
  CHECK(to_utf8("\xF4\x90\x80\x80") != "\xF4\x90\x80\x80");  // beyond U+10FFFF
  CHECK(to_utf8("cut \xE2\x82") == "cut \xEF\xBF\xBD\xEF\xBF\xBD");
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text{'a', static_cast<char>(byte), 'b'};
    CHECK(is_utf8(to_utf8(text)));
  }
  CHECK(cut_utf8("a\xE2\x82\xAC", 3) == "a");
  CHECK(cut_utf8("a\xE2\x82\xAC", 4) == "a\xE2\x82\xAC");
  CHECK(cut_utf8("\xE2\x82\xAC", 0) == "");
}

TEST_CASE("an error goes to its body and back; any body is read") {
  error one{status_code::unavailable, "it broke \xFF", "try again", 1500,
            json::object{{"kind", "x"}}};
  const auto back = read_error(status_code::unavailable, error_body(one));
  CHECK(back.code == status_code::unavailable);
  CHECK(back.message == "it broke \xEF\xBF\xBD");
  CHECK(back.hint == "try again");
  CHECK(back.retry_after_ms == 1500);
  CHECK(text_or(back.details.as_object(), "kind") == "x");
  for (const auto* body : {"", "{", "[]", "null", "{\"message\":7}", "\xFF"})
    CHECK(!read_error(status_code::internal, body).message.empty());
}

TEST_CASE("codes have names both ways") {
  for (int code = 0; code <= 16; ++code) {
    const auto name = status_name(static_cast<status_code>(code));
    CHECK(status_from_name(name) == static_cast<status_code>(code));
  }
  CHECK(status_name(static_cast<status_code>(99)) == "UNKNOWN");
  CHECK(!status_from_name("NO_SUCH_CODE"));
}

TEST_CASE("whatever was thrown becomes an error") {
  const auto caught = [](auto thrower) {
    try {
      thrower();
    } catch (...) {
      return current_error();
    }
    return error{};
  };
  CHECK(caught([] { throw failure(status_code::aborted, "m", "h"); }).code == status_code::aborted);
  CHECK(caught([] { throw std::runtime_error("plain"); }).message.find("plain") !=
        std::string::npos);
  CHECK(caught([] { throw std::bad_alloc(); }).code == status_code::resource_exhausted);
  CHECK(!caught([] { throw 42; }).message.empty());
}
