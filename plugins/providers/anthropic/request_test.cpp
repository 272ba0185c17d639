#include "request.hpp"

#include <doctest/doctest.h>

#include <rustic/provider/turns.hpp>
#include <rustic/status.hpp>
#include <string>

#include "answer_checks.hpp"
#include "anthropic.hpp"
#include "reader.hpp"

namespace {

using namespace rustic;

provider::instance at() {
  return provider::read_instance("p", json::object{{"base_url", "http://x"}, {"model", "m"}});
}

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

built build(const json::object& generate, const anthropic::learnt& known = {},
            const json::object& members = {}) {
  auto where = at();
  where.body = object_or_empty(members, "body");
  const auto sent =
      anthropic::build_request(where, anthropic::read_settings("p", members), known, generate);
  return {json::parse(sent.body).as_object(), sent.warnings};
}

built with_options(std::string_view options, const anthropic::learnt& known = {}) {
  return build(request(hi, R"({"options":)" + std::string(options) + "}"), known);
}

}  // namespace

TEST_CASE("the least request") {
  const auto sent = anthropic::build_request(at(), {}, {}, request(hi));
  CHECK(sent.path == "/v1/messages");
  CHECK(sent.headers.at(0) ==
        std::pair<std::string, std::string>{"anthropic-version", "2023-06-01"});
  CHECK(json::parse(sent.body) == json::parse(R"({"model":"m","stream":true,"max_tokens":32000,
    "messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]}]})"));
}

TEST_CASE("a conversation with tools, marked for the cache at four places") {
  const auto generate =
      request(R"([
    {"role":"system","parts":[{"type":"text","text":"s1"},{"type":"text","text":"s2"}]},
    {"role":"user","parts":[{"type":"text","text":"a"}]},
    {"role":"assistant","parts":[{"type":"text","text":"b"},
      {"type":"tool_call","id":"call:1","name":"f","arguments":"{\"x\": 1}"},
      {"type":"tool_call","id":"t2","name":"g","arguments":""}]},
    {"role":"user","parts":[{"type":"text","text":"and"},
      {"type":"tool_result","id":"call:1","name":"f","output":"one"},
      {"type":"tool_result","id":"t2","name":"g","output":"","is_error":true}]},
    {"role":"assistant","parts":[]},
    {"role":"user","parts":[{"type":"text","text":"c"}]}])",
              R"({"tools":[{"name":"f","description":"d","parameters":{"type":"object"}},
      {"name":"g"}],"options":{"tool_choice":"required","parallel_tool_calls":false,"max_tokens":9}})");
  const auto sent = build(generate);
  const std::string id = provider::plain_id("call:1");
  json::value wanted = json::parse(R"({"model":"m","stream":true,
    "tools":[{"name":"f","description":"d","input_schema":{"type":"object"}},
      {"name":"g","input_schema":{"type":"object","properties":{}},"cache_control":{"type":"ephemeral"}}],
    "tool_choice":{"type":"any","disable_parallel_tool_use":true},
    "system":[{"type":"text","text":"s1"},{"type":"text","text":"s2","cache_control":{"type":"ephemeral"}}],
    "messages":[
      {"role":"user","content":[{"type":"text","text":"a"}]},
      {"role":"assistant","content":[{"type":"text","text":"b"},
        {"type":"tool_use","id":"ID","name":"f","input":{"x":1}},
        {"type":"tool_use","id":"t2","name":"g","input":{}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"ID","content":"one"},
        {"type":"tool_result","tool_use_id":"t2","is_error":true},
        {"type":"text","text":"and"},
        {"type":"text","text":"c","cache_control":{"type":"ephemeral"}}]}],
    "max_tokens":9})");
  json::array& messages = wanted.at("messages").as_array();
  messages[0].at("content").at(0).as_object()["cache_control"] = {{"type", "ephemeral"}};
  messages[1].at("content").at(1).at("id") = id;
  messages[2].at("content").at(0).at("tool_use_id") = id;
  CHECK(sent.body == wanted);
  CHECK(sent.warnings.empty());
}

TEST_CASE("marks last as long as configured, or are left out") {
  const auto mark = [](const json::object& members) {
    const auto sent = build(request(hi), {}, members);
    const json::object& block = sent.body.at("messages").at(0).at("content").at(0).as_object();
    return block.contains("cache_control") ? json::serialize(block.at("cache_control")) : "";
  };
  CHECK(mark({{"prompt_cache", "1h"}}) == R"({"type":"ephemeral","ttl":"1h"})");
  CHECK(mark({{"prompt_cache", "off"}}).empty());
  CHECK(mark({{"body", json::object{{"cache_control", 1}}}}).empty());
  CHECK_THROWS_AS(anthropic::read_settings("p", {{"prompt_cache", "2d"}}), failure);
}

