#include "request.hpp"

#include <doctest/doctest.h>

#include <rustic/status.hpp>
#include <string>

#include "answer_checks.hpp"
#include "reader.hpp"

namespace {

using namespace rustic;

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
  std::string path;
};

built build(const json::object& generate, const google::learnt& known = {},
            const google::settings& how = {false, false}, const json::object& body = {}) {
  auto where = provider::read_instance("p", json::object{{"base_url", "http://x/v1beta"}});
  where.body = body;
  const auto sent = google::build_request(where, how, known, generate);
  return {json::parse(sent.body).as_object(), sent.warnings, sent.path};
}

json::value config(std::string_view options, const google::learnt& known = {},
                   const google::settings& how = {}) {
  return build(request(hi, R"({"options":)" + std::string(options) + "}"), known, how)
      .body.at("generationConfig");
}

std::string schema(std::string_view text, bool openapi = false) {
  const json::value from = json::parse(text);
  const auto made = openapi ? google::openapi_schema(from) : google::known_schema(from);
  std::string out = json::serialize(made.schema);
  for (const std::string& name : made.lost) out += " -" + name;
  return out;
}

}  // namespace

TEST_CASE("the least request, streamed and not") {
  const auto stream = build(request(hi));
  CHECK(stream.path == "/models/m:streamGenerateContent?alt=sse");
  CHECK(stream.body == json::parse(R"({"contents":[{"role":"user","parts":[{"text":"hi"}]}]})"));
  CHECK(build(request(hi, R"({"stream":false})")).path == "/models/m:generateContent");
  CHECK(google::model_path("models/a b") == "/models/a%20b");
  CHECK(google::model_resource("tunedModels/x") == "tunedModels/x");
}

TEST_CASE("a conversation with tools") {
  const auto sent = build(request(R"([
    {"role":"system","parts":[{"type":"text","text":"s"}]},
    {"role":"user","parts":[{"type":"text","text":"a"},
      {"type":"image","media_type":"image/png","data":"QUJD"},
      {"type":"file","name":"f","media_type":"application/pdf","url":"gs://x"}]},
    {"role":"assistant","parts":[{"type":"reasoning","text":"hm"},{"type":"text","text":"b"},
      {"type":"tool_call","id":"c1","name":"f","arguments":"{\"x\": 1}"},
      {"type":"tool_call","id":"c2","name":"g","arguments":"oops"}]},
    {"role":"user","parts":[{"type":"text","text":"and"},
      {"type":"tool_result","id":"c1","output":"one"},
      {"type":"tool_result","id":"c2","name":"g","output":"bad","is_error":true}]}])",
                                  R"({"tools":[{"name":"f","description":"d","parameters":
      {"type":"object","properties":{"x":{"type":"integer"}}}},
      {"name":"g","parameters":{"type":"object","properties":{}}}],
      "options":{"tool_choice":{"name":"f"}}})"));
  CHECK(sent.body == json::parse(R"({"systemInstruction":{"parts":[{"text":"s"}]},"contents":[
    {"role":"user","parts":[{"text":"a"},{"inlineData":{"mimeType":"image/png","data":"QUJD"}},
      {"fileData":{"mimeType":"application/pdf","fileUri":"gs://x"}}]},
    {"role":"model","parts":[{"text":"b"},{"functionCall":{"name":"f","args":{"x":1}}},
      {"functionCall":{"name":"g","args":{"malformed_arguments":"oops"}}}]},
    {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"one"}}},
      {"functionResponse":{"name":"g","response":{"error":"bad"}}},{"text":"and"}]}],
    "tools":[{"functionDeclarations":[{"name":"f","description":"d","parametersJsonSchema":
      {"type":"object","properties":{"x":{"type":"integer"}}}},{"name":"g"}]}],
    "toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}}})"));
  CHECK(sent.warnings.empty());
}

