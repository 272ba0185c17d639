#include "host/cli/signals.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace rustic::cli {
namespace {
sigset_t watched() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  return set;
}
}  // namespace

signal_watch::signal_watch() {
  const auto set = watched();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  descriptor_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

signal_watch::~signal_watch() {
  if (descriptor_ >= 0) close(descriptor_);
  const auto set = watched();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

std::optional<int> signal_watch::take() {
  signalfd_siginfo info{};
  if (read(descriptor_, &info, sizeof(info)) != sizeof(info)) return std::nullopt;
  return static_cast<int>(info.ssi_signo);
}

int wait_readable(int first, int second, int timeout_ms, int third) {
  pollfd set[3] = {{first, POLLIN, 0}, {second, POLLIN, 0}, {third, POLLIN, 0}};
  if (poll(set, 3, timeout_ms) <= 0) return 0;
  return (set[0].revents ? 1 : 0) | (set[1].revents ? 2 : 0) | (set[2].revents ? 4 : 0);
}
}  // namespace rustic::cli