TEST_CASE("thinking goes back exactly as it came, and only to where it came from") {
  const fakes::make_reader make = [](const provider::subject& about) {
    return std::make_unique<anthropic::messages_reader>(about, 1);
  };
  const std::string_view content = R"([
      {"type":"thinking","thinking":"so äh","signature":"EtYD+/=="},
      {"type":"redacted_thinking","data":"zzz="},
      {"type":"thinking","thinking":"","signature":"omitted=="},
      {"type":"text","text":"cited","citations":[{"encrypted_index":"q=="}]},
      {"type":"server_tool_use","id":"srv","name":"web_search","input":{"query":"x"}},
      {"type":"web_search_tool_result","tool_use_id":"srv","content":[{"encrypted_content":"e=="}]},
      {"type":"tool_use","id":"toolu_1","name":"f","input":{"a":1}}])";
  const auto got =
      fakes::read_whole(make, R"({"type":"message","stop_reason":"tool_use","content":)" +
                                  std::string(content) + "}");
  REQUIRE_FALSE(got.problem);
  json::object generate = request(hi);
  generate["messages"].as_array().push_back(got.result.at("message"));
  generate["messages"].as_array().push_back(json::parse(
      R"({"role":"user","parts":[{"type":"tool_result","id":"toolu_1","name":"f","output":"1"}]})"));
  CHECK(build(generate).body.at("messages").at(1).at("content") == json::parse(content));

  generate["model"] = "another";
  CHECK(build(generate).body.at("messages").at(1).at("content") ==
        json::parse(R"([{"type":"text","text":"cited"},
                        {"type":"tool_use","id":"toolu_1","name":"f","input":{"a":1}}])"));
}

TEST_CASE("what cannot be sent back is left out") {
  const auto sent = build(request(R"([
    {"role":"user","parts":[{"type":"text","text":"a"}]},
    {"role":"assistant","parts":[{"type":"reasoning","text":"t","provider":"p","opaque":{"model":"m"}},
      {"type":"text","text":"bad","provider":"p","opaque":{"model":"m","refused":true}}]},
    {"role":"user","parts":[{"type":"text","text":"b"}]},
    {"role":"assistant","parts":[{"type":"text","text":"go on \n"}]}])"));
  CHECK(sent.body.at("messages").as_array().size() == 3);
  CHECK(sent.body.at("messages").at(2).at("content").at(0).at("text") == "go on");
}

TEST_CASE("a tool of the server that was at work goes back only to be gone on with") {
  json::object generate = request(R"([{"role":"user","parts":[{"type":"text","text":"a"}]},
    {"role":"assistant","parts":[{"type":"text","text":"b"},{"type":"reasoning","text":"","provider":"p",
      "opaque":{"model":"m","block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}}]}])");
  CHECK(build(generate).body.at("messages").at(1).at("content").as_array().size() == 2);
  generate["messages"].as_array().push_back(
      json::parse(R"({"role":"user","parts":[{"type":"text","text":"c"}]})"));
  CHECK(build(generate).body.at("messages").at(1).at("content").as_array().size() == 1);
}

TEST_CASE("images and files") {
  const auto sent = build(request(R"([{"role":"user","parts":[
    {"type":"image","media_type":"image/jpeg","data":"QUJD"},{"type":"image","url":"https://x/y.png"},
    {"type":"file","name":"a.pdf","media_type":"application/pdf","data":"JVBE"},
    {"type":"file","name":"a.txt","media_type":"text/plain","data":"aGk="}]}])"),
                          {}, {{"prompt_cache", "off"}});
  CHECK(sent.body.at("messages").at(0).at("content") == json::parse(R"([
    {"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"QUJD"}},
    {"type":"image","source":{"type":"url","url":"https://x/y.png"}},
    {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"},"title":"a.pdf"},
    {"type":"document","source":{"type":"text","media_type":"text/plain","data":"hi"},"title":"a.txt"}])"));
  CHECK_THROWS_AS(build(request(R"([{"role":"user","parts":[
    {"type":"file","name":"a","media_type":"audio/wav","data":"QUJD"}]}])")),
                  failure);
}

TEST_CASE("options") {
  const auto sent = with_options(R"({"temperature":0.5,"top_p":0.9,"top_k":4,"seed":1,
    "stop_sequences":["x"],"presence_penalty":1,"tool_choice":"none"})");
  CHECK(sent.body.at("temperature") == 0.5);
  CHECK(sent.body.at("top_k") == 4);
  CHECK(sent.body.at("stop_sequences") == json::array{"x"});
  CHECK(sent.warnings.size() == 2);
  const auto less =
      with_options(R"({"temperature":0.5,"max_tokens":9000})", {4096, {"temperature"}});
  CHECK_FALSE(less.body.contains("temperature"));
  CHECK(less.body.at("max_tokens") == 4096);
  CHECK(less.warnings.size() == 2);
  const auto mine = build(request(hi, R"({"options":{"top_k":4}})"), {},
                          {{"body", json::object{{"top_k", 9}, {"max_tokens", 5}, {"x", 1}}}});
  CHECK(mine.body.at("top_k") == 9);
  CHECK(mine.body.at("max_tokens") == 5);
  CHECK(mine.body.at("x") == 1);
}

