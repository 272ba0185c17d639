// What happens when processes die that should not: the program, the supervisor, a keeper.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>

#include "recording_listener.hpp"

using namespace rustic::shell;
using std::chrono::milliseconds;

namespace {

// Forks a program that runs `commands` and tells through a pipe when all have written "begun".
pid_t fork_program(const std::string& mark, const std::vector<std::string>& commands) {
  int pipe_ends[2];
  if (::pipe2(pipe_ends, O_CLOEXEC) != 0) return -1;
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setsid();
    for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);  // not doctest's
    command_runner runner(marked_settings(mark));
    std::vector<std::shared_ptr<recording_listener>> listeners;
    bool all = true;
    for (const std::string& text : commands) {
      listeners.push_back(std::make_shared<recording_listener>());
      runner.run(test_command(text, 60'000), listeners.back());
      all = listeners.back()->wait_output("begun") && all;
    }
    if (all && ::write(pipe_ends[1], "x", 1) == 1) ::pause();
    ::_exit(1);
  }
  ::close(pipe_ends[1]);
  char byte = 0;
  const bool ready = ::read(pipe_ends[0], &byte, 1) == 1;
  ::close(pipe_ends[0]);
  if (!ready) ::kill(pid, SIGKILL);
  return ready ? pid : -1;
}

const std::vector<std::string> nasty_commands = {
    "echo begun; sleep 1000",
    "echo begun; trap '' TERM HUP INT; while :; do sleep 1; done",
    "echo begun; setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done'",
    "(setsid sh -c 'sleep 1000 & sleep 1000' &); echo begun",
    "setsid sleep 1000 & echo begun",
    "echo begun; kill -STOP $$"};

}  // namespace

TEST_CASE("nothing is left when the program dies, however it dies") {
  for (const int signal : {SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGSEGV}) {
    CAPTURE(signal);
    const std::string mark = unique_mark("program");
    const pid_t program = fork_program(mark, nasty_commands);
    REQUIRE(program > 0);
    CHECK(count_marked(mark) >= 6);
    ::kill(program, signal);
    int status = 0;
    ::waitpid(program, &status, 0);
    CHECK(WIFSIGNALED(status));
    const auto before = clock::now();
    CHECK(eventually([&] { return count_marked(mark) == 0; }));
    CHECK(clock::now() - before < milliseconds(2000));
  }
}

TEST_CASE("the supervisor ends too, even when a copy of its socket has leaked") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const std::string mark = unique_mark("leak");
  const pid_t program = ::fork();
  if (program == 0) {
    auto runner = std::make_unique<command_runner>(marked_settings(mark));
    const auto listener = std::make_shared<recording_listener>();
    runner->run(test_command("echo begun; setsid sleep 1000"), listener);
    listener->wait_output("begun");
    const pid_t leak = ::fork();  // holds every descriptor of the program
    if (leak == 0) {
      ::alarm(20);
      ::pause();
      ::_exit(0);
    }
    if (::write(ends[1], &leak, sizeof leak) == sizeof leak) ::pause();
    ::_exit(1);
  }
  pid_t leak = 0;
  REQUIRE(::read(ends[0], &leak, sizeof leak) == sizeof leak);
  ::kill(program, SIGKILL);
  ::waitpid(program, nullptr, 0);
  CHECK(eventually([&] { return count_marked(mark) == 0; }));
  ::kill(leak, SIGKILL);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("a command that kills its keeper does not escape") {
  const std::string mark = unique_mark("keeper");
  command_runner runner(marked_settings(mark));
  const outcome result = run_to_end(
      runner, test_command("(setsid sleep 1000 &); sleep 0.1; kill -9 $PPID; sleep 1000"));
  CHECK(!result.exit_code);
  CHECK(!result.failure.empty());
  CHECK(eventually([&] { return count_marked(mark) == 0; }));
  CHECK(run_to_end(runner, test_command("echo next")).output == "next\n");
}

