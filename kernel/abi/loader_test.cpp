// The loader with a real plugin file: opened late, exchanged, stopped, and never left half way.
#include "kernel/abi/loader_world.hpp"
#include "kernel/abi/manifest_note.hpp"

using namespace rustic::kernel;
using namespace rustic::kernel::abi;
using namespace rustic::kernel::abi::testing;

TEST_CASE("listing opens nothing; the first call opens, and only once") {
  world w;
  const auto file = copy_of_probe(w.dir, "lazy.so");
  w.plugins.add(inspect_plugin(file));
  CHECK(w.state("probe").state == plugin_state::declared);
  CHECK(w.b.k.names().find("rustic.test/co").has_value());
  CHECK(!is_mapped(file));
  CHECK(w.ask("rustic.test/co", "echo", R"({"a":1})") == R"({"a":1})");
  CHECK(is_mapped(file));
  w.ask("rustic.test/block");
  CHECK(w.created.size() == 1);
  CHECK(w.state("probe").state == plugin_state::active);
  CHECK(w.plugins.stop(1000).empty());
}

TEST_CASE("many threads make the first call at once: it is opened once and all are answered") {
  world w;
  w.plugins.add(inspect_plugin(probe_file));
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&, i] {
      caller who;
      w.b.k.call(0, request_for(i % 2 ? "rustic.test/co" : "rustic.test/block", "echo"),
                 who.observer(), {});
      if (who.wait_finished() && who.status() == RAI_OK) ++good;
    });
  for (auto& one : threads) one.join();
  CHECK(good == 8);
  CHECK(w.created.size() == 1);
}

TEST_CASE("what a plugin needs is opened before it; a missing need and a cycle are named") {
  world w;
  w.plugins.add(posing_as(probe_file, "top", {"rustic.test/middle"}));
  w.plugins.add(posing_as(probe_file, "middle", {"rustic.test/base"}));
  w.plugins.add(posing_as(probe_file, "base"));
  w.plugins.add(posing_as(probe_file, "lonely", {"rustic.test/nobody"}));
  w.plugins.add(posing_as(probe_file, "one", {"rustic.test/two"}));
  w.plugins.add(posing_as(probe_file, "two", {"rustic.test/one"}));
  w.ask("rustic.test/top");
  CHECK(w.created == std::vector<std::string>{"base", "middle", "top"});
  const auto lonely = w.ask("rustic.test/lonely", "echo", "{}", RAI_FAILED_PRECONDITION);
  CHECK(lonely.find("it needs rustic.test/nobody, which nothing offers") != std::string::npos);
  const auto cycle = w.ask("rustic.test/one", "echo", "{}", RAI_FAILED_PRECONDITION);
  CHECK(cycle.find("one -> two -> one") != std::string::npos);
  CHECK(w.state("one").state == plugin_state::failed);
  CHECK(w.state("base").state == plugin_state::active);
}

TEST_CASE("a create that fails says why, and is tried again at the next call") {
  world w;
  w.configs["probe"] = R"({"fail":"the moon is in the way"})";
  w.plugins.add(inspect_plugin(probe_file));
  for (int i = 0; i < 2; ++i) {
    const auto said = w.ask("rustic.test/co", "echo", "{}", RAI_FAILED_PRECONDITION);
    CHECK(said.find("plugin probe: the moon is in the way") != std::string::npos);
    CHECK(w.state("probe").reason.find("moon") != std::string::npos);
  }
  w.configs["probe"] = "{}";
  w.ask("rustic.test/co");
  CHECK(w.state("probe").state == plugin_state::active);
  CHECK(w.state("probe").reason.empty());
}

TEST_CASE("a plugin that is switched off offers nothing") {
  world w;
  w.plugins.add(inspect_plugin(probe_file), "switched off for the test");
  CHECK(w.state("probe").state == plugin_state::disabled);
  CHECK(w.plugins.activate("probe") == "switched off for the test");
  w.ask("rustic.test/co", "echo", "{}", RAI_NOT_FOUND);
  CHECK(w.created.empty());
}

TEST_CASE(
    "a reload lets calls in flight finish on the old one and gives new calls to the new one") {
  world w;
  service gate;
  w.b.provide("rustic.test/gate", gate);
  w.configs["probe"] = R"({"tag":"old"})";
  w.plugins.add(inspect_plugin(probe_file));
  caller waiting;
  w.b.k.call(0, request_for("rustic.test/co", "ask", R"({"target":"rustic.test/gate"})"),
             waiting.observer(), {});
  REQUIRE(eventually([&] { return gate.calls() == 1; }));
  w.configs["probe"] = R"({"tag":"new"})";
  const auto next = copy_of_probe(w.dir, "next.so");
  CHECK(w.plugins.reload("probe", next) == "");
  CHECK(w.ask("rustic.test/co", "tag") == R"({"tag":"new"})");
  CHECK(w.ask("rustic.test/block", "tag") == R"({"tag":"new"})");
  CHECK(w.state("probe").draining == 1);
  CHECK(waiting.finishes() == 0);
  w.b.k.finish(gate.last(), RAI_OK, str("{}"));
  REQUIRE(waiting.wait_finished());
  CHECK(waiting.status() == RAI_OK);
  CHECK(eventually([&] { return w.drained > 0; }));
  CHECK(drains(w, "probe"));
  CHECK(w.state("probe").generation == 2);
}

