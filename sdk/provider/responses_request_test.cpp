#include <doctest/doctest.h>

#include <rustic/provider/responses.hpp>
#include <rustic/status.hpp>
#include <string>

namespace {

using namespace rustic;

provider::instance local(std::string_view members = "{}") {
  json::object object = json::parse(members).as_object();
  object["base_url"] = "http://127.0.0.1:8080/v1";
  return provider::read_instance("local", object);
}

provider::outgoing build(std::string_view generate, std::string_view config = "{}",
                         const std::vector<std::string>& refused = {}, bool counting = false) {
  const auto how = provider::read_responses_options("local", json::parse(config).as_object());
  return provider::build_responses_request(local(config), how, json::parse(generate).as_object(),
                                           refused, counting);
}

json::object body(std::string_view generate, std::string_view config = "{}") {
  return json::parse(build(generate, config).body).as_object();
}

json::value input(std::string_view list, std::string_view config = "{}") {
  return body(R"({"model":"m","messages":)" + std::string(list) + "}", config).at("input");
}

constexpr std::string_view hello =
    R"("messages":[{"role":"user","parts":[{"type":"text","text":"hi"}]}])";

std::string with(std::string_view options, std::string_view model = "m") {
  return R"({"model":")" + std::string(model) + R"(",)" + std::string(hello) + R"(,"options":)" +
         std::string(options) + "}";
}

}  // namespace

TEST_CASE("responses: a small request") {
  const auto made = build(R"({"model":"m",)" + std::string(hello) + "}");
  CHECK(made.path == "/responses");
  CHECK(made.accept == "text/event-stream");
  CHECK(json::parse(made.body) == json::parse(R"({"model":"m","stream":true,"store":false,
          "include":["reasoning.encrypted_content"],"input":[{"role":"user","content":"hi"}]})"));
  const auto kept =
      body(R"({"model":"m",)" + std::string(hello) + R"(,"stream":false})", R"({"store":true})");
  CHECK(kept.at("store") == true);
  CHECK(kept.at("stream") == false);
  CHECK(!kept.contains("include"));
}

TEST_CASE("responses: a conversation") {
  CHECK(
      body(
          R"({"model":"m","messages":[{"role":"system","parts":[{"type":"text","text":"Be brief."}]},
          {"role":"user","parts":[{"type":"text","text":"look"},{"type":"image","media_type":"image/png","data":"AAAA"},
            {"type":"file","name":"a.pdf","media_type":"application/pdf","data":"BBBB"}]},
          {"role":"assistant","parts":[{"type":"text","text":"I look."},
            {"type":"tool_call","id":"a","name":"add","arguments":"{\"x\":1}"},
            {"type":"tool_call","id":"b","name":"sub","arguments":""}]},
          {"role":"user","parts":[{"type":"tool_result","id":"b","name":"sub","output":"2"},
            {"type":"tool_result","id":"a","name":"add","output":"1"},{"type":"text","text":"go on"}]}]})") ==
      json::parse(
          R"({"model":"m","stream":true,"store":false,"include":["reasoning.encrypted_content"],
        "instructions":"Be brief.","input":[
          {"role":"user","content":[{"type":"input_text","text":"look"},
            {"type":"input_image","image_url":"data:image/png;base64,AAAA"},
            {"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,BBBB"}]},
          {"type":"message","role":"assistant","content":[{"type":"output_text","text":"I look."}]},
          {"type":"function_call","call_id":"a","name":"add","arguments":"{\"x\":1}"},
          {"type":"function_call","call_id":"b","name":"sub","arguments":"{}"},
          {"type":"function_call_output","call_id":"b","output":"2"},
          {"type":"function_call_output","call_id":"a","output":"1"},
          {"role":"user","content":"go on"}]})")
          .as_object());
}

TEST_CASE("responses: what the server wants back goes back as it came, and to nobody else") {
  const std::string reasoning =
      R"({"type":"reasoning","text":"t","provider":"local","opaque":{"model":"m","item":
        {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"t"}],"encrypted_content":"sealed","status":null}}})";
  const std::string rest =
      R"(,{"type":"text","text":"a","provider":"local","opaque":{"model":"m","phase":"commentary"}},
        {"type":"tool_call","id":"c","name":"sql","arguments":"SELECT 1","provider":"local","opaque":{"model":"m","type":"custom_tool_call"}}]},
       {"role":"user","parts":[{"type":"tool_result","id":"c","name":"sql","output":"1"}]}])";
  const std::string begin =
      R"([{"role":"user","parts":[{"type":"text","text":"q"}]},{"role":"assistant","parts":[)";
  CHECK(input(begin + reasoning + rest) == json::parse(R"([{"role":"user","content":"q"},
      {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"t"}],"encrypted_content":"sealed"},
      {"type":"message","role":"assistant","phase":"commentary","content":[{"type":"output_text","text":"a"}]},
      {"type":"custom_tool_call","call_id":"c","name":"sql","input":"SELECT 1"},
      {"type":"custom_tool_call_output","call_id":"c","output":"1"}])"));
  // Another model, or reasoning that led to nothing.
  const auto other = json::serialize(
      body(R"({"model":"other","messages":)" + begin + reasoning + rest + "}").at("input"));
  CHECK(other.find("sealed") == std::string::npos);
  CHECK(other.find("commentary") == std::string::npos);
  CHECK(other.find("custom") == std::string::npos);
  CHECK(json::serialize(input(begin + reasoning + "]}]")).find("sealed") == std::string::npos);
  // Without the seal it is known to a server alone that keeps the conversation.
  const std::string open =
      R"({"type":"reasoning","text":"t","provider":"local","opaque":{"model":"m","item":{"type":"reasoning","id":"rs_1","summary":[]}}})";
  CHECK(json::serialize(input(begin + open + rest)).find("rs_1") == std::string::npos);
  CHECK(json::serialize(input(begin + open + rest, R"({"store":true})")).find("rs_1") !=
        std::string::npos);
}

