#include "reader.hpp"

#include <doctest/doctest.h>

#include <string>

#include "answer_checks.hpp"
#include "ollama.hpp"

namespace {

using namespace rustic;

const fakes::make_reader make = [](const provider::subject& about) {
  return std::make_unique<ollama::line_reader>(about, 1);
};

constexpr std::string_view rich =
    R"({"model":"q","message":{"role":"assistant","content":"","thinking":"so"},"done":false}
{"model":"q","message":{"role":"assistant","content":"","thinking":" ä"},"done":false}
{"model":"q","message":{"role":"assistant","content":"Hi "},"done":false}
{"model":"q","message":{"role":"assistant","content":"👋"},"done":false}
{"model":"q","message":{"role":"assistant","content":"","tool_calls":[{"id":"c1","function":{"index":0,"name":"add","arguments":{"a":1}}},{"function":{"name":"now","arguments":{}}},{"function":{"name":"add","arguments":"{\"a\":2}"}}]},"done":false}
{"model":"q","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":7,"eval_count":3}
)";

}  // namespace

TEST_CASE("a stream with everything") {
  const auto got = fakes::read_whole(make, rich);
  REQUIRE_FALSE(got.problem);
  CHECK(got.text == "Hi 👋");
  CHECK(got.reasoning == "so ä");
  REQUIRE(got.calls.size() == 3);
  CHECK(got.result.at("finish_reason") == "tool_calls");
  CHECK(got.result.at("raw_finish_reason") == "stop");
  CHECK(got.result.at("model") == "q");
  CHECK(got.result.at("usage").at("input_tokens") == 7);
  CHECK(got.result.at("usage").at("output_tokens") == 3);
  const json::array& parts = got.parts();
  REQUIRE(parts.size() == 5);
  CHECK(parts[0].at("opaque").at("model") == "m");
  CHECK(parts[2].at("id") == "c1");
  CHECK(parts[2].at("arguments") == R"({"a":1})");
  CHECK(parts[3].at("arguments") == "{}");
  CHECK(parts[4].at("arguments") == R"({"a":2})");
  CHECK(parts[3].at("id") != parts[4].at("id"));
  fakes::check_every_byte(make, rich);
}

TEST_CASE("one answer in one piece, on one line and on several") {
  for (const std::string_view body :
       {R"({"model":"q","message":{"content":"a"},"done":true})",
        "{\n \"message\": {\"content\": \"a\"},\n \"done\": true\n}\n"}) {
    const auto got = fakes::read_whole(make, body);
    REQUIRE_FALSE(got.problem);
    CHECK(got.text == "a");
    CHECK(got.result.at("finish_reason") == "stop");
    CHECK(got.result.at("usage").is_null());
    fakes::check_every_byte(make, body);
  }
  CHECK(fakes::read_whole(make, "[]").problem);
  CHECK(fakes::read_whole(make, "").problem);
  CHECK(fakes::read_whole(make, "<html><title>Login</title></html>").problem);
}

TEST_CASE("an error in the stream is an error and no text") {
  const auto got = fakes::read_whole(
      make,
      "{\"message\":{\"content\":\"half\"},\"done\":false}\n{\"error\":\"the runner died\"}\n");
  REQUIRE(got.problem);
  CHECK(got.text == "half");
  CHECK(got.problem->code == status_code::unavailable);
  CHECK(got.problem->message.find("the runner died") != std::string::npos);
  CHECK(got.problem->details.at("partial").at("parts").at(0).at("text") == "half");
  const auto alone = fakes::read_whole(make, R"({"error":"model 'x' not found"})");
  REQUIRE(alone.problem);
}

TEST_CASE("a stream without its end") {
  const auto got = fakes::read_whole(make, "{\"message\":{\"content\":\"half\"},\"done\":false}\n");
  REQUIRE(got.problem);
  CHECK(got.problem->details.at("kind") == "stream_cut");
}

TEST_CASE("reasons to stop, and calls without a name") {
  const auto of = [](std::string_view reason) {
    return fakes::read_whole(make, R"({"message":{"content":"a"},"done":true,"done_reason":")" +
                                       std::string(reason) + "\"}")
        .result.at("finish_reason");
  };
  CHECK(of("stop") == "stop");
  CHECK(of("length") == "length");
  CHECK(of("load") == "other");
  const auto nameless = fakes::read_whole(
      make, R"({"message":{"tool_calls":[{"function":{"arguments":{}}}]},"done":true})");
  REQUIRE(nameless.problem);
  CHECK(nameless.problem->code == status_code::data_loss);
}

TEST_CASE("recorded answers") {
  fakes::check_recorded({"ollama", false, false, ollama::classify_error}, make);
}