TEST_CASE("signatures go back on the part that they came on, and only to where they came from") {
  const fakes::make_reader make = [](const provider::subject& about) {
    return std::make_unique<google::content_reader>(about, 1);
  };
  const std::string_view parts = R"([{"text":"T","thought":true,"thoughtSignature":"R="},
    {"text":"a"},{"text":"b","thoughtSignature":"B+/="},
    {"functionCall":{"id":"x","name":"f","args":{}},"thoughtSignature":"S=="},
    {"functionCall":{"id":"x","name":"f","args":{}}},
    {"toolCall":{"q":1},"thoughtSignature":"V="},{"text":"","thoughtSignature":"E="}])";
  const auto got =
      fakes::read_whole(make, R"({"candidates":[{"finishReason":"STOP","content":{"parts":)" +
                                  std::string(parts) + "}}]}");
  REQUIRE_FALSE(got.problem);
  json::object generate = request(hi);
  json::array results;
  for (const json::value& part : got.parts()) {
    if (part.at("type") != "tool_call") continue;
    results.push_back(json::object{
        {"type", "tool_result"}, {"id", part.at("id")}, {"name", "f"}, {"output", "1"}});
  }
  REQUIRE(results.size() == 2);
  CHECK(results[0].at("id") != results[1].at("id"));
  generate["messages"].as_array().push_back(got.result.at("message"));
  generate["messages"].as_array().push_back(
      json::object{{"role", "user"}, {"parts", std::move(results)}});
  const auto sent = build(generate);
  CHECK(sent.body.at("contents").at(1).at("parts") == json::parse(parts));
  CHECK(sent.body.at("contents").at(2).at("parts").at(1).at("functionResponse").at("id") == "x");

  generate["model"] = "another";
  const json::value foreign = json::parse(
      R"([{"text":"a"},{"text":"b"},{"functionCall":{"name":"f","args":{}}},{"functionCall":{"name":"f","args":{}}}])");
  CHECK(build(generate).body.at("contents").at(1).at("parts") == foreign);
  const auto skipping = build(generate, {{"skip_signature"}});
  CHECK(skipping.body.at("contents").at(1).at("parts").at(2).at("thoughtSignature") ==
        "skip_thought_signature_validator");
  CHECK_FALSE(skipping.body.at("contents")
                  .at(1)
                  .at("parts")
                  .at(3)
                  .as_object()
                  .contains("thoughtSignature"));
}

TEST_CASE("options") {
  CHECK(config(R"({"max_tokens":5,"temperature":0.5,"top_p":0.9,"top_k":4,"seed":1,
    "presence_penalty":1,"frequency_penalty":2,"stop_sequences":["x"]})") ==
        json::parse(R"({"maxOutputTokens":5,"temperature":0.5,"topP":0.9,"topK":4,"seed":1,
    "presencePenalty":1,"frequencyPenalty":2,"stopSequences":["x"],"thinkingConfig":{"includeThoughts":true}})"));
  const auto less = build(
      request(
          hi,
          R"({"tools":[{"name":"f"}],"options":{"presence_penalty":1,"parallel_tool_calls":false}})"),
      {{"presence_penalty"}});
  CHECK(less.warnings.size() == 2);
  const auto mine = build(request(hi, R"({"options":{"top_k":4}})"), {}, {false, false},
                          {{"generationConfig", json::object{{"topK", 9}}}, {"safetySettings", 1}});
  CHECK(mine.body.at("generationConfig").at("topK") == 9);
  CHECK(mine.body.at("safetySettings") == 1);
}

TEST_CASE("thinking in the form that the model takes") {
  const auto thinking = [](std::string_view effort, const google::learnt& known) {
    return json::serialize(config(R"({"reasoning_effort":")" + std::string(effort) + "\"}", known)
                               .at("thinkingConfig"));
  };
  CHECK(thinking("low", {}) == R"({"includeThoughts":true,"thinkingLevel":"LOW"})");
  CHECK(thinking("high", {{"level"}}) == R"({"includeThoughts":true,"thinkingBudget":24576})");
  CHECK(thinking("none", {}) == R"({"thinkingBudget":0})");
  const auto none = build(request(hi, R"({"options":{"reasoning_effort":"low"}})"),
                          {{"level", "budget", "thoughts"}}, {});
  CHECK_FALSE(none.body.contains("generationConfig"));
  CHECK(none.warnings.size() == 1);
}

