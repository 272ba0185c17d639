#include <doctest/doctest.h>

#include <algorithm>
#include <rustic/provider/chat.hpp>
#include <rustic/provider/limits.hpp>
#include <string>
#include <vector>

#include "exchange.hpp"

namespace {

using namespace rustic;
using provider::chat_reader;

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
  chat_reader stream(about, 1);
  seen out;
  std::size_t size = first;
  while (!body.empty()) {
    if (size == 0) size = 1;
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

std::string sse(std::initializer_list<std::string_view> events) {
  std::string out;
  for (const std::string_view event : events) out.append("data: ").append(event).append("\n\n");
  return out;
}

std::string kind(const seen& got) {
  if (!got.problem) return "no problem";
  return std::string(text_or(got.problem->details.as_object(), "kind"));
}

const json::array& parts(const seen& got) {
  return got.result.at("message").at("parts").as_array();
}

const json::array& partial(const seen& got) {
  return got.problem->details.at("partial").at("parts").as_array();
}

const std::string whole_stream =
    ": waiting\n\n" +
    sse({R"({"id":"c1","model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null})",
         R"({"id":"c1","model":"m-1","choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]})",
         "{\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Ol\xC3\xA1 "
         "\\ud83d\\ude00\"}}]}",
         R"({"choices":[{"index":1,"delta":{"content":"another candidate"}}]})",
         R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"add","arguments":""}}]}}]})",
         R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]}}]})",
         R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"sub","arguments":"{}"}}]}}]})",
         R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]})",
         R"({"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]})",
         R"({"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":2}}})",
         "[DONE]"});

seen expect_whole_stream() {
  seen out = read(whole_stream);
  CHECK_FALSE(out.problem);
  CHECK(out.text == "Ol\xC3\xA1 \xF0\x9F\x98\x80");
  CHECK(out.reasoning == "hm");
  CHECK(out.calls ==
        std::vector<std::string>{R"({"id":"a","name":"add"})", R"({"id":"b","name":"sub"})"});
  CHECK(out.arguments == std::vector<std::string>{R"({"x":1})", "{}"});
  return out;
}

}  // namespace

TEST_CASE("a whole stream") {
  const seen got = expect_whole_stream();
  CHECK(got.result == json::parse(R"({
    "message": {"role": "assistant", "parts": [
      {"type": "reasoning", "text": "hm", "opaque": {"model": "m", "field": "reasoning_content"}, "provider": "local"},
      {"type": "text", "text": "Ol\u00e1 \ud83d\ude00"},
      {"type": "tool_call", "id": "a", "name": "add", "arguments": "{\"x\":1}"},
      {"type": "tool_call", "id": "b", "name": "sub", "arguments": "{}"}]},
    "finish_reason": "tool_calls", "raw_finish_reason": "tool_calls", "model": "m-1", "id": "c1",
    "usage": {"input_tokens": 10, "output_tokens": 5, "cache_read_tokens": 3, "cache_write_tokens": 0,
              "reasoning_tokens": 2}})")
                          .as_object());
  CHECK(json::parse(got.usage) == got.result.at("usage"));
}

TEST_CASE("a stream split at every byte gives the same") {
  const seen expected = expect_whole_stream();
  for (std::size_t at = 0; at <= whole_stream.size(); ++at) {
    CAPTURE(at);
    REQUIRE(read(whole_stream, at, whole_stream.size()) == expected);
  }
  for (const std::size_t piece : {1, 2, 3, 7, 64})
    REQUIRE(read(whole_stream, piece, piece) == expected);
}

TEST_CASE("a stream cut at every byte is an error until it has said that it is finished") {
  const std::size_t finish = whole_stream.find(R"("finish_reason":"tool_calls")");
  // The event may be taken as soon as its JSON is whole.
  const std::size_t finished = whole_stream.find('\n', finish);
  const seen expected = expect_whole_stream();
  for (std::size_t at = 0; at < whole_stream.size(); ++at) {
    CAPTURE(at);
    const seen got = read(std::string_view(whole_stream).substr(0, at));
    if (at < finished) {
      REQUIRE(got.problem);
      REQUIRE(kind(got) == "stream_cut");
      REQUIRE(got.problem->code == status_code::unavailable);
      REQUIRE(std::string_view(expected.text).starts_with(got.text));
      if (!got.text.empty()) REQUIRE(partial(got)[1].at("text") == json::value(got.text));
    } else {
      REQUIRE_FALSE(got.problem);
      REQUIRE(got.text == expected.text);
      REQUIRE(got.result.at("message") == expected.result.at("message"));
    }
  }
}

