// tests/e2e/cli_faults_test.cpp - bad disks, bad files and sudden deaths: one clear message, and
// nothing said is lost.
#include <doctest/doctest.h>
#include <signal.h>

#include <fstream>

#include "cli_world.hpp"

using namespace rustic;
using namespace rustic::e2e;
namespace fs = std::filesystem;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string session_of(const ended& end) {
  return std::string(text_or(end.object(), "session_id"));
}

// A failure is one message: what, and what to do.
void check_message(const ended& end, int status) {
  CAPTURE(end.out);
  CAPTURE(end.err);
  CHECK(end.in_time);
  CHECK(end.status == status);
  CHECK(contains(end.err, "rustic-ai: "));
  CHECK(contains(end.err, "\n  "));
}

// In mounts of its own. The script knows the program as $RUSTIC_AI.
ended run_mounted(world& w, const std::string& script) {
  w.environment["RUSTIC_AI"] = RUSTIC_AI;
  launch how;
  how.program = "/usr/bin/unshare";
  how.arguments = {"-rm", "sh", "-c", script};
  return run(w, how);
}
bool can_mount(world& w) {
  const auto end = run_mounted(w, "mount -t tmpfs -o size=100k none \"$HOME\"");
  if (end.status != 0) MESSAGE("mounting is not permitted here: " << end.err);
  return end.status == 0;
}

void write_at(const fs::path& file, std::streamoff at, const std::string& bytes) {
  std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);
  REQUIRE(out.good());
  out.seekp(at);
  out << bytes;
}
}  // namespace

TEST_CASE("a home that cannot be written: the answer comes, and it says that nothing is kept") {
  world w({always(fakes::step::saying("ok"))});
  w.write(w.home() / ".local", "a file where a directory should be");
  const auto end = w.chat({"Hi"});
  CAPTURE(end.err);
  CHECK(end.status == 0);
  CHECK(end.out == "ok\n");
  CHECK(contains(end.err, "sessions are not kept"));
  CHECK(contains(end.err, "connection_string"));
  const auto quiet = w.chat({"-o", "json", "Hi"});
  CHECK(quiet.status == 0);
  (void)quiet.object();
}

TEST_CASE("a read-only home") {
  world w({always(fakes::step::saying("ok"))});
  if (!can_mount(w)) return;
  const auto end = run_mounted(w,
                               "mount --bind \"$HOME\" \"$HOME\" && mount -o remount,ro,bind "
                               "\"$HOME\" && \"$RUSTIC_AI\" chat Hi");
  CAPTURE(end.err);
  CHECK(end.status == 0);
  CHECK(end.out == "ok\n");
  CHECK(contains(end.err, "sessions are not kept"));
}

TEST_CASE("a full disk: the turn fails, what was said before is still there, and it goes on") {
  world w({always(fakes::step::saying("the first answer"))});
  if (!can_mount(w)) return;
  const auto end = run_mounted(w, R"(
    mkdir -p "$HOME/.local/share" && mount -t tmpfs -o size=2m none "$HOME/.local/share" || exit 99
    "$RUSTIC_AI" chat one || exit 98
    dd if=/dev/zero of="$HOME/.local/share/fill" bs=1k 2>/dev/null
    "$RUSTIC_AI" chat -c two; echo "status $?"
    "$RUSTIC_AI" session list -o json >/dev/null; echo "list $?"
    rm "$HOME/.local/share/fill"
    "$RUSTIC_AI" chat -c three; echo "status $?"
    "$RUSTIC_AI" session list
  )");
  CAPTURE(end.out);
  CAPTURE(end.err);
  CHECK(end.status == 0);
  CHECK(contains(end.out, "status 1"));
  CHECK(contains(end.out, "list "));
  CHECK(contains(end.out, "status 0"));
  CHECK(contains(end.err, "free disk space"));
  const auto& last = w.server.requests().back().body;
  CHECK(contains(last, "one"));
  CHECK(contains(last, "the first answer"));
  CHECK(contains(last, "three"));
}

