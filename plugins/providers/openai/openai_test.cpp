#include <doctest/doctest.h>

#include <string>

#include "openai.hpp"

namespace {

using namespace rustic;

json::object sent(openai::chat& one, std::string_view options) {
  json::object request = json::parse(R"({"model":"m","messages":[
    {"role":"user","parts":[{"type":"text","text":"x"}]}]})")
                             .as_object();
  request["options"] = json::parse(options);
  return json::parse(one.generate(request).body).as_object();
}

}  // namespace

TEST_CASE("OpenAI itself has names of its own") {
  openai::chat one("o", json::object{{"organization", "org"}, {"project", "p"}});
  CHECK(one.configured().base_url == "https://api.openai.com/v1");
  CHECK(one.configured().headers == std::vector<std::pair<std::string, std::string>>{
                                        {"OpenAI-Organization", "org"}, {"OpenAI-Project", "p"}});
  const json::object body = sent(one, R"({"max_tokens":5,"top_k":3})");
  CHECK(body.at("max_completion_tokens") == 5);
  CHECK_FALSE(body.contains("top_k"));
}

TEST_CASE("a server that speaks its language has the old names") {
  openai::chat one("o", json::object{{"base_url", "http://127.0.0.1:1/v1"}});
  const json::object body = sent(one, R"({"max_tokens":5,"top_k":3})");
  CHECK(body.at("max_tokens") == 5);
  CHECK(body.at("top_k") == 3);
}
