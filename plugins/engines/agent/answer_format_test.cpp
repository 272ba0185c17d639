#include "answer_format.hpp"

#include <doctest/doctest.h>

#include <rustic/status.hpp>

using namespace rustic;
using rustic::agent::answer_format;

namespace {
const json::object city = json::parse(R"({"type":"json_schema","name":"city","schema":
  {"type":"object","properties":{"name":{"type":"string"},"people":{"type":"integer"}},
   "required":["name"],"additionalProperties":false}})")
                              .as_object();
}  // namespace

TEST_CASE("without a format any text fits and stays as it is") {
  std::string text = "  ```\nhello\n```";
  CHECK(answer_format().settle(text).empty());
  CHECK(answer_format({{"type", "text"}}).settle(text).empty());
  CHECK(text == "  ```\nhello\n```");
}

TEST_CASE("what fits is left without its surroundings") {
  const answer_format format(city);
  CHECK_FALSE(format.any_text());
  for (std::string text : {R"({"name":"Rome"})", " \n{\"name\":\"Rome\"}\n",
                           "```json\n{\"name\":\"Rome\"}\n```", "```\n{\"name\":\"Rome\"}```"}) {
    CAPTURE(text);
    CHECK(format.settle(text).empty());
    CHECK(text == R"({"name":"Rome"})");
  }
}

TEST_CASE("what does not fit is told to the model with the schema") {
  const answer_format format(city);
  for (std::string text : {"", "Rome", "{\"name\":1}", "{\"name\":\"Rome\",\"x\":1}", "[]",
                           "{\"name\":\"Rome\"", "```json\n{\"name\":\"Rome\"}", "```", "``````"}) {
    CAPTURE(text);
    const std::string before = text;
    const auto told = format.settle(text);
    CHECK(told.find("\"additionalProperties\":false") != std::string::npos);
    CHECK(text == before);
  }
  std::string wrong = "{\"name\":1}";
  CHECK(format.settle(wrong).find("/name") != std::string::npos);
}

TEST_CASE("a JSON object of any kind") {
  const answer_format format({{"type", "json_object"}});
  std::string object = "{\"a\":[1]}", list = "[1]";
  CHECK(format.settle(object).empty());
  CHECK_FALSE(format.settle(list).empty());
}

TEST_CASE("a format that cannot be used is refused") {
  for (const auto* text : {R"({"type":"xml"})", R"({"type":"json_schema"})",
                           R"({"type":"json_schema","schema":{"type":"nothing"}})"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(answer_format(json::parse(text).as_object()), failure);
  }
}
