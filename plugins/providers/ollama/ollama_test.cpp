#include "ollama.hpp"

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

bool reconsiders(ollama::chat& one, const json::object& asked, std::string_view message,
                 int status = 400) {
  const auto sent = one.generate(asked);
  const std::string body = json::serialize(json::object{{"error", message}});
  return one.reconsider({asked, sent, status, body, 1});
}

provider::verdict verdict_of(int status, std::string_view message) {
  return ollama::classify_error(
      status, provider::parse_error(json::serialize(json::object{{"error", message}})));
}

}  // namespace

TEST_CASE("the address in its usual forms, and no key") {
  CHECK(ollama::chat("o", {}).configured().base_url == "http://127.0.0.1:11434");
  CHECK(ollama::chat("o", {}).configured().api_key.empty());
  for (const char* url : {"http://x:1", "http://x:1/", "http://x:1/v1", "http://x:1/api/"}) {
    CHECK(ollama::chat("o", {{"base_url", url}}).configured().base_url == "http://x:1");
  }
  CHECK_THROWS_AS(ollama::chat("o", {{"context_window", -1}}), failure);
}

TEST_CASE("a conversation that the server may cut is told of, unless the window is set") {
  json::object asked = request("{}");
  CHECK(ollama::chat("o", {}).generate(asked).warnings.empty());
  json::object& part = asked["messages"].at(0).at("parts").at(0).as_object();
  part["text"] = std::string(20'000, 'x');
  const auto warnings = ollama::chat("o", {}).generate(asked).warnings;
  REQUIRE(warnings.size() == 1);
  CHECK(warnings.front().find("context_window") != std::string::npos);
  const json::object set{{"context_window", 32'768}};
  CHECK(ollama::chat("o", set).generate(asked).warnings.empty());
  const json::object body{{"body", json::object{{"options", json::object{{"num_ctx", 8'192}}}}}};
  CHECK(ollama::chat("o", body).generate(asked).warnings.empty());
  const json::object cloud{{"base_url", "https://ollama.com"}};
  CHECK(ollama::chat("o", cloud).generate(asked).warnings.empty());
}

TEST_CASE("how a model thinks is learnt once") {
  ollama::chat one("o", {});
  const auto asked = request(R"({"reasoning_effort":"low"})");
  CHECK(reconsiders(one, asked, R"(think value "low" is not supported for this model)"));
  CHECK(one.generate(asked).body.find(R"("think":true)") != std::string::npos);
  CHECK(reconsiders(one, asked, R"("m" does not support thinking)"));
  CHECK(one.generate(asked).body.find("think") == std::string::npos);
  CHECK_FALSE(reconsiders(one, asked, R"("m" does not support thinking)"));
  ollama::chat other("o", {});
  CHECK_FALSE(reconsiders(other, asked, "think", 500));
  CHECK_FALSE(reconsiders(other, request("{}"), "does not support thinking"));
}

TEST_CASE("models and embeddings") {
  ollama::chat one("o", {{"context_window", 8192}});
  const provider::subject about{"models", "o", "http://x", {}};
  CHECK(one.models("").path == "/api/tags");
  json::array models;
  CHECK(one.read_models(about, R"({"models":[{"name":"a:1","model":"a:1"},{"model":"b"},{}]})",
                        models)
            .empty());
  CHECK(json::serialize(models) ==
        R"([{"id":"a:1","context_window":8192},{"id":"b","context_window":8192}])");
  const json::object wanted{{"model", "e"}, {"inputs", json::array{"a", "b"}}};
  CHECK(one.embed(wanted).path == "/api/embed");
  CHECK(json::parse(one.embed(wanted).body) == json::parse(R"({"model":"e","input":["a","b"]})"));
  CHECK(one.read_embeddings(about, R"({"embeddings":[[1],[2]],"prompt_eval_count":4})", wanted) ==
        json::parse(R"({"embeddings":[[1],[2]],"usage":{"input_tokens":4}})").as_object());
  CHECK_THROWS_AS(one.read_embeddings(about, R"({"embeddings":[[1]]})", wanted), failure);
  CHECK_THROWS_AS(one.read_embeddings(about, R"({"error":"x"})", wanted), failure);
}

TEST_CASE("errors say what to do") {
  for (const int status : {404, 0}) {
    const auto missing = verdict_of(status, R"(model "x" not found, try pulling it first)");
    CHECK(missing.kind == "model_not_found");
    CHECK(missing.hint.find("ollama pull") != std::string_view::npos);
  }
  CHECK(verdict_of(404, "404 page not found").kind == "not_found");
  CHECK(verdict_of(400, "m does not support tools").kind == "bad_request");
  CHECK(
      verdict_of(500, "model requires more system memory (9 GiB) than is available (1 GiB)").code ==
      status_code::failed_precondition);
  CHECK(verdict_of(0, "an error was encountered while running the model").kind == "server_error");
  CHECK(verdict_of(401, "unauthorized").kind == "bad_key");
  CHECK(verdict_of(503, "server busy, please try again.  maximum pending requests exceeded").kind ==
        "overloaded");
  const ollama::chat one("o", {});
  provider::subject about{"generate", "o", "http://127.0.0.1:11434", "m"};
  about.unreachable_hint = one.unreachable_hint();
  const error gone = provider::read_transport_error(
      about,
      {status_code::unavailable, "connection refused", "", {}, json::object{{"kind", "connect"}}});
  CHECK(gone.hint.find("ollama serve") != std::string::npos);
}
