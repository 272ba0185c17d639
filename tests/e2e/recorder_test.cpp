// tests/e2e/recorder_test.cpp - a run that was recorded with real tools replays exactly, without a
// model and without a tool.
#include "engine_world.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>

using namespace rustic;
using namespace rustic::e2e;
namespace fs = std::filesystem;

namespace {

json::array real_work() {
  return {calling({call_of("a", "look", R"({"word":"1"})"), call_of("b", "look", R"({"word":"2"})"),
                   call_of("c", "chatter", "{}")},
                  "I look."),
          calling({call_of("d", "shell", R"({"command":"echo made > made.txt; date +%N; exit 3"})"),
                   call_of("d", "change", R"({"word":"x"})"), call_of("", "nothing", "{}")}),
          says("It is done.")};
}

struct run {
  std::string session;
  std::vector<std::string> events;
  std::vector<std::string> bodies;
  std::string messages;
};

std::string as_line(const runtime::call_event& event) {
  return std::to_string(event.kind) + "|" + std::to_string(event.index) + "|" +
         std::to_string(event.a) + "|" + std::to_string(event.b) + "|" + event.text;
}

run play(engine_world& w, const std::vector<std::string>& prompts) {
  runtime::runtime rt(w.options);
  run out;
  out.session = w.session(rt);
  for (const auto& prompt : prompts) {
    const auto result = w.turn(rt, out.session, prompt);
    for (const auto& event : w.events) out.events.push_back(as_line(event));
    out.bodies.push_back(std::to_string(static_cast<int>(result.status)) + result.body);
  }
  out.messages = json::serialize(history(rt, out.session));
  return out;
}

// Calls side by side end in any order, and so do their events among each other.
std::vector<std::string> sorted(std::vector<std::string> events) {
  std::sort(events.begin(), events.end());
  return events;
}

void set_recorder(engine_world& w, std::string_view mode, std::string_view tools = {}) {
  w.options.recorder = json::object{{"mode", mode}, {"file", (w.home / "run.jsonl").string()}};
  if (!tools.empty()) w.options.recorder["tools"] = tools;
}

// The same configuration without a script: the provider would refuse.
void take_script_away(engine_world& w) {
  w.provider()["script"] = json::array{};
}

std::string recorded(const engine_world& w) {
  std::ifstream in(w.home / "run.jsonl", std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
}  // namespace

TEST_CASE("a run replays byte for byte, with no model asked and no tool run") {
  engine_world w(real_work());
  set_recorder(w, "record");
  const auto first = play(w, {"Go", "And again"});
  REQUIRE(fs::exists(w.home / "made.txt"));
  fs::remove(w.home / "made.txt");
  take_script_away(w);
  set_recorder(w, "replay", "recorded");
  const auto second = play(w, {"Go", "And again"});
  CHECK(second.session == first.session);
  CHECK(sorted(second.events) == sorted(first.events));
  CHECK(second.bodies == first.bodies);
  CHECK(second.messages == first.messages);
  CHECK(!fs::exists(w.home / "made.txt"));
}

TEST_CASE("with live tools the model's part is replayed and the tools run") {
  engine_world w(real_work());
  set_recorder(w, "record");
  const auto first = play(w, {"Go"});
  fs::remove(w.home / "made.txt");
  take_script_away(w);
  set_recorder(w, "replay", "live");
  const auto second = play(w, {"Go"});
  CAPTURE(second.bodies[0]);
  CHECK(fs::exists(w.home / "made.txt"));
  CHECK(second.session == first.session);
  CHECK(second.bodies[0].find("It is done.") != std::string::npos);
}

TEST_CASE("a failed session replays as it failed, details and all") {
  json::object broken{
      {"text", json::array{"half an "}},
      {"error", {{"status", RAI_UNAVAILABLE}, {"message", "cut"}, {"kind", "stream_cut"}}}};
  engine_world w({calling({call_of("a", "throws", "{}")}), broken});
  set_recorder(w, "record");
  const auto first = play(w, {"Go", "Again"});
  CHECK(first.bodies[0].find("stream_cut") != std::string::npos);
  take_script_away(w);
  set_recorder(w, "replay");
  const auto second = play(w, {"Go", "Again"});
  CHECK(second.events == first.events);
  CHECK(second.bodies == first.bodies);
  CHECK(second.messages == first.messages);
}

TEST_CASE("a run that goes another way is told so") {
  engine_world w(real_work());
  set_recorder(w, "record");
  play(w, {"Go"});
  set_recorder(w, "replay");
  const auto second = play(w, {"Go", "Once more"});
  CHECK(second.bodies[1].find("goes another way") != std::string::npos);
  CHECK(second.bodies[1].find("replay with the agent") != std::string::npos);
}

TEST_CASE("sessions side by side are replayed each for itself") {
  engine_world w({says("one")});
  w.options.providers["other"] =
      json::object{{"type", "fake"}, {"model", "m"}, {"script", json::array{says("two")}}};
  w.options.agents.push_back(json::object{{"name", "second"}, {"provider", "other"}});
  const auto both = [&](bool swapped) {
    runtime::runtime rt(w.options);
    const std::string sessions[] = {w.session(rt), w.session(rt)};
    std::unique_ptr<runtime::root_call> calls[2];
    const auto start = [&](int i) {
      json::object extra;
      if (i == 1) extra["agent"] = "second";
      calls[i] = rt.start("rustic.agent/default", "turn", w.turn_body(sessions[i], "Go", extra),
                          {{"session", sessions[i]}});
    };
    start(swapped ? 1 : 0);
    start(swapped ? 0 : 1);
    std::string out;
    for (int i = 0; i < 2; ++i) {
      const auto result = calls[i]->result();
      CAPTURE(result.body);
      CHECK(result.ok());
      if (result.ok()) out += sessions[i] + std::string(text_or(result.object(), "text")) + "\n";
      out += json::serialize(history(rt, sessions[i]));
    }
    return out;
  };
  set_recorder(w, "record");
  const auto first = both(false);
  CHECK(first.find("two") != std::string::npos);
  w.options.providers["other"].as_object()["script"] = json::array{};
  take_script_away(w);
  set_recorder(w, "replay");
  CHECK(both(true) == first);
}

TEST_CASE("keys do not get into the file, wherever they come from") {
  const std::string key = "sk-planted0123456789abcdefghij";
  engine_world w(
      {calling({call_of("a", "shell",
                        R"({"command":"cat secret.txt; printf '%s' \"$OPENAI_API_KEY\""})")}),
       says("The key is " + key)});
  w.options.environment["OPENAI_API_KEY"] = key;
  w.provider()["api_key"] = "env:OPENAI_API_KEY";
  std::ofstream(w.home / "secret.txt") << "token=" << key << "\n";
  set_recorder(w, "record");
  play(w, {"Go"});
  const auto file = recorded(w);
  REQUIRE(file.size() > 500);
  CHECK(file.find("planted0123") == std::string::npos);
  CHECK(file.find("The key is sk-xxxx") != std::string::npos);
}

TEST_CASE("a key without the shape of one does not get into the file either") {
  const std::string key = "0123456789abcdef.word";
  engine_world w({calling({call_of("a", "shell", R"({"command":"cat secret.txt"})")}),
                  says("The key is " + key)});
  w.options.environment["MISTRAL_API_KEY"] = key;
  w.options.environment["NOT_OF_INTEREST"] = "0123456789abcdef.plain";
  std::ofstream(w.home / "secret.txt") << key << " 0123456789abcdef.plain\n";
  set_recorder(w, "record");
  play(w, {"Go"});
  const auto file = recorded(w);
  CHECK(file.find(key) == std::string::npos);
  CHECK(file.find("0123456789abcdef.plain") != std::string::npos);
}
