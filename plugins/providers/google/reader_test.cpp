#include "reader.hpp"

#include <doctest/doctest.h>

#include <string>

#include "answer_checks.hpp"
#include "google.hpp"

namespace {

using namespace rustic;

const fakes::make_reader make = [](const provider::subject& about) {
  return std::make_unique<google::content_reader>(about, 1);
};

// Gemini's streams have CRLF and no names.
std::string stream_of(std::initializer_list<std::string_view> events) {
  std::string out;
  for (const std::string_view event : events) {
    out.append("data: ").append(event).append("\r\n\r\n");
  }
  return out;
}

std::string chunk(std::string_view parts, std::string_view finish = "") {
  std::string out = R"({"candidates":[{"content":{"parts":)" + std::string(parts) +
                    R"(,"role":"model"},"index":0)";
  if (!finish.empty()) out += R"(,"finishReason":")" + std::string(finish) + "\"";
  return out + R"(}],"modelVersion":"gemini-x","responseId":"r1"})";
}

const std::string rich = stream_of(
    {chunk(R"([{"text":"let me","thought":true}])"), chunk(R"([{"text":" see","thought":true}])"),
     chunk(R"([{"text":"Hel"}])"), chunk(R"([{"text":"lo ☀","thoughtSignature":"TS+/="}])"),
     chunk(R"([{"functionCall":{"name":"add","args":{"a":1},"id":"c1"},"thoughtSignature":"CS=="},
               {"functionCall":{"name":"now","args":{}}}])"),
     chunk(R"([{"executableCode":{"language":"PYTHON","code":"1"}}])"),
     R"({"candidates":[{"content":{"parts":[{"text":"","thoughtSignature":"LAST="}]},"finishReason":"STOP"}],
        "usageMetadata":{"promptTokenCount":5,"cachedContentTokenCount":2,"candidatesTokenCount":3,
        "thoughtsTokenCount":4,"toolUsePromptTokenCount":1,"totalTokenCount":13}})"});

}  // namespace

TEST_CASE("a finish reason in every chunk does not make a stream whole that broke") {
  const error broke{status_code::unavailable, "reset", "", {}, json::object{{"kind", "reset"}}};
  const std::string all =
      stream_of({chunk(R"([{"text":"a"}])", "STOP"), chunk(R"([{"text":"b"}])", "STOP")});
  const auto cut = fakes::read_whole(make, all, &broke);
  REQUIRE(cut.problem);
  CHECK(cut.problem->details.at("kind") == "stream_cut");
  CHECK(cut.text == "ab");
  CHECK_FALSE(fakes::read_whole(make, all).problem);
  // Where the reason comes once, the end has come with it.
  const std::string once = stream_of({chunk(R"([{"text":"a"}])"), chunk("[]", "STOP")});
  CHECK_FALSE(fakes::read_whole(make, once, &broke).problem);
}

