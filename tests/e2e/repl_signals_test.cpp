// tests/e2e/repl_signals_test.cpp - interruptions, sizes and endings of the conversation in a
// terminal.
#include <dirent.h>
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstring>
#include <sstream>

#include "repl_world.hpp"

using namespace rustic;
using namespace rustic::e2e;
using fakes::step;
using steady = std::chrono::steady_clock;

namespace {
bool same(const termios& a, const termios& b) {
  return a.c_iflag == b.c_iflag && a.c_oflag == b.c_oflag && a.c_cflag == b.c_cflag &&
         a.c_lflag == b.c_lflag && std::memcmp(a.c_cc, b.c_cc, sizeof(a.c_cc)) == 0;
}

// Programs whose command line has the text.
int running(const std::string& text) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "cmdline", std::ios::binary);
    std::ostringstream words;  // fails, and does not throw, when the process ends meanwhile
    words << file.rdbuf();
    if (has(words.str(), text)) ++count;
  }
  return count;
}

std::string status_line(const std::filesystem::path& file, const std::string& name) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(name + ":")) return line.substr(name.size() + 1);
  return {};
}

// Of all threads together.
long voluntary_switches(pid_t pid) {
  long sum = 0;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task"))
    sum += std::atol(status_line(task.path() / "status", "voluntary_ctxt_switches").c_str());
  return sum;
}

long resident_kib(pid_t pid) {
  return std::atol(status_line("/proc/" + std::to_string(pid) + "/status", "VmRSS").c_str());
}
}  // namespace

TEST_CASE("Ctrl-C stops an answer within a second, keeps what was said, and goes on") {
  auto slow = step::saying("");
  slow.text = {"partial words ", "never"};
  slow.stall_after_events = 2;  // the first one only opens the message
  repl_world w({slow, step::saying("Fine.")});
  auto& t = w.at_prompt();
  t.send("go\r");
  REQUIRE(t.wait_for("partial words") != npos);
  const auto begin = steady::now();
  t.send(ctrl_c);
  auto at = t.wait_for("(stopped");
  REQUIRE(at != npos);
  REQUIRE(w.wait_prompt(at));
  CHECK(steady::now() - begin < std::chrono::seconds(1));
  t.send("again\r");
  REQUIRE(t.wait_for("Fine.", at) != npos);
  CHECK(has(w.server.requests().back().body, "partial words"));
}

TEST_CASE("a second Ctrl-C after the one that stopped the answer leaves") {
  auto slow = step::saying("");
  slow.text = {"partial words ", "never"};
  slow.stall_after_events = 2;  // the first one only opens the message
  repl_world w({slow});
  auto& t = w.start();
  const auto before = t.mode();
  REQUIRE(w.wait_prompt(0));
  t.send("go\r");
  REQUIRE(t.wait_for("partial words") != npos);
  t.send(ctrl_c);
  const auto at = t.wait_for("(stopped");
  REQUIRE(at != npos);
  REQUIRE(w.wait_prompt(at));
  t.send(ctrl_c);
  const int status = t.wait_exit();
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 130);
  CHECK(same(before, t.mode()));
}

TEST_CASE("a stopped program that goes on edits its line again") {
  repl_world w({step::saying("Fine.")});
  auto& t = w.at_prompt();
  t.send("half");
  REQUIRE(t.wait_until([&] { return t.shows("> half"); }));
  kill(t.pid(), SIGSTOP);
  int status = 0;
  REQUIRE(waitpid(t.pid(), &status, WUNTRACED) == t.pid());
  REQUIRE(WIFSTOPPED(status));
  const auto from = t.mark();
  kill(t.pid(), SIGCONT);
  REQUIRE(t.wait_for("half", from) != npos);
  t.send(" done\r");
  REQUIRE(t.wait_for("Fine.", from) != npos);
  CHECK(has(w.server.requests()[0].body, "half done"));
}