TEST_CASE("what broke the transport is told, with what had come") {
  error reset{
      status_code::unavailable, "connection reset", "", {}, json::object{{"kind", "reset"}}};
  const seen got = read(std::string_view(whole_stream).substr(0, 600), 100, 100, &reset);
  CHECK(kind(got) == "stream_cut");
  CHECK(got.problem->details.at("transport") == "reset");
  CHECK(partial(got).size() >= 2);
  error cancelled{status_code::cancelled, "cancelled", "", {}, nullptr};
  const seen stopped = read(std::string_view(whole_stream).substr(0, 600), 100, 100, &cancelled);
  CHECK(stopped.problem->code == status_code::cancelled);
  CHECK(partial(stopped).size() >= 2);
  // An answer that was complete stays complete.
  CHECK_FALSE(read(whole_stream, 100, 100, &reset).problem);
}

TEST_CASE("tool calls are put together whatever the server leaves out") {
  const auto calls = [](std::initializer_list<std::string_view> fragments) {
    std::string body;
    for (const std::string_view fragment : fragments) {
      body +=
          "data: {\"choices\":[{\"delta\":{\"tool_calls\":" + std::string(fragment) + "}}]}\n\n";
    }
    const seen got =
        read(body + "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    REQUIRE_FALSE(got.problem);
    std::string out;
    for (const json::value& part : parts(got)) {
      const auto member = [&](const char* key) { return std::string(part.at(key).as_string()); };
      out += member("id") + "/" + member("name") + "/" + member("arguments") + " ";
    }
    CHECK(got.result.at("finish_reason") == "tool_calls");
    CHECK(got.result.at("raw_finish_reason") == "stop");
    return out;
  };
  SUBCASE("no index") {
    CHECK(calls({R"([{"id":"a","function":{"name":"add","arguments":"{\"x\":"}}])",
                 R"([{"function":{"arguments":"1}"}}])",
                 R"([{"id":"b","function":{"name":"sub","arguments":"{}"}}])"}) ==
          R"(a/add/{"x":1} b/sub/{} )");
  }
  SUBCASE("two at once without index and id") {
    const std::string got = calls(
        {R"([{"function":{"name":"add","arguments":"{\"x\":1}"}},{"function":{"name":"add","arguments":"{\"x\":2}"}}])"});
    CHECK(got.find(R"(/add/{"x":1} )") == 9);
    CHECK(got.ends_with(R"(/add/{"x":2} )"));
  }
  SUBCASE("one index for all") {
    CHECK(calls({R"([{"index":0,"id":"a","function":{"name":"add","arguments":"{}"}}])",
                 R"([{"index":0,"id":"b","function":{"name":"sub","arguments":"{\"y\":"}}])",
                 R"([{"index":0,"function":{"arguments":"2}"}}])"}) ==
          R"(a/add/{} b/sub/{"y":2} )");
  }
  SUBCASE("one index for all, and no ids") {
    const std::string got =
        calls({R"([{"index":0,"id":"","function":{"name":"add","arguments":"{\"x\":1}"}}])",
               R"([{"index":0,"id":"","function":{"name":"sub","arguments":"{\"y\""}}])",
               R"([{"index":0,"id":"","function":{"name":"","arguments":":2}"}}])",
               R"([{"index":0,"id":"","function":{"name":"sub","arguments":"{}"}}])"});
    CHECK(got.find(R"(/add/{"x":1} )") == 9);
    CHECK(got.find(R"(/sub/{"y":2} )") != std::string::npos);
    CHECK(got.ends_with("/sub/{} "));
  }
  SUBCASE("a name repeated without an id goes on with arguments that are not whole") {
    CHECK(calls({R"([{"index":0,"id":"a","function":{"name":"add","arguments":"{\"x\""}}])",
                 R"([{"index":0,"function":{"name":"add","arguments":":1}"}}])"}) ==
          R"(a/add/{"x":1} )");
  }
  SUBCASE("the index is a text") {
    CHECK(calls({R"([{"index":"0","id":"a","function":{"name":"f","arguments":"{\"x\""}}])",
                 R"([{"index":"1","id":"b","function":{"name":"g","arguments":"{\"y\""}}])",
                 R"([{"index":"0","function":{"arguments":":1}"}}])",
                 R"([{"index":"1","function":{"arguments":":2}"}}])"}) ==
          R"(a/f/{"x":1} b/g/{"y":2} )");
  }
  SUBCASE("several calls written as one") {
    const std::string got = calls(
        {R"([{"index":0,"id":"a","function":{"name":"multi_tool_use.parallel","arguments":"{\"tool_uses\":[{\"recipient_name\":\"functions.f\",\"parameters\":{\"x\":1}},"}}])",
         R"([{"index":0,"function":{"arguments":"{\"recipient_name\":\"g\"}]}"}}])"});
    CHECK(got.find(R"(/f/{"x":1} )") == 9);
    CHECK(got.ends_with("/g/{} "));
    CHECK(
        calls({R"([{"id":"a","function":{"name":"multi_tool_use.parallel","arguments":"{"}}])"}) ==
        "a/multi_tool_use.parallel/{ ");
  }
  SUBCASE("id and name repeated in each fragment") {
    CHECK(calls({R"([{"index":0,"id":"a","function":{"name":"add","arguments":"{\"x\""}}])",
                 R"([{"index":0,"id":"a","function":{"name":"add","arguments":":1}"}}])"}) ==
          R"(a/add/{"x":1} )");
  }
  SUBCASE("an empty name and an empty id go on with the call") {
    CHECK(calls({R"([{"index":0,"id":"a","function":{"name":"add","arguments":"{"}}])",
                 R"([{"index":0,"id":"","function":{"name":"","arguments":"}"}}])"}) ==
          "a/add/{} ");
  }
  SUBCASE("the index starts at 1 and the arguments come under another one") {
    CHECK(calls({R"([{"index":1,"id":"a","function":{"name":"add"}}])",
                 R"([{"index":0,"function":{"arguments":"{\"x\":1}"}}])"}) == R"(a/add/{"x":1} )");
  }
  SUBCASE("no arguments, null, and an object") {
    CHECK(calls({R"([{"index":0,"id":"a","function":{"name":"n"}}])",
                 R"([{"index":1,"id":"b","function":{"name":"n","arguments":null}}])",
                 R"([{"index":2,"id":"c","function":{"name":"n","arguments":{"x":[1]}}}])",
                 R"([{"index":3,"id":"d","function":{"name":"n","arguments":"  "}}])"}) ==
          R"(a/n/{} b/n/{} c/n/{"x":[1]} d/n/{} )");
  }
  SUBCASE("a missing or a repeated id is replaced by a new one") {
    const std::string got =
        calls({R"([{"index":0,"id":"0","function":{"name":"n","arguments":"1"}}])",
               R"([{"index":1,"id":"0","function":{"name":"n","arguments":"2"}}])",
               R"([{"index":2,"id":null,"function":{"name":"n","arguments":"3"}}])"});
    CHECK(got.starts_with("0/n/1 "));
    CHECK(got.size() == std::string("0/n/1 ").size() + 2 * std::string("123456789/n/2 ").size());
    CHECK(got.substr(6, 9) != got.substr(20, 9));
  }
  SUBCASE("the name comes after the first arguments") {
    CHECK(calls({R"([{"index":0,"id":"a","function":{"arguments":"{\"x\""}}])",
                 R"([{"index":0,"function":{"name":"late","arguments":":1}"}}])"}) ==
          R"(a/late/{"x":1} )");
  }
  SUBCASE("members that are all empty are no call") {
    CHECK(calls({R"([{"index":0,"id":"","function":{"name":"","arguments":""}}])",
                 R"([{"index":0,"id":"a","function":{"name":"n","arguments":""}}])"}) == "a/n/{} ");
  }
  SUBCASE("arguments that are not JSON are handed on as they are") {
    CHECK(calls({R"([{"index":0,"id":"a","function":{"name":"n","arguments":"{\"x\": 1,}"}}])"}) ==
          R"(a/n/{"x": 1,} )");
  }
}

