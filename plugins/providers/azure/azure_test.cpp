#include "azure.hpp"

#include <doctest/doctest.h>

#include <rustic/status.hpp>
#include <string>

namespace {

using namespace rustic;

const json::object question = json::parse(R"({"model":"my dep","messages":[
  {"role":"user","parts":[{"type":"text","text":"x"}]}],"options":{"max_tokens":20}})")
                                  .as_object();

std::unique_ptr<provider::translator> made(std::string_view members) {
  json::object object = json::parse(members).as_object();
  if (!object.contains("base_url")) object["base_url"] = "https://res.openai.azure.com/";
  return azure::make("az", object);
}

std::string kind(int status, std::string_view body) {
  const provider::subject about{"generate", "az", "http://x", "m"};
  const auto problem = provider::read_http_error(about, status, {}, body);
  return std::string(problem.details.at("kind").as_string());
}

}  // namespace

TEST_CASE("an endpoint is enough, and a whole address is taken as it is") {
  const auto one = made(R"({"api_key":"env:K"})");
  CHECK(one->configured().base_url == "https://res.openai.azure.com/openai/v1");
  CHECK(one->configured().key_header == "api-key");
  CHECK(one->configured().key_prefix.empty());
  const auto sent = one->generate(question);
  CHECK(sent.path == "/chat/completions");
  CHECK(json::parse(sent.body).at("model") == "my dep");
  CHECK(json::parse(sent.body).at("max_completion_tokens") == 20);
  const auto whole = made(R"({"base_url":"http://127.0.0.1:1/openai/v1"})");
  CHECK(whole->configured().base_url == "http://127.0.0.1:1/openai/v1");
  CHECK_THROWS_WITH_AS((void)azure::make("az", {}), doctest::Contains("base_url"), failure);
}

TEST_CASE("with a version the deployment stands in the path") {
  const auto one = made(R"({"api_version":"2024-10-21"})");
  CHECK(one->configured().base_url == "https://res.openai.azure.com/openai");
  CHECK(one->generate(question).path ==
        "/deployments/my%20dep/chat/completions?api-version=2024-10-21");
  CHECK(one->models({}).path == "/models?api-version=2024-10-21");
  CHECK(one->embed(json::object{{"model", "e"}, {"inputs", json::array{"a"}}}).path ==
        "/deployments/e/embeddings?api-version=2024-10-21");
  CHECK_THROWS_WITH_AS(made(R"({"api_version":"1","api":"responses"})"),
                       doctest::Contains("api_version"), failure);
}

TEST_CASE("the address of one call, as Azure shows it, is taken") {
  const auto old = made(
      R"({"base_url":"https://r.openai.azure.com/openai/deployments/dep/chat/completions?api-version=2025-01-01-preview"})");
  CHECK(old->configured().base_url == "https://r.openai.azure.com/openai");
  CHECK(old->configured().model == "dep");
  json::object bare = question;
  bare["model"] = old->configured().model;
  CHECK(old->generate(bare).path ==
        "/deployments/dep/chat/completions?api-version=2025-01-01-preview");
  const auto mine = made(
      R"({"base_url":"https://r.openai.azure.com/openai/deployments/dep/?x=1&api-version=a&y=2","api_version":"b","model":"m"})");
  CHECK(mine->configured().model == "m");
  CHECK(mine->generate(question).path == "/deployments/my%20dep/chat/completions?api-version=b");
  CHECK_THROWS_WITH_AS(made(R"({"base_url":"https://r.openai.azure.com/openai/deployments/dep"})"),
                       doctest::Contains("api_version"), failure);
  const auto fresh =
      made(R"({"base_url":"https://r.openai.azure.com/openai/v1/responses?api-version=preview",
        "api":"responses"})");
  CHECK(fresh->configured().base_url == "https://r.openai.azure.com/openai/v1");
  CHECK(fresh->generate(question).path == "/responses");
}

TEST_CASE("the models of Foundry have one address") {
  const auto one = made(
      R"({"base_url":"https://r.services.ai.azure.com/models","api_version":"2024-05-01-preview"})");
  const auto sent = one->generate(question);
  CHECK(sent.path == "/chat/completions?api-version=2024-05-01-preview");
  CHECK(json::parse(sent.body).at("model") == "my dep");
}

TEST_CASE("Responses and tokens of Entra") {
  const auto one = made(R"({"api":"responses","auth":"bearer"})");
  CHECK(one->generate(question).path == "/responses");
  CHECK(one->configured().key_header == "Authorization");
  CHECK(one->configured().key_prefix == "Bearer ");
}

TEST_CASE("results of its filters are no text and no error") {
  const auto one = made("{}");
  const provider::subject about{"generate", "az", "http://x", "m"};
  const auto reader = one->reader(about, 1);
  reader->feed(
      R"(data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false}}}]}

data: {"id":"c","model":"gpt","choices":[{"index":0,"delta":{"content":"hi"},"content_filter_results":{}}]}

data: {"choices":[{"index":0,"delta":null,"content_filter_offsets":{"check_offset":1}}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}

data: [DONE]

)");
  reader->end();
  REQUIRE(!reader->problem());
  const auto result = json::parse(reader->result());
  CHECK(result.at("finish_reason") == "content_filter");
  CHECK(result.at("message").at("parts").at(0).at("text") == "hi");
}

TEST_CASE("its errors") {
  CHECK(
      kind(
          400,
          R"({"error":{"code":"content_filter","param":"prompt","status":400,"message":"The response was filtered","innererror":{"code":"ResponsibleAIPolicyViolation"}}})") ==
      "content_filter");
  CHECK(
      kind(
          401,
          R"({"error":{"code":"401","message":"Access denied due to invalid subscription key"}})") ==
      "bad_key");
  CHECK(
      kind(
          404,
          R"({"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}})") ==
      "model_not_found");
  CHECK(kind(404, R"({"error":{"code":"404","message":"Resource not found"}})") == "not_found");
  CHECK(kind(429, R"({"error":{"code":"RateLimitReached","message":"Try again"}})") ==
        "rate_limit");
}