TEST_CASE("an answer in a given form") {
  const std::string_view format =
      R"({"response_format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"string"}}}}})";
  const json::value native = config(format, {}, {false, false});
  CHECK(native.at("responseMimeType") == "application/json");
  CHECK(native.at("responseJsonSchema").at("type") == "object");
  CHECK(config(format, {{"openapi"}}).at("responseSchema").at("type") == "OBJECT");
  const auto by_words =
      build(request(hi, R"({"options":)" + std::string(format) + "}"), {{"format"}});
  CHECK(by_words.body.at("systemInstruction")
            .at("parts")
            .at(0)
            .at("text")
            .as_string()
            .find("JSON Schema") != std::string::npos);
}

TEST_CASE("a model without instructions gets them with the first message") {
  const auto sent = build(request(R"([{"role":"system","parts":[{"type":"text","text":"s"}]},
    {"role":"user","parts":[{"type":"text","text":"a"}]}])"),
                          {{"system"}});
  CHECK(sent.body ==
        json::parse(R"({"contents":[{"role":"user","parts":[{"text":"s"},{"text":"a"}]}]})"));
}

TEST_CASE("schemas") {
  CHECK(schema(R"({"$schema":"x","type":"object","properties":{"a":{"const":1,"pattern":"x"},
    "b":{"$ref":"#/definitions/d","description":"y"}},
    "definitions":{"d":{"type":"string","description":"s","minLength":2}},
    "additionalProperties":false,"not":{}})") ==
        R"({"type":"object","properties":{"a":{"enum":[1],"description":"[pattern: \"x\"]"},)"
        R"("b":{"$ref":"#/$defs/d"}},)"
        R"("$defs":{"d":{"type":"string","description":"s [minLength: 2]"}},)"
        R"("additionalProperties":false} -not)");
  CHECK(schema(R"({"allOf":[{"type":"string"}]})") == R"({"type":"string"})");
  CHECK(schema(R"({"type":["string","null"],"format":"email","minLength":1})", true) ==
        R"({"type":"STRING","nullable":true,"minLength":1,"description":"[format: \"email\"]"})");
  CHECK(schema(R"({"type":"object","properties":{"a":{"$ref":"#/$defs/d"},"b":{"enum":["x"]},
    "c":{"enum":[1]}},"$defs":{"d":{"anyOf":[{"type":"null"},{"type":"integer"}]}},
    "additionalProperties":false})",
               true) == R"({"type":"OBJECT","properties":{"a":{"nullable":true,"type":"INTEGER"},)"
                        R"("b":{"enum":["x"],"type":"STRING"},"c":{}}} -enum)");
  // A tree has no end.
  const std::string tree =
      schema(R"({"type":"object","properties":{"l":{"$ref":"#"},"r":{"$ref":"#"}}})", true);
  CHECK(tree.ends_with(" -$ref"));
  const auto warned = build(request(hi, R"({"tools":[{"name":"f","parameters":{"type":"object",
    "properties":{"a":{"not":{"type":"string"},"pattern":"x"}}}}]})"));
  REQUIRE(warned.warnings.size() == 1);
  CHECK(warned.warnings[0].find("without not,") != std::string::npos);
}

TEST_CASE("counting") {
  auto where = provider::read_instance("p", json::object{{"base_url", "http://x/v1beta"}});
  const auto sent = google::build_count_request(
      where, {}, request(hi, R"({"tools":[{"name":"f"}],"options":{"temperature":1}})"));
  CHECK(sent.path == "/models/m:countTokens");
  CHECK(json::parse(sent.body) == json::parse(R"({"generateContentRequest":{"model":"models/m",
    "contents":[{"role":"user","parts":[{"text":"hi"}]}],
    "tools":[{"functionDeclarations":[{"name":"f"}]}]}})"));
  where.base_url = "https://eu-aiplatform.googleapis.com/v1";
  CHECK(json::parse(google::build_count_request(where, {}, request(hi)).body)
            .as_object()
            .contains("contents"));
}

TEST_CASE("what is no request is refused") {
  CHECK_THROWS_AS(build(request("[]")), failure);
  CHECK_THROWS_AS(build(request(R"([{"role":"user","parts":[{"type":"tool_result","id":"x"}]}])")),
                  failure);
  CHECK_THROWS_AS(build(request(R"([{"role":"user","parts":[{"type":"file","name":"x"}]}])")),
                  failure);
}
