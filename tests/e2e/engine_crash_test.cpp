// tests/e2e/engine_crash_test.cpp - a process that is killed in the middle of a turn: what was
// acknowledged is there, and the session goes on.
#include "engine_world.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

using namespace rustic;
using namespace rustic::e2e;

namespace {

json::array busy_script(int turns) {
  json::array out;
  for (int i = 0; i < turns; ++i) {
    const auto n = std::to_string(i);
    out.push_back(calling({call_of("a" + n, "look", "{}"),
                           call_of("b" + n, "change", R"({"word":")" + n + "\"}"),
                           call_of("c" + n, "shell", R"({"command":"echo run )" + n + "\"}")}));
    out.push_back(says("answer " + n));
  }
  return out;
}

// Runs turns until it is killed. Each line on `out`: "S id", "A n" (turn n has finished), "E type".
[[noreturn]] void child_main(engine_world& w, int turns, int out) {
  const auto say = [out](const std::string& line) { (void)!write(out, line.data(), line.size()); };
  try {
    runtime::runtime rt(w.options);
    const auto session = w.session(rt);
    say("S " + session + "\n");
    for (int i = 0; i < turns; ++i) {
      const auto result =
          w.turn(rt, session, "turn " + std::to_string(i), {},
                 [&](std::size_t, const runtime::call_event& event, runtime::root_call&) {
                   if (event.kind == RAI_EVENT_JSON)
                     say("E " + std::string(text_or(parse_object(event.text), "type")) + "\n");
                 });
      say((result.ok() ? "A " : "F ") + std::to_string(i) + "\n");
    }
    say("D\n");
  } catch (const std::exception& problem) {
    say(std::string("X ") + problem.what() + "\n");
  }
  pause();
  _exit(0);
}

struct outcome {
  std::string session;
  int finished = 0;  // turns that were acknowledged
  std::string said;
};

// Starts the child and kills it at the `events`-th line, or after `wait_us` more.
outcome run_and_kill(engine_world& w, int turns, int lines, int wait_us) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    child_main(w, turns, ends[1]);
  }
  close(ends[1]);
  outcome out;
  std::string buffer;
  int seen = 0;
  for (bool more = true; more;) {
    pollfd wait{ends[0], POLLIN, 0};
    if (poll(&wait, 1, 20'000) <= 0) break;
    char piece[256];
    const auto got = read(ends[0], piece, sizeof(piece));
    if (got <= 0) break;
    for (ssize_t i = 0; i < got && more; ++i) {
      buffer += piece[i];
      if (piece[i] != '\n') continue;
      ++seen;
      if (seen >= lines || buffer[0] == 'D') more = false;
      buffer.clear();
    }
    out.said.append(piece, static_cast<std::size_t>(got));
  }
  if (wait_us > 0) usleep(static_cast<useconds_t>(wait_us));  // a moment inside the next step
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  char piece[4096];
  for (ssize_t got = 0; (got = read(ends[0], piece, sizeof(piece))) > 0;)
    out.said.append(piece, static_cast<std::size_t>(got));
  close(ends[0]);
  for (std::size_t at = 0; at < out.said.size();) {
    const auto end = std::min(out.said.find('\n', at), out.said.size());
    const auto line = out.said.substr(at, end - at);
    if (line.starts_with("S ")) out.session = line.substr(2);
    if (line.starts_with("A ")) ++out.finished;
    at = end + 1;
  }
  return out;
}

void check_whole(engine_world& w, const outcome& run) {
  CAPTURE(run.said);
  REQUIRE(!run.session.empty());
  CHECK(run.said.find("X ") == std::string::npos);
  runtime::runtime rt(w.options);
  const auto before = history(rt, run.session);
  CAPTURE(json::serialize(before));
  CHECK(wire_problem(before, true) == "");
  // Each acknowledged turn with its four messages.
  CHECK(before.size() >= static_cast<std::size_t>(run.finished) * 4);
  for (int i = 0; i < run.finished; ++i)
    CHECK(json::serialize(before[static_cast<std::size_t>(i) * 4 + 3]).find("answer") !=
          std::string::npos);
  const auto resumed = rt.call("rustic.conversation/default", "resume", {{"id", run.session}});
  CHECK(wire_problem(history(rt, run.session)) == "");
  const auto next = w.turn(rt, run.session, "go on");
  CAPTURE(next.body);
  CHECK(next.ok());
  const auto after = history(rt, run.session);
  CHECK(wire_problem(after) == "");
  CHECK(after.size() > before.size());
}

engine_world sqlite_world(int turns) {
  return engine_world(busy_script(turns), "sqlite");
}
}  // namespace

TEST_CASE("killed at every event of a turn, a session goes on with all that was acknowledged") {
  for (int lines = 2; lines <= 26; ++lines) {
    CAPTURE(lines);
    auto w = sqlite_world(4);
    check_whole(w, run_and_kill(w, 3, lines, 0));
  }
}

TEST_CASE("killed at random moments") {
  std::random_device entropy;
  const auto seed = entropy();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 25; ++i) {
    const int lines = std::uniform_int_distribution<int>(2, 30)(random);
    const int wait_us = std::uniform_int_distribution<int>(0, 4000)(random);
    CAPTURE(lines);
    CAPTURE(wait_us);
    auto w = sqlite_world(6);
    check_whole(w, run_and_kill(w, 4, lines, wait_us));
  }
}

TEST_CASE("killed between the stored call and its result: the call is answered as interrupted") {
  engine_world w({calling({call_of("stuck", "silent", "{}")}), says("Done.")}, "sqlite");
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    runtime::runtime rt(w.options);
    w.provide_never(rt);
    const auto session = w.session(rt);
    (void)!write(ends[1], session.data(), session.size());
    w.turn(rt, session, "Go", {},
           [&](std::size_t, const runtime::call_event& event, runtime::root_call&) {
             if (event.kind == RAI_EVENT_JSON &&
                 text_or(parse_object(event.text), "type") == "tool_call")
               (void)!write(ends[1], "\n", 1);
           });
    _exit(0);
  }
  close(ends[1]);
  std::string session;
  for (char c = 0; read(ends[0], &c, 1) == 1 && c != '\n';) session += c;
  close(ends[0]);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  runtime::runtime rt(w.options);
  REQUIRE(history(rt, session).size() == 2);
  const auto resumed = rt.call("rustic.conversation/default", "resume", {{"id", session}});
  CHECK(array_or_empty(resumed, "repaired").size() == 1);
  const auto messages = history(rt, session);
  CHECK(wire_problem(messages) == "");
  CHECK(json::serialize(messages.back()).find("interrupted, effect unknown") != std::string::npos);
  const auto again = rt.call("rustic.conversation/default", "resume", {{"id", session}});
  CHECK(array_or_empty(again, "repaired").empty());
}
