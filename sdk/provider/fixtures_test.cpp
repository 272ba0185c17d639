// fixtures_test.cpp - recorded answers of real servers, where RUSTIC_PROVIDER_FIXTURES names a
// folder with them and their expected.json. Without the folder there is nothing to test.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <rustic/provider/chat.hpp>
#include <rustic/provider/responses.hpp>
#include <string>

#include "exchange.hpp"

namespace {

using namespace rustic;

std::string read_file(const std::string& name) {
  std::ifstream file(name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct outcome {
  std::string text, reasoning;
  std::optional<error> problem;
  json::object result;
};

constexpr provider::subject about{"generate", "fixture", "http://x", "m"};

std::unique_ptr<provider::answer_reader> reader_of(std::string_view dialect) {
  if (dialect == "responses") return std::make_unique<provider::responses_reader>(about, 1);
  return std::make_unique<provider::chat_reader>(about, 1);
}

outcome play(std::string_view dialect, const std::string& body, int status, std::size_t first) {
  provider::exchange answer(about, reader_of(dialect));
  outcome out;
  const auto take = [&] {
    for (std::size_t i = 0; i < answer.events().size(); ++i) {
      const rai_event event = answer.events()[i];
      if (event.kind == RAI_EVENT_TEXT) out.text += to_view(event.text);
      if (event.kind == RAI_EVENT_REASONING) out.reasoning += to_view(event.text);
    }
    answer.events().clear();
  };
  answer.head(static_cast<std::uint64_t>(status), "{}");
  if (answer.data(std::string_view(body).substr(0, first))) {
    take();
    answer.data(std::string_view(body).substr(first));
  }
  answer.end(nullptr);
  take();
  out.problem = answer.problem();
  if (!out.problem) out.result = json::parse(answer.result()).as_object();
  return out;
}

std::int64_t number(const json::object& object, const char* key) {
  return int_or(object, key, 0);
}

void check(const json::object& one, const std::string& body) {
  const json::object& expect = one.at("expect").as_object();
  const int status = static_cast<int>(int_or(one, "http_status", 200));
  const std::string_view dialect = text_or(one, "dialect");
  const outcome got = play(dialect, body, status, body.size());

  if (status >= 400) {
    REQUIRE(got.problem);
    CHECK(got.problem->code != status_code::unknown);
    const json::value& first = expect.at("errors").as_array().at(0);
    if (first.is_object() && first.as_object().contains("message")) {
      const std::string words(text_or(first.as_object(), "message"));
      CHECK(got.problem->message.find(provider::redact_keys(words).substr(0, 40)) !=
            std::string::npos);
    }
    return;
  }
  std::string expected_text(text_or(expect, "text"));
  expected_text += text_or(expect, "refusal");
  CHECK(got.text == expected_text);
  if (const json::value* reasoning = find(expect, "reasoning"))
    CHECK(got.reasoning == std::string_view(reasoning->as_string()));

  const json::value* stop = find(expect, "stop");
  const bool done = body.find("[DONE]") != std::string::npos;
  if (expect.contains("errors") || (stop == nullptr && !done)) {
    REQUIRE(got.problem);
    return;
  }
  if (got.problem) FAIL(got.problem->message);
  CHECK(got.result.at("raw_finish_reason") == (stop ? *stop : json::value()));
  std::size_t calls = 0;
  const json::array& expected_calls = array_or_empty(expect, "tool_calls");
  for (const json::value& part : got.result.at("message").at("parts").as_array()) {
    if (part.at("type") != "tool_call") continue;
    REQUIRE(calls < expected_calls.size());
    const json::object& expected = expected_calls[calls++].as_object();
    CHECK(part.at("name") == expected.at("name"));
    if (const json::value* id = find(expected, "id"); id && !id->as_string().empty())
      CHECK(part.at("id") == *id);
    CHECK_FALSE(part.at("id").as_string().empty());
    if (bool_or(expected, "custom")) {
      CHECK(part.at("arguments") == expected.at("arguments"));
      continue;
    }
    boost::system::error_code problem;
    const json::value arguments = json::parse(part.at("arguments").as_string(), problem);
    if (const json::value* wanted = find(expected, "arguments")) CHECK(arguments == *wanted);
  }
  CHECK(calls == expected_calls.size());
  const std::string stopped(stop != nullptr ? stop->as_string() : "");
  if (calls > 0 && stop != nullptr && provider::normal_finish_reason(stopped) != "length")
    CHECK(got.result.at("finish_reason") == "tool_calls");
  if (const json::value* usage = find(expect, "usage")) {
    REQUIRE(got.result.at("usage").is_object());
    const json::object& mine = got.result.at("usage").as_object();
    const json::object& wanted = usage->as_object();
    CHECK(number(mine, "input_tokens") == number(wanted, "input"));
    CHECK(number(mine, "output_tokens") >= number(wanted, "output"));
    CHECK(number(mine, "cache_read_tokens") == number(wanted, "cached_input"));
  }
  // However the bytes arrive.
  const std::size_t step = body.size() / 300 + 1;
  for (std::size_t at = 0; at <= body.size(); at += step) {
    const outcome split = play(dialect, body, status, at);
    CAPTURE(at);
    REQUIRE(split.text == got.text);
    REQUIRE(split.result == got.result);
  }
}

}  // namespace

TEST_CASE("recorded answers") {
  const char* folder = std::getenv("RUSTIC_PROVIDER_FIXTURES");
  if (folder == nullptr) return;
  const std::string root = std::string(folder) + "/";
  const json::value all = json::parse(read_file(root + "expected.json"));
  std::size_t played = 0;
  for (const json::value& value : all.at("cases").as_array()) {
    const json::object& one = value.as_object();
    const std::string_view dialect = text_or(one, "dialect");
    if ((dialect != "chat" && dialect != "responses") || !one.contains("expect")) continue;
    const std::string file(one.at("file").as_string());
    const std::string body = read_file(root + file);
    if (body.empty()) continue;
    CAPTURE(file);
    ++played;
    check(one, body);
  }
  CHECK(played > 0);
}
