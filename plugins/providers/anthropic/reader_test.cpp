#include "reader.hpp"

#include <doctest/doctest.h>

#include <string>

#include "answer_checks.hpp"
#include "anthropic.hpp"

namespace {

using namespace rustic;
using fakes::sse_of;

const fakes::make_reader make = [](const provider::subject& about) {
  return std::make_unique<anthropic::messages_reader>(about, 1);
};

constexpr std::string_view start =
    R"({"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"claude-x","stop_reason":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":3,"cache_read_input_tokens":20,"output_tokens":1}}})";
constexpr std::string_view stop = R"({"type":"message_stop"})";

std::string ending(std::string_view reason) {
  return R"({"type":"message_delta","delta":{"stop_reason":")" + std::string(reason) +
         R"("},"usage":{"output_tokens":7,"input_tokens":null,"output_tokens_details":{"thinking_tokens":2}}})";
}

const std::string rich = sse_of(
    {start,
     R"({"type":"ping"})",
     R"({"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}})",
     R"({"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm\u00e4"}})",
     R"({"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"SIG+/="}})",
     R"({"type":"content_block_stop","index":0})",
     R"({"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"EnCr=="}})",
     R"({"type":"content_block_stop","index":1})",
     R"({"type":"content_block_start","index":2,"content_block":{"type":"text","text":"He"}})",
     R"({"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"llo 👋"}})",
     R"({"type":"content_block_stop","index":2})",
     R"({"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_1","name":"add","input":{}}})",
     R"({"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"toolu_2","name":"now","input":{}}})",
     R"({"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":""}})",
     R"({"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"a\": "}})",
     R"({"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":""}})",
     R"({"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"1}"}})",
     R"({"type":"content_block_stop","index":3})",
     R"({"type":"content_block_stop","index":4})",
     R"({"type":"content_block_start","index":5,"content_block":{"type":"server_tool_use","id":"srv_1","name":"web_search","input":{}}})",
     R"({"type":"content_block_delta","index":5,"delta":{"type":"input_json_delta","partial_json":"{\"query\":"}})",
     R"({"type":"content_block_delta","index":5,"delta":{"type":"input_json_delta","partial_json":"\"q\"}"}})",
     R"({"type":"content_block_stop","index":5})",
     R"({"type":"new_thing","x":1})",
     ending("tool_use"),
     stop});

std::string with_text(std::string_view text) {
  return R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":")" +
         std::string(text) + R"("}})";
}

}  // namespace

TEST_CASE("a stream with everything") {
  const auto got = fakes::read_whole(make, rich);
  REQUIRE_FALSE(got.problem);
  CHECK(got.text == "Hello 👋");
  CHECK(got.reasoning == "hmä");
  REQUIRE(got.calls.size() == 2);
  CHECK(got.calls[0] == R"({"id":"toolu_1","name":"add"})");
  CHECK(got.arguments[0] == R"({"a": 1})");
  CHECK(got.result.at("finish_reason") == "tool_calls");
  CHECK(got.result.at("raw_finish_reason") == "tool_use");
  CHECK(got.result.at("id") == "msg_1");
  CHECK(got.result.at("model") == "claude-x");
  CHECK(got.result.at("usage") == json::parse(R"({"input_tokens":33,"output_tokens":7,
    "cache_read_tokens":20,"cache_write_tokens":3,"reasoning_tokens":2})"));
  CHECK(got.result.at("message").at("parts") == json::parse(R"([
    {"type":"reasoning","text":"hmä","opaque":{"signature":"SIG+/=","model":"m"},"provider":"p"},
    {"type":"reasoning","text":"","opaque":{"block":{"type":"redacted_thinking","data":"EnCr=="},"model":"m"},"provider":"p"},
    {"type":"text","text":"Hello 👋"},
    {"type":"tool_call","id":"toolu_1","name":"add","arguments":"{\"a\": 1}"},
    {"type":"tool_call","id":"toolu_2","name":"now","arguments":"{}"},
    {"type":"reasoning","text":"","opaque":{"block":{"type":"server_tool_use","id":"srv_1","name":"web_search","input":{"query":"q"}},"model":"m"},"provider":"p"}])"));
}

TEST_CASE("however the bytes arrive, and wherever they end") {
  fakes::check_every_byte(make, rich);
  fakes::check_every_byte(
      make,
      sse_of({start, with_text("half"),
              R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})"}));
}

TEST_CASE("one message in one piece") {
  const std::string_view body =
      R"({"id":"msg_2","type":"message","role":"assistant","model":"claude-y","content":[
     {"type":"thinking","thinking":"t","signature":"S"},{"type":"text","text":"a","citations":[{"x":1}]},
     {"type":"tool_use","id":"toolu_1","name":"f","input":{"b":2}},
     {"type":"tool_use","id":"toolu_2","name":"g","input":{}}],
     "stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":2}})";
  const auto got = fakes::read_whole(make, body);
  REQUIRE_FALSE(got.problem);
  CHECK(got.text == "a");
  CHECK(got.parts()[1].at("opaque").at("citations").as_array().size() == 1);
  CHECK(got.parts()[2].at("arguments") == R"({"b":2})");
  CHECK(got.parts()[3].at("arguments") == "{}");
  fakes::check_every_byte(make, body);
  CHECK(fakes::read_whole(make, R"({"type":"message","content":[]})").problem);
  CHECK(fakes::read_whole(make, "[]").problem);
  const auto empty = fakes::read_whole(
      make, R"({"type":"message","content":[],"stop_reason":"end_turn","usage":{}})");
  REQUIRE_FALSE(empty.problem);
  CHECK(empty.parts().empty());
  CHECK(empty.result.at("usage").is_null());
}