TEST_CASE("a command that stops its keeper is over in time, and so is its tree") {
  const std::string mark = unique_mark("stopped");
  command_runner runner(marked_settings(mark));
  const auto listener = std::make_shared<recording_listener>();
  const auto id = runner.run(
      test_command("(setsid sleep 1000 &); echo begun; kill -STOP $PPID; sleep 1000"), listener);
  REQUIRE(listener->wait_output("begun"));
  runner.cancel(id);
  REQUIRE(listener->wait_finished(milliseconds(2000)));
  CHECK(listener->result().cancelled);
  CHECK(eventually([&] { return count_marked(mark) == 0; }));
}

TEST_CASE("a killed supervisor is replaced; commands that run are not harmed") {
  const std::string mark = unique_mark("supervisor");
  command_runner runner(marked_settings(mark));
  const outcome parent = run_to_end(
      runner, test_command("set -- $(cat /proc/$PPID/stat); echo $4"));  // the keeper's parent
  const pid_t supervisor = std::atoi(parent.output.c_str());
  REQUIRE(supervisor > 1);
  const auto listener = std::make_shared<recording_listener>();
  runner.run(test_command("echo begun; sleep 0.3; echo unharmed"), listener);
  REQUIRE(listener->wait_output("begun"));
  ::kill(supervisor, SIGKILL);
  REQUIRE(eventually([&] { return !alive(supervisor); }));
  REQUIRE(listener->wait_finished());
  CHECK(listener->result().output == "begun\nunharmed\n");
  CHECK(eventually(
      [&] { return run_to_end(runner, test_command("echo again")).output == "again\n"; }));
  runner.stop();
  CHECK(count_marked(mark) == 0);
  CHECK(count_children() == 0);
}

TEST_CASE("a stopped supervisor does not hold up callers or the end") {
  command_runner runner(test_settings());
  const outcome parent =
      run_to_end(runner, test_command("set -- $(cat /proc/$PPID/stat); echo $4"));
  const pid_t supervisor = std::atoi(parent.output.c_str());
  REQUIRE(supervisor > 1);
  ::kill(supervisor, SIGSTOP);
  const auto before = clock::now();
  const outcome result = run_to_end(runner, test_command("echo never", 200));
  CHECK(!result.failure.empty());
  CHECK(clock::now() - before < milliseconds(200 + 2000 + 1500));
  const auto stopping = clock::now();
  runner.stop();
  CHECK(clock::now() - stopping < milliseconds(4000));
  CHECK(count_children() == 0);
}

TEST_CASE("processes that keep replacing themselves are caught") {
  const std::string mark = unique_mark("hopping");
  scratch_directory directory;
  const std::string script = directory / "hop.sh";
  std::ofstream(script) << "[ $1 -gt 3000 ] && exit\nsh " << script << " $(($1 + 1)) &\n";
  command_runner runner(marked_settings(mark));
  const auto listener = std::make_shared<recording_listener>();
  const auto id = runner.run(test_command("sh " + script + " 0; echo begun; sleep 1000"), listener);
  REQUIRE(listener->wait_output("begun"));
  runner.cancel(id);
  REQUIRE(listener->wait_finished(milliseconds(2000)));
  CHECK(eventually([&] { return count_marked(mark) == 0; }));
}

TEST_CASE("two hundred commands leave no zombie behind") {
  command_runner runner(test_settings());
  for (int i = 0; i < 200; ++i) {
    REQUIRE(run_to_end(runner, test_command("true & true")).exit_code == 0);
  }
  const outcome parent =
      run_to_end(runner, test_command("set -- $(cat /proc/$PPID/stat); echo $4"));
  const std::string supervisor = parent.output.substr(0, parent.output.find('\n'));
  const auto zombies = [&] {
    int count = 0;
    for (const auto& item : std::filesystem::directory_iterator("/proc")) {
      const std::string text = read_file(item.path().string() + "/stat");
      const auto name_end = text.rfind(')');
      if (name_end == std::string::npos || text[name_end + 2] != 'Z') continue;
      count += std::atoi(text.c_str() + name_end + 4) == std::atoi(supervisor.c_str()) ? 1 : 0;
    }
    return count;
  };
  CHECK(eventually([&] { return zombies() == 0; }));
  CHECK(count_children() == 1);  // the supervisor
}

TEST_CASE("the supervisor refuses to run by hand") {
  const int status = std::system((test_settings().supervisor + " 3</dev/null 2>/dev/null").c_str());
  CHECK(WEXITSTATUS(status) == 2);
}