TEST_CASE("what a server adds to a call is kept for it") {
  const seen got = read(sse(
      {R"({"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"S+/="}}}]},"finish_reason":"tool_calls"}]})"}));
  CHECK(parts(got)[0].at("opaque") ==
        json::parse(R"({"extra_content":{"google":{"thought_signature":"S+/="}},"model":"m"})"));
  CHECK(parts(got)[0].at("provider") == "local");
}

TEST_CASE("more tool calls than allowed end the answer") {
  std::string body;
  for (std::size_t i = 0; i <= provider::limits::tool_calls_max; ++i) {
    body += sse({R"({"choices":[{"delta":{"tool_calls":[{"index":)" + std::to_string(i) +
                 R"(,"id":"i)" + std::to_string(i) + R"(","function":{"name":"n"}}]}}]})"});
  }
  CHECK(kind(read(body)) == "malformed");
}

TEST_CASE("finish reasons") {
  const auto finish = [](std::string_view raw, std::string_view delta = R"({"content":"x"})") {
    const seen got = read(sse({"{\"choices\":[{\"delta\":" + std::string(delta) +
                                   ",\"finish_reason\":" + std::string(raw) + "}]}",
                               "[DONE]"}));
    if (got.problem) return kind(got);
    CHECK(json::serialize(got.result.at("raw_finish_reason")) == raw);
    return std::string(got.result.at("finish_reason").as_string());
  };
  CHECK(finish(R"("stop")") == "stop");
  CHECK(finish(R"("eos")") == "stop");
  CHECK(finish(R"("")") == "stop");
  CHECK(finish("null") == "stop");
  CHECK(finish(R"("length")") == "length");
  CHECK(finish(R"("content_filter")") == "content_filter");
  CHECK(finish(R"("function_call")", R"({"function_call":{"name":"n","arguments":"{}"}})") ==
        "tool_calls");
  CHECK(
      finish(
          R"("length")",
          R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"n","arguments":"{\"x"}}]})") ==
      "length");
  CHECK(finish(R"("something_new")") == "other");
  CHECK(finish(R"("stop")", R"({"refusal":"no"})") == "content_filter");
  CHECK(finish(R"("error")") == "server_error");
}

