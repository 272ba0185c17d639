// Plugin files that come, change and go while a program runs: with real files, a real loader and
// what the kernel of the system tells of changes.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <thread>

#include "host/runtime/housekeeping.hpp"
#include "host/runtime/plugins_world.hpp"

using namespace rustic;
using namespace rustic::runtime;
using namespace rustic::runtime::testing;

TEST_CASE("in a dev directory a new, a replaced and a removed file take effect at once") {
  world w(dev);
  w.config = R"({"tag":"one"})";
  w.watch();
  put(w.user / "probe.so", version_of(probe_file, 1));
  CHECK(w.line_with("new plugin probe") != "");
  CHECK(w.ask("rustic.test/co", "tag").second == R"({"tag":"one"})");
  w.config = R"({"tag":"two"})";
  put(w.user / "probe.so", version_of(probe_file, 2));
  CHECK(w.line_with("generation 2 serves") != "");
  CHECK(w.ask("rustic.test/co", "tag").second == R"({"tag":"two"})");
  fs::remove(w.user / "probe.so");
  CHECK(w.line_with("plugin probe is gone") != "");
  CHECK(w.ask("rustic.test/co", "tag").first == RAI_NOT_FOUND);
  CHECK(w.report("probe").removed);
  put(w.user / "probe.so", version_of(probe_file, 3));
  CHECK(w.line_with("generation 3 serves") != "");
  CHECK(!w.report("probe").removed);
  CHECK(w.ask("rustic.test/co", "tag").first == RAI_OK);
}

TEST_CASE("a file that nobody knows is announced once and used when it is accepted") {
  world w;
  w.watch();
  put(w.user / "hello.so", version_of(hello_file, 1));
  CHECK(w.line_with("/plugin accept hello-c") ==
        "* new plugin hello-c 1.0.0: /plugin accept hello-c uses it");
  CHECK(w.ask("rustic.tool/hello_c", "call").first == RAI_NOT_FOUND);
  CHECK(w.report("hello-c").pending != "");
  w.keeper->accept("hello-c");
  CHECK(w.ask("rustic.tool/hello_c", "call").first == RAI_OK);
  CHECK_THROWS_AS(w.keeper->accept("hello-c"), failure);
  CHECK(w.ledger().read().trusted.size() == 1);

  w.forget_lines();
  put(w.user / "hello.so", version_of(hello_file, 2));
  CHECK(w.line_with("changed plugin hello-c") != "");
  CHECK(w.generation("hello-c") == 1);
  CHECK(w.ask("rustic.tool/hello_c", "call").first == RAI_OK);
  // The file that was accepted is known for good, the one that waits is not needed any more.
  put(w.user / "hello.so", version_of(hello_file, 1));
  CHECK(w.line_with("generation 2 serves") != "");
  CHECK(w.report("hello-c").pending == "");
}

TEST_CASE("a file whose mode changed meanwhile is accepted, one with other content is not") {
  world w;
  w.watch();
  put(w.user / "hello.so", version_of(hello_file, 1));
  CHECK(w.line_with("/plugin accept hello-c") != "");
  fs::permissions(w.user / "hello.so", fs::perms::owner_read);
  w.keeper->accept("hello-c");
  fs::permissions(w.user / "hello.so", fs::perms::owner_all);
  CHECK(w.ask("rustic.tool/hello_c", "call").first == RAI_OK);

  put(w.user / "hello.so", version_of(hello_file, 2));
  CHECK(w.line_with("changed plugin hello-c") != "");
  fs::permissions(w.user / "hello.so", fs::perms::all);
  CHECK_THROWS_WITH_AS(w.keeper->accept("hello-c"), doctest::Contains("written by others"),
                       failure);
  CHECK(w.generation("hello-c") == 1);
}

TEST_CASE("a file that was installed is taken up without a question") {
  world w;
  put(w.user / "hello.so", version_of(hello_file, 1));
  w.watch();
  const auto next = w.dir.path / "next.so";
  put(next, version_of(hello_file, 2));
  w.ledger().change(
      [&](ledger_state& all) { all.trust(hash_of_plugin_file(next), "hello-c", "installed", 1); });
  fs::rename(next, w.user / "hello.so");
  CHECK(w.line_with("serves") != "");
  CHECK(w.generation("hello-c") == 1);  // the first one was never called
}

