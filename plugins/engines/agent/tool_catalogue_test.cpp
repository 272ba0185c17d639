#include "tool_catalogue.hpp"

#include <doctest/doctest.h>

#include <rustic/schema.hpp>

#include "limits.hpp"

using namespace rustic;
using rustic::agent::tool_catalogue;

namespace {
tool_catalogue with_read() {
  tool_catalogue tools;
  tools.add("files_read", R"({"description":"Reads","annotations":{"read_only":true},"parameters":{
    "type":"object","properties":{"path":{"type":"string"},"limit":{"type":"integer","minimum":1}},
    "required":["path"],"additionalProperties":false}})");
  tools.add("no_schema", "{}");
  return tools;
}
json::object call(std::string_view arguments, std::string_view name = "files_read") {
  return {{"type", "tool_call"}, {"id", "c1"}, {"name", name}, {"arguments", arguments}};
}
}  // namespace

TEST_CASE("good arguments pass and keep their text") {
  auto tools = with_read();
  const auto got = tools.check(call(R"({"path":"a", "limit": 3})"));
  CHECK(got.problem.empty());
  CHECK(got.read_only);
  CHECK(text_or(got.arguments, "path") == "a");
  CHECK(got.text == R"({"path":"a", "limit": 3})");
  CHECK(tools.check(call("", "no_schema")).problem.empty());
  CHECK(tools.check(call("  ", "no_schema")).problem.empty());
}

TEST_CASE("bad arguments never run and are answered with the schema") {
  auto tools = with_read();
  for (const auto* bad :
       {"{\"path\":\"a\"", "{\"path\":\"a\",}", "[]", "\"path\"", "null", "{}", "{\"path\":1}",
        "{\"path\":\"a\",\"other\":1}", "{\"path\":\"a\",\"limit\":0}", "not json",
        "{\"path\":\"\xFF\"}", "{\"path\":\"a\"}{\"path\":\"b\"}", ""}) {
    const auto got = tools.check(call(bad));
    CAPTURE(bad);
    CHECK(!got.problem.empty());
    CHECK(got.problem.find("\"properties\"") != std::string::npos);
    CHECK(is_utf8(got.problem));
  }
}

TEST_CASE("arguments that can be read are told apart from empty ones") {
  auto tools = with_read();
  CHECK(tools.check(call("{}", "no_such_tool")).readable);
  CHECK(tools.check(call("{}")).readable);
  CHECK_FALSE(tools.check(call("{", "no_such_tool")).readable);
  CHECK_FALSE(tools.check(call("{")).readable);
}

TEST_CASE("arguments that a provider has parsed already are not lost") {
  auto tools = with_read();
  auto part = call("");
  part["arguments"] = json::object{{"path", "a"}};
  const auto got = tools.check(part);
  CHECK(got.problem.empty());
  CHECK(text_or(got.arguments, "path") == "a");
  CHECK(got.text == R"({"path":"a"})");
  part["name"] = "no_schema";
  part["arguments"] = json::array{"path"};
  CHECK(!tools.check(part).problem.empty());
}

TEST_CASE("a call that the length limit cut off before its arguments does not run without them") {
  auto tools = with_read();
  for (const auto* none : {"", "{}", " { } "}) {
    CHECK(tools.check(call(none, "no_schema")).problem.empty());
    const auto got = tools.check(call(none, "no_schema"), true);
    CHECK(got.problem.find("length limit") != std::string::npos);
    CHECK(got.problem.find("\"properties\"") != std::string::npos);
  }
  CHECK(tools.check(call(R"({"path":"a"})"), true).problem.empty());
}

TEST_CASE("a huge malformed text is shown in a bounded preview") {
  auto tools = with_read();
  const auto got = tools.check(call("{\"path\":\"" + std::string(1 << 20, 'x')));
  CHECK(!got.problem.empty());
  CHECK(got.problem.size() < 10 * agent::arguments_preview_bytes);
}

TEST_CASE("an unknown tool is answered with the known ones") {
  auto tools = with_read();
  const auto got = tools.check(call("{}", "file_read"));
  CHECK(got.problem.find("files_read") != std::string::npos);
}
