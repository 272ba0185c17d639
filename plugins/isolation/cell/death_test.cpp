// Every way in which a plugin in a cell can end badly: the call is told, the next one works, and
// nothing is left behind.
#include "cell_world.hpp"

using namespace rustic::cell::testing;

namespace json = boost::json;
using rustic::bool_or, rustic::int_or, rustic::text_or;

namespace {
constexpr auto hostile = "rustic.test/hostile";
constexpr auto raw = "rustic.test/raw";

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;  // its own handlers and its memory are in the way
#else
constexpr bool sanitized = false;
#endif

struct hostile_world : world {
  hostile_world() { add(test_plugin("hostile")); }
  // A call that ends with the death of the plugin.
  std::string fatal(std::string_view target, std::string_view method,
                    std::string_view body = "{}") {
    const auto text = ask(target, method, body, RAI_UNAVAILABLE);
    CHECK(text.find("plugin hostile died: ") != std::string::npos);
    CHECK(text.find("\"hint\"") != std::string::npos);
    CHECK(text.find(R"({"kind":"plugin_died","should_retry":false})") != std::string::npos);
    return text;
  }
};
bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}
}  // namespace

TEST_CASE("signals and exits are named, told on the bus, and cost one call") {
  struct way {
    const char* how;
    const char* said;
    const char* signal;
  };
  for (const auto& [how, said, signal] :
       {way{"segv", "SIGSEGV (Segmentation fault)", "SIGSEGV"},
        way{"abort", "SIGABRT (Aborted)", "SIGABRT"}, way{"exit", "exit status 3", ""},
        way{"_exit", "exit status 4", ""}, way{"kill", "SIGKILL (Killed)", "SIGKILL"},
        way{"terminate", "SIGABRT", "SIGABRT"}, way{"overflow", "SIGSEGV", "SIGSEGV"}}) {
    if (sanitized && std::string_view(signal) == "SIGSEGV") continue;
    CAPTURE(how);
    hostile_world w;
    const auto before = w.number(hostile, "pid");
    const auto text = w.fatal(hostile, "die", std::string("{\"how\":\"") + how + "\"}");
    CHECK(has(text, said));
    REQUIRE(eventually([&] { return w.died() == 1; }));
    const auto death = w.death(0);
    CHECK(text_or(death, "plugin") == "hostile");
    CHECK(text_or(death, "signal") == signal);
    CHECK(death.contains("exit_code") == (*signal == 0));
    CHECK(int_or(death, "deaths") == 1);
    CHECK(!bool_or(death, "quarantined", true));
    CHECK(int_or(death, "unix_ms") > 1'700'000'000'000);
    // The first restart is at once.
    CHECK(w.number(hostile, "pid") != before);
  }
}

TEST_CASE("other calls of the same plugin fail with it; other plugins do not notice") {
  service gate;
  caller hangs, never, other;
  hostile_world w;
  w.plugin_config = "{}";
  w.add(test_plugin("probe"));
  w.b.provide("rustic.test/gate", gate);
  w.call(hangs, hostile, "hang");
  w.call(never, raw, "never");
  w.call(other, "rustic.test/co", "ask", R"({"target":"rustic.test/gate"})");
  REQUIRE(eventually([&] { return gate.calls() == 1; }));
  w.fatal(hostile, "die", R"({"how":"_exit"})");
  REQUIRE(hangs.wait_finished());
  REQUIRE(never.wait_finished());
  CHECK(hangs.status() == RAI_UNAVAILABLE);
  CHECK(never.said("plugin hostile died"));
  CHECK(other.finishes() == 0);
  w.b.k.finish(gate.last(), RAI_OK, str("{}"));
  REQUIRE(other.wait_finished());
  CHECK(other.status() == RAI_OK);
}

