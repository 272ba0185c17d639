#include <doctest/doctest.h>

#include <rustic/status.hpp>
#include <string>

#include "openai.hpp"

namespace {

using namespace rustic;

json::object sent(provider::translator& one, std::string_view options) {
  json::object request = json::parse(R"({"model":"m","messages":[
    {"role":"user","parts":[{"type":"text","text":"x"}]}]})")
                             .as_object();
  request["options"] = json::parse(options);
  return json::parse(one.generate(request).body).as_object();
}

}  // namespace

TEST_CASE("OpenAI itself has names of its own") {
  const auto made = openai::make("o", json::object{{"organization", "org"}, {"project", "p"}});
  auto& one = *made;
  CHECK(one.configured().base_url == "https://api.openai.com/v1");
  CHECK(one.configured().headers == std::vector<std::pair<std::string, std::string>>{
                                        {"OpenAI-Organization", "org"}, {"OpenAI-Project", "p"}});
  const json::object body = sent(one, R"({"max_tokens":5,"top_k":3})");
  CHECK(body.at("max_completion_tokens") == 5);
  CHECK_FALSE(body.contains("top_k"));
}

TEST_CASE("a server that speaks its language has the old names") {
  const auto one = openai::make("o", json::object{{"base_url", "http://127.0.0.1:1/v1"}});
  const json::object body = sent(*one, R"({"max_tokens":5,"top_k":3})");
  CHECK(body.at("max_tokens") == 5);
  CHECK(body.at("top_k") == 3);
}

TEST_CASE("the API is chosen by the configuration") {
  const auto one = openai::make("o", json::object{{"api", "responses"}, {"store", true}});
  const auto request = json::parse(R"({"model":"m","messages":[
    {"role":"user","parts":[{"type":"text","text":"x"}]}]})")
                           .as_object();
  const auto made = one->generate(request);
  CHECK(made.path == "/responses");
  CHECK(json::parse(made.body).at("store") == true);
  CHECK(one->count_tokens(request)->path == "/responses/input_tokens");
  CHECK_THROWS_WITH_AS((void)openai::make("o", json::object{{"api", "completions"}}),
                       doctest::Contains("api"), failure);
}

TEST_CASE("tokens are counted by OpenAI, and estimated for others") {
  const auto request = json::parse(R"({"model":"m","messages":[
    {"role":"user","parts":[{"type":"text","text":"x"}]}]})")
                           .as_object();
  const auto counted = openai::make("o", {})->count_tokens(request);
  REQUIRE(counted);
  CHECK(counted->path == "/responses/input_tokens");
  const auto other = openai::make("o", json::object{{"base_url", "http://127.0.0.1:1/v1"}});
  CHECK_FALSE(other->count_tokens(request));
}
