// tests/e2e/engine_faults_test.cpp - turns that are cancelled at every event, run out of time, lose
// their storage or their session.
#include "engine_world.hpp"

#include <sys/wait.h>
#include <unistd.h>

using namespace rustic;
using namespace rustic::e2e;

namespace {
json::array eventful() {
  return {calling({call_of("a", "look", "{}"), call_of("b", "look", R"({"word":"2"})"),
                   call_of("c", "change", R"({"word":"x"})"), call_of("d", "chatter", "{}")},
                  "I begin."),
          calling({call_of("e", "change", R"({"word":"y"})")}, "And on."), says("The end.")};
}
}  // namespace

TEST_CASE("cancelled after any event, a turn leaves a whole conversation that goes on") {
  std::size_t events = 0;
  {
    engine_world w(eventful());
    runtime::runtime rt(w.options);
    REQUIRE(w.turn(rt, w.session(rt), "Go").ok());
    events = w.events.size();
  }
  REQUIRE(events > 15);
  for (std::size_t k = 1; k <= events; ++k) {
    CAPTURE(k);
    engine_world w(eventful());
    runtime::runtime rt(w.options);
    const auto session = w.session(rt);
    const auto result =
        w.turn(rt, session, "Go", {}, [&](std::size_t number, const auto&, auto& call) {
          if (number == k) call.cancel();
        });
    CHECK((result.status == status_code::cancelled || result.ok()));
    const auto messages = history(rt, session);
    CAPTURE(json::serialize(messages));
    CAPTURE(w.logged);
    CHECK(wire_problem(messages) == "");
    const auto next = w.turn(rt, session, "Go on");
    CAPTURE(next.body);
    CHECK(next.ok());
    CHECK(wire_problem(history(rt, session)) == "");
  }
}

TEST_CASE("a tool or a model that never answers ends with the deadline") {
  for (const bool tool : {true, false}) {
    auto stall = says("I think ");
    stall["stall"] = true;
    engine_world w({tool ? calling({call_of("a", "silent", "{}")}) : stall, says("Awake.")});
    runtime::runtime rt(w.options);
    w.provide_never(rt);
    const auto session = w.session(rt);
    const auto body = json::serialize(w.turn_body(session, "Go"));
    runtime::root_call call(rt.kernel(), "rustic.agent/default", "turn", body,
                            "{\"principal\":\"user\"}", 300);
    CHECK(call.result().status == status_code::deadline_exceeded);
    CHECK(wire_problem(history(rt, session)) == "");
    if (!tool) CHECK(json::serialize(history(rt, session)).find("I think ") != std::string::npos);
    CHECK(w.turn(rt, session, "Again").ok());
  }
}

TEST_CASE("a session is in one turn at a time, by whatever part of its id") {
  auto stall = says("wait");
  stall["stall"] = true;
  engine_world w({stall, says("Done.")});
  runtime::runtime rt(w.options);
  w.provide_never(rt);
  const auto session = w.session(rt);
  auto first = rt.start("rustic.agent/default", "turn", w.turn_body(session, "Go"));
  while (auto event = first->next())
    if (event->kind == RAI_EVENT_TEXT) break;
  for (const auto& id : {session, session.substr(session.size() - 6)}) {
    const auto second = w.turn(rt, id, "Me too");
    CHECK(second.status == status_code::aborted);
    CHECK(second.problem().message.find("in use by another turn") != std::string::npos);
    CHECK(!second.problem().hint.empty());
  }
  first->cancel();
  CHECK(first->result().status == status_code::cancelled);
  CHECK(w.turn(rt, session.substr(session.size() - 6), "Now").ok());
  CHECK(w.turn(rt, session, "And again").ok());
}

TEST_CASE("the session of a process that died is taken over") {
  engine_world w({says("Done.")});
  runtime::runtime rt(w.options);
  const auto session = w.session(rt);
  const pid_t child = fork();
  if (child == 0) _exit(0);
  char host[256] = {};
  gethostname(host, sizeof(host) - 1);
  const std::string owner = std::string(host) + ":" + std::to_string(child) + ":1:t_old";
  json::object lease{{"name", "session:" + session}, {"owner", owner}, {"ttl_ms", 3'600'000}};
  lease["now_ms"] = runtime::unix_now_ms();
  rt.call("rustic.storage/default", "lease.acquire", lease);
  // Dead, first not yet waited for and then waited for.
  siginfo_t info{};
  REQUIRE(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0);
  const auto zombie = w.turn(rt, session, "Go");
  CAPTURE(zombie.body);
  CHECK(zombie.ok());
  rt.call("rustic.storage/default", "lease.acquire", lease);
  waitpid(child, nullptr, 0);
  CHECK(w.turn(rt, session, "Go").ok());
}

TEST_CASE("storage that fails at any write loses nothing that was acknowledged") {
  for (const bool after : {false, true}) {
    for (int k = 1; k < 40; ++k) {
      CAPTURE(k);
      CAPTURE(after);
      engine_world w(eventful(), "faulty");
      w.options.plugin_sections["fake-provider"] =
          json::object{{"fail_call", k}, {"fail_after", after}};
      runtime::runtime rt(w.options);
      std::string session;
      for (int attempt = 0; session.empty() && attempt < 2; ++attempt) {
        try {
          session = w.session(rt);
        } catch (const failure&) {
        }
      }
      REQUIRE(!session.empty());
      const auto result = w.turn(rt, session, "Go");
      CAPTURE(result.body);
      const auto messages = history(rt, session);
      if (result.ok()) {
        CHECK(messages.size() == 6);
        CHECK(wire_problem(messages) == "");
      } else {
        CHECK(result.status == status_code::resource_exhausted);
        CHECK(result.problem().message.find("disk is full") != std::string::npos);
      }
      // Every result that was told stands in the session, or its call is answered as interrupted.
      auto next = w.turn(rt, session, "Go on");
      for (int i = 0; result.ok() && !next.ok() && i < 2; ++i)  // it failed only here
        next = w.turn(rt, session, "Go on");
      CAPTURE(next.body);
      CHECK(next.ok());
      CHECK(wire_problem(history(rt, session)) == "");
      if (result.ok() && k > 20) break;  // beyond the turn's last write
    }
  }
}

TEST_CASE("many turns at once in many sessions") {
  engine_world w(eventful());
  for (int i = 0; i < 8; ++i)
    w.options.providers["fake" + std::to_string(i)] =
        json::object{{"type", "fake"}, {"model", "m"}, {"script", eventful()}};
  runtime::runtime rt(w.options);
  std::vector<std::string> sessions;
  std::vector<std::unique_ptr<runtime::root_call>> calls;
  for (int i = 0; i < 8; ++i) {
    sessions.push_back(w.session(rt));
    calls.push_back(
        rt.start("rustic.agent/default", "turn",
                 w.turn_body(sessions.back(), "Go", {{"provider", "fake" + std::to_string(i)}})));
  }
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (i % 3 == 2) calls[i]->cancel();
    const auto result = calls[i]->result();
    CHECK((result.ok() || (i % 3 == 2 && result.status == status_code::cancelled)));
    CHECK(wire_problem(history(rt, sessions[i])) == "");
  }
}