TEST_CASE("a damaged database is refused with what to do and is left as it is") {
  world w({always(fakes::step::saying("ok"))});
  w.write(w.database(), std::string(20'000, 'x'));
  check_message(w.chat({"Hi"}), 1);
  CHECK(fs::file_size(w.database()) == 20'000);
  CHECK(w.server.requests().empty());

  world other({always(fakes::step::saying("ok"))});
  REQUIRE(other.chat({"Hi"}).status == 0);
  const auto size = fs::file_size(other.database());
  write_at(other.database(), 4096, std::string(size - 4096, '\x55'));
  const auto end = other.chat({"-c", "Hi"});
  check_message(end, 1);
  CHECK(contains(end.err, "damaged"));
}

TEST_CASE("a database of a newer program is refused and not changed") {
  world w({always(fakes::step::saying("ok"))});
  REQUIRE(w.chat({"Hi"}).status == 0);
  write_at(w.database(), 60, std::string("\0\0\0\x63", 4));  // user_version, big-endian
  const auto end = w.chat({"Hi"});
  check_message(end, 3);
  CHECK(contains(end.err, "newer rustic-ai"));
  check_message(run(w, {"session", "list"}), 3);
  write_at(w.database(), 60, std::string("\0\0\0\x02", 4));
  CHECK(w.chat({"-c", "Hi"}).status == 0);
}

TEST_CASE("configuration that is missing or cannot be read") {
  world w;
  check_message(w.chat({"--config", "missing.toml", "Hi"}), 3);
  fs::create_directories(w.home() / ".config/rustic-ai/config.toml");
  const auto end = w.chat({"Hi"});
  check_message(end, 3);
  CHECK(contains(end.err, "config.toml"));
}

TEST_CASE("a wrong type and an unknown provider type are told before anything is sent") {
  world w;
  w.configure("[agents.a]\ntemperature = \"hot\"\n");
  const auto end = w.chat({"Hi"});
  check_message(end, 3);
  CHECK(contains(end.err, "config.toml:2"));
  w.configure("[providers.a]\ntype = \"opnai\"\n");
  const auto type = w.chat({"Hi"});
  check_message(type, 3);
  CHECK(contains(type.err, "openai"));
  w.configure("[storage]\nbackend = \"sqlight\"\n");
  const auto backend = w.chat({"Hi"});
  check_message(backend, 3);
  CHECK(contains(backend.err, "sqlite"));
}

TEST_CASE("killed in the middle of a tool: no process stays, and the session goes on") {
  for (const int number : {SIGKILL, SIGTERM, SIGINT}) {
    CAPTURE(number);
    world w({shell_call("(setsid sleep 3001 &) & (trap '' TERM INT; sleep 3002) & echo be''gun; "
                        "trap '' TERM; sleep 3003"),
             fakes::step::saying("gone on")});
    launch how;
    how.arguments = {"chat", "-o", "stream-json", "--permission-mode", "bypass", "Go"};
    {
      cli_process process(w, how);
      REQUIRE(
          process.read_until([](const ended& so_far) { return contains(so_far.out, "begun"); }));
      const auto mine = [&] { return processes_with(w.work().string()).size(); };
      CHECK(eventually([&] { return mine() >= 4; }));  // the program, the shell, the sleepers
      process.signal(number);
      const auto end = process.wait();
      CHECK(end.status == 128 + number);
      CHECK(eventually([&] { return mine() == 0; }));
      if (number != SIGKILL) {
        const auto lines = end.lines();
        CHECK(text_or(lines.back(), "type") == "done");
      }
    }
    const auto end = w.chat({"--continue", "-o", "json", "And now?"});
    CAPTURE(end.out);
    CHECK(end.status == 0);
    CHECK(text_or(end.object(), "text") == "gone on");
    const auto requests = w.server.requests();
    REQUIRE(requests.size() == 2);
    CHECK(contains(requests[1].body, "interrupted, effect unknown"));
    CHECK(contains(requests[1].body, "And now?"));
  }
}

TEST_CASE("killed in the middle of an answer: the prompt is kept and the session is free at once") {
  world w({stalling(), fakes::step::saying("gone on")});
  launch how;
  how.arguments = {"chat", "Remember the prompt"};
  {
    cli_process process(w, how);
    REQUIRE(process.read_until([](const ended& so_far) { return contains(so_far.out, "words"); }));
    process.signal(SIGKILL);
    CHECK(process.wait().status == 128 + SIGKILL);
  }
  CHECK(w.chat({"-c", "Go on"}).status == 0);
  CHECK(contains(w.server.requests().back().body, "Remember the prompt"));
}

TEST_CASE("two turns at once on one session: the second is told, and takes nothing") {
  world w({fakes::step::saying("begun"), stalling(), always(fakes::step::saying("after"))});
  const auto id = session_of(w.chat({"-o", "json", "Hi"}));
  launch how;
  how.arguments = {"chat", "-r", id, "slow"};
  cli_process process(w, how);
  REQUIRE(process.read_until([](const ended& so_far) { return contains(so_far.out, "words"); }));
  check_message(w.chat({"-r", id, "quick"}), 1);
  w.server.release();
  CHECK(process.wait().status == 0);
  CHECK(w.chat({"-r", id, "quick"}).status == 0);
}
