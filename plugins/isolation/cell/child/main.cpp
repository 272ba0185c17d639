// rustic-ai-cell: runs one plugin outside the program. Two processes, see keeper_protocol.hpp.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../keeper_protocol.hpp"
#include "keeper.hpp"
#include "runner.hpp"

namespace {

// posix_spawn leaves the two signals ignored that the C library keeps for itself.
void reset_library_signals() {
  struct {
    void* handler;
    unsigned long flags;
    void* restorer;
    unsigned long mask;
  } const standard{};
  for (int signal = 32; signal < SIGRTMIN; ++signal)
    syscall(SYS_rt_sigaction, signal, &standard, nullptr, sizeof standard.mask);
}

}  // namespace

int main(int count, char** words) {
  using namespace rustic::cell;
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(keeper_descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
      type != SOCK_SEQPACKET) {
    constexpr char message[] =
        "rustic-ai-cell is started by rustic-ai and does nothing by itself.\n";
    return write(STDERR_FILENO, message, sizeof message - 1) > 0 ? 2 : 3;
  }
  for (int number = frames_descriptor; number <= image_descriptor; ++number)
    fcntl(number, F_SETFD, FD_CLOEXEC);
  reset_library_signals();
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  sigset_t child;
  sigset_t before;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, &before);
  const pid_t keeper = getpid();
  const pid_t runner = fork();
  if (runner < 0) return 1;
  if (runner == 0) {
    close(keeper_descriptor);
    sigprocmask(SIG_SETMASK, &before, nullptr);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper) return 1;
    if (count > 1) prctl(PR_SET_NAME, words[1]);
    return run_plugin();
  }
  prctl(PR_SET_DUMPABLE, 0);
  close(frames_descriptor);
  close(questions_descriptor);
  close(image_descriptor);
  dup2(STDIN_FILENO, STDOUT_FILENO);
  dup2(STDIN_FILENO, STDERR_FILENO);
  keep(runner);
}
