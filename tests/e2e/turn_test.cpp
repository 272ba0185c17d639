// tests/e2e/turn_test.cpp - turns through the whole runtime: real plugins, a fake model on
// loopback.
#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>

#include "host/runtime/runtime.hpp"
#include "model_server.hpp"

using namespace rustic;
namespace fs = std::filesystem;

namespace {

struct world {
  explicit world(fakes::script script, std::string backend = "memory") : server(std::move(script)) {
    std::string name = (fs::temp_directory_path() / "rustic-e2e-XXXXXX").string();
    home = mkdtemp(name.data());
    options.plugin_directories = {PLUGIN_DIRECTORY, EXAMPLE_DIRECTORY};
    options.providers["fake"] =
        json::object{{"type", "openai"}, {"base_url", server.base_url()}, {"model", "fake-model"}};
    options.agents.push_back(
        json::object{{"name", "tester"}, {"provider", "fake"}, {"system_prompt", "Be brief."}});
    options.storage = json::object{{"backend", backend}};
    options.state_directory = home / "state";
    options.data_directory = home / "data";
    options.cache_directory = home / "cache";
    options.environment["PATH"] = "/usr/bin:/bin";
    options.log = [this](int level, std::string_view plugin, rai_call, std::string_view text) {
      if (level >= RAI_LOG_WARN) {
        std::scoped_lock lock(mutex);
        logged += std::string(plugin) + ": " + std::string(text) + "\n";
      }
    };
  }
  ~world() { fs::remove_all(home); }

  std::string session(runtime::runtime& rt) {
    const auto made = rt.call("rustic.conversation/default", "create", {{"agent", "tester"}});
    return std::string(text_or(object_or_empty(made, "session"), "id"));
  }
  call_result turn(runtime::runtime& rt, const std::string& session, std::string text,
                   json::object extra = {}) {
    extra["session"] = session;
    extra["input"] = json::array{json::object{{"type", "text"}, {"text", std::move(text)}}};
    events.clear();
    auto call = rt.start("rustic.agent/default", "turn", extra, {{"workspace", home.string()}});
    while (auto event = call->next()) {
      if (event->kind == RAI_EVENT_TEXT) events += event->text;
      if (event->kind == RAI_EVENT_JSON) events += "\n" + event->text + "\n";
    }
    return call->result();
  }

  fakes::model_server server;
  fs::path home;
  runtime::options options;
  std::mutex mutex;
  std::string logged;
  std::string events;
};
}  // namespace

TEST_CASE("a turn without tools") {
  world w({{fakes::step::saying("Hello there.")}, {}});
  runtime::runtime rt(w.options);
  const auto result = w.turn(rt, w.session(rt), "Hi");
  CAPTURE(result.body);
  CAPTURE(w.logged);
  REQUIRE(result.ok());
  const auto body = result.object();
  CHECK(text_or(body, "text") == "Hello there.");
  CHECK(text_or(body, "finish_reason") == "stop");
  CHECK(int_or(body, "rounds") == 1);
  CHECK(int_or(object_or_empty(body, "usage"), "input_tokens") > 0);
  CHECK(w.events.find("Hello there.") != std::string::npos);
  REQUIRE(w.server.requests().size() == 1);
  CHECK(w.server.requests()[0].body.find("Be brief.") != std::string::npos);
}

TEST_CASE("tools of plugins in C and C++ are offered, called and answered") {
  auto both = fakes::step::calling("hello", R"({"name":"Ada"})");
  both.tool_calls.push_back({"hello_c", "{}", ""});
  world w({{both, fakes::step::saying("Done.")}, {}});
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  const auto result = w.turn(rt, session, "Greet Ada");
  CAPTURE(result.body);
  CAPTURE(w.logged);
  REQUIRE(result.ok());
  const auto body = result.object();
  CHECK(int_or(body, "rounds") == 2);
  const auto& calls = array_or_empty(body, "tool_calls");
  REQUIRE(calls.size() == 2);
  CHECK(text_or(calls[0].as_object(), "output") == "Hello, Ada!");
  CHECK(text_or(calls[1].as_object(), "output") == "Hello from C!");
  const auto history = rt.call("rustic.conversation/default", "history", {{"id", session}});
  CHECK(array_or_empty(history, "messages").size() == 4);
}

