// The bodies are written by hand after the forms that servers are known to send.
#include <doctest/doctest.h>

#include <rustic/provider/limits.hpp>
#include <rustic/provider/responses.hpp>
#include <string>
#include <vector>

namespace {

using namespace rustic;

constexpr provider::subject about{"generate", "local", "http://127.0.0.1:1/v1", "m"};

struct seen {
  std::string text, reasoning, usage;
  std::vector<std::string> calls, arguments;
  std::optional<error> problem;
  json::object result;
  bool operator==(const seen& other) const {
    return text == other.text && reasoning == other.reasoning && usage == other.usage &&
           calls == other.calls && arguments == other.arguments && result == other.result &&
           problem.has_value() == other.problem.has_value();
  }
};

void take(provider::event_batch& events, seen& out) {
  for (std::size_t i = 0; i < events.size(); ++i) {
    const rai_event event = events[i];
    const std::string text(to_view(event.text));
    if (event.kind == RAI_EVENT_TEXT) out.text += text;
    if (event.kind == RAI_EVENT_REASONING) out.reasoning += text;
    if (event.kind == RAI_EVENT_USAGE) out.usage = text;
    if (event.kind == RAI_EVENT_TOOL_CALL) {
      REQUIRE(event.index == out.calls.size());
      out.calls.push_back(text);
      out.arguments.emplace_back();
    }
    if (event.kind == RAI_EVENT_TOOL_ARGS) {
      REQUIRE(event.index < out.arguments.size());
      out.arguments[event.index] += text;
    }
  }
  events.clear();
}

seen read(std::string_view body, std::size_t first, std::size_t piece,
          const error* transport = nullptr) {
  provider::responses_reader stream(about, 1);
  seen out;
  std::size_t size = first == 0 ? 1 : first;
  while (!body.empty()) {
    const std::string bytes(body.substr(0, size));
    body.remove_prefix(bytes.size());
    const bool more = stream.feed(bytes);
    take(stream.events(), out);
    if (!more) break;
    size = piece;
  }
  stream.end(transport);
  take(stream.events(), out);
  out.problem = stream.problem();
  if (!out.problem) out.result = json::parse(stream.result()).as_object();
  return out;
}

seen read(std::string_view body) {
  return read(body, body.size(), body.size());
}

// `named`: with the lines that name the events.
std::string sse(std::initializer_list<std::string_view> events, bool named = true) {
  std::string out;
  for (const std::string_view event : events) {
    const auto type = json::parse(event).at("type").as_string();
    if (named) out.append("event: ").append(type).append("\r\n");
    out.append("data: ").append(event).append("\r\n\r\n");
  }
  return out;
}

std::string kind(const seen& got) {
  if (!got.problem) return "no problem";
  return std::string(text_or(got.problem->details.as_object(), "kind"));
}

const json::array& parts(const seen& got) {
  return got.result.at("message").at("parts").as_array();
}

std::string whole_stream(bool named = true) {
  return ": keepalive\n\n" +
         sse({R"({"type":"response.created","response":{"id":"r1","model":"m-1","status":"in_progress","output":[],"error":null}})",
              R"({"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs_0","summary":[],"encrypted_content":"short"}})",
              R"({"type":"response.reasoning_summary_part.added","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}})",
              R"({"type":"response.reasoning_summary_text.delta","item_id":"x","output_index":0,"summary_index":0,"delta":"One"})",
              R"({"type":"response.reasoning_summary_text.done","item_id":"y","output_index":0,"summary_index":0,"text":"One"})",
              R"({"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":1,"delta":"Two"})",
              R"({"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"One"},{"type":"summary_text","text":"Two"}],"encrypted_content":"long and sealed"}})",
              R"({"type":"response.output_item.added","output_index":1,"item":{"type":"message","id":"m1","role":"assistant","content":[],"phase":"commentary"}})",
              R"({"type":"response.content_part.added","output_index":1,"content_index":0,"part":{"type":"output_text","text":""}})",
              R"({"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"Ol\u00e1 ","obfuscation":"x"})",
              R"({"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"\ud83d\ude00"})",
              R"({"type":"response.output_text.done","output_index":1,"content_index":0,"text":"Ol\u00e1 \ud83d\ude00"})",
              R"({"type":"response.output_item.done","output_index":1,"item":{"type":"message","id":"m1","role":"assistant","content":[{"type":"output_text","text":"Ol\u00e1 \ud83d\ude00"}],"phase":"commentary"}})",
              R"({"type":"response.output_item.added","output_index":2,"item":{"type":"function_call","id":"fc","call_id":"a","name":"add","arguments":""}})",
              R"({"type":"response.output_item.added","output_index":3,"item":{"type":"function_call","id":"fd","call_id":"b","name":"sub","arguments":""}})",
              R"({"type":"response.function_call_arguments.delta","output_index":2,"delta":"{\"x\":"})",
              R"({"type":"response.function_call_arguments.delta","output_index":3,"delta":"{}"})",
              R"({"type":"response.function_call_arguments.delta","output_index":2,"delta":"1}"})",
              R"({"type":"response.function_call_arguments.done","output_index":2,"arguments":"{\"x\":1}"})",
              R"({"type":"response.output_item.done","output_index":2,"item":{"type":"function_call","call_id":"a","name":"add","arguments":"{\"x\":1}"}})",
              R"({"type":"response.output_item.done","output_index":3,"item":{"type":"function_call","call_id":"b","name":"sub","arguments":"{}"}})",
              R"({"type":"response.something_new","output_index":9,"delta":"what is this"})",
              R"({"type":"response.completed","response":{"id":"r1","model":"m-1","status":"completed","output":[],"usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":3,"cache_write_tokens":1},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":4},"total_tokens":17}}})"},
             named);
}

