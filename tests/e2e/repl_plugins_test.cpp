// tests/e2e/repl_plugins_test.cpp - plugin files that change while a conversation goes on, in a
// real terminal.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <sstream>

#include "repl_world.hpp"

using namespace rustic;
using namespace rustic::e2e;
using fakes::step;
namespace fs = std::filesystem;

namespace {
const fs::path hello_file = HELLO_FILE;

std::string bytes_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The plugin with another answer of the same length, put in place by rename.
void put(const fs::path& file, const std::string& answer) {
  static constexpr std::string_view said = "Hello from C!";
  auto bytes = bytes_of(hello_file);
  const auto at = bytes.find(said);
  REQUIRE(at != npos);
  REQUIRE(answer.size() == said.size());
  bytes.replace(at, said.size(), answer);
  fs::create_directories(file.parent_path());
  const auto beside = file.string() + ".new";
  std::ofstream(beside, std::ios::binary) << bytes;
  fs::permissions(beside, fs::perms::owner_all);
  fs::rename(beside, file);
}

fs::path user_plugin(const repl_world& w) {
  return w.home / ".local/lib/rustic-ai/plugins/hello.so";
}

repl_world world_with_calls(std::size_t calls) {
  std::vector<step> steps;
  for (std::size_t i = 0; i < calls; ++i) {
    steps.push_back(step::calling("hello_c", "{}"));
    steps.push_back(step::saying("turn " + std::to_string(i + 1) + " over"));
  }
  return repl_world(std::move(steps));
}

// What another `rustic-ai` of the same user says.
std::string other_program(const repl_world& w, std::vector<std::string> words) {
  pty_program::options other = w.with;
  words.insert(words.begin(), RUSTIC_AI);
  other.words = std::move(words);
  pty_program program(other);
  CHECK(WEXITSTATUS(program.wait_exit()) == 0);
  return program.raw();
}

// The process that was started last of those below it.
pid_t deepest_below(pid_t process) {
  pid_t child = 0;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "stat");
    std::string text, state;
    if (!std::getline(file, text)) continue;
    std::istringstream fields(text.substr(text.rfind(')') + 1));
    pid_t parent = 0;
    if (fields >> state >> parent && parent == process)
      child = std::max(child, static_cast<pid_t>(std::stol(entry.path().filename())));
  }
  return child == 0 ? process : deepest_below(child);
}

void bypass(repl_world& w, const std::string& more = {}) {
  w.configure("[permissions]\nmode = \"bypass\"\n" + more);
}
}  // namespace

TEST_CASE("a plugin that is dropped in is announced, accepted, used, replaced, and broken") {
  auto w = world_with_calls(3);
  bypass(w);
  auto& t = w.at_prompt();
  put(user_plugin(w), "Hello from v1");
  REQUIRE(t.wait_for("* new plugin hello-c 1.0.0: /plugin accept hello-c uses it") != npos);
  CHECK(has(w.run("/plugins", "waiting"), "hello-c"));
  CHECK(has(w.run("/plugin accept hello-c", "ready"), "hello-c 1.0.0 is ready."));
  CHECK(has(w.run("greet", "turn 1 over"), "Hello from v1"));

  // Another process installs the next version: it is known, and no question is asked.
  const auto from = t.mark();
  const auto next = w.home / "next.so";
  put(next, "Hello from v2");
  CHECK(has(other_program(w, {"plugin", "install", next.string()}), "Installed hello-c"));
  REQUIRE(t.wait_for("generation 2 serves", from) != npos);
  CHECK(has(w.run("greet", "turn 2 over"), "Hello from v2"));

  const auto before = t.mark();
  std::ofstream(user_plugin(w), std::ios::binary | std::ios::trunc) << "not a plugin";
  REQUIRE(t.wait_for("generation 2 goes on", before) != npos);
  CHECK(has(t.raw().substr(before), "! hello.so cannot be used: not an ELF file"));
  CHECK(has(w.run("greet", "turn 3 over"), "Hello from v2"));
  t.send("/exit\r");
  CHECK(t.wait_exit() == 0);
}

TEST_CASE("news do not disturb what is being typed; they stand before the next prompt") {
  repl_world w({step::saying("heard you")});
  bypass(w, "[plugins]\npaths = [{path = \"" + (fs::path("~") / "dev").string() +
                "\", dev = true, isolation = \"none\"}]\n");
  fs::create_directories(w.home / "dev");
  auto& t = w.at_prompt();
  t.send("half a sen");
  REQUIRE(t.wait_for("half a sen") != npos);
  const auto from = t.mark();
  put(w.home / "dev/hello.so", "Hello from v1");
  // Nothing is written while it is taken up: the tool is there before a word is said of it.
  CHECK(!t.wait_until([&] { return t.mark() != from; }, 1500));
  t.send("tence\r");
  REQUIRE(t.wait_for("heard you", from) != npos);
  REQUIRE(t.wait_for("* new plugin hello-c 1.0.0: hello_c", from) != npos);
  CHECK(t.raw().find("new plugin hello-c") > t.raw().find("heard you"));
  const auto requests = w.server.requests();
  REQUIRE(requests.size() == 1);
  CHECK(has(requests[0].body, "half a sentence"));
  CHECK(has(requests[0].body, "hello_c"));
}

