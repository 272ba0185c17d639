#include <doctest/doctest.h>

#include <rustic/provider/errors.hpp>
#include <string>

namespace {

using namespace rustic;

constexpr provider::subject about{"generate", "local", "http://127.0.0.1:1/v1", "m"};

error read(int status, std::string_view body, const provider::header_list& headers = {}) {
  return provider::read_http_error(about, status, headers, body);
}

std::string kind(const error& problem) {
  return std::string(status_name(problem.code)) + " " +
         std::string(problem.details.at("kind").as_string());
}

}  // namespace

TEST_CASE("each shape of an error body gives its message") {
  for (
      const std::string_view body : {
          R"({"error":{"message":"the words","type":"t","param":null,"code":"c"}})",
          R"({"error":{"message":"the words","code":400}})",
          R"({"error":"the words"})",
          R"({"code":"invalid-argument","error":"the words"})",
          R"({"type":"error","error":{"type":"t","message":"the words"},"request_id":"r"})",
          R"({"error":{"code":400,"message":"the words","status":"INVALID_ARGUMENT","details":[]}})",
          R"([{"error":{"code":400,"message":"the words"}}])",
          R"({"detail":"the words"})",
          R"({"detail":[{"loc":["body"],"msg":"the words","type":"missing"}]})",
          R"({"object":"error","message":{"detail":[{"msg":"the words"}]},"code":null})",
          R"({"object":"error","message":"the words","type":"t","code":null})",
          R"({"message":"the words"})",
          "the words",
          "\"the words\"",
          " \r\n the words\n",
      }) {
    CAPTURE(body);
    const error got = read(400, body);
    CHECK(got.message.ends_with(": the words"));
    CHECK(got.message.find("generate with provider 'local', model 'm' (http://127.0.0.1:1/v1)") ==
          0);
    CHECK(got.message.find("HTTP 400") != std::string::npos);
    CHECK(got.details.at("http_status") == 400);
    CHECK_FALSE(got.hint.empty());
  }
  CHECK(read(502, "<html><head><title>502 Bad Gateway</title></head>")
            .message.find("HTML page titled '502 Bad Gateway'") != std::string::npos);
  CHECK(
      read(
          422,
          R"({"detail":[{"loc":["body","messages",0,"x"],"msg":"missing"},{"loc":["body","seed"],"msg":"not permitted"}]})")
          .message.ends_with("messages.0.x: missing; seed: not permitted"));
  CHECK(read(422, R"({"detail":[]})").message.ends_with(": []"));
  CHECK(read(500, "").message.ends_with("HTTP 500"));
  CHECK(read(500, "{}").message.ends_with("HTTP 500: {}"));
  CHECK(read(500, "\xFF\xFE").message.find("\xEF\xBF\xBD") != std::string::npos);
  CHECK(read(500, std::string(1 << 20, 'x')).message.size() < 3'000);
  CHECK(read(500, std::string(100'000, '[')).message.size() < 3'000);
}

TEST_CASE("statuses and codes become kinds") {
  const auto body = [](std::string_view code, std::string_view message) {
    return json::serialize(
        json::object{{"error", json::object{{"code", code}, {"message", message}}}});
  };
  CHECK(kind(read(401, "")) == "UNAUTHENTICATED bad_key");
  CHECK(
      kind(read(400, R"({"code":"invalid-argument","error":"Incorrect API key provided: xx"})")) ==
      "UNAUTHENTICATED bad_key");
  CHECK(kind(read(403, body("", "Country not supported"))) == "PERMISSION_DENIED permission");
  CHECK(kind(read(402, "")) == "RESOURCE_EXHAUSTED quota");
  CHECK(kind(read(429, body("insufficient_quota", "You exceeded your current quota"))) ==
        "RESOURCE_EXHAUSTED quota");
  CHECK(kind(read(429, body("1113", "balance"))) == "RESOURCE_EXHAUSTED quota");
  CHECK(kind(read(429, body("rate_limit_exceeded", "slow down"))) ==
        "RESOURCE_EXHAUSTED rate_limit");
  // Advice to pay for more does not make a limit of a minute a matter of money.
  CHECK(kind(read(429, body("rate_limit_exceeded",
                            "Rate limit reached on tokens per minute. Need more tokens? Upgrade at "
                            "https://x/settings/billing, or add a payment method"))) ==
        "RESOURCE_EXHAUSTED rate_limit");
  CHECK(kind(read(429, body("", "add credit: billing limit"))) == "RESOURCE_EXHAUSTED quota");
  for (const int status : {413, 429}) {
    CHECK(kind(read(status, body("rate_limit_exceeded",
                                 "Request too large on tokens per min: Limit 6000, Requested "
                                 "9000"))) == "INVALID_ARGUMENT context_length");
  }
  CHECK(kind(read(403, body("", "Your team does not have any credits yet"))) ==
        "RESOURCE_EXHAUSTED quota");
  CHECK(kind(read(400, body("content_policy_violation", "no"))) ==
        "PERMISSION_DENIED content_filter");
  CHECK(kind(read(400, body("invalid_prompt", "no"))) == "PERMISSION_DENIED content_filter");
  CHECK(kind(read(400,
                  R"({"object":"error","message":"Invalid model: x","type":"invalid_model"})")) ==
        "NOT_FOUND model_not_found");
  CHECK(kind(read(404, body("model_not_found", "The model `x` does not exist"))) ==
        "NOT_FOUND model_not_found");
  CHECK(kind(read(400, body("model_not_found", "no"))) == "NOT_FOUND model_not_found");
  CHECK(kind(read(404, "404 page not found")) == "NOT_FOUND not_found");
  CHECK(read(404, "404 page not found").hint.find("base_url") != std::string::npos);
  CHECK(kind(read(400, body("context_length_exceeded", "too long"))) ==
        "INVALID_ARGUMENT context_length");
  CHECK(kind(read(400, body("", "This model's maximum context length is 8192 tokens"))) ==
        "INVALID_ARGUMENT context_length");
  CHECK(kind(read(400,
                  R"({"error":{"code":400,"type":"exceed_context_size_error","message":"x"}})")) ==
        "INVALID_ARGUMENT context_length");
  CHECK(kind(read(400, body("invalid_value", "bad"))) == "INVALID_ARGUMENT bad_request");
  CHECK(kind(read(400, body("content_filter", "filtered"))) == "PERMISSION_DENIED content_filter");
  CHECK(kind(read(422, "{}")) == "INVALID_ARGUMENT bad_request");
  CHECK(kind(read(500, body("500", "tools param requires --jinja flag"))) ==
        "INVALID_ARGUMENT bad_request");
  CHECK(kind(read(501, body("", "This feature is not supported"))) ==
        "INVALID_ARGUMENT bad_request");
  CHECK(kind(read(500, body("", "oops"))) == "UNAVAILABLE server_error");
  CHECK(kind(read(502, "<html>")) == "UNAVAILABLE server_error");
  CHECK(kind(read(503, "")) == "UNAVAILABLE overloaded");
  CHECK(kind(read(529, "")) == "UNAVAILABLE overloaded");
  CHECK(kind(read(408, "")) == "UNAVAILABLE server_error");
  CHECK(kind(read(302, "")) == "INVALID_ARGUMENT bad_request");
}

TEST_CASE("how long to wait") {
  using headers = provider::header_list;
  CHECK(read(429, "", headers{{"retry-after", "2"}}).retry_after_ms == 2'000);
  CHECK(read(429, "", headers{{"retry-after", "0.25"}}).retry_after_ms == 250);
  CHECK(read(429, "", headers{{"retry-after-ms", "120"}, {"retry-after", "2"}}).retry_after_ms ==
        120);
  CHECK(read(429, "", headers{{"retry-after-ms", "0"}, {"retry-after", "1"}}).retry_after_ms ==
        1'000);
  CHECK(read(503, "", headers{{"retry-after", "3"}}).retry_after_ms == 3'000);
  CHECK(read(429,
             R"({"error":{"message":"m","details":[{"@type":"RetryInfo","retryDelay":"7.5s"}]}})")
            .retry_after_ms == 7'500);
  CHECK_FALSE(read(429, "", headers{{"retry-after", "soon"}}).retry_after_ms);
  CHECK_FALSE(read(429, "").retry_after_ms);
  // Waiting helps neither here.
  CHECK_FALSE(read(400, "", headers{{"retry-after", "2"}}).retry_after_ms);
  CHECK_FALSE(read(402, "", headers{{"retry-after", "2"}}).retry_after_ms);
  CHECK(provider::retry_after_ms("Wed, 21 Oct 2015 07:28:00 GMT", 1'445'412'470) == 10'000);
  CHECK(provider::retry_after_ms("Wed, 21 Oct 2015 07:28:00 GMT", 1'545'412'470) == 0);
  CHECK(provider::retry_after_ms("1e30", 0) == 86'400'000);
  CHECK(provider::retry_after_ms("nan", 0) == -1);
  CHECK(provider::retry_after_ms("-1", 0) == -1);
  CHECK(provider::retry_after_ms("", 0) == -1);
  CHECK(read(500, "", headers{{"x-should-retry", "false"}, {"x-request-id", "r1"}})
            .details.at("should_retry") == false);
}

TEST_CASE("keys do not come through") {
  CHECK(provider::redact_keys("Incorrect API key provided: sk-proj-********wxyz. See https://x.") ==
        "Incorrect API key provided: [redacted] See https://x.");
  CHECK(provider::redact_keys("Your api key: ****abcd is invalid") ==
        "Your api key: [redacted] is invalid");
  CHECK(provider::redact_keys("Bearer abc.def.ghi, then") == "Bearer [redacted], then");
  CHECK(provider::redact_keys("'gsk_0123456789abcdef' \"xai-0123456789\"") ==
        "'[redacted]' \"[redacted]\"");
  CHECK(provider::redact_keys("nothing here: sk- is short") == "nothing here: sk- is short");
  CHECK(
      read(
          401,
          R"({"error":{"message":"Incorrect API key provided: sk-abc12345678wxyz","code":"sk-abc12345678wxyz"}})")
          .message.find("wxyz") == std::string::npos);
  CHECK(error_body(read(401, R"({"error":{"message":"m","code":"sk-abc12345678wxyz"}})"))
            .find("wxyz") == std::string::npos);
  CHECK(provider::redact_keys("") == "");
  CHECK(provider::redact_keys("  ") == "  ");
}

TEST_CASE("a refused member is recognised") {
  const std::string_view recorded =
      R"({"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}})";
  CHECK(provider::refuses_member(400, recorded, "max_tokens"));
  CHECK_FALSE(provider::refuses_member(400, recorded, "max_completion_tokens"));
  CHECK_FALSE(provider::refuses_member(500, recorded, "max_tokens"));
  CHECK(provider::refuses_member(
      400,
      R"({"error":{"message":"Unrecognized request argument supplied: max_completion_tokens"}})",
      "max_completion_tokens"));
  CHECK(provider::refuses_member(
      422, R"({"detail":[{"msg":"Extra inputs are not permitted: max_completion_tokens"}]})",
      "max_completion_tokens"));
  CHECK(provider::refuses_member(
      422, R"({"detail":[{"loc":["body","seed"],"msg":"Extra inputs are not permitted"}]})",
      "seed"));
  CHECK(provider::refuses_member(
      400, R"({"code":"x","error":"Model grok-4 does not support parameter reasoningEffort."})",
      "reasoning_effort"));
  CHECK(provider::refuses_member(
      400,
      R"({"error":{"message":"Unknown parameter: 'top_k'.","param":"top_k","code":"unknown_parameter"}})",
      "top_k"));
  // A word inside another is not the member's name.
  CHECK_FALSE(provider::refuses_member(
      400, R"({"error":{"message":"stopped: exceeded is not supported"}})", "top_p"));
  CHECK_FALSE(provider::refuses_member(400, R"({"error":{"message":"exceeds what is supported"}})",
                                       "seed"));
  CHECK_FALSE(provider::refuses_member(
      400, R"({"error":{"message":"max_tokens must be at least 1","param":"max_tokens"}})",
      "max_tokens"));
}
