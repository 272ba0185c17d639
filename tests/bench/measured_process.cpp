#include "measured_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace rustic::bench {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

double ms(const timeval& time) {
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
}

int status_of(int waited) {
  return WIFEXITED(waited) ? WEXITSTATUS(waited) : 128 + WTERMSIG(waited);
}

}  // namespace

std::int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

cost run(const command& what, const std::function<void(pid_t)>& meanwhile) {
  const auto words = pointers(what.words);
  const auto environment = pointers(what.environment);
  cost out;
  out.begin_ns = now_ns();
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error(std::string("fork: ") + strerror(errno));
  if (child == 0) {
    const int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    if (!what.directory.empty() && chdir(what.directory.c_str()) != 0) _exit(126);
    execve(words[0], words.data(), environment.data());
    _exit(127);
  }
  if (meanwhile) meanwhile(child);
  int status = 0;
  rusage used{};
  while (wait4(child, &status, 0, &used) < 0) {
    if (errno != EINTR) throw std::runtime_error(std::string("wait4: ") + strerror(errno));
  }
  out.wall_ms = static_cast<double>(now_ns() - out.begin_ns) / 1e6;
  out.cpu_ms = ms(used.ru_utime) + ms(used.ru_stime);
  out.peak_rss_mb = static_cast<double>(used.ru_maxrss) / 1024;
  out.exit_status = status_of(status);
  return out;
}

std::string output_of(const command& what) {
  const auto words = pointers(what.words);
  const auto environment = pointers(what.environment);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error(std::string("fork: ") + strerror(errno));
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    execve(words[0], words.data(), environment.data());
    _exit(127);
  }
  close(ends[1]);
  std::string out;
  char space[4096];
  for (ssize_t n = 0; (n = read(ends[0], space, sizeof(space))) > 0;)
    out.append(space, static_cast<std::size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (status_of(status) != 0) {
    throw std::runtime_error(what.words[0] + " ended with " + std::to_string(status_of(status)));
  }
  return out;
}

memory memory_of(pid_t pid) {
  memory out;
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  std::string word;
  while (file >> word) {
    double* into = word == "Rss:" ? &out.rss_mb : word == "Pss:" ? &out.pss_mb : nullptr;
    if (into != nullptr && file >> *into) *into /= 1024;
  }
  return out;
}

activity activity_of(pid_t pid) {
  activity out;
  const std::filesystem::path tasks = "/proc/" + std::to_string(pid) + "/task";
  std::error_code gone;
  for (const auto& task : std::filesystem::directory_iterator(tasks, gone)) {
    ++out.threads;
    double on_cpu_ns = 0;
    if (std::ifstream(task.path() / "schedstat") >> on_cpu_ns) out.cpu_ms += on_cpu_ns / 1e6;
    std::ifstream status(task.path() / "status");
    std::string word;
    std::int64_t count = 0;
    while (status >> word) {
      if (word == "voluntary_ctxt_switches:" && status >> count) out.voluntary_switches += count;
    }
  }
  return out;
}

terminal_process::terminal_process(const command& what) {
  const auto words = pointers(what.words);
  const auto environment = pointers(what.environment);
  winsize size{};
  size.ws_col = 120;
  size.ws_row = 40;
  pid_ = forkpty(&terminal_, nullptr, nullptr, &size);
  if (pid_ < 0) throw std::runtime_error(std::string("forkpty: ") + strerror(errno));
  if (pid_ == 0) {
    if (!what.directory.empty() && chdir(what.directory.c_str()) != 0) _exit(126);
    execve(words[0], words.data(), environment.data());
    _exit(127);
  }
}

terminal_process::~terminal_process() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  close(terminal_);
}

void terminal_process::type(const std::string& text) {
  if (write(terminal_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw std::runtime_error("writing to the terminal failed");
  }
}

std::string terminal_process::settle(int quiet_ms, int timeout_ms) {
  const std::int64_t until_ns = now_ns() + std::int64_t{timeout_ms} * 1'000'000;
  std::string shown;
  while (now_ns() < until_ns) {
    pollfd wait{terminal_, POLLIN, 0};
    if (poll(&wait, 1, quiet_ms) == 0) {
      if (!shown.empty()) return shown;
      continue;
    }
    char space[4096];
    const ssize_t n = read(terminal_, space, sizeof(space));
    if (n <= 0) throw std::runtime_error("the program left its terminal; it showed: " + shown);
    shown.append(space, static_cast<std::size_t>(n));
  }
  throw std::runtime_error("the terminal did not come to rest; it showed: " + shown);
}

}  // namespace rustic::bench
