#include "child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>

namespace rustic::cell {
namespace {

constexpr int above_the_child = 16;  // where no descriptor of the child's is in the way

std::string cause(const std::string& operation, int error) {
  return operation + ": " + std::strerror(error);
}

// posix_spawn_* objects, freed on every way out.
struct spawn_plan {
  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
  spawn_plan() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~spawn_plan() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  spawn_plan(const spawn_plan&) = delete;
  spawn_plan& operator=(const spawn_plan&) = delete;
};

bool socket_pair(int type, descriptor& ours, descriptor& theirs) {
  int pair[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) != 0) return false;
  ours = descriptor(pair[0]);
  theirs = descriptor(pair[1]);
  return ::fcntl(ours.get(), F_SETFL, O_NONBLOCK) == 0;
}

// A copy that no descriptor of the child's overwrites before it is in its place.
descriptor aside(int number) {
  return descriptor(::fcntl(number, F_DUPFD_CLOEXEC, above_the_child));
}

}  // namespace

std::optional<std::string> child_process::launch(const launch_order& order) {
  descriptor to_frames, to_questions, to_keeper, to_output;
  int pipe_ends[2];
  if (!socket_pair(SOCK_STREAM, frames, to_frames) ||
      !socket_pair(SOCK_STREAM, questions, to_questions) ||
      !socket_pair(SOCK_SEQPACKET, keeper_, to_keeper) || ::pipe2(pipe_ends, O_CLOEXEC) != 0)
    return cause("creating the sockets of its process failed", errno);
  output = descriptor(pipe_ends[0]);
  to_output = descriptor(pipe_ends[1]);
  ::fcntl(output.get(), F_SETFL, O_NONBLOCK);

  spawn_plan plan;
  const descriptor sources[] = {aside(to_frames.get()), aside(to_questions.get()),
                                aside(to_keeper.get()), aside(order.image), aside(to_output.get())};
  for (const auto& source : sources)
    if (!source) return cause("creating the sockets of its process failed", errno);
  posix_spawn_file_actions_addopen(&plan.actions, 0, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&plan.actions, sources[4].get(), 1);
  posix_spawn_file_actions_adddup2(&plan.actions, sources[4].get(), 2);
  for (int i = 0; i < 4; ++i)
    posix_spawn_file_actions_adddup2(&plan.actions, sources[i].get(), frames_descriptor + i);
  posix_spawn_file_actions_addclosefrom_np(&plan.actions, image_descriptor + 1);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&plan.attributes, &none);
  posix_spawnattr_setsigdefault(&plan.attributes, &all);
  // A session of its own: the terminal's Ctrl-C and hang-up are the program's business.
  posix_spawnattr_setflags(
      &plan.attributes,
      static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID));
  std::string name = "rustic-ai-cell";
  std::string shown = order.name;
  char* arguments[] = {name.data(), shown.data(), nullptr};
  std::vector<std::string> texts = order.environment;
  std::vector<char*> environment;
  for (auto& text : texts) environment.push_back(text.data());
  environment.push_back(nullptr);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, order.program.c_str(), &plan.actions, &plan.attributes,
                                  arguments, environment.data());
  if (error != 0)
    return cause("starting '" + order.program + "' failed", error) +
           "; install rustic-ai again or set plugin.cell.program to its path";
  process_ = descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  pid_ = pid;
  return std::nullopt;
}

std::optional<keeper_report> child_process::news(bool& gone) {
  keeper_report report;
  const auto size = ::recv(keeper_.get(), &report, sizeof report, MSG_DONTWAIT);
  gone = size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
  if (size != sizeof report) return std::nullopt;
  return report;
}

void child_process::kill() {
  const keeper_order order;
  while (::send(keeper_.get(), &order, sizeof order, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
         errno == EINTR) {
  }
}

void child_process::hang_up() {
  keeper_.reset();
  frames.reset();
  questions.reset();
  output.reset();
}

bool child_process::reap() {
  if (pid_ <= 0) return true;
  int status = 0;
  const pid_t found = ::waitpid(pid_, &status, WNOHANG);
  if (found == 0 || (found < 0 && errno == EINTR)) return false;
  pid_ = 0;  // also when somebody else has waited for it
  process_.reset();
  return true;
}

void child_process::end(std::int64_t wait_ms) {
  hang_up();
  if (pid_ <= 0) return;
  pollfd watched{process_.get(), POLLIN, 0};
  while (process_ && ::poll(&watched, 1, static_cast<int>(wait_ms)) < 0 && errno == EINTR) {
  }
  // By descriptor, because a number may belong to somebody else by now.
  if (process_ && watched.revents == 0)
    ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  process_.reset();
}

ended_as describe_end(int status) {
  ended_as out;
  if (WIFSIGNALED(status)) {
    const char* const name = ::sigabbrev_np(WTERMSIG(status));
    const char* const meaning = ::sigdescr_np(WTERMSIG(status));
    out.signal =
        name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(WTERMSIG(status));
    out.reason = out.signal;
    if (meaning != nullptr) out.reason += std::string(" (") + meaning + ")";
  } else {
    out.exit_code = WEXITSTATUS(status);
    out.reason = "it ended its process with exit status " + std::to_string(*out.exit_code);
  }
  return out;
}

}  // namespace rustic::cell