TEST_CASE("reasoning is asked for in the form that the model takes") {
  const auto adaptive = with_options(R"({"reasoning_effort":"high","temperature":0})");
  CHECK(adaptive.body.at("thinking") ==
        json::parse(R"({"type":"adaptive","display":"summarized"})"));
  CHECK(adaptive.body.at("output_config") == json::parse(R"({"effort":"high"})"));
  CHECK_FALSE(adaptive.body.contains("temperature"));
  CHECK(adaptive.warnings.size() == 1);
  const auto budget = with_options(R"({"reasoning_effort":"low"})", {0, {"adaptive"}});
  CHECK(budget.body.at("thinking") == json::parse(R"({"type":"enabled","budget_tokens":2048})"));
  const auto small =
      with_options(R"({"reasoning_effort":"low","max_tokens":1000})", {0, {"adaptive"}});
  CHECK_FALSE(small.body.contains("thinking"));
  CHECK(small.warnings.size() == 1);
  const auto none = with_options(R"({"reasoning_effort":"none"})");
  CHECK(none.body.at("thinking") == json::parse(R"({"type":"disabled"})"));
  const auto without = with_options(R"({"reasoning_effort":"low"})", {0, {"adaptive", "budget"}});
  CHECK_FALSE(without.body.contains("thinking"));
  CHECK(without.warnings.size() == 1);
  const auto forced = with_options(R"({"reasoning_effort":"low","tool_choice":{"name":"f"}})");
  CHECK_FALSE(forced.body.contains("thinking"));
  // In the middle of a loop that another model began.
  const auto loop = build(request(R"([{"role":"user","parts":[{"type":"text","text":"a"}]},
    {"role":"assistant","parts":[{"type":"tool_call","id":"t","name":"f","arguments":"{}"}]},
    {"role":"user","parts":[{"type":"tool_result","id":"t","name":"f","output":"1"}]}])",
                                  R"({"options":{"reasoning_effort":"high"}})"),
                          {0, {"adaptive"}});
  CHECK_FALSE(loop.body.contains("thinking"));
}

TEST_CASE("an answer in a given form") {
  const auto sent = with_options(R"({"response_format":{"type":"json_schema","name":"n","schema":
    {"type":"object","properties":{"a":{"type":"integer","minimum":1}},"required":["a"]}}})");
  CHECK(sent.body.at("output_config").at("format") == json::parse(R"({"type":"json_schema","schema":
    {"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}})"));
  for (const auto& known : {anthropic::learnt{0, {"format"}}, anthropic::learnt{}}) {
    const auto by_words =
        with_options(known.refused.empty() ? R"({"response_format":{"type":"json_schema","schema":
        {"type":"object","additionalProperties":{"type":"string"}}}})"
                                           : R"({"response_format":{"type":"json_schema","schema":
        {"type":"object","properties":{}}}})",
                     known);
    CHECK_FALSE(by_words.body.contains("output_config"));
    CHECK(by_words.body.at("system").at(0).at("text").as_string().find("JSON Schema") !=
          std::string::npos);
  }
}

TEST_CASE("closed schemas") {
  const auto closed = [](std::string_view text) {
    const auto made = anthropic::closed_schema(json::parse(text));
    return made ? json::serialize(*made) : std::string("none");
  };
  CHECK(closed(R"({"oneOf":[{"type":"string","pattern":"x","format":"date"}]})") ==
        R"({"anyOf":[{"type":"string","format":"date"}]})");
  CHECK(
      closed(
          R"({"type":"array","items":{"type":"object","properties":{}},"minItems":1,"maxItems":3})") ==
      R"({"type":"array","items":{"type":"object","properties":{},"additionalProperties":false},"minItems":1})");
  CHECK(closed(R"({"type":"object"})") == "none");
  CHECK(closed(R"({"type":"object","properties":{"a":true}})") == "none");
  CHECK(closed(R"({"not":{}})") == "none");
  CHECK(closed("true") == "none");
}

TEST_CASE("counting takes what has tokens and nothing else") {
  const auto sent = anthropic::build_count_request(
      at(), {},
      request(
          hi,
          R"({"tools":[{"name":"f"}],"options":{"temperature":1,"max_tokens":5,"reasoning_effort":"low"}})"));
  CHECK(sent.path == "/v1/messages/count_tokens");
  CHECK(json::parse(sent.body) == json::parse(R"({"model":"m",
    "tools":[{"name":"f","input_schema":{"type":"object","properties":{}}}],
    "messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]})"));
}

TEST_CASE("what is no request is refused") {
  CHECK_THROWS_AS(build(request("[]")), failure);
  CHECK_THROWS_AS(build(request(R"([{"role":"system","parts":[{"type":"text","text":"x"}]}])")),
                  failure);
  CHECK_THROWS_AS(build(request(hi, R"({"tools":[{"description":"x"}]})")), failure);
  CHECK_THROWS_AS(build(request(R"([{"role":"user","parts":[{"type":"image"}]}])")), failure);
}
