// tests/e2e/engine_test.cpp - turns with scripted providers: order, limits, windows, bad arguments.
// No network.
#include "engine_world.hpp"

#include <fstream>

using namespace rustic;
using namespace rustic::e2e;

TEST_CASE("read-only calls run side by side, others alone and in their order") {
  engine_world w({calling({call_of("a", "look", R"({"word":"1","wait":3})"),
                           call_of("b", "look", R"({"word":"2","wait":3})"),
                           call_of("c", "look", R"({"word":"3","wait":3})")}),
                  calling({call_of("d", "change", R"({"word":"x"})"),
                           call_of("e", "change", R"({"word":"y"})"), call_of("f", "look", "{}"),
                           call_of("g", "change", R"({"word":"z"})")}),
                  says("Done.")});
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  const auto result = w.turn(rt, session, "Go");
  CAPTURE(result.body);
  REQUIRE(result.ok());
  const auto body = result.object();
  const auto& calls = array_or_empty(body, "tool_calls");
  REQUIRE(calls.size() == 7);
  CHECK(text_or(nth(calls, 2), "output") == "saw 3");
  CHECK(text_or(nth(calls, 3), "output") == "x ");
  CHECK(text_or(nth(calls, 4), "output") == "x y ");
  CHECK(text_or(nth(calls, 6), "output") == "x y z ");
  const auto& usage = object_or_empty(body, "usage");
  CHECK(int_or(usage, "input_tokens") == 210);
  CHECK(int_or(usage, "output_tokens") == 17);
  CHECK(wire_problem(history(rt, session)) == "");
}

TEST_CASE("the same call with the same result again and again ends the turn, cycles too") {
  for (const bool cycle : {false, true}) {
    json::array script;
    for (int i = 0; i < 40; ++i)
      script.push_back(
          calling({call_of("same", "look", cycle && i % 2 ? R"({"word":"b"})" : "{}")}));
    engine_world w(std::move(script));
    runtime::runtime rt(w.options);
    const auto session = w.session(rt);
    const auto result = w.turn(rt, session, "Go");
    REQUIRE(result.ok());
    const auto body = result.object();
    CHECK(text_or(body, "limit") == "repeat");
    CHECK(int_or(body, "rounds") < 15);
    CHECK(wire_problem(history(rt, session)) == "");  // "same" stands for each only once
    CHECK(w.turn(rt, session, "Again").ok());
  }
}

TEST_CASE("how often a call may repeat is configured") {
  json::array script;
  for (int i = 0; i < 5; ++i) script.push_back(calling({call_of("same", "look", "{}")}));
  engine_world w(std::move(script));
  w.agent()["max_repeats"] = 3;
  w.agent()["tool_timeout"] = "5s";
  w.agent()["max_parallel_tools"] = 1;
  runtime::runtime rt(w.options);
  const auto result = w.turn(rt, w.session(rt), "Go");
  REQUIRE(result.ok());
  CHECK(text_or(result.object(), "limit") == "repeat");
  CHECK(int_or(result.object(), "rounds") == 3);
}

TEST_CASE("max_tool_calls and max_rounds end the turn, and the session goes on") {
  json::array script;
  for (int i = 0; i < 20; ++i)
    script.push_back(calling({call_of("", "look", R"({"word":")" + std::to_string(i) + "\"}")}));
  engine_world w(std::move(script));
  w.agent()["max_tool_calls"] = 3;
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  auto result = w.turn(rt, session, "Go");
  REQUIRE(result.ok());
  auto body = result.object();
  CHECK(text_or(body, "limit") == "max_tool_calls");
  REQUIRE(array_or_empty(body, "tool_calls").size() == 4);
  CHECK(nth(array_or_empty(body, "tool_calls"), 3).at("success").is_null());
  result = w.turn(rt, session, "Go", {{"max_rounds", 2}});
  REQUIRE(result.ok());
  body = result.object();
  CHECK(text_or(body, "limit") == "max_rounds");
  CHECK(wire_problem(history(rt, session)) == "");
}