TEST_CASE("a program stopped at a question asks again, and a key answers it") {
  repl_world w(
      {step::calling("shell", R"({"command":"echo made-it"})"), step::saying("All done.")});
  const auto& before = w.start();
  const auto cooked = before.mode();
  REQUIRE(w.wait_prompt(0));
  auto& t = *w.terminal;
  t.send("go\r");
  const auto asked = t.wait_for("Press y");
  REQUIRE(asked != npos);
  kill(t.pid(), SIGSTOP);
  int status = 0;
  REQUIRE(waitpid(t.pid(), &status, WUNTRACED) == t.pid());
  t.set_mode(cooked);  // as a shell does
  kill(t.pid(), SIGCONT);
  REQUIRE(t.wait_for("Press y", asked) != npos);
  CHECK((t.mode().c_lflag & (ICANON | ECHO)) == 0);
  t.send("y");
  REQUIRE(t.wait_for("All done.", asked) != npos);
}

TEST_CASE("20 columns: the line that tells of work leaves nothing behind") {
  repl_world w({step::saying("Fine.")});
  w.with.columns = 20;
  auto& t = w.at_prompt();
  t.send("go\r");
  REQUIRE(t.wait_for("Fine.") != npos);
  CHECK(!t.shows("working"));
}

TEST_CASE("what is typed during an answer waits for the prompt") {
  auto slow = step::saying("");
  slow.text = {"begin ", "end."};
  slow.stall_after_events = 2;  // the first one only opens the message
  repl_world w({slow, step::saying("Second.")});
  auto& t = w.at_prompt();
  t.send("go\r");
  auto at = t.wait_for("begin ");
  REQUIRE(at != npos);
  t.send("typed ahead");
  w.server.release();
  at = t.wait_for("end.", at);
  REQUIRE(at != npos);
  CHECK(!has(t.raw(), "typed"));
  REQUIRE(t.wait_until([&] { return t.shows("> typed ahead"); }));
  t.send("\r");
  CHECK(t.wait_for("Second.", at) != npos);
}

TEST_CASE("Ctrl-C at the prompt clears; a second one leaves, the terminal as it was") {
  repl_world w({step::saying("Fine.")});
  auto& t = w.start();
  const auto before = t.mode();
  REQUIRE(w.wait_prompt(0));
  REQUIRE(t.wait_until([&] { return !same(before, t.mode()); }));
  t.send("half a thought");
  REQUIRE(t.wait_until([&] { return t.shows("half a thought"); }));
  t.send(ctrl_c);
  auto at = t.wait_for("(Ctrl-C again");
  REQUIRE(at != npos);
  REQUIRE(w.wait_prompt(at));
  // A line in between makes the next one the first again.
  w.run("whole", "Fine.");
  CHECK(!has(w.server.requests()[0].body, "half a thought"));
  at = t.mark();
  t.send(ctrl_c);
  at = t.wait_for("(Ctrl-C again", at);
  REQUIRE(at != npos);
  REQUIRE(w.wait_prompt(at));
  t.send(ctrl_c);
  const int status = t.wait_exit();
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 130);
  CHECK(same(before, t.mode()));
  CHECK(has(t.raw(), "\x1b[?2004l"));
}

TEST_CASE("SIGTERM leaves with 143 and the terminal as it was, at the prompt and in a turn") {
  auto slow = step::saying("");
  slow.text = {"begin ", "never"};
  slow.stall_after_events = 2;  // the first one only opens the message
  repl_world w({slow});
  for (const bool in_turn : {false, true}) {
    CAPTURE(in_turn);
    auto& t = w.start();
    const auto before = t.mode();
    REQUIRE(w.wait_prompt(0));
    if (in_turn) {
      t.send("go\r");
      REQUIRE(t.wait_for("begin") != npos);
    }
    kill(t.pid(), SIGTERM);
    const int status = t.wait_exit();
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 143);
    CHECK(same(before, t.mode()));
  }
}

TEST_CASE("a terminal that goes away leaves no process, tools included") {
  const std::string marker = "8231.25" + std::to_string(getpid());
  repl_world w({step::calling("shell", "{\"command\":\"sleep " + marker + "\"}")});
  w.configure("[permissions]\nmode = \"bypass\"\n");
  for (const bool in_turn : {false, true}) {
    CAPTURE(in_turn);
    auto& t = w.at_prompt();
    if (in_turn) {
      t.send("go\r");
      REQUIRE(t.wait_until([&] { return running(marker) > 0; }));
    }
    t.hang_up();
    CHECK(t.wait_exit() != -1);
    CHECK(t.wait_until([&] { return running(marker) == 0; }));
  }
}