TEST_CASE("an empty finish reason in every chunk is no end") {
  const std::string_view chunk = R"({"choices":[{"delta":{"content":"x"},"finish_reason":""}]})";
  CHECK(kind(read(sse({chunk, chunk}))) == "stream_cut");
  CHECK(read(sse({chunk, chunk, "[DONE]"})).text == "xx");
}

TEST_CASE("reasoning comes apart from text, in each of its forms") {
  CHECK(
      read(
          sse({R"({"choices":[{"delta":{"reasoning":"a"}}]})",
               R"({"choices":[{"delta":{"reasoning":"b","content":"t"},"finish_reason":"stop"}]})"}))
          .reasoning == "ab");
  const seen mistral = read(sse(
      {R"({"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"th"}]},{"type":"text","text":"tx"}]},"finish_reason":"stop"}]})"}));
  CHECK(mistral.reasoning == "th");
  CHECK(mistral.text == "tx");
  CHECK(parts(mistral)[0].at("opaque").at("field") == "content");
  const seen texts = read(sse(
      {R"({"choices":[{"delta":{"content":[{"type":"thinking","thinking":"th"},"t","x"]}}]})",
       R"({"choices":[{"delta":{"content":[{"type":"output_text","text":"!"}]}}]})", "[DONE]"}));
  CHECK(texts.reasoning == "th");
  CHECK(texts.text == "tx!");
  const seen router = read(sse(
      {R"({"choices":[{"delta":{"reasoning":"a","reasoning_details":[{"type":"reasoning.text","text":"a","index":0}]}}]})",
       R"({"choices":[{"delta":{"reasoning":"b","reasoning_details":[{"type":"reasoning.text","text":"b","index":0,"signature":null}]}}]})",
       R"({"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.text","signature":"s","index":0}]},"finish_reason":"stop"}]})"}));
  CHECK(router.reasoning == "ab");
  CHECK(parts(router)[0].at("opaque").at("details") ==
        json::parse(R"([{"type":"reasoning.text","text":"ab","index":0,"signature":"s"}])"));
}

