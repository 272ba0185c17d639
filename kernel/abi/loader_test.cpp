// The loader with a real plugin file: opened late, exchanged, stopped, and never left half way.
#include "kernel/abi/loader.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "kernel/test_parts.hpp"

using namespace rustic::kernel;
using namespace rustic::kernel::abi;
using namespace rustic::kernel::testing;
namespace fs = std::filesystem;

namespace {

const fs::path probe_file = PROBE_FILE;

struct scratch {
  scratch() {
    std::string name = (fs::temp_directory_path() / "rustic-loader-XXXXXX").string();
    path = fs::canonical(mkdtemp(name.data()));
  }
  ~scratch() { fs::remove_all(path); }
  fs::path path;
};

// The probe under another id, with targets of its own.
plugin_file posing_as(const fs::path& file, const std::string& id,
                      std::vector<std::string> needs = {}) {
  auto out = inspect_plugin(file);
  REQUIRE(out.problem == "");
  out.about.id = id;
  out.about.provides.clear();
  provided entry;
  entry.interface = "rustic.test";
  entry.name = id;
  entry.attributes = "{}";
  out.about.provides.push_back(entry);
  out.about.requires_targets = std::move(needs);
  return out;
}

struct world {
  bench b;
  scratch dir;
  std::mutex mutex;
  std::vector<std::string> created;            // ids, in the order in which they were configured
  std::map<std::string, std::string> configs;  // by id
  std::atomic<int> drained{0};
  loader plugins;

  world() : plugins(b.k, settings(this)) {}

  static loader::settings settings(world* me) {
    loader::settings out;
    out.configuration = [me](const manifest& about) {
      std::scoped_lock lock(me->mutex);
      me->created.push_back(about.id);
      const auto found = me->configs.find(about.id);
      if (found != me->configs.end()) return found->second;
      if (about.id == "probe") return std::string("{}");
      return "{\"coroutines\":[\"rustic.test/" + about.id + "\"],\"blockings\":[]}";
    };
    out.generation_directory = me->dir.path / "generations";
    out.on_drained = [me] { ++me->drained; };
    return out;
  }
  std::string ask(std::string_view target, std::string_view method = "echo",
                  std::string_view body = "{}", rai_status expected = RAI_OK) {
    caller who;
    b.k.call(0, request_for(target, method, body), who.observer(), {});
    REQUIRE(who.wait_finished());
    CAPTURE(who.body());
    CHECK(who.status() == expected);
    return who.body();
  }
  const plugin_status state(std::string_view id) {
    for (auto& one : plugins.list())
      if (one.file.about.id == id) return one;
    return {};
  }
};

bool is_mapped(const fs::path& file) {
  std::ifstream maps("/proc/self/maps");
  const std::string text((std::istreambuf_iterator<char>(maps)), {});
  return text.find(file.string()) != std::string::npos;
}

fs::path copy_of_probe(const scratch& dir, const std::string& name) {
  const auto path = dir.path / name;
  fs::copy_file(probe_file, path, fs::copy_options::overwrite_existing);
  fs::permissions(path, fs::perms::owner_all);
  return path;
}

std::size_t entries(const char* directory) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

bool eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}
}  // namespace

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
  w.plugins.reap();
  CHECK(w.state("probe").draining == 0);
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

TEST_CASE("two hundred reloads while calls go on") {
  world w;
  w.plugins.add(inspect_plugin(probe_file));
  w.ask("rustic.test/co");
  std::atomic<bool> over{false};
  std::atomic<int> answered{0}, wrong{0};
  std::thread busy([&] {
    while (!over) {
      caller who;
      w.b.k.call(0, request_for(answered % 2 ? "rustic.test/co" : "rustic.test/block", "echo"),
                 who.observer(), {});
      if (!who.wait_finished() || who.status() != RAI_OK) ++wrong;
      ++answered;
    }
  });
  for (int i = 0; i < 200; ++i) {
    std::string problem = w.plugins.reload("probe", probe_file);
    // Too many generations drain at once only while their calls are running.
    for (int again = 0; problem.find("in flight") != std::string::npos && again < 10'000; ++again) {
      std::this_thread::yield();
      problem = w.plugins.reload("probe", probe_file);
    }
    REQUIRE(problem == "");
  }
  over = true;
  busy.join();
  CHECK(wrong == 0);
  CHECK(answered > 0);
  CHECK(w.state("probe").generation == 201);
  w.plugins.reap();
  CHECK(w.state("probe").draining == 0);
  CHECK(fs::is_empty(w.dir.path / "generations"));
}
