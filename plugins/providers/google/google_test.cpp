#include "google.hpp"

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
      {"error",
       json::object{{"code", 400}, {"message", message}, {"status", "INVALID_ARGUMENT"}}}});
}

bool reconsiders(google::gemini& one, const json::object& asked, std::string_view message) {
  const auto sent = one.generate(asked);
  return one.reconsider({asked, sent, 400, refusal(message), 1});
}

provider::verdict verdict_of(int status, std::string_view body) {
  return google::classify_error(status, provider::parse_error(body));
}

}  // namespace

TEST_CASE("the address with and without a version, and the header of the key") {
  const google::gemini one("g", {});
  CHECK(one.configured().base_url == "https://generativelanguage.googleapis.com/v1beta");
  CHECK(one.configured().key_header == "x-goog-api-key");
  CHECK(google::gemini("g", {{"base_url", "http://127.0.0.1:1"}}).configured().base_url ==
        "http://127.0.0.1:1/v1beta");
  const google::gemini vertex(
      "g", {{"base_url",
             "https://x-aiplatform.googleapis.com/v1/projects/p/locations/x/publishers/google"},
            {"auth", "bearer"}});
  CHECK(vertex.configured().base_url.ends_with("/google"));
  CHECK(vertex.configured().key_header == "Authorization");
  CHECK_THROWS_AS(google::gemini("g", {{"schemas", "xml"}}), failure);
}

TEST_CASE("what a model does not take is learnt once") {
  google::gemini one("g", {});
  const auto asked = request(R"({"reasoning_effort":"low","presence_penalty":1})");
  CHECK(reconsiders(one, asked, "Thinking level is not supported for this model."));
  CHECK(one.generate(asked).body.find("thinkingBudget") != std::string::npos);
  CHECK(reconsiders(one, asked, "Thinking is not enabled for models/m"));
  CHECK(one.generate(asked).body.find("thinkingConfig") == std::string::npos);
  CHECK_FALSE(reconsiders(one, asked, "Thinking is not enabled for models/m"));
  CHECK(reconsiders(one, asked, "Penalty is not enabled for models/m"));
  CHECK(reconsiders(one, asked, "Developer instruction is not enabled for models/m"));
  CHECK(reconsiders(one, asked,
                    "Function call `f` in the 2. content block is missing a `thought_signature`."));
  CHECK(reconsiders(
      one, asked,
      "Invalid JSON payload received. Unknown name \"parametersJsonSchema\" at 'tools[0]'"));
  const auto format = request(R"({"response_format":{"type":"json_object"}})");
  CHECK(reconsiders(one, format, "JSON mode is not enabled for models/m"));
  CHECK(one.generate(format).body.find("responseMimeType") == std::string::npos);
  CHECK_FALSE(reconsiders(one, asked, "API key not valid. Please pass a valid API key."));
  const auto sent = one.generate(asked);
  CHECK_FALSE(one.reconsider({asked, sent, 503, refusal("thinking"), 1}));
}

TEST_CASE("a warning about a schema is given once") {
  google::gemini one("g", {});
  json::object asked = request("{}");
  asked["tools"] = json::parse(R"([{"name":"f","parameters":{"type":"object",
    "properties":{"a":{"not":{}}}}}])");
  CHECK(one.generate(asked).warnings.size() == 1);
  CHECK(one.generate(asked).warnings.empty());
}

TEST_CASE("models, embeddings, counts") {
  google::gemini one("g", {});
  CHECK(one.models("").path == "/models?pageSize=1000");
  CHECK(one.models("a=").path == "/models?pageSize=1000&pageToken=a%3D");
  const provider::subject about{"models", "g", "http://x", {}};
  json::array models;
  CHECK(one.read_models(about, R"({"models":[
    {"name":"models/e","supportedGenerationMethods":["embedContent"]},
    {"name":"models/g","inputTokenLimit":9,"outputTokenLimit":3,"supportedGenerationMethods":["generateContent"]}],
    "nextPageToken":"n"})",
                        models) == "n");
  CHECK(json::serialize(models) ==
        R"([{"id":"g","context_window":9,"max_output_tokens":3},{"id":"e"}])");
  const json::object wanted{{"model", "e"}, {"inputs", json::array{"a", "b"}}};
  const auto sent = one.embed(wanted);
  CHECK(sent.path == "/models/e:batchEmbedContents");
  CHECK(json::parse(sent.body) == json::parse(R"({"requests":[
    {"model":"models/e","content":{"parts":[{"text":"a"}]}},
    {"model":"models/e","content":{"parts":[{"text":"b"}]}}]})"));
  CHECK(one.read_embeddings(about, R"({"embeddings":[{"values":[1]},{"values":[2,3]}]})", wanted) ==
        json::parse(R"({"embeddings":[[1],[2,3]],"usage":null})").as_object());
  CHECK_THROWS_AS(one.read_embeddings(about, R"({"embeddings":[{"values":[1]}]})", wanted),
                  failure);
  CHECK(one.read_count(about, R"({"totalTokens":7})") == 7);
  CHECK_THROWS_AS(one.read_count(about, "no"), failure);
}

TEST_CASE("errors are told apart") {
  const auto body = [](int code, std::string_view status, std::string_view message,
                       std::string_view details = "[]") {
    json::object inner{{"code", code}, {"status", status}, {"message", message}};
    inner["details"] = json::parse(details);
    return json::serialize(json::object{{"error", std::move(inner)}});
  };
  CHECK(verdict_of(400, body(400, "INVALID_ARGUMENT", "x", R"([{"reason":"API_KEY_INVALID"}])"))
            .kind == "bad_key");
  CHECK(verdict_of(403, body(403, "PERMISSION_DENIED", "Your API key was reported as leaked."))
            .kind == "bad_key");
  CHECK(verdict_of(403, body(403, "PERMISSION_DENIED", "no")).kind == "permission");
  CHECK(verdict_of(404, body(404, "NOT_FOUND", "models/x is not found for API version v1beta"))
            .kind == "model_not_found");
  CHECK(verdict_of(400, body(400, "FAILED_PRECONDITION", "User location is not supported")).kind ==
        "permission");
  CHECK(verdict_of(400,
                   body(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum"))
            .kind == "context_length");
  CHECK(verdict_of(503, body(503, "UNAVAILABLE", "The model is overloaded.")).kind == "overloaded");
  CHECK(verdict_of(0, body(503, "UNAVAILABLE", "x")).kind == "overloaded");
  CHECK(verdict_of(500, body(500, "INTERNAL", "x")).kind == "server_error");
  const std::string minute = body(
      429, "RESOURCE_EXHAUSTED",
      "You exceeded your current quota, please check your plan and billing details.",
      R"([{"violations":[{"quotaId":"TokensPerModelPerMinute"}]},{"@type":"RetryInfo","retryDelay":"34.4s"}])");
  CHECK(verdict_of(429, minute).kind == "rate_limit");
  const provider::subject about{"generate", "g", "http://x", "m", google::classify_error};
  CHECK(provider::read_http_error(about, 429, {}, minute).retry_after_ms == 34'400);
  CHECK(verdict_of(429, body(429, "RESOURCE_EXHAUSTED", "quota",
                             R"([{"violations":[{"quotaId":"RequestsPerDayPerModel"}]}])"))
            .kind == "quota");
  CHECK(verdict_of(429,
                   body(429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."))
            .kind == "rate_limit");
}
