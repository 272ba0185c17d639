#include "anthropic.hpp"

#include <doctest/doctest.h>

#include <rustic/status.hpp>
#include <string>

namespace {

using namespace rustic;

json::object request(std::string_view options) {
  json::object out = json::parse(R"({"model":"m","messages":[
    {"role":"user","parts":[{"type":"text","text":"x"}]}]})")
                         .as_object();
  out["options"] = json::parse(options);
  return out;
}

std::string refusal(std::string_view message) {
  return json::serialize(json::object{
      {"type", "error"},
      {"error", json::object{{"type", "invalid_request_error"}, {"message", message}}}});
}

bool reconsiders(anthropic::messages& one, const json::object& asked, std::string_view message) {
  const auto sent = one.generate(asked);
  return one.reconsider({asked, sent, 400, refusal(message), 1});
}

provider::verdict verdict_of(int status, std::string_view body) {
  return anthropic::classify_error(status, provider::parse_error(body));
}

}  // namespace

TEST_CASE("the address with and without /v1, and the header of the key") {
  const anthropic::messages one("a", {{"base_url", "http://x/v1/"}, {"api_key", "env:K"}});
  CHECK(one.configured().base_url == "http://x");
  CHECK(one.configured().key_header == "x-api-key");
  CHECK(one.configured().key_prefix.empty());
  const anthropic::messages other("a", {{"auth", "bearer"}});
  CHECK(other.configured().base_url == "https://api.anthropic.com");
  CHECK(other.configured().key_header == "Authorization");
  CHECK(other.configured().key_prefix == "Bearer ");
}

TEST_CASE("what a model does not take is learnt once") {
  anthropic::messages one("a", {});
  const auto asked = request(R"({"reasoning_effort":"low","temperature":1})");
  CHECK(reconsiders(one, asked, "adaptive thinking is not supported on this model"));
  CHECK(one.generate(asked).body.find("budget_tokens") != std::string::npos);
  CHECK(reconsiders(one, asked, "thinking: Extra inputs are not permitted"));
  CHECK(one.generate(asked).body.find("thinking") == std::string::npos);
  CHECK_FALSE(reconsiders(one, asked, "thinking is odd"));
  CHECK(reconsiders(one, asked, "`temperature` is deprecated for this model."));
  CHECK(one.generate(asked).body.find("temperature") == std::string::npos);

  const auto plain = request("{}");
  CHECK(reconsiders(one, plain,
                    "max_tokens: 32000 > 8192, which is the maximum allowed number of output "
                    "tokens for m"));
  CHECK(one.generate(plain).body.find("\"max_tokens\":8192") != std::string::npos);
  CHECK_FALSE(reconsiders(one, plain, "max_tokens: 8192 > 8192, which is the maximum allowed"));

  const auto form = request(
      R"({"response_format":{"type":"json_schema","schema":{"type":"object","properties":{}}}})");
  CHECK(reconsiders(one, form, "output_config.format: schema is too complex"));
  CHECK(one.generate(form).body.find("output_config") == std::string::npos);
}

TEST_CASE("what is wrong with the request itself is not learnt") {
  anthropic::messages one("a", {});
  const auto asked = request(R"({"reasoning_effort":"low","top_p":2})");
  CHECK_FALSE(
      reconsiders(one, asked, "messages.1.content.0: Invalid `signature` in `thinking` block"));
  CHECK_FALSE(reconsiders(one, request(R"({"top_p":2})"),
                          "top_p: Input should be less than or equal to 1"));
  CHECK_FALSE(reconsiders(one, asked, "prompt is too long: 3 tokens > 2 maximum"));
  const auto sent = one.generate(asked);
  CHECK_FALSE(one.reconsider({asked, sent, 529, refusal("thinking"), 1}));
}

TEST_CASE("models, page by page") {
  anthropic::messages one("a", {});
  CHECK(one.models("").path == "/v1/models?limit=1000");
  CHECK(one.models("a/b").path == "/v1/models?limit=1000&after_id=a%2Fb");
  json::array models;
  const provider::subject about{"models", "a", "http://x", {}};
  CHECK(one.read_models(
            about,
            R"({"data":[{"id":"m1","max_input_tokens":200000,"max_tokens":64000},{"id":"m2"}],
                            "has_more":true,"last_id":"m2"})",
            models) == "m2");
  CHECK(one.read_models(about, R"({"data":[],"has_more":false,"last_id":null})", models).empty());
  CHECK(json::serialize(models) ==
        R"([{"id":"m1","context_window":200000,"max_output_tokens":64000},{"id":"m2"}])");
  CHECK_THROWS_AS(one.read_models(about, "<html>", models), failure);
  CHECK(one.read_count(about, R"({"input_tokens":12})") == 12);
}

TEST_CASE("errors are told apart") {
  const auto body = [](std::string_view type, std::string_view message) {
    return json::serialize(json::object{
        {"type", "error"}, {"error", json::object{{"type", type}, {"message", message}}}});
  };
  CHECK(verdict_of(401, body("authentication_error", "invalid x-api-key")).kind == "bad_key");
  CHECK(verdict_of(0, body("authentication_error", "invalid x-api-key")).kind == "bad_key");
  CHECK(verdict_of(400, body("invalid_request_error",
                             "Your credit balance is too low to access the Anthropic API."))
            .kind == "quota");
  CHECK(verdict_of(402, body("billing_error", "x")).kind == "quota");
  CHECK(verdict_of(403, body("permission_error", "x")).kind == "permission");
  CHECK(verdict_of(404, body("not_found_error", "model: nope")).kind == "model_not_found");
  CHECK(verdict_of(404, body("not_found_error", "Not Found")).kind == "not_found");
  CHECK(verdict_of(413, body("request_too_large", "x")).kind == "context_length");
  CHECK(verdict_of(400, body("invalid_request_error", "prompt is too long: 3 tokens > 2 maximum"))
            .kind == "context_length");
  CHECK(verdict_of(400, body("invalid_request_error",
                             "input length and `max_tokens` exceed context limit: 1 + 2 > 2"))
            .kind == "context_length");
  CHECK(verdict_of(400, body("invalid_request_error", "Output blocked by content filtering policy"))
            .kind == "content_filter");
  CHECK(verdict_of(429, body("rate_limit_error", "slow")).kind == "rate_limit");
  CHECK(verdict_of(0, body("rate_limit_error", "slow")).kind == "rate_limit");
  CHECK(verdict_of(529, body("overloaded_error", "Overloaded")).kind == "overloaded");
  CHECK(verdict_of(0, body("overloaded_error", "Overloaded")).kind == "overloaded");
  CHECK(verdict_of(500, body("api_error", "x")).kind == "server_error");
  CHECK(verdict_of(504, body("timeout_error", "x")).kind == "server_error");
  CHECK(verdict_of(429, R"({"type":"error","error":{"type":"rate_limit_error","message":"m",
    "details":{"error_code":"enforced_spend_limit_reached"}}})")
            .kind == "quota");
}
