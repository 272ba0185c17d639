#include "host/cli/signals.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <initializer_list>

namespace rustic::cli {
namespace {
sigset_t set_of(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int one : signals) sigaddset(&set, one);
  return set;
}
sigset_t watched() {
  return set_of({SIGINT, SIGTERM, SIGHUP});
}
sigset_t watched_of_terminal() {
  return set_of({SIGWINCH, SIGCONT});
}

// The number of the signal that a descriptor has, 0 for none.
int taken_from(int descriptor) {
  signalfd_siginfo info{};
  return read(descriptor, &info, sizeof(info)) == sizeof(info) ? static_cast<int>(info.ssi_signo)
                                                               : 0;
}
}  // namespace

signal_watch::signal_watch() {
  const auto set = watched();
  const auto of_terminal = watched_of_terminal();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  pthread_sigmask(SIG_BLOCK, &of_terminal, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error like a full disk
  descriptor_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  terminal_descriptor_ = signalfd(-1, &of_terminal, SFD_CLOEXEC | SFD_NONBLOCK);
}

signal_watch::~signal_watch() {
  if (descriptor_ >= 0) close(descriptor_);
  if (terminal_descriptor_ >= 0) close(terminal_descriptor_);
  let_through();
}

void signal_watch::let_through() noexcept {
  const auto set = watched();
  const auto of_terminal = watched_of_terminal();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  pthread_sigmask(SIG_UNBLOCK, &of_terminal, nullptr);
}

std::optional<int> signal_watch::take() {
  if (const int signal = taken_from(descriptor_)) return signal;
  return std::nullopt;
}

std::optional<terminal_change> signal_watch::take_terminal_change() {
  std::optional<terminal_change> out;
  while (const int signal = taken_from(terminal_descriptor_))
    if (signal == SIGCONT)
      out = terminal_change::continued;
    else if (!out)
      out = terminal_change::resized;
  return out;
}

int wait_readable(int first, int second, int timeout_ms, int third, int fourth) {
  pollfd set[4] = {
      {first, POLLIN, 0}, {second, POLLIN, 0}, {third, POLLIN, 0}, {fourth, POLLIN, 0}};
  if (poll(set, 4, timeout_ms) <= 0) return 0;
  int out = 0;
  for (int i = 0; i < 4; ++i) out |= set[i].revents ? 1 << i : 0;
  return out;
}
}  // namespace rustic::cli
