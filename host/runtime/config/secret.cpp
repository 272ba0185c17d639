// Variables, files and commands that hold secrets.
#include "host/runtime/config/secret.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>

#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <rustic/json.hpp>
#include <rustic/status.hpp>

#include "host/runtime/config/files.hpp"
#include "host/runtime/config/limits.hpp"

namespace rustic::config {
namespace {
using clock = std::chrono::steady_clock;

secret checked(std::string value, std::string_view source) {
  while (!value.empty() && (value.back() == '\n' || value.back() == '\r')) value.pop_back();
  if (value.empty())
    throw failure(status_code::not_found, "the secret from " + std::string(source) + " is empty");
  if (value.find('\0') != std::string::npos || !is_utf8(value))
    throw failure(status_code::invalid_argument,
                  "the secret from " + std::string(source) + " is not text");
  return {std::move(value), {}};
}

secret from_file(std::string_view name, const surroundings& around) {
  const auto path = expand_path(name, around, around.cwd);
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    throw failure(status_code::not_found,
                  "cannot read the secret file " + path.string() + ": " +
                      std::generic_category().message(errno),
                  "create it with mode 0600");
  if (info.st_uid != ::geteuid() && info.st_uid != 0)
    throw failure(status_code::permission_denied,
                  "the secret file " + path.string() + " belongs to somebody else",
                  "use a file of your own, with mode 0600");
  auto result = checked(read_file(path, secret_bytes_max), "the file " + path.string());
  if ((info.st_mode & 077) != 0)
    result.warnings.push_back("the secret file " + path.string() +
                              " can be reached by others; run: chmod 600 " + path.string());
  return result;
}

class descriptor {
 public:
  explicit descriptor(int fd = -1) : fd_(fd) {}
  ~descriptor() { reset(); }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// A shell in a process group of its own; whatever happens, the group is killed and the shell
// reaped.
class shell {
 public:
  shell(const std::string& command, const surroundings& around) {
    int out[2], err[2];
    if (::pipe2(out, O_CLOEXEC) != 0) refuse(errno);
    out_.reset(out[0]);
    const descriptor out_end(out[1]);
    if (::pipe2(err, O_CLOEXEC) != 0) refuse(errno);
    err_.reset(err[0]);
    const descriptor err_end(err[1]);

    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    for (const int number : {SIGPIPE, SIGXFSZ, SIGINT, SIGTERM, SIGHUP, SIGCHLD})
      sigaddset(&defaults, number);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    std::string sh = "sh", option = "-c", text = command;
    char* arguments[] = {sh.data(), option.data(), text.data(), nullptr};
    std::vector<std::string> variables;
    for (const auto& [name, value] : around.env) variables.push_back(name + '=' + value);
    std::vector<char*> environment;
    for (auto& entry : variables) environment.push_back(entry.data());
    environment.push_back(nullptr);
    const int problem =
        ::posix_spawn(&pid_, "/bin/sh", &actions, &attributes, arguments, environment.data());
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (problem != 0) {
      pid_ = -1;
      refuse(problem);
    }
    process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    if (process_.get() < 0) {
      const int cause = errno;
      end();
      refuse(cause);
    }
    for (const int fd : {out_.get(), err_.get()})
      ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  }
  ~shell() { end(); }
  shell(const shell&) = delete;
  shell& operator=(const shell&) = delete;

  // Reads until the shell has ended. Its background children do not hold us up.
  std::string output() {
    const auto deadline = clock::now() + std::chrono::milliseconds(secret_command_timeout_ms);
    std::string out;
    bool out_open = true, err_open = true;
    while (true) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock::now()).count();
      if (left <= 0)
        throw failure(status_code::deadline_exceeded,
                      "the command of a secret did not finish within " +
                          std::to_string(secret_command_timeout_ms / 1000) + " seconds",
                      "make the command answer without asking anything");
      pollfd watched[] = {{process_.get(), POLLIN, 0},
                          {out_open ? out_.get() : -1, POLLIN, 0},
                          {err_open ? err_.get() : -1, POLLIN, 0}};
      if (::poll(watched, 3, static_cast<int>(left)) < 0 && errno != EINTR) refuse(errno);
      const bool ended = watched[0].revents != 0;
      drain(out_, out, secret_bytes_max + 1, out_open);
      drain(err_, complaint_, secret_complaint_bytes_max, err_open);
      if (out.size() > secret_bytes_max)
        throw failure(status_code::resource_exhausted,
                      "the command of a secret printed more than " +
                          std::to_string(secret_bytes_max) + " bytes");
      if (ended) return out;
    }
  }

  // The exit status; output() has seen the end.
  int wait() {
    int status = 0;
    ::kill(-pid_, SIGKILL);  // what the shell left behind; it is itself still unreaped
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  const std::string& complaint() const { return complaint_; }

 private:
  [[noreturn]] static void refuse(int cause) {
    throw failure(status_code::unavailable,
                  "cannot run the command of a secret: " + std::generic_category().message(cause));
  }

  // Keeps the first `bytes_max` bytes and throws the rest away.
  static void drain(const descriptor& from, std::string& into, std::size_t bytes_max, bool& open) {
    char buffer[4096];
    while (open) {
      const auto count = ::read(from.get(), buffer, sizeof buffer);
      if (count < 0 && errno == EINTR) continue;
      if (count == 0) open = false;
      if (count <= 0) return;
      into.append(buffer, std::min(static_cast<std::size_t>(count), bytes_max - into.size()));
      if (into.size() >= bytes_max) return;
    }
  }

  void end() {
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGKILL);
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
    pid_ = -1;
  }

  pid_t pid_ = -1;
  descriptor out_, err_, process_;
  std::string complaint_;
};

secret from_command(const std::string& command, const surroundings& around) {
  shell child(command, around);
  auto out = child.output();
  if (const int status = child.wait(); status != 0) {
    auto complaint = to_utf8(cut_utf8(child.complaint(), secret_complaint_bytes_max));
    while (!complaint.empty() && complaint.back() == '\n') complaint.pop_back();
    throw failure(status_code::not_found,
                  "the command of a secret failed with status " + std::to_string(status) +
                      (complaint.empty() ? "" : ": " + complaint),
                  "run it by hand in a shell");
  }
  return checked(std::move(out), "a command");
}
}  // namespace

secret resolve_secret(std::string_view reference, const surroundings& around) {
  if (reference.starts_with("env:")) {
    const std::string name(reference.substr(4));
    const auto value = around.variable(name);
    if (!value)
      throw failure(status_code::not_found, "the variable " + name + " is not set",
                    "set it, for example: export " + name + "=...");
    return checked(*value, "the variable " + name);
  }
  if (reference.starts_with("file:")) return from_file(reference.substr(5), around);
  if (reference.starts_with("cmd:")) return from_command(std::string(reference.substr(4)), around);
  return checked(std::string(reference), "the configuration");
}

std::string missing_secret(std::string_view reference, const surroundings& around) {
  if (reference.starts_with("cmd:")) return {};
  try {
    (void)resolve_secret(reference, around);
    return {};
  } catch (const failure& problem) {
    return problem.problem().message;
  }
}
}  // namespace rustic::config
