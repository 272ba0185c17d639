// tests/e2e/engine_world.hpp - a runtime with scripted providers, and what every stored
// conversation must satisfy.
#pragma once
#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "host/runtime/runtime.hpp"

namespace rustic::e2e {

struct engine_world {
  explicit engine_world(json::array script, std::string backend = "memory") {
    std::string name = (std::filesystem::temp_directory_path() / "rustic-engine-XXXXXX").string();
    home = mkdtemp(name.data());
    options.plugin_directories = {PLUGIN_DIRECTORY, TEST_PLUGIN_DIRECTORY, EXAMPLE_DIRECTORY};
    options.providers["fake"] =
        json::object{{"type", "fake"}, {"model", "fake-1"}, {"script", std::move(script)}};
    options.agents.push_back(
        json::object{{"name", "tester"}, {"provider", "fake"}, {"system_prompt", "Be brief."}});
    options.storage = json::object{{"backend", backend}};
    options.permissions = json::object{{"mode", "bypass"}};
    options.state_directory = home / "state";
    options.data_directory = home / "data";
    options.cache_directory = home / "cache";
    options.environment["PATH"] = "/usr/bin:/bin";
    options.log = [this](int level, std::string_view plugin, rai_call, std::string_view text) {
      if (level < RAI_LOG_WARN) return;
      std::scoped_lock lock(mutex);
      logged += std::string(plugin) + ": " + std::string(text) + "\n";
    };
  }
  ~engine_world() {
    std::error_code ignored;
    std::filesystem::remove_all(home, ignored);
  }
  engine_world(const engine_world&) = delete;
  engine_world& operator=(const engine_world&) = delete;

  json::object& agent() { return options.agents[0].as_object(); }
  json::object& provider() { return options.providers["fake"].as_object(); }

  // The call that the fake provider and the tool `silent` wait in until they are cancelled.
  static void provide_never(runtime::runtime& rt) {
    rt.services().provide_later("rustic.never/default", [](runtime::host_services::question asked) {
      *asked.on_cancel = [answer = asked.answer] { answer(status_code::cancelled, "{}"); };
    });
  }

  static std::string session(runtime::runtime& rt) {
    const auto made = rt.call("rustic.conversation/default", "create", {{"agent", "tester"}});
    return std::string(text_or(object_or_empty(made, "session"), "id"));
  }

  json::object turn_body(const std::string& session, std::string text, json::object extra = {}) {
    extra["session"] = session;
    extra["input"] = json::array{json::object{{"type", "text"}, {"text", std::move(text)}}};
    return extra;
  }

  // `look` sees each event with its number from 1, and may cancel the call.
  using looker = std::function<void(std::size_t, const runtime::call_event&, runtime::root_call&)>;
  call_result turn(runtime::runtime& rt, const std::string& session, std::string text,
                   json::object extra = {}, const looker& look = {}) {
    const auto body = turn_body(session, std::move(text), std::move(extra));
    auto call = rt.start("rustic.agent/default", "turn", body,
                         {{"workspace", home.string()}, {"interactive", false}});
    events.clear();
    while (auto event = call->next()) {
      events.push_back(*event);
      if (look) look(events.size(), *event, *call);
    }
    return call->result();
  }

  // The events of type `type`, as objects.
  std::vector<json::object> told(std::string_view type) const {
    std::vector<json::object> out;
    for (const auto& event : events) {
      if (event.kind != RAI_EVENT_JSON) continue;
      auto object = parse_object(event.text);
      if (text_or(object, "type") == type) out.push_back(std::move(object));
    }
    return out;
  }

  std::filesystem::path home;
  runtime::options options;
  std::mutex mutex;
  std::string logged;
  std::vector<runtime::call_event> events;
};

inline json::array history(runtime::runtime& rt, const std::string& session) {
  const auto all =
      rt.call("rustic.conversation/default", "history", {{"id", session}, {"limit", 10'000}});
  return array_or_empty(all, "messages");
}

inline std::string part_type(const json::value& part) {
  return std::string(text_or(part.as_object(), "type"));
}

// What every provider's wire format demands: empty, or what is wrong. An unanswered call is allowed
// at the very end when `open_end`.
inline std::string wire_problem(const json::array& messages, bool open_end = false) {
  std::set<std::string> ids;
  std::int64_t seq = 0;
  for (std::size_t at = 0; at < messages.size(); ++at) {
    const auto& message = messages[at].as_object();
    if (const auto here = int_or(message, "seq"); here != 0) {
      if (seq != 0 && here != seq + 1) return "a gap before message " + std::to_string(here);
      seq = here;
    }
    std::vector<std::string> calls, results;
    for (const auto& part : array_or_empty(message, "parts")) {
      const std::string id(text_or(part.as_object(), "id"));
      if (part_type(part) == "tool_call") {
        if (id.empty()) return "a call without an id";
        if (!ids.insert(id).second) return "the id " + id + " stands for two calls";
        calls.push_back(id);
      }
      if (part_type(part) == "tool_result") results.push_back(id);
    }
    if (!calls.empty()) {
      if (at + 1 == messages.size()) return open_end ? "" : "calls without results at the end";
      std::vector<std::string> answered;
      for (const auto& part : array_or_empty(messages[at + 1].as_object(), "parts"))
        if (part_type(part) == "tool_result")
          answered.emplace_back(text_or(part.as_object(), "id"));
      if (answered != calls) return "calls and results differ at " + std::to_string(at);
    }
    if (!results.empty()) {
      bool after_calls = false;
      if (at > 0)
        for (const auto& part : array_or_empty(messages[at - 1].as_object(), "parts"))
          after_calls |= part_type(part) == "tool_call";
      if (!after_calls) return "results without calls at " + std::to_string(at);
    }
  }
  return {};
}

// Steps of scripts.
inline json::object says(std::string text) {
  return {{"text", json::array{std::move(text)}},
          {"usage", {{"input_tokens", 10}, {"output_tokens", 3}}}};
}
inline json::object calling(json::array calls, std::string text = {}) {
  json::object out{{"tool_calls", std::move(calls)},
                   {"usage", {{"input_tokens", 100}, {"output_tokens", 7}}}};
  if (!text.empty()) out["text"] = json::array{std::move(text)};
  return out;
}
inline json::object call_of(std::string id, std::string name, std::string arguments) {
  return {{"id", std::move(id)}, {"name", std::move(name)}, {"arguments", std::move(arguments)}};
}
inline const json::object& nth(const json::array& list, std::size_t at) {
  return list.at(at).as_object();
}
}  // namespace rustic::e2e
