#include "rewrite.hpp"

#include <doctest/doctest.h>

#include <rustic/status.hpp>

using namespace rustic;
using namespace rustic::resilience;

namespace {
constexpr std::string_view asked = R"({
  "model": "am", "stream": true, "tools": [{"name": "f"}], "options": {"max_tokens": 4000, "seed": 1},
  "messages": [
    {"role": "system", "parts": [{"type": "text", "text": "0123456789"}]},
    {"role": "user", "parts": [{"type": "image", "data": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "media_type": "image/png"}]},
    {"role": "assistant", "parts": [
      {"type": "reasoning", "text": "hm", "opaque": {"signature": "s"}, "provider": "a"},
      {"type": "text", "text": "so"},
      {"type": "tool_call", "id": "1", "name": "f", "arguments": "{}", "opaque": "sig", "provider": "a"}]},
    {"role": "user", "parts": [{"type": "tool_result", "id": "1", "name": "f", "output": "done"}]},
    {"role": "assistant", "parts": [{"type": "reasoning", "text": "only", "provider": "a"}]},
    {"role": "assistant", "parts": [
      {"type": "reasoning", "text": "mine", "opaque": {"signature": "t"}, "provider": "b"},
      {"type": "tool_call", "id": "2", "name": "f", "arguments": "{}", "opaque": "mine", "provider": "b"},
      {"type": "text", "text": "x", "opaque": "nobody's"}]}]})";
}

TEST_CASE("another provider gets its own model and nothing that was another's secret") {
  const auto out = parse_object(rewrite(asked, {"b", "bm", 0}).body);
  CHECK(out.at("model") == "bm");
  CHECK(out.at("stream") == true);
  CHECK(out.at("tools").as_array().size() == 1);
  CHECK(out.at("options").at("max_tokens") == 4000);
  const auto& messages = out.at("messages").as_array();
  REQUIRE(messages.size() == 5);
  const auto& first = messages[2].at("parts").as_array();
  REQUIRE(first.size() == 2);
  CHECK(first[0].at("text") == "so");
  CHECK(first[1] == json::parse(R"({"type":"tool_call","id":"1","name":"f","arguments":"{}"})"));
  const auto& own = messages[4].at("parts").as_array();
  REQUIRE(own.size() == 3);
  CHECK(own[0].at("opaque").at("signature") == "t");
  CHECK(own[1].at("opaque") == "mine");
  CHECK_FALSE(own[2].as_object().contains("opaque"));
}

TEST_CASE("without a model of its own the provider's configuration names it") {
  CHECK_FALSE(parse_object(rewrite(asked, {"b", "", 0}).body).contains("model"));
}

TEST_CASE("a smaller window holds a smaller answer, and images are no text") {
  const auto small = rewrite(asked, {"b", "bm", 1000});
  CHECK(parse_object(small.body).at("options").at("max_tokens") == 500);
  CHECK(parse_object(small.body).at("options").at("seed") == 1);
  CHECK(small.tokens == (10 + 2 + 2 + 4 + 4 + 2 + 1) / 4);
}

TEST_CASE("what is no request is refused, and odd ones are passed on") {
  CHECK_THROWS_AS(rewrite("[]", {"b", "", 0}), failure);
  CHECK_THROWS_AS(rewrite("{", {"b", "", 0}), failure);
  CHECK(rewrite(R"({"messages":[1,{"parts":3},{"parts":[4]},{"parts":[]}]})", {"b", "", 0}).body ==
        R"({"messages":[1,{"parts":3},{"parts":[4]},{"parts":[]}]})");
}

TEST_CASE("a result names who gave it") {
  const target by{"b", "bm", 0};
  CHECK(signed_by(R"({"model":"x"})", &by, {}) ==
        R"({"model":"x","provider":"b","asked_model":"bm"})");
  CHECK(signed_by(R"({"model":"x"})", nullptr, {json::object{{"provider", "a"}}}) ==
        R"({"model":"x","spent":[{"provider":"a"}]})");
}
