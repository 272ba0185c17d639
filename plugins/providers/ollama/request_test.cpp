#include "request.hpp"

#include <doctest/doctest.h>

#include <rustic/status.hpp>
#include <string>

namespace {

using namespace rustic;
using ollama::think_form;

json::object request(std::string_view messages, std::string_view more = "{}") {
  json::object out = json::parse(more).as_object();
  out["model"] = "m";
  out["messages"] = json::parse(messages);
  return out;
}

constexpr std::string_view hi = R"([{"role":"user","parts":[{"type":"text","text":"hi"}]}])";

struct built {
  json::object body;
  std::vector<std::string> warnings;
};

built build(const json::object& generate, const ollama::settings& how = {},
            think_form thinking = think_form::level, const json::object& body = {}) {
  auto where = provider::read_instance("p", json::object{{"base_url", "http://x"}});
  where.body = body;
  const auto sent = ollama::build_request(where, how, thinking, generate);
  CHECK(sent.path == "/api/chat");
  return {json::parse(sent.body).as_object(), sent.warnings};
}

built with_options(std::string_view options, think_form thinking = think_form::level) {
  return build(request(hi, R"({"options":)" + std::string(options) + "}"), {}, thinking);
}

}  // namespace

TEST_CASE("the least request") {
  CHECK(build(request(hi)).body ==
        json::parse(R"({"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]})"));
  CHECK(build(request(hi, R"({"stream":false})")).body.at("stream") == false);
}

TEST_CASE("a conversation with tools, images, files and thoughts") {
  const auto sent = build(
      request(R"([
    {"role":"system","parts":[{"type":"text","text":"s"},{"type":"text","text":"t"}]},
    {"role":"user","parts":[{"type":"text","text":"a"},
      {"type":"image","media_type":"image/png","data":"QUJD"},
      {"type":"file","name":"n.txt","media_type":"text/plain","data":"aGk="}]},
    {"role":"assistant","parts":[
      {"type":"reasoning","text":"hm","provider":"p","opaque":{"model":"m"}},
      {"type":"reasoning","text":"other","provider":"q","opaque":{"model":"m"}},
      {"type":"text","text":"b"},
      {"type":"tool_call","id":"c1","name":"f","arguments":"{\"x\": 1}"},
      {"type":"tool_call","id":"c2","name":"g","arguments":"oops"}]},
    {"role":"user","parts":[{"type":"text","text":"and"},
      {"type":"tool_result","id":"c1","name":"f","output":"one"},
      {"type":"tool_result","id":"c2","name":"g","output":"two"}]}])",
              R"({"tools":[{"name":"f","description":"d","parameters":{"type":"object"}}]})"));
  CHECK(sent.body == json::parse(R"({"model":"m","stream":true,"messages":[
    {"role":"system","content":"s\n\nt"},
    {"role":"user","content":"a\n\nn.txt:\n\nhi","images":["QUJD"]},
    {"role":"assistant","content":"b","thinking":"hm","tool_calls":[
      {"id":"c1","function":{"name":"f","arguments":{"x":1}}},
      {"id":"c2","function":{"name":"g","arguments":{"malformed_arguments":"oops"}}}]},
    {"role":"tool","content":"one","tool_name":"f","tool_call_id":"c1"},
    {"role":"tool","content":"two","tool_name":"g","tool_call_id":"c2"},
    {"role":"user","content":"and"}],
    "tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}]})"));
  CHECK(sent.warnings.empty());
}

TEST_CASE("options") {
  const auto sent = build(
      request(hi, R"({"options":{"max_tokens":5,"temperature":0.5,"top_p":0.9,"top_k":4,"seed":1,
        "stop_sequences":["x"],"presence_penalty":1,"frequency_penalty":2}})"),
      {8192, "10m"}, think_form::level, {{"options", json::object{{"top_k", 9}, {"mirostat", 1}}}});
  CHECK(sent.body.at("options") == json::parse(R"({"num_ctx":8192,"num_predict":5,"temperature":0.5,
    "top_p":0.9,"top_k":9,"seed":1,"stop":["x"],"presence_penalty":1,"frequency_penalty":2,"mirostat":1})"));
  CHECK(sent.body.at("keep_alive") == "10m");
  CHECK(sent.warnings.empty());
}

TEST_CASE("thinking in the form that the model takes") {
  CHECK(with_options(R"({"reasoning_effort":"low"})").body.at("think") == "low");
  CHECK(with_options(R"({"reasoning_effort":"low"})", think_form::on_or_off).body.at("think") ==
        true);
  CHECK(with_options(R"({"reasoning_effort":"none"})").body.at("think") == false);
  const auto never = with_options(R"({"reasoning_effort":"low"})", think_form::never);
  CHECK_FALSE(never.body.contains("think"));
  CHECK(never.warnings.size() == 1);
}

TEST_CASE("forms of the answer, choices of tools") {
  CHECK(with_options(R"({"response_format":{"type":"json_schema","schema":{"type":"object"}}})")
            .body.at("format") == json::parse(R"({"type":"object"})"));
  CHECK(with_options(R"({"response_format":{"type":"json_object"}})").body.at("format") == "json");
  const auto tools = [](std::string_view options) {
    return build(request(hi, R"({"tools":[{"name":"f"}],"options":)" + std::string(options) + "}"));
  };
  CHECK_FALSE(tools(R"({"tool_choice":"none"})").body.contains("tools"));
  CHECK(tools(R"({"tool_choice":"auto","parallel_tool_calls":false})").warnings.size() == 1);
  CHECK_THROWS_AS(tools(R"({"tool_choice":"required"})"), failure);
  CHECK_THROWS_AS(tools(R"({"tool_choice":{"name":"f"}})"), failure);
}

TEST_CASE("what cannot be sent is refused") {
  CHECK_THROWS_AS(build(request("[]")), failure);
  CHECK_THROWS_AS(
      build(request(R"([{"role":"user","parts":[{"type":"image","url":"http://x"}]}])")), failure);
  CHECK_THROWS_AS(
      build(request(
          R"([{"role":"user","parts":[{"type":"file","media_type":"application/pdf","data":"QQ=="}]}])")),
      failure);
}
