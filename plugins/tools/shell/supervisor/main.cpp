// The supervisor: one small process below the program, above all its commands. It forks a keeper
// for each command, reaps the keepers, and ends what a killed keeper has left behind. When the
// program goes, in whatever way, its sockets close and everything below ends.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <new>

#include "keeper.hpp"

namespace rustic::shell {
namespace {

constexpr std::size_t received_descriptors_max = 3;
// posix_spawn leaves the two signals ignored that the C library keeps for itself.
void reset_library_signals() {
  struct {
    void* handler;
    unsigned long flags;
    void* restorer;
    unsigned long mask;
  } const standard{};
  for (int signal = 32; signal < SIGRTMIN; ++signal) {
    syscall(SYS_rt_sigaction, signal, &standard, nullptr, sizeof standard.mask);
  }
}

constexpr std::int64_t end_wait_ms = 200;  // keepers end their trees themselves; then we do

class supervisor {
 public:
  supervisor(process_table& table, char* packet) : table_(table), packet_(packet) {}

  int run() {
    reset_library_signals();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, nullptr);
    signals_ = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    // The socket closes when the program ends, unless a copy of it leaked into another process.
    program_ = static_cast<int>(syscall(SYS_pidfd_open, getppid(), 0));
    if (signals_ < 0) return 1;
    while (!ending_ || !finished_) {
      pollfd watched[3] = {{signals_, POLLIN, 0},
                           {ending_ ? -1 : control_descriptor, POLLIN, 0},
                           {ending_ ? -1 : program_, POLLIN, 0}};
      poll(watched, 3, wait_ms());
      if (watched[2].revents != 0) end();
      if (watched[1].revents != 0) take_packet();
      if (watched[0].revents != 0 || ending_) reap();
      if (next_ms_ >= 0 && now_ms() >= next_ms_) sweep();
    }
    return 0;
  }

 private:
  int wait_ms() const {
    if (next_ms_ < 0) return -1;
    const std::int64_t left = next_ms_ - now_ms();
    return left < 0 ? 0 : static_cast<int>(left);
  }

  void end() {
    if (ending_) return;
    ending_ = true;
    close(control_descriptor);
    rounds_ = 0;
    next_ms_ = now_ms() + end_wait_ms;
  }