TEST_CASE("Ctrl-C while a tool runs ends the tool's processes") {
  const std::string marker = "8232.25" + std::to_string(getpid());
  repl_world w({step::calling("shell", "{\"command\":\"setsid sleep " + marker + "; true\"}"),
                step::saying("Next.")});
  w.configure("[permissions]\nmode = \"bypass\"\n");
  auto& t = w.at_prompt();
  t.send("go\r");
  REQUIRE(t.wait_until([&] { return running("sleep") > 0 && running(marker) > 0; }));
  t.send(ctrl_c);
  const auto at = t.wait_for("(stopped");
  REQUIRE(at != npos);
  REQUIRE(w.wait_prompt(at));
  CHECK(t.wait_until([&] { return running(marker) == 0; }));
  t.send("on\r");
  CHECK(t.wait_for("Next.", at) != npos);
}

TEST_CASE("a question takes no key from before it, and goes away when its time is over") {
  auto slow = step::calling("shell", R"({"command":"touch made"})");
  slow.text = {"thinking aloud "};
  slow.stall_after_events = 2;
  repl_world w({slow, step::saying("Then not.")});
  w.configure("[plugin.permission]\nask_timeout = \"1500ms\"\n");
  auto& t = w.at_prompt();
  t.send("go\r");
  REQUIRE(t.wait_for("thinking aloud") != npos);
  t.send("y");
  w.server.release();
  auto at = t.wait_for("Press y");
  REQUIRE(at != npos);
  at = t.wait_for("withdrawn", at);
  REQUIRE(at != npos);
  REQUIRE(t.wait_for("Then not.", at) != npos);
  CHECK(!std::filesystem::exists(w.work / "made"));
}

TEST_CASE("60 columns, and a terminal that is resized while a line is typed") {
  repl_world w(
      {step::calling(
           "shell",
           R"({"command":"echo a long command line that has to be cut to fit into the terminal"})"),
       step::saying("Done.")});
  w.with.columns = 60;
  w.with.rows = 20;
  w.configure("[permissions]\nmode = \"bypass\"\n");
  auto& t = w.at_prompt();
  for (const auto& line : t.screen()) CHECK(line.size() <= 60);
  w.run("/tools", "shell");
  w.run("/help", "Ctrl-R");
  const auto from = t.mark();
  t.send("type");
  REQUIRE(t.wait_until([&] { return t.shows("> type"); }));
  t.resize(90, 25);
  REQUIRE(t.wait_for("\x1b[J", from) != npos);
  REQUIRE(t.wait_until([&] { return t.shows("> type"); }));
  t.send("d on\r");
  REQUIRE(t.wait_for("Done.", from) != npos);
  CHECK(has(w.server.requests()[0].body, "typed on"));
}

TEST_CASE("no plugin is opened before the first words, few after them") {
  repl_world w({step::saying("Hello.")});
  auto& t = w.at_prompt();
  const auto plugins = [&] {
    std::ifstream maps("/proc/" + std::to_string(t.pid()) + "/maps");
    const std::string text((std::istreambuf_iterator<char>(maps)), {});
    return text;
  };
  CHECK(!has(plugins(), "rustic-ai/plugins/"));
  w.run("hi", "Hello.");
  CHECK(has(plugins(), "agent.so"));
  CHECK(!has(plugins(), "shell.so"));
  CHECK(!has(plugins(), "files.so"));
}

TEST_CASE("an idle prompt does not wake up" * doctest::description("slow")) {
  repl_world w({step::calling("shell", R"({"command":"echo hello"})"), step::saying("Hello.")});
  w.configure("[permissions]\nmode = \"bypass\"\n");
  auto& t = w.at_prompt();
  const auto begin_kib = resident_kib(t.pid());
  w.run("hi", "Hello.");
  // Until what a turn leaves to finish has finished: no switch for five seconds.
  long last = -1;
  auto since = steady::now();
  CHECK(t.wait_until(
      [&] {
        const auto now = voluntary_switches(t.pid());
        if (now != last) since = steady::now();
        last = now;
        return steady::now() - since > std::chrono::seconds(5);
      },
      60'000));
  const auto start = steady::now();
  CHECK(!t.wait_until([&] { return voluntary_switches(t.pid()) != last; }, 25'000));
  CHECK(steady::now() - start >= std::chrono::seconds(24));
  MESSAGE("resident memory: " << begin_kib << " KiB at the first prompt, " << resident_kib(t.pid())
                              << " KiB after a turn");
}