TEST_CASE("an error in a stream is an error, and keeps what had come") {
  const auto got = fakes::read_whole(
      make,
      sse_of({start, with_text("half"),
              R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})"}));
  REQUIRE(got.problem);
  CHECK(got.problem->code == status_code::unavailable);
  CHECK(got.problem->details.at("kind") == "overloaded");
  CHECK(got.problem->details.at("partial").at("parts").at(0).at("text") == "half");
  const auto unnamed = fakes::read_whole(
      make, "data: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"x\"}}\n\n");
  REQUIRE(unnamed.problem);
  CHECK(unnamed.problem->message.find("x") != std::string::npos);
}

TEST_CASE("the end of a stream is message_stop and nothing else") {
  const auto cut = fakes::read_whole(make, sse_of({start, with_text("a"), ending("end_turn")}));
  REQUIRE(cut.problem);
  CHECK(cut.problem->details.at("kind") == "stream_cut");
  const auto gateway =
      fakes::read_whole(make, sse_of({start, with_text("a"), ending("end_turn"), stop}) +
                                  "event: data\ndata: [DONE]\n\n");
  CHECK_FALSE(gateway.problem);
}

TEST_CASE("reasons to stop") {
  const auto of = [](std::string_view reason) {
    return fakes::read_whole(make, sse_of({start, with_text("a"), ending(reason), stop})).result;
  };
  CHECK(of("end_turn").at("finish_reason") == "stop");
  CHECK(of("stop_sequence").at("finish_reason") == "stop");
  CHECK(of("max_tokens").at("finish_reason") == "length");
  CHECK(of("model_context_window_exceeded").at("finish_reason") == "length");
  CHECK(of("pause_turn").at("finish_reason") == "other");
  CHECK(of("pause_turn").at("raw_finish_reason") == "pause_turn");
  CHECK(of("pause_turn").at("goes_on") == true);
  CHECK_FALSE(of("end_turn").contains("goes_on"));
  CHECK(of("refusal").at("finish_reason") == "content_filter");
}

TEST_CASE("what came before a refusal is marked, and why is told") {
  const auto got = fakes::read_whole(
      make,
      sse_of(
          {start, with_text("bad"),
           R"({"type":"message_delta","delta":{"stop_reason":"refusal","stop_details":{"type":"refusal","explanation":"not this"}}})",
           stop}));
  REQUIRE_FALSE(got.problem);
  CHECK(got.parts()[0].at("opaque").at("refused") == true);
  CHECK(got.warnings.find("not this") != std::string::npos);
}

TEST_CASE("a call that the limit cut off before its arguments is not run with none") {
  const auto got = fakes::read_whole(
      make,
      sse_of(
          {start,
           R"({"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"wipe","input":{}}})",
           R"({"type":"content_block_stop","index":0})", ending("max_tokens"), stop}));
  REQUIRE_FALSE(got.problem);
  CHECK(got.parts()[0].at("arguments") == "{");
}

TEST_CASE("gateways that splice, leave out and repeat") {
  const auto twice = fakes::read_whole(
      make, sse_of({start, start, with_text("a"), with_text("b"), ending("end_turn"), stop}));
  CHECK(twice.text == "ab");
  const auto no_start = fakes::read_whole(
      make,
      sse_of(
          {R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}})",
           ending("end_turn"), stop}));
  CHECK(no_start.text == "x");
  const auto orphan = fakes::read_whole(
      make,
      sse_of(
          {start,
           R"({"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":"{}"}})",
           ending("tool_use"), stop}));
  REQUIRE(orphan.problem);
  CHECK(orphan.problem->code == status_code::data_loss);
  const auto late = fakes::read_whole(
      make,
      sse_of(
          {start,
           R"({"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{"a":1}}})",
           R"({"type":"content_block_stop","index":0})",
           R"({"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}})",
           ending("tool_use"), stop}));
  CHECK(late.problem);
  const auto same_id = fakes::read_whole(
      make,
      sse_of(
          {start,
           R"({"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}})",
           R"({"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"g","input":{}}})",
           ending("tool_use"), stop}));
  REQUIRE_FALSE(same_id.problem);
  CHECK(same_id.parts()[0].at("id") != same_id.parts()[1].at("id"));
}

TEST_CASE("recorded answers") {
  fakes::check_recorded({"anthropic", true, false, anthropic::classify_error}, make);
}