TEST_CASE("errors inside the stream keep what had come") {
  const std::string begin = sse({R"({"choices":[{"delta":{"content":"half"}}]})"});
  const auto broken = [&](const std::string& rest) {
    const seen got = read(begin + rest);
    REQUIRE(got.problem);
    CHECK(got.text == "half");
    CHECK(partial(got)[0].at("text") == "half");
    // The same however it is split.
    for (std::size_t at = 0; at <= (begin + rest).size(); ++at) {
      const seen split = read(begin + rest, at, begin.size() + rest.size());
      REQUIRE(split.problem);
      REQUIRE(split.problem->message == got.problem->message);
    }
    return got;
  };
  SUBCASE("an object with an error") {
    const seen got = broken(sse({R"({"error":{"message":"boom","code":502}})"}));
    CHECK(got.problem->code == status_code::unavailable);
    CHECK(got.problem->details.at("http_status") == 502);
  }
  SUBCASE("an event named error") {
    const seen got = broken(
        "event: error\ndata: {\"error\":{\"message\":\"Tool "
        "choice\",\"code\":\"tool_use_failed\",\"status_code\":400}}\n\n");
    CHECK(got.problem->code == status_code::invalid_argument);
    CHECK(got.problem->details.at("code") == "tool_use_failed");
  }
  SUBCASE("an event named error that is no JSON") {
    CHECK(broken("event: error\ndata: it broke\n\n").problem->message.find("it broke") !=
          std::string::npos);
  }
  SUBCASE("a field named error") {
    CHECK(broken("error: {\"error\":{\"message\":\"failed to decode\"}}\n")
              .problem->message.find("failed to decode") != std::string::npos);
  }
  SUBCASE("a bare object") {
    CHECK(broken("{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"busy\"\n  }\n}\n")
              .problem->details.at("kind") == "overloaded");
  }
  SUBCASE("an error in the choice") {
    broken(
        sse({R"({"choices":[{"delta":{},"finish_reason":"error","error":{"message":"inner"}}]})"}));
  }
  SUBCASE("no money left") {
    CHECK(
        broken(
            sse({R"({"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}})"}))
            .problem->code == status_code::resource_exhausted);
  }
  SUBCASE("something that is not JSON") {
    const seen got = broken("data: {\"choices\":[{\"delta\":\n\n");
    CHECK(got.problem->code == status_code::data_loss);
    CHECK(kind(got) == "malformed");
  }
  SUBCASE("depth") {
    CHECK(kind(broken("data: " + std::string(1'000, '[') + "\n\n")) == "malformed");
  }
}

TEST_CASE("bytes that are not UTF-8 and half surrogates do not end the answer") {
  const seen got = read(sse(
      {"{\"choices\":[{\"delta\":{\"content\":\"a\xFF"
       "b\"}}]}",
       R"({"choices":[{"delta":{"content":"\ud83d"}}]})",
       R"({"choices":[{"delta":{"content":"\ude00 \\ud800 \ud83d\ude00"},"finish_reason":"stop"}]})"}));
  REQUIRE_FALSE(got.problem);
  CHECK(got.text ==
        "a\xEF\xBF\xBD"
        "b\xEF\xBF\xBD\xEF\xBF\xBD \\ud800 \xF0\x9F\x98\x80");
}

TEST_CASE("usage, in each of its places") {
  const auto usage = [](std::string_view event) {
    const seen got = read(sse({event, "[DONE]"}));
    return json::serialize(got.result.at("usage"));
  };
  CHECK(usage(R"({"choices":[]})") == "null");
  const std::string expected =
      R"({"input_tokens":3,"output_tokens":4,"cache_read_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0})";
  CHECK(usage(R"({"choices":[{"usage":{"prompt_tokens":3,"completion_tokens":4}}]})") == expected);
  CHECK(usage(R"({"x_groq":{"usage":{"prompt_tokens":3,"completion_tokens":4}}})") == expected);
  // The total shows that reasoning was left out, and a part is never larger than its whole.
  CHECK(
      usage(
          R"({"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":7,"completion_tokens_details":{"reasoning_tokens":9}}})") ==
      R"({"input_tokens":3,"output_tokens":4,"cache_read_tokens":0,"cache_write_tokens":0,"reasoning_tokens":4})");
  CHECK(
      usage(
          R"({"usage":{"prompt_tokens":-9223372036854775808,"completion_tokens":9223372036854775807,"total_tokens":9223372036854775807,"completion_tokens_details":{"reasoning_tokens":-5}}})") ==
      R"({"input_tokens":0,"output_tokens":1000000000000,"cache_read_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0})");
  CHECK(usage(R"({"usage":{"prompt_tokens":"many"}})").find("\"input_tokens\":0") !=
        std::string::npos);
}

TEST_CASE("an answer in one piece is taken, whatever was asked for") {
  const std::string body =
      R"({"id":"c","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi","reasoning_content":"r","tool_calls":[{"id":"a","type":"function","function":{"name":"n","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2}})";
  for (const std::string& text : {body, "\xEF\xBB\xBF\r\n " + body + "\n"}) {
    const seen expected = read(text);
    REQUIRE_FALSE(expected.problem);
    CHECK(expected.text == "hi");
    CHECK(expected.reasoning == "r");
    CHECK(expected.calls.size() == 1);
    for (std::size_t at = 0; at <= text.size(); ++at) REQUIRE(read(text, at, 16) == expected);
  }
  for (std::size_t at = 0; at < body.size(); ++at) {
    const seen got = read(std::string_view(body).substr(0, at));
    REQUIRE(got.problem);
    REQUIRE(kind(got) == (at == 0 ? "stream_cut" : "malformed"));
  }
  CHECK(read(R"({"error":{"message":"m","type":"server_error"}})").problem->code ==
        status_code::unavailable);
  CHECK(kind(read(R"({"id":"x","choices":[]})")) == "malformed");
  CHECK(read(R"([{"error":{"message":"m","code":400}}])").problem->code ==
        status_code::invalid_argument);
}

