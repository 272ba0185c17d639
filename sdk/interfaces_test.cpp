#include <doctest/doctest.h>

#include <condition_variable>
#include <mutex>
#include <rustic/agent.hpp>
#include <rustic/ask.hpp>
#include <rustic/http.hpp>
#include <rustic/loop.hpp>
#include <rustic/storage.hpp>

using namespace rustic;

TEST_CASE("structs keep what they know and pass over what they do not") {
  const auto request = from_json<generate_request>(parse_json(R"({"model":"m","unknown":[1],
    "messages":[{"role":"user","parts":[{"type":"text","text":"hi","later":true}]}],
    "options":{"temperature":0.5,"stop_sequences":["x"]}})"));
  CHECK(request.model == "m");
  CHECK(request.stream);
  CHECK(request.messages.at(0).parts.at(0).text == "hi");
  CHECK(request.options.temperature == 0.5);
  CHECK(!request.options.seed);
  const auto back = from_json<generate_request>(to_object(request));
  CHECK(to_text(back) == to_text(request));
  CHECK(to_text(request).find("seed") == std::string::npos);
}

TEST_CASE("a wrong type is told with its path") {
  const auto problem = [](std::string_view text) {
    try {
      (void)from_json<generate_request>(parse_json(text));
    } catch (const failure& f) {
      return f.problem().message;
    }
    return std::string("none");
  };
  CHECK(problem(R"({"messages":[{"role":"user"},{"role":3}]})") ==
        "request.messages[1].role: expected a text");
  CHECK(problem(R"({"options":{"seed":1.5}})") ==
        "request.options.seed: expected an integer in range");
  CHECK(problem(R"({"options":[]})") == "request.options: expected an object");
  CHECK(problem(R"({"stream":"yes"})") == "request.stream: expected true or false");
}

TEST_CASE("integers beyond 2^53 go as strings and come back exactly") {
  const auto there_and_back = [](std::int64_t seed, std::string_view written) {
    generate_request request;
    request.options.seed = seed;
    const auto text = to_text(request);
    CAPTURE(text);
    CHECK(text.find("\"seed\":" + std::string(written)) != std::string::npos);
    CHECK(from_json<generate_request>(parse_json(text)).options.seed == seed);
  };
  there_and_back(9007199254740992, "9007199254740992");
  there_and_back(9007199254740993, "\"9007199254740993\"");
  there_and_back(std::numeric_limits<std::int64_t>::max(), "\"9223372036854775807\"");
  there_and_back(std::numeric_limits<std::int64_t>::min(), "\"-9223372036854775808\"");
  there_and_back(-9007199254740992, "-9007199254740992");
  const auto seed_of = [](std::string_view text) {
    return from_json<generate_request>(parse_json(text)).options.seed;
  };
  CHECK(seed_of(R"({"options":{"seed":9223372036854775807}})") == 9223372036854775807);
  for (const auto* bad :
       {"\"\"", "\"1 \"", "\"x\"", "\"1.0\"", "\"9223372036854775808\"", "9223372036854775808"})
    CHECK_THROWS_AS((void)seed_of(R"({"options":{"seed":)" + std::string(bad) + "}}"), failure);
  // What is not ours is passed through.
  tool_call_record call;
  call.arguments = parse_object(R"({"n":9223372036854775807})");
  CHECK(to_text(call).find("\"n\":9223372036854775807") != std::string::npos);
}

TEST_CASE("headers are pairs, and secrets stay references") {
  http_request request;
  request.url = "https://example.org";
  request.headers = {{"accept", "text/plain", ""}, {"authorization", "Bearer ", "env:KEY"}};
  const auto text = to_text(request);
  CHECK(text.find(R"(["authorization",{"prefix":"Bearer ","secret":"env:KEY"}])") !=
        std::string::npos);
  const auto back = from_json<http_request>(parse_json(text));
  CHECK(back.headers.at(1).secret == "env:KEY");
  CHECK_THROWS_AS((void)from_json<http_request>(parse_json(R"({"headers":[["a"]]})")), failure);
}

TEST_CASE("records of storage, turns and questions survive the way there and back") {
  const auto turn = from_json<turn_result>(parse_json(R"({"session":"s","rounds":2,"limit":null,
    "tool_calls":[{"id":"1","name":"x","arguments":{"a":1},"success":null}],
    "usage":{"input_tokens":5}})"));
  CHECK(turn.rounds == 2);
  CHECK(!turn.tool_calls.at(0).success);
  CHECK(turn.usage.input_tokens == 5);
  const auto stored = from_json<message_range_result>(parse_json(
      R"({"messages":[{"seq":1,"role":"user","parts":[],"created_at_ms":7}],"more":true})"));
  CHECK(stored.messages.at(0).seq == 1);
  CHECK(stored.more);
  ask_request question;
  question.kind = "permission";
  question.choices = {{"once", "Once", "y"}};
  CHECK(from_json<ask_request>(to_object(question)).choices.at(0).key == "y");
}

TEST_CASE("a loop runs jobs in order, timers when they are due, and nothing after stop") {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<int> order;
  const auto note = [&](int value) {
    std::scoped_lock lock(mutex);
    order.push_back(value);
    changed.notify_all();
  };
  loop lane;
  const auto now = loop::clock::now();
  const auto late = lane.post_at(now + std::chrono::hours(1), [&] { note(99); });
  CHECK(lane.post_at(now + std::chrono::milliseconds(20), [&] { note(3); }) != 0);
  CHECK(lane.post([&] { note(1); }));
  CHECK(lane.post([&] {
    CHECK(lane.on_loop());
    note(2);
  }));
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return order.size() == 3; });
    CHECK(order == std::vector<int>{1, 2, 3});
  }
  CHECK(lane.cancel(late));
  CHECK(!lane.cancel(late));
  lane.stop();
  CHECK(!lane.post([&] { note(100); }));
  CHECK(order.size() == 3);
}