TEST_CASE("events that were told before the death arrive before the end") {
  hostile_world w;
  caller who;
  w.call(who, hostile, "emit_and_die", R"({"how":"exit"})");
  REQUIRE(who.wait_finished());
  CHECK(who.status() == RAI_UNAVAILABLE);
  CHECK(who.faults() == 0);
  const auto events = who.events();
  for (std::size_t i = 0; i < events.size(); ++i) CHECK(events[i] == std::to_string(i));
}

TEST_CASE("back-off, then quarantine, then nothing runs") {
  hostile_world w;
  w.fatal(hostile, "die", R"({"how":"kill"})");
  w.fatal(hostile, "die", R"({"how":"kill"})");
  const auto waits = w.ask(hostile, "echo", "{}", RAI_UNAVAILABLE);
  CHECK(has(waits, "retry_after_ms"));
  std::string last;
  REQUIRE(eventually([&] {
    caller who;
    w.call(who, hostile, "die", R"({"how":"kill"})");
    REQUIRE(who.wait_finished());
    last = who.body();
    return has(last, "died: ");
  }));
  CHECK(has(last, "rustic-ai plugin enable hostile"));
  const auto refused = w.ask(hostile, "echo", "{}", RAI_UNAVAILABLE);
  CHECK(has(refused, "quarantined"));
  CHECK(has(refused, "rustic-ai plugin enable hostile"));
  REQUIRE(eventually([&] { return w.died() == 3; }));
  CHECK(bool_or(w.death(2), "quarantined"));
  CHECK(int_or(w.death(2), "deaths") == 3);
}

TEST_CASE("deaths of earlier runs count, and a quarantined plugin is not even started") {
  const auto now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                          std::chrono::system_clock::now().time_since_epoch())
                          .count();
  {
    hostile_world w;
    w.isolated["deaths_unix_ms"] = json::array{now_ms - 60'000, now_ms - 50'000, now_ms - 400'000};
    CHECK(has(w.fatal(hostile, "die", R"({"how":"kill"})"), "quarantined"));
  }
  {
    hostile_world w;
    w.isolated["quarantined"] = true;
    CHECK(has(w.ask(hostile, "echo", "{}", RAI_UNAVAILABLE), "quarantined"));
    CHECK(w.died() == 0);
  }
}

TEST_CASE("a plugin that dies or refuses while it is created or started says so") {
  for (const auto* when : {"die_in_create", "die_in_start"}) {
    CAPTURE(when);
    hostile_world w;
    w.plugin_config = std::string("{\"") + when + "\":\"abort\"}";
    const auto text = w.ask(hostile, "echo", "{}", RAI_FAILED_PRECONDITION);
    CHECK(has(text, "plugin hostile died: SIGABRT"));
    REQUIRE(eventually([&] { return w.died() == 1; }));
    w.plugin_config = "{}";
    w.ask(hostile, "echo");
  }
  world w;
  w.plugin_config = R"({"fail":"the moon is in the way"})";
  w.add(test_plugin("probe"));
  const auto text = w.ask("rustic.test/co", "echo", "{}", RAI_FAILED_PRECONDITION);
  CHECK(text.find("plugin probe: the moon is in the way") != std::string::npos);
  CHECK(w.died() == 0);
}

TEST_CASE("a plugin that does not get ready has died, each time") {
  for (const auto* when : {"die_in_create", "die_in_start"}) {
    CAPTURE(when);
    hostile_world w;
    w.section["load_timeout"] = "200ms";
    w.plugin_config = std::string("{\"") + when + "\":\"never\"}";
    for (int death = 1; death <= 2; ++death) {
      const auto text = w.ask(hostile, "echo", "{}", RAI_FAILED_PRECONDITION);
      CHECK(has(text, "plugin hostile died: it was not ready within 200 ms"));
      REQUIRE(w.died() == static_cast<std::size_t>(death));
      CHECK(text_or(w.death(0), "reason") == "it was not ready within 200 ms");
    }
  }
}