TEST_CASE("a broken file leaves the old one serving and says why, once") {
  world w(dev);
  put(w.user / "probe.so", version_of(probe_file, 1));
  w.watch();
  CHECK(w.ask("rustic.test/co", "echo").first == RAI_OK);
  const auto whole = bytes_of(probe_file);
  put(w.user / "probe.so", whole.substr(0, whole.size() / 3));
  CHECK(w.line_with("cannot be used").find("generation 1 goes on") != std::string::npos);
  CHECK(w.ask("rustic.test/co", "echo").first == RAI_OK);

  w.forget_lines();
  w.config = R"({"fail":"the moon is in the way"})";
  put(w.user / "probe.so", version_of(probe_file, 2));
  CHECK(w.line_with("the moon is in the way").find("generation 1 goes on") != std::string::npos);
  CHECK(w.ask("rustic.test/co", "echo").first == RAI_OK);
  CHECK(w.report("probe").status.replacement_problem.find("moon") != std::string::npos);
  CHECK_THROWS_WITH_AS(w.keeper->reload("probe"), doctest::Contains("moon"), failure);

  w.forget_lines();
  w.config = "{}";
  put(w.user / "text.so", "not a plugin");
  CHECK(w.line_with("text.so cannot be used: not an ELF file") != "");
  put(w.user / "probe.so", version_of(probe_file, 3));
  CHECK(w.line_with("generation 2 serves") != "");
  CHECK(w.lines() == 2);  // of the broken ones nothing is said again
}

