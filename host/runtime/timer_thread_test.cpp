#include "host/runtime/timer_thread.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

#include "kernel/kernel.hpp"
#include "kernel/test_parts.hpp"

using namespace rustic;
using namespace rustic::kernel::testing;
using namespace std::chrono_literals;

namespace {
constexpr time_t stopped_s = 4;

bool within(std::chrono::milliseconds limit, const std::function<bool()>& met) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!met()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

// In a process that is stopped meanwhile: 0, or the number of what went wrong.
int wait_through_a_stop(int told, int go_on) {
  runtime::timer_thread timer;
  kernel::kernel_options with;
  with.told.on_deadline_changed = [&timer] { timer.wake(); };
  kernel::kernel k(std::move(with));
  timer.serve(k);
  service slow;
  std::atomic<bool> cancelled{false};
  slow.on_cancel = [&](rai_call id) {
    cancelled = true;
    k.finish(id, RAI_OK, {});
  };
  if (!k.names().provide({"a/slow", "plug", {}}, slow.table()).ok()) return 1;
  caller first, second;
  auto request = request_for("a/slow");
  request.timeout_ms = 2'000;  // passes while the program is stopped
  const auto id = k.call(0, request, first.observer(), {});
  char byte = 1;
  if (::write(told, &byte, 1) != 1 || ::read(go_on, &byte, 1) != 1) return 2;
  if (within(200ms, [&] { return cancelled.load(); })) return 3;
  k.finish(id, RAI_OK, {});
  if (first.status() != RAI_OK) return 4;
  request.timeout_ms = 100;
  k.call(0, request, second.observer(), {});
  if (!second.wait_finished() || second.status() != RAI_DEADLINE_EXCEEDED) return 5;
  timer.stop();
  return 0;
}
}  // namespace

TEST_CASE("what could not come while the program was stopped still comes in time") {
  int told[2], go_on[2];
  REQUIRE(::pipe(told) == 0);
  REQUIRE(::pipe(go_on) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(wait_through_a_stop(told[1], go_on[0]));
  char byte = 0;
  CHECK(::read(told[0], &byte, 1) == 1);
  int status = 0;
  CHECK(::kill(child, SIGSTOP) == 0);
  CHECK(::waitpid(child, &status, WUNTRACED) == child);
  CHECK(WIFSTOPPED(status));
  const timespec stopped{stopped_s, 0};
  ::nanosleep(&stopped, nullptr);
  CHECK(::write(go_on[1], &byte, 1) == 1);
  CHECK(::kill(child, SIGCONT) == 0);
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  for (const int end : {told[0], told[1], go_on[0], go_on[1]}) ::close(end);
}