TEST_CASE("malformed arguments and unknown tools are answered, and the loop goes on") {
  world w({{fakes::step::calling("hello", R"({"name":)"), fakes::step::calling("helo", "{}"),
            fakes::step::saying("I give up.")},
           {}});
  runtime::runtime rt(w.options);
  const auto result = w.turn(rt, w.session(rt), "Greet");
  REQUIRE(result.ok());
  const auto body = result.object();
  const auto& calls = array_or_empty(body, "tool_calls");
  REQUIRE(calls.size() == 2);
  CHECK(!bool_or(calls[0].as_object(), "success", true));
  CHECK(text_or(calls[0].as_object(), "error").find("JSON Schema") != std::string::npos);
  CHECK(text_or(calls[1].as_object(), "error").find("hello") != std::string::npos);
}

TEST_CASE("the last allowed round's calls are told and not run") {
  world w({{fakes::step::looping("hello", R"({"name":"x"})", 100, "never")}, {}});
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  const auto result = w.turn(rt, session, "Go", {{"max_rounds", 1}});
  REQUIRE(result.ok());
  const auto body = result.object();
  CHECK(text_or(body, "limit") == "max_rounds");
  REQUIRE(array_or_empty(body, "tool_calls").size() == 1);
  CHECK(array_or_empty(body, "tool_calls")[0].as_object().at("success").is_null());
  // The session is still whole: the next turn is accepted.
  CHECK(w.turn(rt, session, "Again", {{"max_rounds", 1}}).ok());
}

TEST_CASE("a shell command nobody can be asked about is denied, and the model is told") {
  world w({{fakes::step::calling("shell", R"({"command":"touch made"})"),
            fakes::step::saying("Not allowed then.")},
           {}});
  runtime::runtime rt(w.options);
  const auto result = w.turn(rt, w.session(rt), "Make a file");
  CAPTURE(result.body);
  REQUIRE(result.ok());
  const auto body = result.object();
  CHECK(array_or_empty(body, "permission_denials").size() == 1);
  CHECK(!fs::exists(w.home / "made"));
}

TEST_CASE("a shell command that a rule allows runs in the workspace") {
  world w({{fakes::step::calling("shell", R"({"command":"touch made && echo did it"})"),
            fakes::step::saying("Done.")},
           {}});
  w.options.permissions = json::object{{"mode", "bypass"}};
  runtime::runtime rt(w.options);
  const auto result = w.turn(rt, w.session(rt), "Make a file");
  CAPTURE(result.body);
  CAPTURE(w.logged);
  REQUIRE(result.ok());
  CHECK(fs::exists(w.home / "made"));
  CHECK(w.events.find("did it") != std::string::npos);
}

TEST_CASE("errors of the server keep what was said and say what to do") {
  world w(
      {{fakes::step::failing(401, R"({"error":{"message":"bad key","code":"invalid_api_key"}})")},
       {}});
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  const auto result = w.turn(rt, session, "Hi");
  CHECK(result.status == status_code::unauthenticated);
  CHECK(!result.problem().message.empty());
  CHECK(!result.problem().hint.empty());
  const auto history = rt.call("rustic.conversation/default", "history", {{"id", session}});
  CHECK(array_or_empty(history, "messages").size() == 1);
}

TEST_CASE("a turn cancelled in the middle of the answer keeps its partial text") {
  auto slow = fakes::step::saying("one ");
  slow.text = {"one ", "two ", "three "};
  slow.stall_after_events = 2;
  world w({{slow, fakes::step::saying("after")}, {}}, "sqlite");
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  json::object body{{"session", session}};
  body["input"] = json::array{json::object{{"type", "text"}, {"text", "count"}}};
  auto call = rt.start("rustic.agent/default", "turn", body, {{"workspace", w.home.string()}});
  std::string text;
  while (auto event = call->next()) {
    if (event->kind == RAI_EVENT_TEXT) text += event->text;
    if (!text.empty()) call->cancel();
  }
  CHECK(call->result().status == status_code::cancelled);
  const auto history = rt.call("rustic.conversation/default", "history", {{"id", session}});
  const auto& messages = array_or_empty(history, "messages");
  REQUIRE(messages.size() == 2);
  CHECK(json::serialize(messages[1]).find("one ") != std::string::npos);
  CHECK(json::serialize(messages[1]).find("incomplete") != std::string::npos);
  CHECK(w.turn(rt, session, "go on").ok());
}

TEST_CASE("two runtimes work side by side in one process") {
  world a({{fakes::step::saying("from a")}, {}});
  world b({{fakes::step::saying("from b")}, {}});
  runtime::runtime ra(a.options);
  runtime::runtime rb(b.options);
  const auto first = a.turn(ra, a.session(ra), "x");
  const auto second = b.turn(rb, b.session(rb), "x");
  CHECK(text_or(first.object(), "text") == "from a");
  CHECK(text_or(second.object(), "text") == "from b");
}
