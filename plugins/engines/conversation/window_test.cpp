#include "window.hpp"

#include <doctest/doctest.h>

using namespace rustic;
using namespace rustic::conversation;

namespace {
json::object user(std::string text) {
  return {{"role", "user"}, {"parts", {{{"type", "text"}, {"text", std::move(text)}}}}};
}
json::object says(std::string text) {
  return {{"role", "assistant"}, {"parts", {{{"type", "text"}, {"text", std::move(text)}}}}};
}
json::object calls(std::initializer_list<const char*> ids) {
  json::array parts;
  for (const auto* id : ids)
    parts.push_back({{"type", "tool_call"}, {"id", id}, {"name", "shell"}, {"arguments", "{}"}});
  return {{"role", "assistant"}, {"parts", std::move(parts)}};
}
json::object results(std::initializer_list<const char*> ids, std::string output = "ok") {
  json::array parts;
  for (const auto* id : ids)
    parts.push_back({{"type", "tool_result"}, {"id", id}, {"name", "shell"}, {"output", output}});
  return {{"role", "user"}, {"parts", std::move(parts)}};
}

// What every provider demands: results directly after their call, one for each, none without.
void check_wire_rules(const json::array& messages) {
  std::vector<std::string> open;
  for (const auto& value : messages) {
    const auto& message = value.as_object();
    std::vector<std::string> answered, asked;
    for (const auto& part : array_or_empty(message, "parts")) {
      const auto& object = part.as_object();
      if (text_or(object, "type") == "tool_result") answered.emplace_back(text_or(object, "id"));
      if (text_or(object, "type") == "tool_call") asked.emplace_back(text_or(object, "id"));
    }
    CHECK(answered == open);
    open = asked;
  }
  CHECK(open.empty());
}
}  // namespace

TEST_CASE("a session that fits is given whole") {
  const json::array messages{user("a"),    says("b"),      user("c"),
                             calls({"1"}), results({"1"}), says("d")};
  const auto window = fit(messages, 1 << 20);
  CHECK(window.messages == messages);
  CHECK(window.dropped == 0);
}

TEST_CASE("old groups go whole, and the window begins with what a person said") {
  json::array messages;
  for (int i = 0; i < 50; ++i) {
    messages.push_back(user("question " + std::to_string(i)));
    messages.push_back(calls({"x", "y"}));
    messages.push_back(results({"x", "y"}, std::string(500, 'r')));
    messages.push_back(says("answer"));
  }
  for (std::size_t bytes : {2'000u, 5'000u, 20'000u}) {
    const auto window = fit(messages, bytes);
    REQUIRE(!window.messages.empty());
    CHECK(json::serialize(window.messages).size() <= bytes + 200);
    CHECK(text_or(window.messages[0].as_object(), "role") == "user");
    CHECK(!is_tool_result(window.messages[0].as_object()));
    CHECK(window.messages.back() == messages.back());
    CHECK(window.dropped + static_cast<std::int64_t>(window.messages.size()) == 200);
    check_wire_rules(window.messages);
  }
}

TEST_CASE("one endless group loses its oldest rounds and keeps what was asked") {
  json::array messages{user("do it all")};
  for (int i = 0; i < 100; ++i) {
    messages.push_back(calls({"c"}));
    messages.push_back(results({"c"}, std::string(1000, 'o')));
  }
  const auto window = fit(messages, 10'000);
  CHECK(window.messages[0] == messages[0]);
  CHECK(window.messages.size() > 5);
  CHECK(json::serialize(window.messages).size() < 11'000);
  check_wire_rules(window.messages);
}

TEST_CASE("one message larger than the window is shortened, never refused") {
  std::string huge;
  for (int i = 0; i < 30'000; ++i) huge += "\xC3\xA9";
  SUBCASE("said by the person") {
    const auto window = fit({user(huge)}, 8'000);
    REQUIRE(window.messages.size() == 1);
    const auto text = json::serialize(window.messages);
    CHECK(text.size() < 9'000);
    CHECK(is_utf8(text));
    CHECK(text.find("left out") != std::string::npos);
  }
  SUBCASE("a tool's output") {
    const auto window = fit({user("run"), calls({"1"}), results({"1"}, huge)}, 8'000);
    CHECK(window.messages.size() == 3);
    CHECK(json::serialize(window.messages).size() < 12'000);
    check_wire_rules(window.messages);
  }
}

TEST_CASE("a conversation cut between call and result is repaired") {
  SUBCASE("nothing is known") {
    const auto open = open_calls({user("a"), calls({"1", "2"})});
    REQUIRE(open.size() == 2);
    json::array messages{user("a"), calls({"1", "2"})};
    messages.push_back(repair_message(open, {}, 5));
    check_wire_rules(messages);
    CHECK(json::serialize(messages[2]).find("effect unknown") != std::string::npos);
  }
  SUBCASE("the journal knows one result") {
    const auto message = repair_message({{"1", "shell"}, {"2", "shell"}},
                                        {{"2", {{"success", true}, {"output", "done"}}}}, 5);
    const auto& parts = message.at("parts").as_array();
    CHECK(bool_or(parts[0].as_object(), "is_error"));
    CHECK(!bool_or(parts[1].as_object(), "is_error"));
    CHECK(text_or(parts[1].as_object(), "output") == "done");
  }
  SUBCASE("whole conversations are left alone") {
    CHECK(open_calls({user("a"), calls({"1"}), results({"1"})}).empty());
    CHECK(open_calls({user("a"), says("b")}).empty());
    CHECK(open_calls({}).empty());
  }
}