seen expect_whole_stream(bool named = true) {
  seen out = read(whole_stream(named));
  CHECK_FALSE(out.problem);
  CHECK(out.text == "Ol\xC3\xA1 \xF0\x9F\x98\x80");
  CHECK(out.reasoning == "One\n\nTwo");
  CHECK(out.calls ==
        std::vector<std::string>{R"({"id":"a","name":"add"})", R"({"id":"b","name":"sub"})"});
  CHECK(out.arguments == std::vector<std::string>{R"({"x":1})", "{}"});
  return out;
}

}  // namespace

TEST_CASE("responses: a whole stream") {
  const seen got = expect_whole_stream();
  CHECK(got.result == json::parse(R"({
    "message": {"role": "assistant", "parts": [
      {"type": "reasoning", "text": "One\n\nTwo", "provider": "local", "opaque": {"model": "m", "item":
        {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"One"},{"type":"summary_text","text":"Two"}],"encrypted_content":"long and sealed"}}},
      {"type": "text", "text": "Ol\u00e1 \ud83d\ude00", "provider": "local", "opaque": {"model": "m", "phase": "commentary"}},
      {"type": "tool_call", "id": "a", "name": "add", "arguments": "{\"x\":1}"},
      {"type": "tool_call", "id": "b", "name": "sub", "arguments": "{}"}]},
    "finish_reason": "tool_calls", "raw_finish_reason": "completed", "model": "m-1", "id": "r1",
    "usage": {"input_tokens": 10, "output_tokens": 7, "cache_read_tokens": 3, "cache_write_tokens": 1,
              "reasoning_tokens": 4}})")
                          .as_object());
  CHECK(json::parse(got.usage) == got.result.at("usage"));
  CHECK(expect_whole_stream(false) == got);
}

TEST_CASE("responses: a stream split at every byte gives the same") {
  const seen expected = expect_whole_stream();
  const std::string body = whole_stream();
  for (std::size_t at = 0; at <= body.size(); ++at) {
    CAPTURE(at);
    REQUIRE(read(body, at, body.size()) == expected);
  }
  CHECK(read(body, 1, 1) == expected);
}