TEST_CASE("on an empty prompt the line stands above it and the prompt is whole") {
  repl_world w({});
  bypass(w, "[plugins]\npaths = [{path = \"~/dev\", dev = true, isolation = \"none\"}]\n");
  fs::create_directories(w.home / "dev");
  auto& t = w.at_prompt();
  put(w.home / "dev/hello.so", "Hello from v1");
  REQUIRE(t.wait_for("* new plugin hello-c") != npos);
  CHECK(t.wait_until([&] {
    const auto screen = t.screen();
    return screen.size() >= 2 && screen.back() == ">" &&
           has(screen[screen.size() - 2], "* new plugin hello-c 1.0.0: hello_c");
  }));
  t.send("/he");
  CHECK(t.wait_until([&] { return t.screen().back() == "> /he"; }));
}

TEST_CASE("/plugin reload opens a file anew and says why when it cannot") {
  auto w = world_with_calls(2);
  bypass(w);
  put(user_plugin(w), "Hello from v1");
  auto& t = w.at_prompt();
  CHECK(has(w.run("greet", "turn 1 over"), "Hello from v1"));
  put(user_plugin(w), "Hello from v2");
  REQUIRE(t.wait_for("/plugin accept hello-c") != npos);
  CHECK(has(w.run("/plugin reload hello-c", "serves"), "generation 2 serves"));
  CHECK(has(w.run("greet", "turn 2 over"), "Hello from v2"));
  CHECK(has(w.run("/plugin reload nobody", "nobody:"), "there is none of that name"));
  CHECK(has(w.run("/plugin accept hello-c", "waits"), "waits to be accepted"));
  CHECK(has(w.run("/plugin", "accept NAME"), "/plugin reload NAME"));
  CHECK(has(w.run("/plugins", "hello-c"), "GEN"));
  const auto from = t.mark();
  fs::remove(user_plugin(w));
  REQUIRE(t.wait_for("plugin hello-c is gone", from) != npos);
  CHECK(has(w.run("/plugins", "hello.so"), "removed"));
}

TEST_CASE("plugin list and info tell which generation a running program serves") {
  repl_world w({});
  bypass(w);
  put(user_plugin(w), "Hello from v1");
  auto& t = w.at_prompt();
  const auto notes = w.home / ".local/state/rustic-ai/generations";
  const auto info = [&] { return other_program(w, {"plugin", "info", "hello-c", "-o", "json"}); };
  CHECK(!fs::exists(notes));
  CHECK(has(info(), R"("generation":null)"));
  CHECK(has(info(), R"("running":[])"));
  for (const auto* generation : {"generation 1", "generation 2"})
    CHECK(has(w.run("/plugin reload hello-c", generation), "serves"));
  CHECK(has(info(), R"("generation":2,)"));
  CHECK(has(info(), R"("running":[{"pid":)" + std::to_string(t.pid()) + R"(,"generation":2}])"));
  CHECK(has(other_program(w, {"plugin", "info", "hello-c"}),
            "2 in process " + std::to_string(t.pid())));
  const auto list = other_program(w, {"plugin", "list"});
  CHECK(has(list, "GEN"));
  const auto at = list.find("hello-c");
  const auto row = list.substr(at, list.find('\n', at) - at);
  CHECK(has(row, " 2 "));
  REQUIRE(kill(t.pid(), SIGKILL) == 0);
  (void)t.wait_exit();
  CHECK(has(info(), R"("generation":null)"));
  CHECK(has(info(), R"("running":[])"));

  w.at_prompt();
  CHECK(has(w.run("/plugin reload hello-c", "generation 1"), "serves"));
  CHECK(has(w.run("/plugin reload hello-c", "generation 2"), "serves"));
  CHECK(!fs::is_empty(notes));
  w.terminal->send("/exit\r");
  CHECK(w.terminal->wait_exit() == 0);
  CHECK(fs::is_empty(notes));
}

TEST_CASE("a plugin that dies while nobody calls it is told of at the prompt") {
  auto w = world_with_calls(1);
  bypass(w);
  put(user_plugin(w), "Hello from v1");
  auto& t = w.at_prompt();
  CHECK(has(w.run("/plugin reload hello-c", "generation 1"), "serves"));
  const auto plugin = deepest_below(t.pid());
  REQUIRE(plugin != t.pid());
  const auto from = t.mark();
  REQUIRE(kill(plugin, SIGKILL) == 0);
  CHECK(t.wait_for("! plugin hello-c died: SIGKILL (Killed); the next call starts it again",
                   from) != npos);
  CHECK(has(w.run("greet", "turn 1 over"), "Hello from v1"));
}
