// What a plugin in a cell sees and may do, and that nothing of it outlives the program.
#include "cell_world.hpp"

using namespace rustic::cell::testing;

namespace {
namespace json = boost::json;
using rustic::int_or;
constexpr auto hostile = "rustic.test/hostile";

bool landlock() {
  world w;
  w.add(test_plugin("hostile"));
  w.ask(hostile, "echo");
  return !w.logged("Landlock");
}
std::string path_body(const fs::path& path) {
  return json::serialize(json::object{{"path", path.string()}});
}
}  // namespace

TEST_CASE("it gets the variables that it is given and no descriptor but its own") {
  world w;
  w.isolated["environment"] = json::object{{"LANG", "C.UTF-8"}, {"GREETING", "hello = you"}};
  w.add(test_plugin("hostile"));
  const auto seen = json::parse(w.ask(hostile, "surroundings")).as_object();
  CHECK(json::serialize(seen.at("variables")) == R"(["LANG=C.UTF-8","GREETING=hello = you"])");
  CHECK(int_or(seen, "no_new_privs") == 1);
  // 0, 1, 2, its two sockets, and the two of its threads; the loaded file may be open or not.
  CHECK(seen.at("descriptors").as_array().size() <= 8);
}

TEST_CASE("it reads everything and writes only where it may") {
  const bool fenced = landlock();
  world w;
  const auto allowed = w.dir.path / "allowed";
  fs::create_directory(allowed);
  const auto file = w.dir.path / "readable";
  std::ofstream(file) << "text";
  w.isolated["write_paths"] = json::array{allowed.string()};
  w.add(test_plugin("hostile"));
  const auto tries = [&](const char* method, const fs::path& path) {
    return w.number(hostile, method, path_body(path), "errno");
  };
  CHECK(tries("write", allowed / "new") == 0);
  CHECK(tries("write", allowed / "new") == 0);
  CHECK(tries("write", "/dev/null") == 0);
  CHECK(tries("read", file) == 0);
  CHECK(tries("read", "/etc/passwd") == 0);
  if (fenced) {
    CHECK(tries("write", w.dir.path / "new") == EACCES);
    CHECK(tries("write", file) == EACCES);
    CHECK(tries("write", allowed / ".." / "new") == EACCES);
    fs::create_symlink(file, allowed / "link");
    CHECK(tries("write", allowed / "link") == EACCES);
  } else {
    CHECK(w.logged("Landlock"));
  }
}

TEST_CASE("a path that is not there is told, and the plugin runs") {
  world w;
  w.isolated["write_paths"] = json::array{(w.dir.path / "missing").string()};
  w.add(test_plugin("hostile"));
  w.ask(hostile, "echo");
  CHECK(w.logged("missing"));
}

TEST_CASE("limits hold") {
  world w;
  w.isolated["limits"] = json::object{{"open_files", 64}};
  w.add(test_plugin("hostile"));
  CHECK(w.number(hostile, "open_many", "{}", "opened") < 64);
}

TEST_CASE("a configuration that makes no sense is refused by name") {
  const auto refusal = [](const char* key, const json::value& value) {
    world w;
    w.isolated[key] = value;
    w.add(test_plugin("hostile"));
    return w.ask(hostile, "echo", "{}", RAI_FAILED_PRECONDITION);
  };
  CHECK(refusal("environment", json::object{{"A=B", "x"}}).find("environment") !=
        std::string::npos);
  CHECK(refusal("environment", json::object{{"A", 5}}).find("environment") != std::string::npos);
  CHECK(refusal("write_paths", json::array{7}).find("write_paths") != std::string::npos);
  CHECK(refusal("limits", json::object{{"memory_bytes", -1}}).find("memory_bytes") !=
        std::string::npos);
  world w;
  w.section["program"] = "/nowhere/rustic-ai-cell";
  w.add(test_plugin("hostile"));
  const auto text = w.ask(hostile, "echo", "{}", RAI_FAILED_PRECONDITION);
  CHECK(text.find("/nowhere/rustic-ai-cell") != std::string::npos);
  CHECK(text.find("plugin.cell.program") != std::string::npos);
}

TEST_CASE("the image may be removed as soon as the plugin is loaded") {
  world w;
  const auto copy = w.dir.path / "copy.so";
  fs::copy_file(test_plugin("hostile"), copy);
  fs::permissions(copy, fs::perms::owner_all);
  w.add(copy);
  w.ask(hostile, "echo");
  fs::remove(copy);
  w.ask(hostile, "die", R"({"how":"kill"})", RAI_UNAVAILABLE);
  w.ask(hostile, "echo");  // started again from the file that is gone
}

TEST_CASE("all of it ends when the program is killed") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t program = ::fork();
  REQUIRE(program >= 0);
  if (program == 0) {
    world w;
    w.add(test_plugin("hostile"));
    const pid_t pids[] = {static_cast<pid_t>(w.number(hostile, "pid")),
                          static_cast<pid_t>(w.number(hostile, "parent")),
                          static_cast<pid_t>(w.number(hostile, "detached"))};
    caller hangs;
    w.call(hangs, hostile, "hang");
    if (::write(ends[1], pids, sizeof pids) != sizeof pids) ::_exit(1);
    for (;;) ::pause();
  }
  pid_t pids[3] = {};
  REQUIRE(::read(ends[0], pids, sizeof pids) == sizeof pids);
  ::close(ends[0]);
  ::close(ends[1]);
  for (const auto pid : pids) {
    CHECK(pid > 1);
    CHECK(runs(pid));
  }
  SUBCASE("with SIGKILL") {
    ::kill(program, SIGKILL);
  }
  SUBCASE("while its plugin is stopped") {
    ::kill(pids[0], SIGSTOP);
    ::kill(program, SIGKILL);
  }
  REQUIRE(::waitpid(program, nullptr, 0) == program);
  for (const auto pid : pids) CHECK(eventually([&] { return !runs(pid); }));
}