TEST_CASE("a file that is being written is not looked at before it is closed") {
  world w(dev);
  w.watch();
  const auto bytes = version_of(probe_file, 1);
  const auto file = w.user / "probe.so";
  const int writer = open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(writer >= 0);
  REQUIRE(write(writer, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  // Something else happens meanwhile, and is dealt with.
  put(w.user / "hello.so", version_of(hello_file, 1));
  CHECK(w.line_with("new plugin hello-c") != "");
  CHECK(w.report("probe").status.file.about.id.empty());
  CHECK(w.lines() == 1);
  close(writer);
  CHECK(w.line_with("new plugin probe") != "");

  // The same over a file that serves: cp writes over it in place.
  CHECK(w.ask("rustic.test/co", "echo").first == RAI_OK);
  w.forget_lines();
  const int again = open(file.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  REQUIRE(write(again, bytes.data(), 1000) == 1000);
  put(w.user / "hello.so", version_of(hello_file, 2));
  CHECK(w.line_with("plugin hello-c") != "");
  for (int i = 0; i < 20; ++i) CHECK(w.ask("rustic.test/co", "echo").first == RAI_OK);
  CHECK(w.lines() == 1);
  REQUIRE(write(again, bytes.data() + 1000, bytes.size() - 1000) > 0);
  close(again);
  CHECK(w.line_with("generation 2 serves") != "");
}

TEST_CASE("a linker that removes a file and writes it anew reloads it, nothing is taken away") {
  world w(dev);
  const auto file = w.user / "probe.so";
  put(file, version_of(probe_file, 1));
  w.watch();
  CHECK(w.ask("rustic.test/co", "echo").first == RAI_OK);
  fs::remove(file);
  std::ofstream(file, std::ios::binary) << version_of(probe_file, 2);
  CHECK(w.line_with("generation 2 serves") != "");
  CHECK(!w.has_line("is gone"));
  CHECK(w.ask("rustic.test/co", "echo").first == RAI_OK);
}

TEST_CASE("a directory that is made later is noticed, and one that was removed and made again") {
  world w([](options& with) {
    dev(with);
    fs::remove(with.plugin_directories[0].path);
    with.plugin_directories[0].path /= "deeper/plugins";
  });
  w.watch();
  const auto place = w.with.plugin_directories[0].path;
  fs::create_directories(place);
  put(place / "hello.so", version_of(hello_file, 1));
  CHECK(w.line_with("new plugin hello-c") != "");
  fs::remove_all(place.parent_path());
  CHECK(w.line_with("plugin hello-c is gone") != "");
  w.forget_lines();
  fs::create_directories(place);
  put(place / "hello.so", version_of(hello_file, 2));
  CHECK(w.line_with("plugin hello-c") != "");
  CHECK(w.ask("rustic.tool/hello_c", "call").first == RAI_OK);
}

TEST_CASE("a directory that is a link is watched where it leads to, also when that changes") {
  world w([](options& with) {
    dev(with);
    auto& place = with.plugin_directories[0].path;
    fs::create_directory(place.parent_path() / "first");
    fs::create_directory(place.parent_path() / "second");
    fs::remove(place);
    fs::create_directory_symlink("first", place);
  });
  w.watch();
  put(w.dir.path / "first/hello.so", version_of(hello_file, 1));
  CHECK(w.line_with("new plugin hello-c") != "");
  CHECK(w.ask("rustic.tool/hello_c", "call").first == RAI_OK);
  put(w.dir.path / "second/hello.so", version_of(hello_file, 2));
  fs::create_directory_symlink("second", w.dir.path / "next");
  fs::rename(w.dir.path / "next", w.user);
  CHECK(w.line_with("generation 2 serves") != "");
  put(w.dir.path / "second/hello.so", version_of(hello_file, 3));
  CHECK(w.line_with("generation 3 serves") != "");
}

TEST_CASE("a plugin that is a link changes with what it leads to, and with where it leads") {
  world w(dev);
  const auto build = w.dir.path / "build";
  fs::create_directory(build);
  fs::create_symlink("../build/probe.so", w.user / "probe.so");
  w.watch();  // it leads nowhere yet
  std::ofstream(build / "probe.so", std::ios::binary) << version_of(probe_file, 1);
  CHECK(w.line_with("new plugin probe") != "");
  CHECK(w.ask("rustic.test/co", "echo").first == RAI_OK);
  std::ofstream(build / "probe.so", std::ios::binary) << version_of(probe_file, 2);
  CHECK(w.line_with("generation 2 serves") != "");
  fs::remove(build / "probe.so");  // as a linker does it
  std::ofstream(build / "probe.so", std::ios::binary) << version_of(probe_file, 3);
  CHECK(w.line_with("generation 3 serves") != "");
  put(build / "probe.so", version_of(probe_file, 4));
  CHECK(w.line_with("generation 4 serves") != "");
  // The link itself: to another file, and that is watched then.
  put(w.dir.path / "other.so", version_of(probe_file, 5));
  fs::create_symlink("../other.so", w.dir.path / "next");
  fs::rename(w.dir.path / "next", w.user / "probe.so");
  CHECK(w.line_with("generation 5 serves") != "");
  put(w.dir.path / "other.so", version_of(probe_file, 6));
  CHECK(w.line_with("generation 6 serves") != "");
  // The directory of the target goes and comes back; the old code serves meanwhile.
  fs::rename(w.dir.path / "other.so", build / "probe.so");
  fs::create_symlink("../build/probe.so", w.dir.path / "next");
  fs::rename(w.dir.path / "next", w.user / "probe.so");
  CHECK(w.line_with("generation 7 serves") != "");
  fs::remove_all(build);
  CHECK(w.ask("rustic.test/co", "echo").first == RAI_OK);
  fs::create_directory(build);
  put(build / "probe.so", version_of(probe_file, 8));
  CHECK(w.line_with("generation 8 serves") != "");
  CHECK(!w.has_line("is gone"));
  fs::remove(w.user / "probe.so");
  CHECK(w.line_with("plugin probe is gone") != "");
}

TEST_CASE("what another process writes into the ledger takes effect") {
  world w;
  put(w.user / "probe.so", version_of(probe_file, 1));
  w.watch();
  CHECK(w.ask("rustic.test/co", "echo").first == RAI_OK);
  const auto notes = generation_notes_directory(w.with);
  CHECK(!fs::exists(notes));  // as long as nothing was exchanged, nothing is written
  w.ledger().change([](ledger_state& all) { ++all.plugins["probe"].reloads; });
  CHECK(w.line_with("generation 2 serves") != "");
  REQUIRE(generation_notes::read(notes).size() == 1);
  CHECK(generation_notes::read(notes)[0].path == (w.user / "probe.so").string());
  CHECK(generation_notes::read(notes)[0].generation == 2);
  w.ledger().change([](ledger_state& all) { all.plugins["probe"].disabled = true; });
  CHECK(w.line_with("plugin probe is switched off") != "");
  CHECK(generation_notes::read(notes).empty());
  CHECK(!w.report("probe").removed);
  CHECK(w.report("probe").status.reason == "switched off; rustic-ai plugin enable probe");
  CHECK(w.ask("rustic.test/co", "echo").first == RAI_NOT_FOUND);
  w.ledger().change([](ledger_state& all) { all.plugins["probe"].disabled = false; });
  CHECK(w.line_with("generation 3 serves") != "");
  CHECK(w.ask("rustic.test/co", "echo").first == RAI_OK);
}

TEST_CASE("deaths are remembered, and forgotten when the plugin is switched on again") {
  world w;
  put(w.user / "probe.so", version_of(probe_file, 1));
  w.watch();
  CHECK(w.ask("rustic.test/co", "echo").first == RAI_OK);
  published(w, R"({"plugin":"probe","reason":"SIGSEGV","unix_ms":5,"quarantined":false})");
  published(w, "no JSON");
  published(w, R"({"plugin":"probe","reason":"SIGABRT","unix_ms":6,"quarantined":true})");
  CHECK(w.deaths_told == 2);
  CHECK(w.line_with("SIGSEGV") == "! plugin probe died: SIGSEGV; the next call starts it again");
  CHECK(w.line_with("SIGABRT") ==
        "! plugin probe died: SIGABRT; it is quarantined now: rustic-ai plugin enable probe");
  w.keeper->write_deaths();
  auto known = w.ledger().read().of("probe");
  CHECK(known.deaths_unix_ms == std::vector<std::int64_t>{5, 6});
  CHECK(known.quarantined);
  CHECK(known.last_death == "SIGABRT");
  CHECK(w.report("probe").known.quarantined);
  w.ledger().change([](ledger_state& all) { all.plugins.erase("probe"); });
  CHECK(w.line_with("generation 2 serves") != "");
  CHECK(!w.report("probe").known.quarantined);
  w.keeper->stop_watching();
  published(w, R"({"plugin":"probe","reason":"SIGTERM","unix_ms":7,"quarantined":false})");
  CHECK(!w.has_line("SIGTERM"));
}

TEST_CASE("a file that the user's own hid serves when that goes; nothing is taken from elsewhere") {
  world w(dev);
  put(w.user / "a.so", version_of(probe_file, 1));
  put(w.other / "b.so", version_of(probe_file, 2));
  w.watch();
  CHECK(w.report("probe").status.file.listed == w.user / "a.so");
  CHECK(w.ask("rustic.test/co", "echo").first == RAI_OK);
  fs::remove(w.user / "a.so");
  CHECK(w.line_with("generation 2 serves") != "");
  CHECK(w.report("probe").status.file.listed == w.other / "b.so");
}

TEST_CASE("where a plugin runs: configuration decides, manifest and sidecar only tighten") {
  scratch dir;
  options with;
  with.plugin_directories.emplace_back(dir.path / "shipped", true);
  with.plugin_directories.emplace_back(dir.path / "mine", false);
  auto file = abi::inspect_plugin(probe_file);
  REQUIRE(file.problem.empty());
  file.listed = dir.path / "mine/probe.so";
  fs::create_directory(dir.path / "mine");
  const auto isolated = [&](std::size_t directory) {
    file.directory = directory;
    return place(file, with).isolated;
  };
  CHECK(!isolated(0));
  CHECK(isolated(1));
  CHECK(place(file, with).because == "it did not come with the program");
  with.plugin_directories[1].isolation = "none";
  CHECK(!isolated(1));
  std::ofstream(dir.path / "mine/probe.so.json") << R"({"isolation":"process"})";
  CHECK(isolated(1));
  std::ofstream(dir.path / "mine/probe.so.json") << R"({"isolation":"none"})";
  CHECK(!isolated(1));
  with.plugin_directories[1].isolation = "process";
  CHECK(isolated(1));  // a sidecar cannot loosen
  with.trusted_plugins = {"probe"};
  CHECK(!isolated(1));
  std::ofstream(dir.path / "mine/probe.so.json") << "{";
  CHECK(isolated(1));  // one that cannot be read asks for the safer thing
  fs::remove(dir.path / "mine/probe.so.json");
  with.plugin_sections["probe"] = json::object{{"isolation", "process"}};
  CHECK(isolated(1));
  CHECK(isolated(0));
  with.plugin_sections["probe"] = json::object{{"isolation", "none"}};
  CHECK(!isolated(1));
  file.about.isolation = "process";
  CHECK(isolated(0));
  file.about.isolation = "something newer";
  CHECK(isolated(0));
  file.about.isolation = "any";
  CHECK(!isolated(0));
}

TEST_CASE("a plugin that has to be isolated is refused when there is no cell") {
  world w([](options& with) { with.plugin_directories[0].isolation.clear(); });
  put(w.user / "probe.so", version_of(probe_file, 1));
  w.begin();
  const auto [status, body] = w.ask("rustic.test/co", "echo");
  CHECK(status == RAI_FAILED_PRECONDITION);
  CHECK(body.find("has to run in a process of its own") != std::string::npos);
  CHECK(body.find("isolation = \\\"none\\\"") != std::string::npos);
}

TEST_CASE("what the cell is told") {
  world w([](options& with) {
    with.environment = {{"PATH", "/bin"},   {"HOME", "/home/a"}, {"LC_ALL", "C"},
                        {"SECRET", "s3cr"}, {"WANTED", "w"},     {"TMPDIR", "/var/t"}};
    with.working_directory = "/work/here";
    with.plugin_sections["probe"] =
        parse_object(R"({"isolation":"process","cell":{"write_paths":["~/x","y"],
          "environment":["WANTED"],"memory_bytes":1000}})");
    with.plugin_sections["cell"] = parse_object(R"({"enabled":true,"ready_ms":5})");
  });
  auto file = abi::inspect_plugin(probe_file);
  file.about.permissions = {"files.write"};
  ledger_plugin known;
  known.deaths_unix_ms = {7};
  const auto told = parse_object(cell_configuration(
      file, "/copy.so", R"({"tag":"t","state_dir":"/s"})", {"rustic.test/co"}, w.with, known));
  const auto& isolated = object_or_empty(told, "isolated");
  CHECK(int_or(told, "ready_ms") == 5);
  CHECK(!told.contains("enabled"));
  CHECK(text_or(isolated, "id") == "probe");
  CHECK(text_or(isolated, "file") == "/copy.so");
  CHECK(text_or(object_or_empty(isolated, "config"), "tag") == "t");
  CHECK(isolated.at("targets") == json::array{"rustic.test/co"});
  CHECK(isolated.at("deaths_unix_ms") == json::array{7});
  CHECK(isolated.at("quarantined") == false);
  CHECK(isolated.at("write_paths") ==
        json::array{"/s", "/work/here", "/var/t", "/home/a/x", "/work/here/y"});
  CHECK(isolated.at("limits") == json::object{{"memory_bytes", 1000}});
  const auto& environment = object_or_empty(isolated, "environment");
  CHECK(environment.contains("WANTED"));
  CHECK(environment.contains("LC_ALL"));
  CHECK(!environment.contains("SECRET"));
}

TEST_CASE("the ledger: writers do not lose each other's words, a broken one is left alone") {
  scratch dir;
  const plugin_ledger ledger(dir.path / "state/plugins.json");
  CHECK(ledger.read().plugins.empty());
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i)
    writers.emplace_back([&] {
      for (int n = 0; n < 25; ++n)
        ledger.change([](ledger_state& all) { ++all.plugins["x"].reloads; });
    });
  for (auto& one : writers) one.join();
  CHECK(ledger.read().of("x").reloads == 100);
  ledger.change([](ledger_state& all) {
    for (int i = 0; i < 1200; ++i) all.trust("hash" + std::to_string(i), "x", "installed", i);
    all.plugins["x"].deaths_unix_ms.assign(100, 3);
  });
  CHECK(ledger.read().trusted.size() == 1000);
  CHECK(!ledger.read().trusted.contains("hash0"));
  CHECK(ledger.read().of("x").deaths_unix_ms.size() == 16);
  std::ofstream(ledger.file()) << "{ broken";
  CHECK(ledger.read().problem != "");
  CHECK_THROWS_AS(ledger.change([](ledger_state&) {}), failure);
  CHECK(bytes_of(ledger.file()) == "{ broken");
  CHECK_THROWS_AS(plugin_ledger({}).change([](ledger_state&) {}), failure);
}

TEST_CASE("housekeeping that waits keeps nobody, and runs again for what came meanwhile") {
  std::mutex mutex;
  std::condition_variable changed;
  int begun = 0, allowed = 0;
  housekeeping kept([&] {
    std::unique_lock lock(mutex);
    const int mine = ++begun;
    changed.notify_all();
    changed.wait(lock, [&] { return allowed >= mine; });
  });
  const auto until = [&](int number) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, 20s, [&] { return begun >= number; });
  };
  kept.wake();
  REQUIRE(until(1));
  for (int i = 0; i < 100; ++i) kept.wake();  // while it waits: one more round, not a hundred
  {
    const std::scoped_lock lock(mutex);
    CHECK(begun == 1);
    allowed = 2;
    changed.notify_all();
  }
  REQUIRE(until(2));
  kept.stop();
  kept.wake();
  CHECK(begun == 2);
}
