#include <doctest/doctest.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <rustic/status.hpp>

#include "recording_listener.hpp"

using namespace rustic::shell;
using std::chrono::milliseconds;

namespace {

std::int64_t elapsed_ms(clock::time_point since) {
  return std::chrono::duration_cast<milliseconds>(clock::now() - since).count();
}

}  // namespace

TEST_CASE("a command's output and exit status come back") {
  command_runner runner(test_settings());
  const outcome result = run_to_end(runner, test_command("echo out; echo err >&2; exit 3"));
  CHECK(result.failure.empty());
  CHECK(result.exit_code == 3);
  CHECK(!result.signal);
  CHECK(result.output == "out\nerr\n");
  CHECK(result.remaining_count == 0);
}

TEST_CASE("standard output and error keep their order") {
  command_runner runner(test_settings());
  for (int i = 0; i < 20; ++i) {
    const outcome result =
        run_to_end(runner, test_command("echo 1; echo 2 >&2; echo 3; echo 4 >&2; echo 5"));
    CHECK(result.output == "1\n2\n3\n4\n5\n");
  }
}

TEST_CASE("separate streams arrive under their own index") {
  auto settings = test_settings();
  settings.separate_streams = true;
  command_runner runner(settings);
  const auto listener = std::make_shared<recording_listener>();
  runner.run(test_command("echo out; echo err >&2"), listener);
  REQUIRE(listener->wait_finished());
  CHECK(listener->output(1) == "out\n");
  CHECK(listener->output(2) == "err\n");
  CHECK(listener->result().output.size() == 8);
}

TEST_CASE("a signal that ends the shell is told") {
  command_runner runner(test_settings());
  const outcome result = run_to_end(runner, test_command("kill -SEGV $$"));
  CHECK(result.signal == SIGSEGV);
  CHECK(!result.exit_code);
}