TEST_CASE("responses: tools, choice and format") {
  const auto got = body(
      R"({"model":"m","messages":[{"role":"user","parts":[{"type":"text","text":"hi"}]}],
      "tools":[{"name":"f","description":"d","parameters":{"type":"object"}},{"name":"g"}],
      "options":{"tool_choice":{"name":"f"},"parallel_tool_calls":false,
        "response_format":{"type":"json_schema","name":"n","schema":{"type":"object"},"strict":true}}})");
  CHECK(got.at("tools") == json::parse(R"([
      {"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":false},
      {"type":"function","name":"g","parameters":{"type":"object","properties":{}},"strict":false}])"));
  CHECK(got.at("tool_choice") == json::parse(R"({"type":"function","name":"f"})"));
  CHECK(got.at("parallel_tool_calls") == false);
  CHECK(got.at("text") == json::parse(R"({"format":{"type":"json_schema","name":"n",
      "schema":{"type":"object"},"strict":true}})"));
}

TEST_CASE("responses: options") {
  const auto made = build(with(
      R"({"temperature":0.5,"top_p":1,"max_tokens":4,"top_k":3,"seed":1,"reasoning_effort":"low"})"));
  const auto got = json::parse(made.body).as_object();
  CHECK(got.at("temperature") == 0.5);
  CHECK(got.at("max_output_tokens") == 16);
  CHECK(got.at("reasoning") == json::parse(R"({"effort":"low","summary":"auto"})"));
  CHECK(!got.contains("top_k"));
  CHECK(made.warnings.size() == 2);
  CHECK_THROWS_WITH_AS(build(with(R"({"stop_sequences":["x"]})")),
                       doctest::Contains("stop_sequences"), failure);
  CHECK(body(with("{}", "gpt-5-mini")).at("reasoning") == json::parse(R"({"summary":"auto"})"));
  CHECK(!body(with("{}", "gpt-5-mini"), R"({"reasoning_summary":"none"})").contains("reasoning"));
  // The configuration's own members win.
  const auto mine =
      body(with(R"({"temperature":1,"reasoning_effort":"low"})"),
           R"({"body":{"temperature":0,"reasoning":{"effort":"high"},"truncation":"auto"}})");
  CHECK(mine.at("temperature") == 0);
  CHECK(mine.at("reasoning") == json::parse(R"({"effort":"high"})"));
  CHECK(mine.at("truncation") == "auto");
  // A form of the answer goes beside what else is said of its text.
  const std::string form =
      with(R"({"response_format":{"type":"json_schema","name":"n","schema":{}}})");
  const auto both = body(form, R"({"body":{"text":{"verbosity":"low"}}})");
  CHECK(both.at("text").at("verbosity") == "low");
  CHECK(both.at("text").at("format").at("name") == "n");
  const auto theirs = body(form, R"({"body":{"text":{"format":{"type":"text"}}}})");
  CHECK(theirs.at("text") == json::parse(R"({"format":{"type":"text"}})"));
}

TEST_CASE("responses: what the server refuses is left out from then on") {
  provider::responses_translator one(local(), {});
  const auto request =
      json::parse(with(R"({"temperature":1,"reasoning_effort":"low"})")).as_object();
  const auto refuses = [&](std::string_view member) {
    const std::string said =
        R"({"error":{"message":"Unsupported parameter","code":"unsupported_parameter","param":")" +
        std::string(member) + "\"}}";
    const auto sent = one.generate(request);
    return one.reconsider({request, sent, 400, said, 1});
  };
  CHECK(refuses("temperature"));
  CHECK(!refuses("temperature"));  // it was not sent any more
  CHECK(refuses("reasoning.summary"));
  CHECK(refuses("include"));
  CHECK(!refuses("input"));
  const auto after = one.generate(request);
  const auto got = json::parse(after.body).as_object();
  CHECK(!got.contains("temperature"));
  CHECK(!got.contains("include"));
  CHECK(got.at("reasoning") == json::parse(R"({"effort":"low"})"));
  CHECK(after.warnings.size() == 1);
}

TEST_CASE("responses: counting") {
  const auto made =
      build(with(R"({"temperature":1,"max_tokens":5,"reasoning_effort":"low"})"), "{}", {}, true);
  CHECK(made.path == "/responses/input_tokens");
  const auto got = json::parse(made.body).as_object();
  for (const char* member : {"stream", "store", "include", "temperature", "max_output_tokens"})
    CHECK(!got.contains(member));
  CHECK(got.contains("input"));
}
