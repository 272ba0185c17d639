// tests/e2e/engine_fallback_test.cpp - turns of the agent that go through two scripted providers.
#include <doctest/doctest.h>

#include "engine_world.hpp"

using namespace rustic;
using namespace rustic::e2e;

namespace {

json::object failing(std::string_view kind, json::object with = {}) {
  with["error"] = json::object{{"status", RAI_UNAVAILABLE}, {"kind", kind}, {"message", "no"}};
  return with;
}
json::object saying(std::string_view text, json::object with = {}) {
  with["text"] = json::array{text};
  return with;
}

// "fake", and "spare" that stands in for it. A token of input costs half a dollar at the
// first, and a dollar at the second.
struct two_providers : engine_world {
  two_providers(json::array first, json::array second, json::object spare = {})
      : engine_world(std::move(first)) {
    spare["type"] = "fake";
    spare["model"] = "spare-1";
    spare["script"] = std::move(second);
    options.providers["spare"] = std::move(spare);
    options.resilience =
        json::object{{"backoff", "1ms"}, {"retries", 0}, {"fallback", json::array{"spare"}}};
    options.prices["fake/*"] = json::object{{"input", 5e5}, {"output", 0}};
    options.prices["spare/*"] = json::object{{"input", 1e6}, {"output", 0}};
  }
  std::size_t count(std::string_view part) const {
    std::size_t out = 0;
    for (const auto& event : events)
      out += event.kind == RAI_EVENT_JSON && event.text.find(part) != std::string::npos;
    return out;
  }
};

json::object used(int input) {
  return {{"input_tokens", input}, {"output_tokens", 1}};
}
}  // namespace

TEST_CASE("what a broken answer has cost counts, at the price of who gave it") {
  two_providers w(
      {failing("stream_cut", {{"reasoning", "hm"}, {"usage", used(3)}}), saying("never")},
      {saying("Done.", {{"usage", used(10)}})});
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  const auto end = w.turn(rt, session, "Go");
  CAPTURE(end.body);
  REQUIRE(end.ok());
  const auto turn = end.object();
  CHECK(text_or(turn, "text") == "Done.");
  CHECK(text_or(turn, "provider") == "spare");
  CHECK(turn.at("cost_usd") == 11.5);
  const auto& models = array_or_empty(turn, "usage_by_model");
  REQUIRE(models.size() == 2);
  CHECK(models[0].at("provider") == "fake");
  CHECK(models[0].at("cost_usd") == 1.5);
  CHECK(models[1].at("provider") == "spare");
  CHECK(models[1].at("cost_usd") == 10.0);
  CHECK(turn.at("usage").at("input_tokens") == 13);
  CHECK(w.count("\"about\":\"fallback\"") == 1);
}

TEST_CASE("a turn that fails in the end counts every attempt once") {
  two_providers w({failing("stream_cut", {{"reasoning", "hm"}, {"usage", used(3)}})},
                  {failing("stream_cut", {{"reasoning", "hm"}, {"usage", used(10)}})});
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  const auto end = w.turn(rt, session, "Go");
  REQUIRE_FALSE(end.ok());
  const auto problem = end.problem();
  CAPTURE(end.body);
  const auto& turn = object_or_empty(problem.details.as_object(), "turn");
  CHECK(turn.at("usage").at("input_tokens") == 13);
  CHECK(turn.at("cost_usd") == 11.5);
  const auto found = rt.call("rustic.conversation/default", "get", {{"id", session}});
  const auto& metadata = object_or_empty(object_or_empty(found, "session"), "metadata");
  CHECK(array_or_empty(metadata, "usage_by_model").size() == 2);
}

TEST_CASE("what stands in has a smaller window: older messages are left out for it") {
  json::array first;
  for (int i = 0; i < 6; ++i) first.push_back(saying("noted"));
  first.push_back(failing("overloaded"));
  two_providers w(std::move(first), {saying("Done.", {{"echo", true}})},
                  {{"context_window", 6000}});
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  for (int i = 0; i < 6; ++i)
    REQUIRE(w.turn(rt, session, "part " + std::to_string(i) + std::string(6000, 'x')).ok());
  const auto end = w.turn(rt, session, "and now?");
  CAPTURE(end.body);
  REQUIRE(end.ok());
  CHECK(text_or(end.object(), "text") == "Done.");
  std::string seen;
  for (const auto& event : w.events)
    if (event.text.find("\"type\":\"seen\"") != std::string::npos) seen = event.text;
  CHECK(seen.find("and now?") != std::string::npos);
  CHECK(seen.find("part 5") != std::string::npos);
  CHECK(seen.find("part 0") == std::string::npos);
  CHECK(seen.find("spare-1") != std::string::npos);
  CHECK(w.count("\"about\":\"fallback\"") == 1);
}

TEST_CASE("tools that have run are not run again, whoever goes on") {
  const json::object change{
      {"tool_calls", json::array{json::object{
                         {"id", "c1"}, {"name", "change"}, {"arguments", R"({"word":"once"})"}}}}};
  two_providers w({change, failing("overloaded")}, {change, saying("Done.")});
  runtime::runtime rt(w.options);
  const auto end = w.turn(rt, w.session(rt), "Go");
  CAPTURE(end.body);
  REQUIRE(end.ok());
  const auto turn = end.object();
  const auto& calls = array_or_empty(turn, "tool_calls");
  REQUIRE(calls.size() == 2);
  CHECK(calls[0].at("output") == "once ");
  CHECK(calls[1].at("output") == "once once ");
  // Both models chose the same id for their calls.
  CHECK(calls[0].at("id") != calls[1].at("id"));
}

TEST_CASE("an answer that begins again is stored and told once") {
  two_providers w({failing("stream_cut", saying("half ")), saying("whole")}, {});
  w.options.resilience = json::object{{"backoff", "1ms"}, {"after_text", "restart"}};
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  const auto end = w.turn(rt, session, "Go");
  REQUIRE(end.ok());
  CHECK(text_or(end.object(), "text") == "whole");
  std::size_t restarts = 0;
  for (const auto& event : w.events) restarts += event.kind == RAI_EVENT_RESTART;
  CHECK(restarts == 1);
  const auto history = rt.call("rustic.conversation/default", "history", {{"id", session}});
  CHECK(json::serialize(history).find("half") == std::string::npos);
}
