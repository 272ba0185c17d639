#include "zai.hpp"

#include <doctest/doctest.h>

#include <rustic/status.hpp>
#include <string>

namespace {

using namespace rustic;

json::object sent(std::string_view options, std::string_view members = "{}",
                  std::string_view model = "glm-4.7") {
  const auto one = zai::make("z", json::parse(members).as_object());
  json::object request = json::parse(R"({"messages":[
    {"role":"user","parts":[{"type":"text","text":"x"}]}],"tools":[{"name":"f"}]})")
                             .as_object();
  request["model"] = model;
  request["options"] = json::parse(options);
  return json::parse(one->generate(request).body).as_object();
}

std::string kind(int status, std::string_view body) {
  provider::subject about{"generate", "z", "http://x", "m"};
  about.classify = zai::make("z", {})->classify();
  const auto problem = provider::read_http_error(about, status, {}, body);
  return std::string(problem.details.at("kind").as_string());
}

}  // namespace

TEST_CASE("thinking is on, kept, and can be switched off") {
  CHECK(zai::make("z", {})->configured().base_url == "https://api.z.ai/api/paas/v4");
  const auto usual = sent("{}");
  CHECK(usual.at("thinking") == json::parse(R"({"type":"enabled","clear_thinking":false})"));
  CHECK(usual.at("tool_stream") == true);
  CHECK_FALSE(usual.contains("stream_options"));
  CHECK(sent(R"({"reasoning_effort":"none"})").at("thinking").at("type") == "disabled");
  CHECK(sent("{}", R"({"thinking":"off"})").at("thinking").at("type") == "disabled");
  CHECK(sent("{}", R"({"body":{"thinking":{"type":"x"}}})").at("thinking").at("type") == "x");
  CHECK_FALSE(sent(R"({"reasoning_effort":"low"})").contains("reasoning_effort"));
  CHECK(sent(R"({"reasoning_effort":"low"})", "{}", "glm-5.3").at("reasoning_effort") == "low");
}

TEST_CASE("the reasoning goes back with the message that it led to") {
  const auto one = zai::make("z", {});
  const auto body = json::parse(one->generate(json::parse(R"({"model":"m","messages":[
      {"role":"user","parts":[{"type":"text","text":"x"}]},
      {"role":"assistant","parts":[
        {"type":"reasoning","text":"hm","provider":"z","opaque":{"model":"m","field":"reasoning_content"}},
        {"type":"text","text":"y"}]},
      {"role":"user","parts":[{"type":"text","text":"z"}]}]})")
                                                  .as_object())
                                    .body);
  CHECK(body.at("messages").at(1).at("reasoning_content") == "hm");
}

TEST_CASE("choices that it does not have") {
  CHECK_FALSE(sent(R"({"tool_choice":"none"})").contains("tools"));
  CHECK(sent(R"({"tool_choice":"auto"})").contains("tools"));
  CHECK_THROWS_WITH_AS(sent(R"({"tool_choice":"required"})"), doctest::Contains("tool_choice"),
                       failure);
  CHECK_THROWS_AS(sent(R"({"tool_choice":{"name":"f"}})"), failure);
  const auto formed = sent(
      R"({"response_format":{"type":"json_schema","name":"n","schema":{"type":"object","required":["a"]}}})");
  CHECK(formed.at("response_format") == json::parse(R"({"type":"json_object"})"));
  const std::string asked(formed.at("messages").at(0).at("content").as_string());
  CHECK(asked.find(R"("required":["a"])") != std::string::npos);
}

TEST_CASE("its errors have numbers for codes, which count more than the status") {
  CHECK(kind(429, R"({"error":{"code":"1302","message":"Rate limit reached"}})") == "rate_limit");
  CHECK(kind(429, R"({"error":{"code":"1113","message":"Please recharge"}})") == "quota");
  CHECK(kind(429, R"({"error":{"code":"1112","message":"Account locked"}})") == "permission");
  CHECK(kind(429, R"({"error":{"code":"1308","message":"Usage limit reached"}})") == "quota");
  CHECK(kind(401, R"({"error":{"code":"1000","message":"Authentication failed"}})") == "bad_key");
  CHECK(kind(400, R"({"error":{"code":"1211","message":"Unknown Model"}})") == "model_not_found");
  CHECK(kind(400, R"({"error":{"code":"1261","message":"Prompt"}})") == "context_length");
  CHECK(kind(400, R"({"error":{"code":"1301","message":"unsafe"}})") == "content_filter");
  CHECK(kind(400, R"({"error":{"code":"1210","message":"bad"}})") == "bad_request");
  CHECK(kind(500, "{}") == "server_error");

  provider::subject about{"generate", "z", "http://x", "m"};
  about.classify = zai::classify_error;
  const auto in_stream = [&](std::string_view body) {
    const auto problem = provider::read_stream_error(about, json::parse(body));
    return std::string(problem.details.at("kind").as_string());
  };
  CHECK(in_stream(R"({"error":{"code":"1113","message":"Please recharge"}})") == "quota");
  CHECK(in_stream(R"({"error":{"code":"1302","message":"Too many"}})") == "rate_limit");
  CHECK(in_stream(R"({"error":{"code":"1234","message":"Network"}})") == "overloaded");
}
