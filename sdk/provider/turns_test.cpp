#include <doctest/doctest.h>

#include <rustic/provider/errors.hpp>
#include <rustic/provider/turns.hpp>
#include <rustic/status.hpp>
#include <string>

using namespace rustic;

TEST_CASE("messages become turns") {
  const json::object request = json::parse(R"({"messages":[
    {"role":"system","parts":[{"type":"text","text":"be brief"}]},
    {"role":"system","parts":[{"type":"text","text":"and kind"}]},
    {"role":"user","parts":[{"type":"text","text":"hi"},{"type":"text","text":" \n"}]},
    {"role":"assistant","parts":[{"type":"text","text":"", "opaque":{}},
                                 {"type":"tool_call","id":"a","name":"f","arguments":"{}"}]},
    {"role":"user","parts":[{"type":"text","text":"quick"}]},
    {"role":"system","parts":[{"type":"text","text":"new rule"}]},
    {"role":"user","parts":[{"type":"tool_result","id":"a","name":"f","output":"1"}]}]})")
                                   .as_object();
  const auto turns = provider::read_turns(request);
  REQUIRE(turns.size() == 4);
  CHECK(turns[0].who == provider::speaker::system);
  CHECK(turns[0].parts.size() == 2);
  CHECK(turns[1].parts.size() == 1);
  CHECK(turns[2].parts.size() == 2);
  REQUIRE(turns[3].parts.size() == 3);
  CHECK(turns[3].parts[0].type == "tool_result");
  CHECK(provider::part_text(turns[3].parts[1]) == "quick");
  CHECK(provider::part_text(turns[3].parts[2]) == "<system>\nnew rule\n</system>");
}

TEST_CASE("what is no conversation is refused") {
  for (const char* text : {R"({})", R"({"messages":[1]})", R"({"messages":[{"role":"user"}]})",
                           R"({"messages":[{"role":"tool","parts":[]}]})",
                           R"({"messages":[{"role":"user","parts":[{"type":"tool_call"}]}]})",
                           R"({"messages":[{"role":"assistant","parts":[{"type":"image"}]}]})",
                           R"({"messages":[{"role":"user","parts":[{}]}]})"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(provider::read_turns(json::parse(text).as_object()), failure);
  }
}

TEST_CASE("arguments, ids, files and paths in the form that APIs take") {
  CHECK(provider::object_arguments(" ") == "{}");
  CHECK(provider::object_arguments(R"({"a": 1})") == R"({"a": 1})");
  CHECK(provider::object_arguments("{\"a\"") == R"({"malformed_arguments":"{\"a\""})");
  CHECK(provider::object_arguments("[1]") == R"({"malformed_arguments":"[1]"})");
  CHECK(provider::plain_id("toolu_1-A") == "toolu_1-A");
  CHECK(provider::plain_id("f:0") == provider::plain_id("f:0"));
  CHECK(provider::plain_id("f:0") != provider::plain_id("f.0"));
  CHECK(provider::plain_id("").size() > 3);
  CHECK(provider::plain_id(std::string(200, 'x')).size() < 64);
  CHECK(provider::decode_base64("aGk=") == "hi");
  CHECK_FALSE(provider::decode_base64("a b").has_value());
  CHECK(provider::url_segment("a/b c") == "a%2Fb%20c");
}

TEST_CASE("when a limit is filled again") {
  CHECK(provider::reset_after_ms("1970-01-01T00:00:12Z", 10) == 2'000);
  CHECK(provider::reset_after_ms("2m59.5s", 0) == 179'500);
  CHECK(provider::reset_after_ms("130ms", 0) == 130);
  CHECK(provider::reset_after_ms("7", 0) == 7'000);
  CHECK(provider::reset_after_ms("soon", 0) == -1);
  const provider::subject about{"generate", "a", "http://x", "m"};
  const auto problem =
      provider::read_http_error(about, 429,
                                {{"anthropic-ratelimit-tokens-remaining", "0"},
                                 {"anthropic-ratelimit-tokens-reset", "2100-01-01T00:00:00Z"},
                                 {"anthropic-ratelimit-requests-remaining", "5"},
                                 {"request-id", "req_1"}},
                                "{}");
  CHECK(problem.retry_after_ms.value_or(0) > 1'000);
  CHECK(problem.details.at("request_id") == "req_1");
}

TEST_CASE("nobody listens: the provider knows what to do") {
  provider::subject about{"generate", "a", "http://x", "m"};
  about.unreachable_hint = "start it";
  error transport{
      status_code::unavailable, "refused", "check", {}, json::object{{"kind", "connect"}}};
  CHECK(provider::read_transport_error(about, transport).hint == "start it");
  transport.details = json::object{{"kind", "tls"}};
  CHECK(provider::read_transport_error(about, transport).hint == "check");
}