TEST_CASE("a history far larger than the window never ends the session") {
  engine_world w({says(std::string(3000, 'a'))});
  w.agent()["context_window"] = 4000;
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  bool truncated = false;
  for (int i = 0; i < 40; ++i) {
    const auto result =
        w.turn(rt, session, "question " + std::to_string(i) + std::string(500, 'q'));
    CAPTURE(result.body);
    REQUIRE(result.ok());
    truncated |= !w.told("truncated").empty();
  }
  CHECK(truncated);
  CHECK(history(rt, session).size() == 80);
  // One message that is larger than the window.
  const auto big = w.turn(rt, session, std::string(300'000, 'b'));
  CAPTURE(big.body);
  CHECK(big.ok());
  CHECK(w.turn(rt, session, "small again").ok());
}

TEST_CASE("one turn longer than the window keeps what it was asked, and its requests stay whole") {
  json::array script;
  for (int i = 0; i < 40; ++i) {
    auto step = calling(
        {call_of("", "look", R"({"word":")" + std::string(3000, 'w') + std::to_string(i) + "\"}")});
    step["echo"] = true;
    script.push_back(std::move(step));
  }
  auto last = says("Done.");
  last["echo"] = true;
  script.push_back(std::move(last));
  engine_world w(std::move(script));
  w.agent()["context_window"] = 6000;
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  const auto result = w.turn(rt, session, "THE QUESTION");
  CAPTURE(result.body);
  REQUIRE(result.ok());
  const auto seen = w.told("seen");
  REQUIRE(seen.size() == 41);
  for (const auto& one : seen) {
    const auto& messages = array_or_empty(object_or_empty(one, "request"), "messages");
    REQUIRE(messages.size() >= 2);
    CHECK(json::serialize(messages[1]).find("THE QUESTION") != std::string::npos);
    CHECK(wire_problem(messages) == "");
    CHECK(json::serialize(messages).size() < 40'000);
  }
  CHECK(wire_problem(history(rt, session)) == "");
}

TEST_CASE("a call whose arguments alone are larger than the window does not end the session") {
  auto step = calling({call_of("a", "look", R"({"word":")" + std::string(200'000, 'w') + "\"}")});
  auto small = says("Done.");
  small["max_bytes"] = 30'000;
  engine_world w({step, small});
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  const auto result = w.turn(rt, session, "Go");
  CAPTURE(result.body);
  CHECK(result.ok());
}

TEST_CASE("a provider with a smaller window than configured is given less until it takes it") {
  auto first = says(std::string(2000, 'x'));
  first["max_bytes"] = 15'000;
  engine_world w({first});
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  bool warned = false;
  for (int i = 0; i < 20; ++i) {
    const auto result = w.turn(rt, session, "q" + std::to_string(i));
    CAPTURE(result.body);
    REQUIRE(result.ok());
    warned |= !w.told("warning").empty();
  }
  CHECK(warned);
}

TEST_CASE("a base prompt that no window takes gives an error and no endless loop") {
  auto never = says("no");
  never["max_bytes"] = 10;
  engine_world w({never});
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  const auto result = w.turn(rt, session, "Hi");
  CHECK(result.status == status_code::invalid_argument);
  CHECK(w.told("warning").size() <= 10);
  CHECK(!w.turn(rt, session, "Hi").ok());  // still an answer, and still the session's own
  CHECK(history(rt, session).size() == 2);
}

TEST_CASE("malformed arguments: an error result, the tool never runs, the loop goes on") {
  const std::string corpus[] = {R"({"word":)",
                                R"({"word":"x",})",
                                R"(["x"])",
                                R"("x")",
                                "42",
                                "null",
                                "nul",
                                "{'word':'x'}",
                                R"({"word":"a","word":"b"})",
                                R"({"word":"a"}{"word":"b"})",
                                R"({"word":1})",
                                R"({"other":"x"})",
                                "{",
                                "}",
                                R"({"word":"\ud800"})",
                                std::string(1'000'000, '['),
                                R"({"word":")" + std::string(1'000'000, 'x'),
                                "<tool>x</tool>",
                                R"({"word":"x" "y"})"};
  json::array calls;
  int number = 0;
  for (const auto& bad : corpus)
    calls.push_back(call_of("m" + std::to_string(++number), "change", bad));
  engine_world w({calling(std::move(calls)),
                  calling({call_of("good", "change", R"({"word":"only"})")}), says("Done.")});
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  const auto result = w.turn(rt, session, "Go");
  REQUIRE(result.ok());
  const auto body = result.object();
  const auto& made = array_or_empty(body, "tool_calls");
  REQUIRE(made.size() == std::size(corpus) + 1);
  for (std::size_t i = 0; i < std::size(corpus); ++i) {
    CAPTURE(corpus[i].substr(0, 60));
    CHECK(!bool_or(nth(made, i), "success", true));
    CHECK(text_or(nth(made, i), "error").find("JSON Schema") != std::string::npos);
    CHECK(text_or(nth(made, i), "error").size() < 20'000);
  }
  CHECK(text_or(nth(made, made.size() - 1), "output") == "only ");
  CHECK(wire_problem(history(rt, session)) == "");
}

TEST_CASE("calls with the same id or none are told apart") {
  engine_world w(
      {calling({call_of("x", "change", R"({"word":"a"})"),
                call_of("x", "change", R"({"word":"b"})"), call_of("", "change", R"({"word":"c"})"),
                call_of(std::string(500, 'i'), "change", R"({"word":"d"})")}),
       calling({call_of("x", "change", R"({"word":"e"})")}), says("Done.")});
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  const auto result = w.turn(rt, session, "Go");
  REQUIRE(result.ok());
  const auto body = result.object();
  const auto& made = array_or_empty(body, "tool_calls");
  REQUIRE(made.size() == 5);
  std::set<std::string> ids;
  for (const auto& one : made) ids.emplace(text_or(one.as_object(), "id"));
  CHECK(ids.size() == 5);
  CHECK(text_or(nth(made, 4), "output") == "a b c d e ");
  CHECK(wire_problem(history(rt, session)) == "");
}

TEST_CASE("unknown tools, tools that throw, and output split inside characters") {
  engine_world w({calling({call_of("a", "lok", "{}"), call_of("b", "throws", "{}"),
                           call_of("c", "chatter", "{}"), call_of("d", "", "{}")}),
                  says("Done.")});
  runtime::runtime rt(w.options);
  const auto result = w.turn(rt, w.session(rt), "Go");
  REQUIRE(result.ok());
  const auto body = result.object();
  const auto& made = array_or_empty(body, "tool_calls");
  REQUIRE(made.size() == 4);
  CHECK(text_or(nth(made, 0), "error").find("look") != std::string::npos);
  CHECK(text_or(nth(made, 1), "error").find("the tool broke") != std::string::npos);
  std::string output;
  for (const auto& one : w.told("tool_output")) output += text_or(one, "text");
  CHECK(output == "caf\xC3\xA9 \xE2\x82\xAC\n");
}

TEST_CASE("names that a model made up are stored as every provider takes them back") {
  engine_world w(
      {calling({call_of("a", "functions.look", "{}"), call_of("b", "", "{}"),
                call_of("c", "look at\nthis", "{}"), call_of("d", std::string(5000, 'n'), "{}")}),
       says("Done.")});
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  REQUIRE(w.turn(rt, session, "Go").ok());
  int seen = 0;
  for (const auto& message : history(rt, session))
    for (const auto& part : array_or_empty(message.as_object(), "parts")) {
      if (part_type(part) == "text") continue;
      const auto name = text_or(part.as_object(), "name");
      CAPTURE(name.substr(0, 80));
      CHECK(!name.empty());
      CHECK(name.size() <= 64);
      CHECK(name.find_first_of(". \n") == std::string_view::npos);
      ++seen;
    }
  CHECK(seen == 8);
}

TEST_CASE("the project's notes and the agent's words reach the model") {
  auto step = says("Done.");
  step["echo"] = true;
  engine_world w({step});
  std::ofstream(w.home / "AGENTS.md") << "Always say please.";
  runtime::runtime rt(w.options);
  REQUIRE(w.turn(rt, w.session(rt), "Go").ok());
  REQUIRE(w.told("seen").size() == 1);
  const auto request = json::serialize(w.told("seen")[0]);
  CHECK(request.find("Always say please.") != std::string::npos);
  CHECK(request.find("Be brief.") != std::string::npos);
  CHECK(request.find(w.home.string()) != std::string::npos);
}

TEST_CASE("a provider's error passes through with what was done before it") {
  json::object broken{
      {"text", json::array{"half an ans"}},
      {"usage", {{"input_tokens", 5}}},
      {"error",
       {{"status", RAI_UNAVAILABLE}, {"message", "the stream was cut"}, {"kind", "stream_cut"}}}};
  engine_world w({calling({call_of("a", "look", "{}")}), broken, says("Better.")});
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  const auto result = w.turn(rt, session, "Go");
  REQUIRE(result.status == status_code::unavailable);
  const auto problem = result.problem();
  CHECK(problem.message == "the stream was cut");
  const auto& turn = object_or_empty(problem.details.as_object(), "turn");
  CHECK(text_or(problem.details.as_object(), "kind") == "stream_cut");
  CHECK(text_or(turn, "text") == "half an ans");
  CHECK(array_or_empty(turn, "tool_calls").size() == 1);
  CHECK(int_or(object_or_empty(turn, "usage"), "input_tokens") == 105);
  const auto messages = history(rt, session);
  CHECK(json::serialize(messages.back()).find("half an ans") != std::string::npos);
  CHECK(wire_problem(messages) == "");
  CHECK(w.turn(rt, session, "Again").ok());
}

TEST_CASE("an answer in the wrong form is asked for once more, and only once") {
  const auto format =
      json::parse(R"({"response_format":{"type":"json_schema","name":"city","schema":
      {"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}}})")
          .as_object();
  engine_world w({says("Rome"), says("```json\n{\"name\":\"Rome\"}\n```"), says("Oslo"),
                  says("{\"name\":1}"), says("Done.")});
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  const auto good = w.turn(rt, session, "Which city?", format);
  CAPTURE(good.body);
  REQUIRE(good.ok());
  CHECK(text_or(good.object(), "text") == R"({"name":"Rome"})");
  CHECK(int_or(good.object(), "rounds") == 2);
  const auto bad = w.turn(rt, session, "And now?", format);
  CHECK(bad.status == status_code::data_loss);
  const auto problem = bad.problem();
  CHECK(text_or(problem.details.as_object(), "kind") == "response_format");
  CHECK(wire_problem(history(rt, session)) == "");
  CHECK(w.turn(rt, session, "Thanks").ok());  // without a form any text will do
}