TEST_CASE("what is no answer at all is said so") {
  const seen html = read("<!DOCTYPE html><html><head><title>Sign in</title></head></html>");
  CHECK(html.problem->code == status_code::data_loss);
  CHECK(html.problem->message.find("HTML page titled 'Sign in'") != std::string::npos);
  CHECK_FALSE(html.problem->hint.empty());
  const seen words = read("upstream connect error\n");
  CHECK(kind(words) == "malformed");
  CHECK(words.problem->message.find("upstream connect error") != std::string::npos);
  CHECK(kind(read("")) == "stream_cut");
  CHECK(kind(read("\n\n: ping\n\n")) == "stream_cut");
}

TEST_CASE("pieces that arrive together are one event") {
  std::string body;
  for (int i = 0; i < 100; ++i) body += sse({R"({"choices":[{"delta":{"content":"x"}}]})"});
  chat_reader stream(about, 1);
  REQUIRE(stream.feed(body));
  REQUIRE(stream.events().size() == 1);
  CHECK(stream.events()[0].text.len == 100);
}

TEST_CASE("an exchange puts status, body and transport together") {
  const std::string head = R"({"headers":[["retry-after","2"]]})";
  {
    provider::exchange answer(about, std::make_unique<chat_reader>(about, 1));
    answer.head(429, head);
    CHECK(answer.data(R"({"error":{"message":"slow"}})"));
    answer.end(nullptr);
    REQUIRE(answer.problem());
    CHECK(answer.problem()->code == status_code::resource_exhausted);
    CHECK(answer.problem()->retry_after_ms == 2000);
  }
  {
    provider::exchange answer(about, std::make_unique<chat_reader>(about, 1));
    const error refused{
        status_code::unavailable, "connection refused", "", {}, json::object{{"kind", "connect"}}};
    answer.end(&refused);
    CHECK(answer.problem()->details.at("kind") == "connect");
    CHECK(answer.problem()->message.find("'local'") != std::string::npos);
  }
  {
    provider::exchange answer(about, std::make_unique<chat_reader>(about, 1));
    answer.head(200, "{}");
    CHECK(answer.data(whole_stream));
    answer.end(nullptr);
    REQUIRE_FALSE(answer.problem());
    CHECK(answer.events().size() > 5);
  }
  {
    provider::exchange answer(about);
    answer.head(500, "{}");
    CHECK_FALSE(answer.data(std::string(provider::limits::error_body_bytes_max + 1, 'x')));
    const error cancelled{status_code::cancelled, "stopped", "", {}, nullptr};
    answer.end(&cancelled);
    CHECK(answer.problem()->code == status_code::unavailable);
    CHECK(answer.problem()->message.size() < 5'000);
  }
}