TEST_CASE("a new file that is broken, cut, foreign or refuses leaves the old one serving") {
  world w;
  w.configs["probe"] = R"({"tag":"old"})";
  w.plugins.add(inspect_plugin(probe_file));
  w.ask("rustic.test/co", "tag");
  std::ifstream in(probe_file, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), {});
  const auto bad = w.dir.path / "bad.so";
  for (const auto bytes : {std::size_t{0}, std::size_t{100}, whole.size() / 3, whole.size() - 1}) {
    CAPTURE(bytes);
    std::ofstream(bad, std::ios::binary | std::ios::trunc) << whole.substr(0, bytes);
    fs::permissions(bad, fs::perms::owner_all);
    const auto problem = w.plugins.reload("probe", bad);
    // The last bytes of a file hold nothing that is loaded: such a file may work.
    if (bytes < whole.size() - 1) CHECK(problem != "");
    CHECK(w.ask("rustic.test/co", "tag") == R"({"tag":"old"})");
  }
  std::ofstream(bad, std::ios::trunc) << "hello";
  CHECK(w.plugins.reload("probe", bad) != "");
  CHECK(w.plugins.reload("probe", w.dir.path / "missing.so") != "");
  CHECK(w.plugins.reload("nobody", probe_file) != "");
  w.configs["probe"] = R"({"fail":"not today"})";
  CHECK(w.plugins.reload("probe", probe_file).find("not today") != std::string::npos);
  w.configs["probe"] = R"({"tag":"less","blockings":[]})";  // does not offer what it says
  CHECK(w.plugins.reload("probe", probe_file) != "");
  CHECK(w.ask("rustic.test/co", "tag") == R"({"tag":"old"})");
  CHECK(w.state("probe").state == plugin_state::active);
}

TEST_CASE("a real plugin that was cut at any byte is refused before anything of it runs") {
  for (const char* file : {HELLO_FILE, PROBE_FILE}) {
    std::ifstream in(file, std::ios::binary);
    const std::string whole((std::istreambuf_iterator<char>(in)), {});
    REQUIRE(parse_manifest_note(whole).problem == "");
    const std::size_t step = whole.size() < 65'536 ? 1 : whole.size() / 20'000;
    std::size_t taken = 0;
    for (std::size_t bytes = 0; bytes < whole.size(); bytes += step)
      if (parse_manifest_note(std::string_view(whole).substr(0, bytes)).problem.empty()) ++taken;
    CHECK(taken == 0);
  }
}

TEST_CASE("unload waits for calls, cancels those that stay, and takes the names away") {
  world w;
  service gate;
  gate.on_cancel = [&](rai_call id) { w.b.k.finish(id, RAI_CANCELLED, str("{}")); };
  w.b.provide("rustic.test/gate", gate);
  w.plugins.add(inspect_plugin(probe_file));
  caller waiting;
  w.b.k.call(0, request_for("rustic.test/block", "ask", R"({"target":"rustic.test/gate"})"),
             waiting.observer(), {});
  REQUIRE(eventually([&] { return gate.calls() == 1; }));
  CHECK(w.plugins.unload("probe", 20) == "");
  CHECK(waiting.status() == RAI_CANCELLED);
  w.ask("rustic.test/co", "echo", "{}", RAI_NOT_FOUND);
  CHECK(w.plugins.unload("probe", 20) == "");
}

TEST_CASE("a call that a plugin makes while it is started is refused, and nothing hangs") {
  world w;
  w.plugins.add(posing_as(probe_file, "other"));
  w.configs["probe"] = R"({"asks":"rustic.test/other"})";
  w.plugins.add(inspect_plugin(probe_file));
  const auto said = w.ask("rustic.test/block", "said");
  CHECK(said.find("plugin probe made it while it was being started") != std::string::npos);
  CHECK(w.state("other").state == plugin_state::declared);

  // By way of another plugin's handler, on the same thread.

  caller inner;
  struct relay {
    world& w;
    caller& who;
  } by{w, inner};
  w.b.k.events().subscribe(
      "probe.started",
      [](void* self, rai_str, rai_str) {
        auto& me = *static_cast<relay*>(self);
        me.w.b.k.call(0, request_for("rustic.test/other"), me.who.observer(), {});
      },
      &by);
  w.configs["loud"] =
      R"({"coroutines":["rustic.test/loud"],"blockings":[],"tells":"probe.started"})";
  w.plugins.add(posing_as(probe_file, "loud"));
  w.ask("rustic.test/loud");
  CHECK(inner.status() == RAI_FAILED_PRECONDITION);
  CHECK(inner.said("from inside another plugin's start"));
  w.ask("rustic.test/other");  // it is no worse for that
}