  void take_packet() {
    int descriptors[received_descriptors_max];
    std::size_t count = 0;
    iovec part{packet_, request_bytes_max};
    alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof descriptors)];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = ancillary;
    message.msg_controllen = sizeof ancillary;
    const ssize_t size = recvmsg(control_descriptor, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) return end();
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      memcpy(descriptors, CMSG_DATA(c), count * sizeof(int));
    }
    const auto bytes = static_cast<std::size_t>(size);
    control_kind kind{};
    if (bytes >= sizeof kind) memcpy(&kind, packet_, sizeof kind);
    if (kind == control_kind::run && bytes > sizeof(run_request) && count >= 2) {
      start(bytes, descriptors, count);
    } else if (kind == control_kind::kill_keeper && bytes == sizeof(kill_request)) {
      kill_request request;
      memcpy(&request, packet_, sizeof request);
      for (std::size_t i = 0; i < keepers_; ++i) {
        if (runs_[i] == request.run) kill(pids_[i], SIGKILL);
      }
    }
    for (std::size_t i = 0; i < count; ++i) close(descriptors[i]);
  }

  // The next NUL-terminated string of the packet, or null.
  const char* next_string(std::size_t& at, std::size_t bytes) const {
    if (at >= bytes) return nullptr;
    const void* stop = memchr(packet_ + at, 0, bytes - at);
    if (stop == nullptr) return nullptr;
    const char* text = packet_ + at;
    at = static_cast<std::size_t>(static_cast<const char*>(stop) - packet_) + 1;
    return text;
  }

  void start(std::size_t bytes, const int* descriptors, std::size_t count) {
    run_request request;
    memcpy(&request, packet_, sizeof request);
    std::size_t at = sizeof request;
    kept_command command{};
    command.shell = next_string(at, bytes);
    command.text = next_string(at, bytes);
    command.directory = next_string(at, bytes);
    char* environment[environment_entries_max + 1] = {};
    bool whole =
        command.directory != nullptr && request.environment_entries <= environment_entries_max;
    for (std::uint32_t i = 0; whole && i < request.environment_entries; ++i) {
      environment[i] = const_cast<char*>(next_string(at, bytes));
      whole = environment[i] != nullptr;
    }
    command.environment = environment;
    command.timeout_ms = request.timeout_ms;
    command.grace_ms = request.grace_ms;
    command.output = descriptors[0];
    command.error = descriptors[count - 2];
    command.channel = descriptors[count - 1];

    keeper_report refusal;
    refusal.kind = report_kind::not_started;
    if (!whole || keepers_ == commands_max) {
      refusal.value = whole ? EAGAIN : EINVAL;
      return send_report(command.channel, refusal);
    }
    const pid_t pid = fork();
    if (pid == 0) {
      close(control_descriptor);
      close(program_);
      close(signals_);
      keep(command, table_);
    }
    if (pid < 0) {
      refusal.value = errno;
      return send_report(command.channel, refusal);
    }
    finished_ = false;
    pids_[keepers_] = pid;
    runs_[keepers_] = request.run;
    ++keepers_;
  }

  void reap() {
    signalfd_siginfo ignored[8];
    while (read(signals_, ignored, sizeof ignored) > 0) {
    }
    for (;;) {
      int status = 0;
      const pid_t pid = waitpid(-1, &status, WNOHANG);
      if (pid < 0 && errno == EINTR) continue;
      if (pid < 0) finished_ = true;
      if (pid <= 0) return;
      finished_ = false;
      for (std::size_t i = 0; i < keepers_; ++i) {
        if (pids_[i] != pid) continue;
        --keepers_;
        pids_[i] = pids_[keepers_];
        runs_[i] = runs_[keepers_];
        if (!WIFEXITED(status) && !ending_) {  // killed: its processes are ours now
          rounds_ = 0;
          next_ms_ = now_ms();
        }
        break;
      }
    }
  }

  // Kills every process below that has no keeper; at the end the keepers too.
  void sweep() {
    const pid_list spared{pids_, ending_ ? 0 : keepers_};
    const std::size_t found = table_.signal_descendants(getpid(), SIGKILL, spared);
    if (++rounds_ >= kill_rounds_max && ending_) finished_ = true;  // not even SIGKILL ended them
    next_ms_ = found > 0 && rounds_ < kill_rounds_max ? now_ms() + 1 + rounds_ / 4 : -1;
    if (ending_ && !finished_ && next_ms_ < 0) next_ms_ = now_ms() + 1;
  }

  process_table& table_;
  char* packet_;
  int signals_ = -1;
  int program_ = -1;
  bool ending_ = false;
  bool finished_ = false;
  std::int64_t next_ms_ = -1;
  std::uint32_t rounds_ = 0;
  std::size_t keepers_ = 0;
  pid_t pids_[commands_max] = {};
  std::uint64_t runs_[commands_max] = {};
};

}  // namespace
}  // namespace rustic::shell

int main() {
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(rustic::shell::control_descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
      type != SOCK_SEQPACKET) {
    constexpr char message[] =
        "rustic-ai-supervisor is started by rustic-ai and does nothing by itself.\n";
    return write(STDERR_FILENO, message, sizeof message - 1) > 0 ? 2 : 3;
  }
  fcntl(rustic::shell::control_descriptor, F_SETFD, FD_CLOEXEC);
  using rustic::shell::process_table;
  void* table = malloc(sizeof(process_table));
  char* packet = static_cast<char*>(malloc(rustic::shell::request_bytes_max));
  if (table == nullptr || packet == nullptr) return 1;
  return rustic::shell::supervisor(*new (table) process_table, packet).run();
}