TEST_CASE("a stream with everything") {
  std::string body = rich;
  std::erase(body, '\n');  // the line ends inside the events of this file
  std::string lines;
  for (const char c : body) lines += c == '\r' ? "\r\n" : std::string(1, c);
  const auto got = fakes::read_whole(make, lines);
  REQUIRE_FALSE(got.problem);
  CHECK(got.text == "Hello ☀");
  CHECK(got.reasoning == "let me see");
  REQUIRE(got.calls.size() == 2);
  CHECK(got.result.at("finish_reason") == "tool_calls");
  CHECK(got.result.at("raw_finish_reason") == "STOP");
  CHECK(got.result.at("id") == "r1");
  CHECK(got.result.at("model") == "gemini-x");
  CHECK(got.result.at("usage") == json::parse(R"({"input_tokens":6,"output_tokens":7,
    "cache_read_tokens":2,"cache_write_tokens":0,"reasoning_tokens":4})"));
  json::array parts = got.parts();
  REQUIRE(parts.size() == 7);
  CHECK(parts[1] == json::parse(R"({"type":"text","text":"Hel"})"));
  CHECK(
      parts[2] ==
      json::parse(
          R"({"type":"text","text":"lo ☀","opaque":{"signature":"TS+/=","model":"m"},"provider":"p"})"));
  CHECK(parts[3] ==
        json::parse(R"({"type":"tool_call","id":"c1","name":"add","arguments":"{\"a\":1}",
    "opaque":{"id":"c1","signature":"CS==","model":"m"},"provider":"p"})"));
  CHECK(parts[4].at("arguments") == "{}");
  CHECK_FALSE(parts[4].as_object().contains("opaque"));
  CHECK(parts[5].at("opaque").at("part").at("executableCode").at("code") == "1");
  CHECK(
      parts[6] ==
      json::parse(
          R"({"type":"text","text":"","opaque":{"signature":"LAST=","model":"m"},"provider":"p"})"));
  fakes::check_every_byte(make, lines);
}

TEST_CASE("one answer, and a list of events") {
  const std::string one = chunk(R"([{"text":"a"}])", "STOP");
  const auto got = fakes::read_whole(make, one);
  REQUIRE_FALSE(got.problem);
  CHECK(got.text == "a");
  CHECK(got.result.at("usage").is_null());
  const std::string list =
      "[" + chunk(R"([{"text":"a"}])") + ",\n" + chunk(R"([{"text":"b"}])", "STOP") + "]";
  CHECK(fakes::read_whole(make, list).text == "ab");
  fakes::check_every_byte(make, list);
  CHECK(fakes::read_whole(make, "[]").problem);
  CHECK(fakes::read_whole(make, R"({"candidates":[{"content":{}}]})").problem);
  CHECK(fakes::read_whole(make, R"({"candidates":[{"finishReason":"MAX_TOKENS"}]})")
            .result.at("finish_reason") == "length");
  CHECK(fakes::read_whole(make, "[" + one + R"(,{"error":{"code":503,"message":"x"}}])").problem);
}

TEST_CASE("made ids are the same whenever the same answer is read") {
  const std::string body =
      chunk(R"([{"functionCall":{"name":"f"}},{"functionCall":{"name":"f"}}])", "STOP");
  const auto once = fakes::read_whole(make, body);
  CHECK(once.parts()[0].at("id") != once.parts()[1].at("id"));
  CHECK(once == fakes::read_whole(make, body));
}

TEST_CASE("arguments in pieces") {
  const auto piece = [](std::string_view text) {
    return chunk(R"([{"functionCall":)" + std::string(text) + "}]");
  };
  const std::string begin = piece(R"({"name":"w","willContinue":true})");
  const std::string body = stream_of(
      {begin,
       piece(
           R"({"partialArgs":[{"jsonPath":"$.l[0].n","stringValue":"a\"","willContinue":true}],"willContinue":true})"),
       piece(R"({"partialArgs":[{"jsonPath":"$.l[0].n","stringValue":"b"}],"willContinue":true})"),
       piece(
           R"({"partialArgs":[{"jsonPath":"$['x y'][1]","numberValue":2.5},{"jsonPath":"$.t","boolValue":true},{"jsonPath":"$.z","nullValue":"NULL_VALUE"}],"willContinue":true})"),
       piece("{}"), chunk("[]", "STOP")});
  const auto got = fakes::read_whole(make, body);
  REQUIRE_FALSE(got.problem);
  CHECK(json::parse(got.parts()[0].at("arguments").as_string()) ==
        json::parse(R"({"l":[{"n":"a\"b"}],"x y":[null,2.5],"t":true,"z":null})"));
  fakes::check_every_byte(make, body);

  const auto cut = fakes::read_whole(
      make,
      stream_of(
          {begin,
           piece(R"({"partialArgs":[{"jsonPath":"$.a","numberValue":1}],"willContinue":true})"),
           chunk("[]", "MAX_TOKENS")}));
  REQUIRE_FALSE(cut.problem);
  boost::system::error_code broken;
  json::parse(cut.parts()[0].at("arguments").as_string(), broken);
  CHECK(broken);
  for (const char* path :
       {"", "a", "$", "$.", "$[", "$[x]", "$[99999999]", "$['a", "$.a..b", "$[-1]"}) {
    CAPTURE(path);
    json::object bad{{"jsonPath", path}, {"numberValue", 1}};
    google::partial_arguments arguments;
    CHECK_FALSE(arguments.add(bad));
  }
  google::partial_arguments deep;
  std::string path = "$";
  for (int i = 0; i < 100; ++i) path += ".a";
  CHECK_FALSE(deep.add({{"jsonPath", path}}));
  google::partial_arguments mixed;
  CHECK(mixed.add({{"jsonPath", "$.a"}, {"numberValue", 1}}));
  CHECK_FALSE(mixed.add({{"jsonPath", "$.a.b"}, {"numberValue", 1}}));
  CHECK(fakes::read_whole(make, stream_of({piece(R"({"partialArgs":[{"jsonPath":"$.a"}]})")}))
            .problem);
}

TEST_CASE("what was blocked is told") {
  const auto prompt = fakes::read_whole(
      make,
      stream_of({R"({"promptFeedback":{"blockReason":"SAFETY","blockReasonMessage":"no"}})"}));
  REQUIRE_FALSE(prompt.problem);
  CHECK(prompt.result.at("finish_reason") == "content_filter");
  CHECK(prompt.result.at("raw_finish_reason") == "promptFeedback:SAFETY");
  CHECK(prompt.warnings.find("no") != std::string::npos);
  for (const char* reason : {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"}) {
    CHECK(fakes::read_whole(make, stream_of({chunk(R"([{"text":"a"}])", reason)}))
              .result.at("finish_reason") == "content_filter");
  }
  CHECK(fakes::read_whole(make, stream_of({chunk("[]", "FAKE")})).result.at("finish_reason") ==
        "other");
}

TEST_CASE("a tool call that could not be read is tried again and not an empty answer") {
  const auto empty = fakes::read_whole(
      make,
      R"({"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"print f"}]})");
  REQUIRE(empty.problem);
  CHECK(empty.problem->code == status_code::unavailable);
  CHECK(empty.problem->details.at("should_retry") == true);
  CHECK(empty.problem->message.find("print f") != std::string::npos);
  const auto text = fakes::read_whole(make, chunk(R"([{"text":"a"}])", "MALFORMED_FUNCTION_CALL"));
  CHECK_FALSE(text.problem);
}

TEST_CASE("errors in a stream") {
  for (const std::string& error :
       {std::string(
            "data: "
            "{\"error\":{\"code\":503,\"message\":\"busy\",\"status\":\"UNAVAILABLE\"}}\r\n\r\n"),
        std::string("{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"busy\",\n    "
                    "\"status\": \"UNAVAILABLE\"\n  }\n}\n")}) {
    const auto got = fakes::read_whole(make, stream_of({chunk(R"([{"text":"half"}])")}) + error);
    REQUIRE(got.problem);
    CHECK(got.problem->code == status_code::unavailable);
    CHECK(got.problem->message.find("busy") != std::string::npos);
    CHECK(got.problem->details.at("partial").at("parts").at(0).at("text") == "half");
  }
  CHECK(fakes::read_whole(make, stream_of({R"({"this":[1]})"})).problem);
  CHECK(fakes::read_whole(make, stream_of({chunk(R"([{"text":"half"}])")}))
            .problem->details.at("kind") == "stream_cut");
}

TEST_CASE("recorded answers") {
  fakes::check_recorded({"gemini", false, true, google::classify_error}, make);
}