TEST_CASE(
    "commands inherit nothing but three descriptors, a clean signal state and their variables") {
  ::setenv("PLANTED_API_KEY", "sk-planted", 1);
  ::signal(SIGPIPE, SIG_IGN);
  const int leaked = ::dup(1);
  command_runner runner(test_settings());
  const outcome files =
      run_to_end(runner, test_command("ls /proc/self/fd | sort -n | tr '\\n' ' '"));
  CHECK(files.output == "0 1 2 3 ");  // 3 is the directory that ls reads
  const outcome variables = run_to_end(runner, test_command("env"));
  CHECK(variables.output.find("PLANTED") == std::string::npos);
  CHECK(variables.output.find("TERM=dumb") != std::string::npos);
  const outcome signals =
      run_to_end(runner, test_command("grep -E 'Sig(Blk|Ign)' /proc/self/status"));
  CHECK(signals.output == "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
  const outcome session =
      run_to_end(runner, test_command("set -- $(cat /proc/$$/stat); [ $1 = $5 ] && [ $1 = $6 ]"));
  CHECK(session.exit_code == 0);  // process, group and session are one
  ::close(leaked);
  ::signal(SIGPIPE, SIG_DFL);
  ::unsetenv("PLANTED_API_KEY");
}

TEST_CASE("a command that reads standard input finds its end") {
  command_runner runner(test_settings());
  const outcome result = run_to_end(runner, test_command("cat; read x; echo got $?"));
  CHECK(result.output == "got 1\n");
}

TEST_CASE("what a shell leaves running does not hold up the result, and is named") {
  command_runner runner(test_settings());
  const char* const commands[] = {
      "sleep 1000 & echo done",
      "setsid sleep 1000 & echo done",
      "(setsid sh -c 'sleep 1000 & sleep 1000' & ) ; echo done",  // double fork
      "setsid sh -c 'trap \"\" TERM HUP INT; while :; do sleep 1; done' & echo done",
      "sleep 1000 >/dev/null 2>&1 & echo done",  // pipe closed
      "sh -c 'cat <&0 >/dev/null; sleep 1000' & echo done"};
  for (const char* text : commands) {
    CAPTURE(text);
    const auto before = clock::now();
    const outcome result = run_to_end(runner, test_command(text));
    CHECK(elapsed_ms(before) < 1000);
    CHECK(result.exit_code == 0);
    CHECK(result.output == "done\n");
    CHECK(result.remaining_count >= 1);
    REQUIRE(!result.remaining.empty());
    CHECK(alive(result.remaining[0].first));
  }
  const auto before = clock::now();
  runner.stop();
  CHECK(elapsed_ms(before) < 1500);
  CHECK(count_children() == 0);
}

TEST_CASE("stopping ends every background process") {
  std::vector<pid_t> pids;
  {
    command_runner runner(test_settings());
    const outcome result = run_to_end(
        runner,
        test_command("for i in 1 2 3; do setsid sh -c 'trap \"\" TERM; sleep 1000' & done"));
    REQUIRE(result.remaining_count >= 3);
    for (const auto& [pid, name] : result.remaining) pids.push_back(pid);
  }
  for (const pid_t pid : pids) CHECK(!alive(pid));
}

TEST_CASE("the deadline ends the whole tree, whatever it does") {
  const std::string mark = unique_mark("deadline");
  command_runner runner(marked_settings(mark));
  const char* const commands[] = {
      "echo begun; sleep 1000",
      "echo begun; setsid sleep 1000",
      "echo begun; trap '' TERM; while :; do sleep 1; done",
      "echo begun; (setsid sh -c 'trap \"\" TERM; sleep 1000' &); sleep 1000",
      "echo begun; kill -STOP $$",
      "echo begun; sh -c 'kill -STOP $$; sleep 1000' & wait"};
  for (const char* text : commands) {
    CAPTURE(text);
    const auto before = clock::now();
    const outcome result = run_to_end(runner, test_command(text, 300));
    CHECK(elapsed_ms(before) < 300 + 2000 + 500);
    CHECK(result.timed_out);
    CHECK(!result.cancelled);
    CHECK(result.output == "begun\n");
    CHECK(result.remaining_count == 0);
  }
  CHECK(count_marked(mark) == 0);
}

TEST_CASE("a command that obeys SIGTERM can clean up at its deadline") {
  command_runner runner(test_settings());
  const auto before = clock::now();
  const outcome result = run_to_end(
      runner,
      test_command("trap 'echo cleaned; exit 7' TERM; echo begun; while :; do sleep 0.02; done",
                   200));
  CHECK(result.timed_out);
  CHECK(result.output.find("cleaned\n") != std::string::npos);
  CHECK(result.exit_code == 7);
  CHECK(elapsed_ms(before) < 1500);
}

TEST_CASE("a stopped command, too, can clean up at its deadline") {
  command_runner runner(test_settings());
  const outcome result = run_to_end(
      runner, test_command("trap 'echo cleaned; exit 7' TERM; kill -STOP $$; sleep 1000", 200));
  CHECK(result.timed_out);
  CHECK(result.output == "cleaned\n");
}

TEST_CASE("cancel ends the tree within a second and keeps the output") {
  command_runner runner(test_settings());
  const char* const commands[] = {
      "echo begun; sleep 1000", "echo begun; trap '' TERM INT; while :; do sleep 1; done",
      "echo begun; (setsid sh -c 'trap \"\" TERM; sleep 1000' &); sleep 1000", "echo begun; yes"};
  for (const char* text : commands) {
    CAPTURE(text);
    const auto listener = std::make_shared<recording_listener>();
    const auto id = runner.run(test_command(text), listener);
    REQUIRE(listener->wait_output("begun"));
    const auto before = clock::now();
    runner.cancel(id);
    REQUIRE(listener->wait_finished());
    CHECK(elapsed_ms(before) < 1000);
    const outcome result = listener->result();
    CHECK(result.cancelled);
    CHECK(result.output.substr(0, 6) == "begun\n");
    CHECK(result.remaining_count == 0);
    CHECK(listener->finished() == 1);
  }
}

TEST_CASE("cancel in every other state: at once, twice, while paused, while draining, when over") {
  command_runner runner(test_settings());
  for (int i = 0; i < 50; ++i) {
    const auto listener = std::make_shared<recording_listener>();
    const auto id = runner.run(test_command("sleep 1000"), listener);
    runner.cancel(id);
    runner.cancel(id);
    REQUIRE(listener->wait_finished());
    CHECK(listener->result().cancelled);
  }
  {
    const auto listener = std::make_shared<recording_listener>(next::pause);
    const auto id = runner.run(test_command("yes"), listener);
    REQUIRE(listener->wait_output("y"));
    runner.cancel(id);
    REQUIRE(listener->wait_finished(milliseconds(1000)));
    CHECK(listener->events() == 1);
  }
  for (int i = 0; i < 20; ++i) {
    const auto listener = std::make_shared<recording_listener>();
    const auto id = runner.run(test_command("echo begun; sleep 1000 &"), listener);
    REQUIRE(listener->wait_output("begun"));
    runner.cancel(id);
    REQUIRE(listener->wait_finished());
    CHECK(listener->finished() == 1);
    runner.cancel(id);
    runner.resume(id);
  }
  runner.cancel(999'999);
  CHECK(run_to_end(runner, test_command("echo still here")).output == "still here\n");
}

TEST_CASE("a paused listener stops the flow and resumes it without loss") {
  command_runner runner(test_settings());
  const auto listener = std::make_shared<recording_listener>(next::pause);
  const auto id = runner.run(test_command("seq 1 200000"), listener);
  REQUIRE(listener->wait_output("1\n"));
  CHECK(!listener->wait_finished(milliseconds(150)));
  CHECK(listener->events() == 1);
  CHECK(listener->output().size() <= read_bytes_max);
  listener->set_answer(next::more);
  runner.resume(id);
  REQUIRE(listener->wait_finished());
  std::string expected;
  for (int i = 1; i <= 200'000; ++i) expected += std::to_string(i) + "\n";
  CHECK(listener->output() == expected);
}

TEST_CASE("a pause that nobody ends does not outlive the deadline") {
  command_runner runner(test_settings());
  const auto listener = std::make_shared<recording_listener>(next::pause);
  runner.run(test_command("echo quick; echo quick", 400), listener);
  REQUIRE(listener->wait_finished(milliseconds(1500)));
  CHECK(listener->result().output == "quick\nquick\n");
}

TEST_CASE("a listener that wants no more cancels") {
  command_runner runner(test_settings());
  const auto listener = std::make_shared<recording_listener>(next::stop);
  runner.run(test_command("yes"), listener);
  REQUIRE(listener->wait_finished(milliseconds(2000)));
  CHECK(listener->events() == 1);
  CHECK(listener->result().cancelled);
}

TEST_CASE("twenty commands at once do not mix") {
  command_runner runner(test_settings());
  std::vector<std::shared_ptr<recording_listener>> listeners;
  for (int i = 0; i < 20; ++i) {
    listeners.push_back(std::make_shared<recording_listener>());
    const std::string number = std::to_string(i);
    runner.run(test_command("for n in 1 2 3 4 5; do echo " + number + "; sleep 0.01; done; exit " +
                            number),
               listeners.back());
  }
  for (int i = 0; i < 20; ++i) {
    REQUIRE(listeners[static_cast<std::size_t>(i)]->wait_finished());
    const outcome result = listeners[static_cast<std::size_t>(i)]->result();
    const std::string line = std::to_string(i) + "\n";
    CHECK(result.output == line + line + line + line + line);
    CHECK(result.exit_code == i);
  }
}

TEST_CASE("cancelling one command leaves the others alone") {
  command_runner runner(test_settings());
  const auto first = std::make_shared<recording_listener>();
  const auto second = std::make_shared<recording_listener>();
  const auto id = runner.run(test_command("echo begun; setsid sleep 1000"), first);
  runner.run(test_command("echo begun; (setsid sh -c 'sleep 0.3; echo survived'); true"), second);
  REQUIRE(first->wait_output("begun"));
  REQUIRE(second->wait_output("begun"));
  runner.cancel(id);
  REQUIRE(first->wait_finished());
  REQUIRE(second->wait_finished());
  CHECK(second->result().output == "begun\nsurvived\n");
}

TEST_CASE("too many commands are refused, and room is made again") {
  command_runner runner(test_settings());
  std::vector<std::shared_ptr<recording_listener>> listeners;
  std::vector<std::uint64_t> ids;
  for (std::size_t i = 0; i < commands_max; ++i) {
    listeners.push_back(std::make_shared<recording_listener>());
    ids.push_back(runner.run(test_command("sleep 1000", 60'000), listeners.back()));
  }
  CHECK_THROWS_AS(runner.run(test_command("true"), std::make_shared<recording_listener>()),
                  rustic::failure);
  for (const auto id : ids) runner.cancel(id);
  for (const auto& listener : listeners) REQUIRE(listener->wait_finished());
  CHECK(eventually([&] {
    try {
      return run_to_end(runner, test_command("echo room")).output == "room\n";
    } catch (const rustic::failure&) {
      return false;
    }
  }));
}

TEST_CASE("the longest possible command and a bad start") {
  command_runner runner(test_settings());
  std::string text = "echo long; #";
  text.resize(command_bytes_max, 'x');
  CHECK(run_to_end(runner, test_command(text)).output == "long\n");

  const outcome missing = run_to_end(runner, test_command("true", 5000, "/nowhere/at/all"));
  CHECK(missing.missing_directory);
  CHECK(missing.failure.find("/nowhere/at/all") != std::string::npos);

  auto settings = test_settings();
  settings.shell = "/bin/no-such-shell";
  command_runner other(settings);
  CHECK(run_to_end(other, test_command("true")).failure.find("shell") != std::string::npos);

  settings = test_settings();
  settings.supervisor = "/no/such/supervisor";
  command_runner none(settings);
  CHECK(run_to_end(none, test_command("true")).failure.find("/no/such/supervisor") !=
        std::string::npos);
}

TEST_CASE("stop reports the commands that run, and run refuses afterwards") {
  command_runner runner(test_settings());
  const auto listener = std::make_shared<recording_listener>();
  runner.run(test_command("echo begun; sleep 1000"), listener);
  REQUIRE(listener->wait_output("begun"));
  runner.stop();
  CHECK(listener->finished() == 1);
  CHECK(listener->result().cancelled);
  CHECK(listener->result().output == "begun\n");
  CHECK_THROWS_AS(runner.run(test_command("true"), listener), rustic::failure);
  runner.stop();
}

TEST_CASE("a cycle leaves no thread, no descriptor, no child") {
  {
    command_runner warm_up(test_settings());
    run_to_end(warm_up, test_command("true"));
  }
  const int threads = count_entries("/proc/self/task");
  const int files = count_entries("/proc/self/fd");
  for (int i = 0; i < 10; ++i) {
    command_runner runner(test_settings());
    run_to_end(runner, test_command("echo x; sleep 1000 &"));
    const auto listener = std::make_shared<recording_listener>();
    runner.run(test_command("sleep 1000"), listener);
    runner.stop();
  }
  CHECK(count_entries("/proc/self/task") == threads);
  CHECK(count_entries("/proc/self/fd") == files);
  CHECK(count_children() == 0);
}

TEST_CASE("a command costs little") {
  command_runner runner(test_settings());
  struct waiting_listener final : command_listener {
    next on_output(int, std::string_view) override { return next::more; }
    void on_finished(outcome) override {
      done = clock::now();
      finished.store(true);
      finished.notify_one();
    }
    clock::time_point done;
    std::atomic<bool> finished{false};
  };
  std::vector<std::int64_t> times_us;
  for (int i = 0; i < 300; ++i) {
    const auto listener = std::make_shared<waiting_listener>();
    const auto before = clock::now();
    runner.run(test_command("true"), listener);
    listener->finished.wait(false);
    times_us.push_back(
        std::chrono::duration_cast<std::chrono::microseconds>(listener->done - before).count());
  }
  std::sort(times_us.begin(), times_us.end());
  MESSAGE("`true` takes " << times_us[0] << " us at best, " << times_us[150] << " in the middle, "
                          << times_us[285] << " at p95");
  CHECK(times_us[0] < 5000);  // the goal is 1500 for the middle, on a machine without other load
}