TEST_CASE("responses: a stream cut at every byte is an error that keeps what came") {
  const std::string body = whole_stream();
  const std::size_t last = body.rfind("event: response.completed");
  for (std::size_t at = 0; at < last; ++at) {
    CAPTURE(at);
    const seen got = read(std::string_view(body).substr(0, at));
    REQUIRE(got.problem);
    REQUIRE(got.problem->code == status_code::unavailable);
    if (!got.text.empty()) {
      const json::object& partial = got.problem->details.at("partial").as_object();
      REQUIRE(json::serialize(partial).find("Ol\xC3\xA1") != std::string::npos);
    }
  }
}

TEST_CASE("responses: what some servers leave out") {
  // Only the end tells of the items.
  const seen late = read(sse(
      {R"({"type":"response.completed","response":{"id":"r","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"hi"}]},{"type":"function_call","call_id":"a","name":"f","arguments":{"x":1}}]}})"}));
  CHECK(late.text == "hi");
  CHECK(late.arguments == std::vector<std::string>{R"({"x":1})"});
  CHECK(late.result.at("finish_reason") == "tool_calls");
  // The beginnings of items are missing.
  const seen bare =
      read(sse({R"({"type":"response.reasoning_text.delta","output_index":0,"delta":"hm"})",
                R"({"type":"response.output_text.delta","output_index":1,"delta":"hi"})",
                R"({"type":"response.completed","response":{"status":"completed"}})"}));
  CHECK(bare.text == "hi");
  CHECK(bare.reasoning == "hm");
  CHECK(bare.result.at("usage").is_null());
  // No pieces, only whole texts; and nothing is told twice.
  const seen whole = read(sse(
      {R"({"type":"response.output_text.done","output_index":0,"text":"all"})",
       R"({"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":[{"type":"output_text","text":"all"}]}})",
       R"({"type":"response.completed","response":{"status":"completed"}})"}));
  CHECK(whole.text == "all");
  // Ids differ from event to event.
  const seen rotating = read(sse(
      {R"({"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","id":"1","call_id":"a","name":"f"}})",
       R"({"type":"response.function_call_arguments.delta","output_index":0,"item_id":"2","delta":"{}"})",
       R"({"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","id":"3","call_id":"a","name":"f","arguments":"{}"}})",
       R"({"type":"response.completed","response":{"status":"completed"}})"}));
  CHECK(rotating.calls.size() == 1);
  CHECK(rotating.arguments == std::vector<std::string>{"{}"});
  // The name of a call comes with its end, or never.
  const std::string_view nameless =
      R"({"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"a","name":""}})";
  const std::string_view fragment =
      R"({"type":"response.function_call_arguments.delta","output_index":0,"delta":"{}"})";
  const std::string_view end = R"({"type":"response.completed","response":{"status":"completed"}})";
  const seen named = read(sse(
      {nameless, fragment,
       R"({"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","call_id":"a","name":"f","arguments":"{}"}})",
       end}));
  CHECK_FALSE(named.problem);
  CHECK(named.calls.size() == 1);
  CHECK(named.arguments == std::vector<std::string>{"{}"});
  CHECK(read(sse({nameless, fragment, end})).problem);
}

