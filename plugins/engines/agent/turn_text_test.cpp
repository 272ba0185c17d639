#include "turn_text.hpp"

#include <doctest/doctest.h>

#include "argument_keys.hpp"

using namespace rustic::agent;

TEST_CASE("output split anywhere comes out whole") {
  const std::string text = "a\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 z";
  for (std::size_t first = 0; first <= text.size(); ++first) {
    for (std::size_t second = first; second <= text.size(); ++second) {
      text_decoder decoder;
      auto out = decoder.decode(text.substr(0, first));
      out += decoder.decode(text.substr(first, second - first));
      out += decoder.decode(text.substr(second));
      out += decoder.finish();
      REQUIRE(out == text);
    }
  }
}

TEST_CASE("what is no UTF-8 is replaced and never kept back for ever") {
  text_decoder decoder;
  CHECK(decoder.decode("\xFFok") == "\xEF\xBF\xBDok");
  CHECK(decoder.decode("\xE2\x82") == "");
  CHECK(decoder.decode("x") == "\xEF\xBF\xBD\xEF\xBF\xBDx");
  CHECK(decoder.decode("\xF0\x9F") == "");
  CHECK(decoder.finish() == "\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(decoder.finish() == "");
}

TEST_CASE("repeated keys are found at any depth, and only within one object") {
  CHECK(repeated_key(R"({"a":1,"b":{"a":2},"c":[{"a":3},{"a":4}]})") == "");
  CHECK(repeated_key(R"({"a":1,"a":2})") == "a");
  CHECK(repeated_key(R"({"x":[{"k":{"y":1,"y":2}}]})") == "y");
  CHECK(repeated_key(R"({"a":1,"\u0061":2})") == "a");
}

TEST_CASE("a text that is too long keeps its beginning and its end") {
  const auto out = bounded(std::string(1000, 'a') + std::string(1000, 'z'), 300);
  CHECK(out.size() < 400);
  CHECK(out.starts_with("aaa"));
  CHECK(out.ends_with("zzz"));
  CHECK(out.find("left out") != std::string::npos);
}

TEST_CASE("a tool's name that a model made up becomes one that every provider takes") {
  CHECK(tool_name("files_read") == "files_read");
  CHECK(tool_name("functions.shell") == "functions_shell");
  CHECK(tool_name("a b\n\xC3\xA9") == "a_b___");
  CHECK(tool_name("") == "unnamed");
  CHECK(tool_name(std::string(5000, 'x')) == std::string(64, 'x'));
}
