#include "supervisor_link.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>

namespace rustic::shell {
namespace {

std::string cause(const char* operation, int error) {
  return std::string(operation) + ": " + std::strerror(error);
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

}  // namespace

supervisor_link::~supervisor_link() {
  end(stop_wait_ms_max);
}

std::optional<std::string> supervisor_link::ensure() {
  if (pid_ > 0) return std::nullopt;
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return cause("creating a socket for the supervisor failed", errno);
  }
  descriptor ours(pair[0]);
  descriptor theirs(pair[1]);
  ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  const int buffer_bytes = 2 * static_cast<int>(request_bytes_max);
  ::setsockopt(ours.get(), SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);

  spawn_plan plan;
  // The child's copies of 0, 1, 2 come after the control socket is in its place, which may be
  // there.
  posix_spawn_file_actions_adddup2(&plan.actions, theirs.get(), control_descriptor);
  posix_spawn_file_actions_addopen(&plan.actions, 0, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&plan.actions, 0, 1);
  posix_spawn_file_actions_adddup2(&plan.actions, 0, 2);
  posix_spawn_file_actions_addclosefrom_np(&plan.actions, control_descriptor + 1);
  posix_spawn_file_actions_addchdir_np(&plan.actions, "/");
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
  std::string name = "rustic-ai-supervisor";
  char* arguments[] = {name.data(), nullptr};
  char* environment[] = {nullptr};
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, executable_.c_str(), &plan.actions, &plan.attributes,
                                  arguments, environment);
  if (error != 0) {
    return cause(("starting the supervisor '" + executable_ + "' failed").c_str(), error) +
           "; install rustic-ai again or set plugin.shell.supervisor to its path";
  }
  socket_ = std::move(ours);
  process_ = descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  pid_ = pid;
  return std::nullopt;
}

void supervisor_link::post(std::string bytes, std::vector<descriptor> descriptors) {
  queue_.push_back({std::move(bytes), std::move(descriptors)});
  flush();
}

void supervisor_link::flush() {
  while (!queue_.empty() && send(queue_.front())) queue_.pop_front();
}

// False: try again when the socket is writable. A packet that can never go is dropped, and the
// closing of its channel tells its command.
bool supervisor_link::send(const packet& item) {
  int numbers[3];
  const std::size_t count = item.descriptors.size();
  for (std::size_t i = 0; i < count; ++i) numbers[i] = item.descriptors[i].get();
  iovec part{const_cast<char*>(item.bytes.data()), item.bytes.size()};
  alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof numbers)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = ancillary;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    std::memcpy(CMSG_DATA(header), numbers, count * sizeof(int));
  }
  while (::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno == EAGAIN || errno == ENOBUFS) return false;
    if (errno != EINTR) return true;
  }
  return true;
}

bool supervisor_link::check_gone() {
  char byte = 0;
  const ssize_t size = ::recv(socket_.get(), &byte, 1, MSG_DONTWAIT);
  if (size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR))) return false;
  end(0);
  return true;
}

void supervisor_link::end(std::uint32_t wait_ms) {
  queue_.clear();
  socket_.reset();
  if (pid_ > 0) reap(wait_ms);
  pid_ = 0;
}

void supervisor_link::reap(std::uint32_t wait_ms) {
  pollfd watched{process_.get(), POLLIN, 0};
  while (process_ && ::poll(&watched, 1, static_cast<int>(wait_ms)) < 0 && errno == EINTR) {
  }
  // By descriptor, because a number may belong to somebody else by now.
  if (process_ && watched.revents == 0) {
    ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
  }
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  process_.reset();
}

}  // namespace rustic::shell
