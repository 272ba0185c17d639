#include <doctest/doctest.h>

#include <rustic/provider/chat.hpp>
#include <string>

namespace {

using namespace rustic;

provider::chat_translator made(std::string_view members = "{}") {
  json::object object = json::parse(members).as_object();
  object["base_url"] = "http://127.0.0.1:8080/v1";
  return {provider::read_instance("local", object), provider::read_chat_options("local", object)};
}

json::object asking(std::string_view options) {
  json::object out = json::parse(R"({"model":"m","messages":[
    {"role":"system","parts":[{"type":"text","text":"be brief"}]},
    {"role":"user","parts":[{"type":"text","text":"x"}]}]})")
                         .as_object();
  out["options"] = json::parse(options);
  return out;
}

json::object body_of(const provider::outgoing& sent) {
  return json::parse(sent.body).as_object();
}

// Whether the translator wants to try once more after the server has said this.
bool tries_again(provider::chat_translator& one, const json::object& request,
                 std::string_view message, int attempt = 1) {
  const auto sent = one.generate(request);
  const auto said = json::serialize(json::object{{"error", json::object{{"message", message}}}});
  return one.reconsider({request, sent, 400, said, attempt});
}

}  // namespace

TEST_CASE("chat: what the server refuses is left out from then on") {
  auto one = made();
  const auto request = asking(R"({"reasoning_effort":"low","temperature":1})");
  CHECK_FALSE(tries_again(one, request, "reasoning_effort must be a text"));
  CHECK(tries_again(one, request, "Unrecognized request argument supplied: reasoning_effort"));
  CHECK_FALSE(
      tries_again(one, request, "Unrecognized request argument supplied: reasoning_effort"));
  CHECK(tries_again(one, request, "Unrecognized request argument supplied: stream_options"));
  const auto sent = one.generate(request);
  CHECK_FALSE(body_of(sent).contains("reasoning_effort"));
  CHECK_FALSE(body_of(sent).contains("stream_options"));
  CHECK(body_of(sent).at("temperature") == 1);
  CHECK(sent.warnings.size() == 1);
  // Another model may take it.
  json::object other = request;
  other["model"] = "n";
  CHECK(body_of(one.generate(other)).contains("reasoning_effort"));
}

TEST_CASE("chat: a form of the answer that the server does not take is asked for in words") {
  auto one = made();
  const auto request = asking(
      R"({"response_format":{"type":"json_schema","name":"n","schema":{"type":"object","title":"T"}}})");
  // A wrong schema is the caller's matter.
  CHECK_FALSE(tries_again(one, request, "Invalid schema for response_format 'n'"));
  CHECK_FALSE(tries_again(one, request, "messages are missing"));
  CHECK(tries_again(one, request, "This response_format type is unavailable now"));
  json::object sent = body_of(one.generate(request));
  CHECK(sent.at("response_format") == json::parse(R"({"type":"json_object"})"));
  REQUIRE(sent.at("messages").as_array().size() == 2);
  const std::string system(sent.at("messages").at(0).at("content").as_string());
  CHECK(system.starts_with("be brief"));
  CHECK(system.find(R"("title":"T")") != std::string::npos);
  CHECK(tries_again(one, request, "'response_format.type' must be 'text'"));
  sent = body_of(one.generate(request));
  CHECK_FALSE(sent.contains("response_format"));
  CHECK(sent.at("messages").at(0).at("content").as_string() == system);
  CHECK_FALSE(tries_again(one, request, "'response_format.type' must be 'text'"));
  // Free text is asked for as before.
  CHECK(body_of(one.generate(asking("{}"))).at("messages").at(0).at("content") == "be brief");
  // Without a system message there is one now.
  json::object bare = request;
  bare["messages"].as_array().erase(bare["messages"].as_array().begin());
  CHECK(body_of(one.generate(bare)).at("messages").at(0).at("role") == "system");
}