TEST_CASE("what a plugin offers by itself and what it hears go with it") {
  world w;
  w.configs["probe"] = R"({"tag":"one","offers":["rustic.test/extra"],"hears":"news.*"})";
  w.plugins.add(inspect_plugin(probe_file));
  w.ask("rustic.test/extra", "go", "{}", RAI_NOT_FOUND);
  w.ask("rustic.test/co");
  CHECK(w.ask("rustic.test/extra") == R"({"tag":"one"})");
  w.b.k.events().publish("news.today", "{}");
  CHECK(w.ask("rustic.test/block", "heard") == R"({"heard":1})");
  CHECK(w.plugins.unload("probe", 20) == "");
  w.ask("rustic.test/extra", "go", "{}", RAI_NOT_FOUND);
  w.b.k.events().publish("news.today", "{}");
}

TEST_CASE("a reload moves what a plugin offers by itself, and one that fails moves nothing") {
  world w;
  w.configs["probe"] = R"({"tag":"one","offers":["rustic.test/extra","rustic.test/old"]})";
  w.plugins.add(inspect_plugin(probe_file));
  w.ask("rustic.test/co");
  w.configs["probe"] = R"({"tag":"two","offers":["rustic.test/extra"],"no_start":"not today"})";
  CHECK(w.plugins.reload("probe", probe_file).find("not today") != std::string::npos);
  CHECK(w.ask("rustic.test/extra") == R"({"tag":"one"})");
  w.configs["probe"] = R"({"tag":"two","offers":["rustic.test/extra"]})";
  CHECK(w.plugins.reload("probe", probe_file) == "");
  CHECK(w.ask("rustic.test/extra") == R"({"tag":"two"})");
  w.ask("rustic.test/old", "go", "{}", RAI_NOT_FOUND);
  CHECK(drains(w, "probe"));
  CHECK(w.plugins.stop(1000).empty());
  w.ask("rustic.test/extra", "go", "{}", RAI_NOT_FOUND);
}

TEST_CASE("two kernels use one plugin file side by side") {
  world a, b;
  a.configs["probe"] = R"({"tag":"a"})";
  b.configs["probe"] = R"({"tag":"b"})";
  a.plugins.add(inspect_plugin(probe_file));
  b.plugins.add(inspect_plugin(probe_file));
  CHECK(a.ask("rustic.test/co", "tag") == R"({"tag":"a"})");
  CHECK(b.ask("rustic.test/block", "tag") == R"({"tag":"b"})");
  CHECK(a.plugins.stop(1000).empty());
  CHECK(b.ask("rustic.test/co", "tag") == R"({"tag":"b"})");
}

TEST_CASE("after stop the process has the threads and files that it had before") {
  const auto cycle = [] {
    world w;
    w.plugins.add(inspect_plugin(probe_file));
    for (int i = 0; i < 20; ++i) w.ask("rustic.test/block");
    CHECK(w.plugins.stop(1000).empty());
  };
  cycle();
  const auto threads = entries("/proc/self/task");
  const auto files = entries("/proc/self/fd");
  for (int i = 0; i < 5; ++i) cycle();
  CHECK(entries("/proc/self/task") == threads);
  CHECK(entries("/proc/self/fd") == files);
}

// What is left alone is left for good: a leak checker rightly says so.
#ifdef __SANITIZE_ADDRESS__
constexpr bool leaks_are_checked = true;
#else
constexpr bool leaks_are_checked = false;
#endif

TEST_CASE("stop names a plugin whose call does not end, and leaves it be" *
          doctest::skip(leaks_are_checked)) {
  world w;
  service gate;  // takes no notice of being cancelled
  w.b.provide("rustic.test/gate", gate);
  w.plugins.add(inspect_plugin(probe_file));
  caller waiting;
  w.b.k.call(0, request_for("rustic.test/co", "ask", R"({"target":"rustic.test/gate"})"),
             waiting.observer(), {});
  REQUIRE(eventually([&] { return gate.calls() == 1; }));
  CHECK(w.plugins.stop(10) == std::vector<std::string>{"probe"});
  w.b.k.finish(gate.last(), RAI_OK, str("{}"));
  CHECK(waiting.wait_finished());
}
