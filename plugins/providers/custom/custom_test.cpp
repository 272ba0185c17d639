#include "custom.hpp"

#include <doctest/doctest.h>

#include <rustic/status.hpp>

namespace {

using namespace rustic;

const json::object question = json::parse(R"({"model":"m","messages":[
  {"role":"system","parts":[{"type":"text","text":"s"}]},
  {"role":"user","parts":[{"type":"text","text":"x"}]}],
  "options":{"top_k":3,"seed":1,"max_tokens":20}})")
                                  .as_object();

std::unique_ptr<provider::translator> made(std::string_view members) {
  json::object object = json::parse(members).as_object();
  object["base_url"] = "http://127.0.0.1:8080/v1/";
  return custom::make("mine", object);
}

}  // namespace

TEST_CASE("an address is all that it needs") {
  const auto one = made("{}");
  CHECK(one->configured().base_url == "http://127.0.0.1:8080/v1");
  const auto sent = one->generate(question);
  CHECK(sent.path == "/chat/completions");
  const auto body = json::parse(sent.body).as_object();
  CHECK(body.at("top_k") == 3);
  CHECK(body.at("max_tokens") == 20);
  CHECK(body.at("messages").at(0).at("role") == "system");
  CHECK_THROWS_WITH_AS((void)custom::make("mine", {}), doctest::Contains("base_url"), failure);
}

TEST_CASE("everything else can be told") {
  const auto one = made(R"({"key_header":"X-Key","key_prefix":"","api_key":"env:K",
    "max_tokens_field":"max_completion_tokens","system_role":"developer","stream_usage":false,
    "unknown_options":["seed"],"body":{"n":1}})");
  CHECK(one->configured().key_header == "X-Key");
  CHECK(one->configured().key_prefix.empty());
  const auto sent = one->generate(question);
  const auto body = json::parse(sent.body).as_object();
  CHECK(body.at("max_completion_tokens") == 20);
  CHECK(body.at("messages").at(0).at("role") == "developer");
  CHECK_FALSE(body.contains("stream_options"));
  CHECK_FALSE(body.contains("seed"));
  CHECK(body.at("n") == 1);
  CHECK(sent.warnings.size() == 1);
}

TEST_CASE("it may speak Responses") {
  CHECK(made(R"({"api":"responses"})")->generate(question).path == "/responses");
  CHECK_FALSE(made(R"({"api":"responses"})")->count_tokens(question));
  CHECK(made(R"({"api":"responses","counts_tokens":true})")->count_tokens(question));
}
