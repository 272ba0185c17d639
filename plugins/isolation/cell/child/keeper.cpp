#include "keeper.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "../keeper_protocol.hpp"
#include "../limits.hpp"

namespace rustic::cell {
namespace {

// The parent of a process, or 0. The name in its stat file may hold any character.
pid_t parent_of(const char* pid) {
  char path[64];
  char text[512];
  snprintf(path, sizeof path, "/proc/%.16s/stat", pid);
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t size = read(file, text, sizeof text - 1);
  close(file);
  if (size <= 0) return 0;
  text[size] = 0;
  const char* after_name = strrchr(text, ')');
  return after_name == nullptr || strlen(after_name) < 5
             ? 0
             : static_cast<pid_t>(strtol(after_name + 4, nullptr, 10));
}

class keeper {
 public:
  explicit keeper(pid_t runner) : runner_(runner) {}

  [[noreturn]] void run() {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    signals_ = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    // The socket closes when the program ends, unless a copy of it leaked into another process.
    program_ = static_cast<int>(syscall(SYS_pidfd_open, getppid(), 0));
    if (signals_ < 0) ending_ = true;
    for (;;) {
      pollfd watched[3] = {{signals_, POLLIN, 0},
                           {ending_ ? -1 : keeper_descriptor, POLLIN, 0},
                           {ending_ ? -1 : program_, POLLIN, 0}};
      poll(watched, 3, ending_ ? static_cast<int>(pause_ms_) : -1);
      if (watched[1].revents != 0) take_order();
      if (watched[2].revents != 0) ending_ = true;
      reap();
      if (ending_) end_children();
    }
  }

 private:
  void take_order() {
    keeper_order order;
    const ssize_t size = recv(keeper_descriptor, &order, sizeof order, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size == sizeof order && !reaped_) {
      kill(runner_, SIGKILL);
    } else if (size <= 0) {
      ending_ = true;
    }
  }

  void report(keeper_news news, int status) {
    const keeper_report report{news, status};
    while (send(keeper_descriptor, &report, sizeof report, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
           errno == EINTR) {
    }
  }

  void reap() {
    signalfd_siginfo ignored[8];
    while (read(signals_, ignored, sizeof ignored) > 0) {
    }
    for (;;) {
      siginfo_t next{};
      const int found = waitid(P_ALL, 0, &next, WEXITED | WSTOPPED | WNOHANG | WNOWAIT);
      if (found < 0 && errno == EINTR) continue;
      if (found < 0) _exit(0);  // no child is left
      const pid_t pid = next.si_pid;
      if (pid == 0) return;
      // Its group bears its number as long as it is not reaped, and all of it ends at once.
      if (pid == runner_ && !reaped_ && next.si_code != CLD_STOPPED) kill(-runner_, SIGKILL);
      int status = 0;
      if (waitpid(pid, &status, WNOHANG | WUNTRACED) <= 0) continue;
      if (pid != runner_ || reaped_) continue;
      if (WIFSTOPPED(status)) {
        report(keeper_news::stopped, status);
      } else {
        reaped_ = true;
        ending_ = true;
        report(keeper_news::exited, status);
      }
    }
  }

  // The runner's group first and at once: no process can be forked past a signal to its group. Then
  // the direct children, while the table is being read, so that a process which keeps replacing
  // itself has no time to; what was below them is ours in the next round.
  void end_children() {
    if (!reaped_) kill(-runner_, SIGKILL);
    if (!reaped_) kill(runner_, SIGKILL);
    DIR* directory = opendir("/proc");
    const pid_t self = getpid();
    while (const dirent* item = directory == nullptr ? nullptr : readdir(directory)) {
      if (item->d_name[0] < '1' || item->d_name[0] > '9') continue;
      if (parent_of(item->d_name) == self) kill(static_cast<pid_t>(atol(item->d_name)), SIGKILL);
    }
    if (directory != nullptr) closedir(directory);
    if (++rounds_ > kill_rounds_max) _exit(1);  // not even SIGKILL ended them
    if (rounds_ > 50 && pause_ms_ < kill_pause_ms_max) ++pause_ms_;
  }

  const pid_t runner_;
  int signals_ = -1;
  int program_ = -1;
  bool reaped_ = false;
  bool ending_ = false;
  std::uint32_t rounds_ = 0;
  std::int64_t pause_ms_ = 1;
};

}  // namespace

void keep(pid_t runner) {
  keeper(runner).run();
}

}  // namespace rustic::cell
