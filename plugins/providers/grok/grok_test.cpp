#include "grok.hpp"

#include <doctest/doctest.h>

#include <rustic/status.hpp>
#include <string>

namespace {

using namespace rustic;

const json::object question = json::parse(R"({"model":"grok-4.3","messages":[
  {"role":"user","parts":[{"type":"text","text":"x"}]}],"options":{"top_k":3,"max_tokens":20}})")
                                  .as_object();

std::string answered(provider::translator& one, std::string_view body) {
  const provider::subject about{"generate", "g", "http://x", "grok-4.3"};
  const auto reader = one.reader(about, 1);
  reader->feed(body);
  reader->end();
  if (reader->problem()) return std::string(reader->problem()->message);
  return reader->result();
}

}  // namespace

TEST_CASE("at xAI itself it speaks Responses, elsewhere Chat Completions") {
  const auto own = grok::make("g", {});
  CHECK(own->configured().base_url == "https://api.x.ai/v1");
  const auto sent = own->generate(question);
  CHECK(sent.path == "/responses");
  CHECK(json::parse(sent.body).at("store") == false);
  CHECK(json::parse(sent.body).at("reasoning").at("summary") == "auto");
  const auto other = grok::make("g", json::object{{"base_url", "http://127.0.0.1:1/v1"}});
  CHECK(other->generate(question).path == "/chat/completions");
  const auto chosen = grok::make("g", json::object{{"api", "chat"}});
  CHECK(chosen->generate(question).path == "/chat/completions");
  CHECK_THROWS_WITH_AS((void)grok::make("g", json::object{{"api", "x"}}), doctest::Contains("api"),
                       failure);
}

TEST_CASE("chat: whole calls in one piece, and reasoning that the completion leaves out") {
  const auto one = grok::make("g", json::object{{"api", "chat"}});
  const auto result = json::parse(
      answered(*one, R"(data: {"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{\"a\":1}"}}]}}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: {"choices":[],"usage":{"prompt_tokens":361,"completion_tokens":26,"total_tokens":622,"completion_tokens_details":{"reasoning_tokens":235}}}

data: [DONE]

)"));
  CHECK(result.at("finish_reason") == "tool_calls");
  CHECK(result.at("usage").at("output_tokens") == 261);
  CHECK(result.at("usage").at("reasoning_tokens") == 235);
  CHECK(result.at("message").at("parts").at(1).at("arguments") == R"({"a":1})");
}

TEST_CASE("its errors are flat, and a bad key has the status 400") {
  const provider::subject about{"generate", "g", "http://x", "m"};
  const auto problem = provider::read_http_error(
      about, 400, {}, R"({"code":"invalid-argument","error":"Incorrect API key provided."})");
  CHECK(problem.code == status_code::unauthenticated);
  CHECK(problem.details.at("kind") == "bad_key");
}