TEST_CASE("what it offers no more when it is started again is refused, and nobody dies of it") {
  hostile_world w;
  const auto file = w.dir.path / "withheld";
  w.plugin_config = json::serialize(json::object{{"withheld_while", file.string()}});
  w.ask(raw, "echo");
  std::ofstream(file) << "now";
  w.fatal(hostile, "die", R"({"how":"kill"})");
  CHECK(has(w.ask(raw, "echo", "{}", RAI_NOT_FOUND), "does not offer it"));
  w.ask(hostile, "echo");
  CHECK(w.died() == 1);
}

TEST_CASE("it cannot tell of deaths, its own or others'") {
  hostile_world w;
  w.ask(hostile, "publish", R"({"topic":"rustic.plugin.died","count":3})");
  w.ask(hostile, "publish", R"({"topic":"rustic.test.said","count":1})");
  w.fatal(hostile, "die", R"({"how":"kill"})");
  REQUIRE(eventually([&] { return w.died() != 0; }));
  CHECK(text_or(w.death(0), "reason").starts_with("SIGKILL"));
}

TEST_CASE("a process that multiplies ends with all that it became") {
  const auto many = [] {
    int count = 0;
    for (const auto& one : fs::directory_iterator("/proc")) {
      std::string name;
      std::getline(std::ifstream(one.path() / "comm") >> std::ws, name);
      if (name == "hostile-many") ++count;
    }
    return count;
  };
  for (const bool apart : {false, true}) {
    CAPTURE(apart);
    hostile_world w;
    w.fatal(hostile, "multiply",
            json::serialize(json::object{{"depth", 7}, {"apart", apart}, {"how", "abort"}}));
    CHECK(eventually([&] { return many() == 0; }));
    w.ask(hostile, "multiply", json::serialize(json::object{{"depth", 7}, {"apart", apart}}));
    CHECK(eventually([&] { return many() == 254; }));
    w.plugins.stop(1'000);
    CHECK(eventually([&] { return many() == 0; }));
  }
}

TEST_CASE("an endless loop ends some time after the call was cancelled") {
  for (const auto& [target, method] : {std::pair{raw, "spin"}, std::pair{hostile, "hang"}}) {
    CAPTURE(method);
    world w;
    w.section["cancel_grace"] = "200ms";
    w.add(test_plugin("hostile"));
    const auto pid = static_cast<pid_t>(w.number(hostile, "pid"));
    caller stuck, bystander;
    const auto id = w.call(stuck, target, method);
    w.call(bystander, raw, "never");
    CHECK(w.ask(hostile, "echo", R"({"still":1})") == R"({"still":1})");
    w.b.k.cancel(id);
    REQUIRE(stuck.wait_finished());
    CHECK(stuck.status() == RAI_CANCELLED);
    REQUIRE(bystander.wait_finished());
    CHECK(bystander.said("did not end a cancelled call within 200 ms"));
    CHECK(eventually([&] { return !runs(pid); }));
    w.ask(hostile, "echo");
  }
}

TEST_CASE("closed descriptors and a stopped process are noticed") {
  {
    hostile_world w;
    w.fatal(hostile, "close");
    w.ask(hostile, "echo");
  }
  {
    world w;
    w.section["ping_after"] = "100ms";
    w.section["pong_timeout"] = "300ms";
    w.add(test_plugin("hostile"));
    const auto pid = static_cast<pid_t>(w.number(hostile, "pid"));
    const auto text = w.ask(hostile, "stop_itself", "{}", RAI_UNAVAILABLE);
    CHECK(has(text, "it does not answer, stopped by SIGSTOP"));
    CHECK(eventually([&] { return !runs(pid); }));
    w.ask(hostile, "echo");
  }
}

TEST_CASE("a silent call is no dead call") {
  world w;
  w.section["ping_after"] = "50ms";
  w.section["pong_timeout"] = "5s";
  w.section["cancel_grace"] = "100ms";
  w.add(test_plugin("hostile"));
  caller silent;
  const auto id = w.call(silent, raw, "never");
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(400);
  eventually([&] { return std::chrono::steady_clock::now() > until; });
  CHECK(silent.finishes() == 0);
  CHECK(w.died() == 0);
  w.b.k.cancel(id);
  REQUIRE(silent.wait_finished());
}

TEST_CASE("a memory bomb hits its limit" * doctest::skip(sanitized)) {
  world w;
  w.isolated["limits"] = json::object{{"memory_bytes", 256 << 20}};
  w.add(test_plugin("hostile"));
  caller who;
  w.call(who, hostile, "memory");
  REQUIRE(who.wait_finished());
  // The SDK turns what new throws into an error of the call; the plugin may go on.
  CHECK((who.status() == RAI_UNAVAILABLE || who.status() == RAI_RESOURCE_EXHAUSTED ||
         who.status() == RAI_INTERNAL));
}

TEST_CASE("whatever bytes it sends, only it ends") {
  for (const auto* which : {"noise", "long", "type", "short", "done"}) {
    CAPTURE(which);
    hostile_world w;
    w.ask(hostile, "echo");
    const auto text = w.fatal(hostile, "garbage", std::string("{\"how\":\"") + which + "\"}");
    CHECK(has(text, "it sent something that is no answer"));
    w.ask(hostile, "echo");
  }
}

TEST_CASE("a flood of output and of log lines is bounded and the calls go on") {
  hostile_world w;
  w.ask(hostile, "flood", R"({"lines":20000})");
  w.ask(hostile, "log_flood", R"({"lines":20000})");
  CHECK(w.ask(hostile, "echo", R"({"a":1})") == R"({"a":1})");
  CHECK(eventually([&] { return w.logged("xxxx"); }));
  CHECK(eventually([&] {
    w.ask(hostile, "log_flood", R"({"lines":1})");
    return w.logged("lines of it were left out");
  }));
  const std::scoped_lock lock(w.mutex);
  CHECK(w.log.size() < 5'000);
}

TEST_CASE("what it started ends with it, however it hid") {
  hostile_world w;
  const auto detached = static_cast<pid_t>(w.number(hostile, "detached"));
  REQUIRE(detached > 1);
  CHECK(runs(detached));
  SUBCASE("when it dies") {
    w.fatal(hostile, "die", R"({"how":"kill"})");
  }
  SUBCASE("when the program stops it") {
    w.plugins.stop(1'000);
  }
  SUBCASE("when it is killed from outside") {
    ::kill(static_cast<pid_t>(w.number(hostile, "pid")), SIGKILL);
  }
  CHECK(eventually([&] { return !runs(detached); }));
}

TEST_CASE("it cannot end its keeper, or ends with it") {
  hostile_world w;
  const auto pid = static_cast<pid_t>(w.number(hostile, "pid"));
  caller who;
  w.call(who, hostile, "kill_keeper");
  REQUIRE(who.wait_finished());
  if (who.status() == RAI_OK) {
    CHECK(who.body() == "{\"errno\":1}");  // Landlock keeps signals in
  } else {
    CHECK(who.said("died: "));
    CHECK(eventually([&] { return !runs(pid); }));
  }
}

TEST_CASE("a hundred deaths leave no process, thread or descriptor") {
  const auto count = [](const char* directory) {
    return std::distance(fs::directory_iterator(directory), fs::directory_iterator());
  };
  const auto once = [] {
    hostile_world w;
    w.fatal(hostile, "die", R"({"how":"kill"})");
    w.fatal(hostile, "die", R"({"how":"_exit"})");
  };
  once();
  const auto files = count("/proc/self/fd");
  const auto threads = count("/proc/self/task");
  for (int i = 0; i < (sanitized ? 5 : 50); ++i) once();
  CHECK(count("/proc/self/fd") == files);
  CHECK(count("/proc/self/task") == threads);
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);  // no child, dead or alive
}