TEST_CASE("responses: ends that are no success") {
  const seen nested = read(sse(
      {R"({"type":"error","error":{"type":"insufficient_quota","code":"insufficient_quota","message":"no money"}})",
       R"({"type":"response.failed","response":{"status":"failed","error":{"code":"insufficient_quota","message":"no money"}}})"}));
  CHECK(kind(nested) == "quota");
  const seen flat = read(
      sse({R"({"type":"error","code":"rate_limit_exceeded","message":"slow down","param":null})"},
          false));
  CHECK(kind(flat) == "rate_limit");
  const seen failed = read(sse(
      {R"({"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"broke"}}})"}));
  CHECK(kind(failed) == "server_error");
  CHECK(failed.problem->message.find("broke") != std::string::npos);
  const seen cancelled =
      read(sse({R"({"type":"response.failed","response":{"status":"cancelled"}})"}));
  CHECK(cancelled.problem);

  const seen limit = read(sse(
      {R"({"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"a","name":"f","arguments":""}})",
       R"({"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}})"}));
  REQUIRE(!limit.problem);
  CHECK(limit.result.at("finish_reason") == "length");
  CHECK(limit.result.at("raw_finish_reason") == "incomplete:max_output_tokens");
  CHECK(parts(limit)[0].at("arguments") == "{");
  const seen filtered = read(sse(
      {R"({"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}})"}));
  CHECK(filtered.result.at("finish_reason") == "content_filter");
  const seen refusal = read(
      sse({R"({"type":"response.refusal.delta","output_index":0,"content_index":0,"delta":"No"})",
           R"({"type":"response.refusal.done","output_index":0,"content_index":0,"refusal":"No"})",
           R"({"type":"response.completed","response":{"status":"completed"}})"}));
  CHECK(refusal.text == "No");
  CHECK(refusal.result.at("finish_reason") == "content_filter");
  CHECK(parts(refusal)[0].at("refusal") == true);
}

TEST_CASE("responses: an answer in one piece") {
  const seen got = read(
      R"({"object":"response","id":"r","model":"m-2","status":"completed","error":null,"output":[
          {"type":"reasoning","id":"rs","summary":[],"encrypted_content":"sealed"},
          {"type":"web_search_call","id":"ws","status":"completed"},
          {"type":"message","role":"assistant","content":[{"type":"output_text","text":"hi","annotations":[]}]},
          {"type":"custom_tool_call","call_id":"c","name":"sql","input":"SELECT 1"}],
          "usage":{"input_tokens":1,"output_tokens":2}})");
  REQUIRE(!got.problem);
  CHECK(got.text == "hi");
  REQUIRE(parts(got).size() == 4);
  CHECK(parts(got)[0].at("opaque").at("item").at("encrypted_content") == "sealed");
  CHECK(parts(got)[1].at("opaque").at("item").at("type") == "web_search_call");
  CHECK(parts(got)[3].at("arguments") == "SELECT 1");
  CHECK(parts(got)[3].at("opaque").at("type") == "custom_tool_call");
  CHECK(kind(read(R"({"error":{"message":"bad key","code":"invalid_api_key"}})")) == "bad_key");
  CHECK(kind(read(R"({"object":"list","data":[]})")) == "malformed");
  CHECK(kind(read(R"([1,2])")) == "malformed");
  CHECK(read(R"({"object":"response","status":"in_progress","output":[]})").problem);
}

TEST_CASE("responses: junk is an error and costs nothing") {
  CHECK(
      kind(read(sse(
          {R"({"type":"response.function_call_arguments.delta","output_index":0,"delta":"{"})"}))) ==
      "malformed");
  CHECK(
      kind(read(sse(
          {R"({"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","arguments":"{}"}})"}))) ==
      "malformed");
  CHECK(kind(read("event: response.created\ndata: {nonsense\n\n")) == "malformed");
  CHECK(read("data: [DONE]\n\n").problem);
  const seen nul =
      read(sse({R"({"type":"response.output_text.delta","output_index":0,"delta":"a\u0000b"})",
                R"({"type":"response.completed","response":{"status":"completed"}})"}));
  CHECK(nul.text == std::string("a\0b", 3));
  std::string many;
  for (std::size_t i = 0; i <= provider::limits::tool_calls_max; ++i) {
    many += sse({R"({"type":"response.output_item.added","output_index":)" + std::to_string(i) +
                 R"(,"item":{"type":"function_call","call_id":"c","name":"f"}})"});
  }
  CHECK(read(many).problem);
}
