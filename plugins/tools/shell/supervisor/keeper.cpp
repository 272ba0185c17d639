#include "keeper.hpp"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace rustic::shell {
namespace {

constexpr std::int64_t never = -1;

class keeper {
 public:
  keeper(const kept_command& command, process_table& table) : command_(command), table_(table) {}

  [[noreturn]] void run() {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    signals_ = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals_ < 0) fail(start_step::fork, errno);
    next_ms_ = now_ms() + command_.timeout_ms;
    start();
    for (;;) {
      pollfd watched[2] = {{signals_, POLLIN, 0}, {host_gone_ ? -1 : command_.channel, POLLIN, 0}};
      poll(watched, 2, wait_ms());
      if (watched[1].revents != 0) take_orders();
      if (next_ms_ != never && now_ms() >= next_ms_) on_time();
      if (watched[0].revents != 0) reap();
    }
  }

 private:
  enum class stage { running, left_running, ending, killing };

  [[noreturn]] void fail(start_step step, int error) {
    keeper_report report;
    report.kind = report_kind::not_started;
    report.step = step;
    report.value = error;
    send_report(command_.channel, report);
    _exit(0);
  }

  void start() {
    // The child shares this memory until it executes: what it writes here can be read afterwards.
    volatile int error = 0;
    volatile start_step step = start_step::fork;
    const pid_t child = vfork();
    if (child == 0) {
      setsid();
      dup2(command_.output, STDOUT_FILENO);
      dup2(command_.error, STDERR_FILENO);
      close_range(STDERR_FILENO + 1, ~0U, 0);
      sigset_t none;
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, nullptr);
      if (chdir(command_.directory) != 0) {
        step = start_step::directory;
      } else {
        const char* const arguments[] = {command_.shell, "-c", command_.text, nullptr};
        execve(command_.shell, const_cast<char* const*>(arguments), command_.environment);
        step = start_step::execute;
      }
      error = errno;
      _exit(127);
    }
    if (child < 0) fail(start_step::fork, errno);
    if (error != 0) fail(step, error);
    shell_ = child;
    close(command_.output);
    if (command_.error != command_.output) close(command_.error);
  }

  int wait_ms() const {
    if (next_ms_ == never) return -1;
    const std::int64_t left = next_ms_ - now_ms();
    return left < 0 ? 0 : static_cast<int>(left);
  }

  void take_orders() {
    keeper_order order;
    for (;;) {
      const ssize_t size = recv(command_.channel, &order, sizeof order, MSG_DONTWAIT);
      if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (size <= 0) {
        host_gone_ = true;
        end(stop_grace_ms);
        return;
      }
      if (size != sizeof order) continue;
      if (order.kind == order_kind::end) end(order.grace_ms);
      if (order.kind == order_kind::list) list();
    }
  }

  void list() {
    keeper_report report;
    report.kind = report_kind::processes;
    table_.list_descendants(getpid(), report);
    send_report(command_.channel, report);
  }

  // SIGTERM now, SIGKILL grace_ms later; a second order may only shorten that.
  void end(std::uint32_t grace_ms) {
    if (stage_ == stage::killing) return;
    const std::int64_t kill_ms = now_ms() + grace_ms;
    if (stage_ == stage::ending) {
      if (kill_ms < next_ms_) next_ms_ = kill_ms;
      return;
    }
    stage_ = stage::ending;
    next_ms_ = kill_ms;
    signal_all(SIGTERM);
    signal_all(SIGCONT);  // a stopped process would not notice
  }

  // The shell's group first and at once: no process can be forked past a signal to its group, while
  // one can be past the reading of the table.
  void signal_all(int signal) {
    const pid_t group = shell_ > 0 && !shell_reaped_ ? shell_ : 0;
    if (group > 0) kill(-group, signal);
    table_.signal_descendants(getpid(), signal, {}, group);
  }

  void on_time() {
    if (stage_ == stage::running) {
      keeper_report report;
      report.kind = report_kind::deadline;
      send_report(command_.channel, report);
      end(command_.grace_ms);
    } else if (stage_ == stage::ending || stage_ == stage::killing) {
      stage_ = stage::killing;
      kill_all();
    } else {
      next_ms_ = never;
    }
  }

  // What was forked while the table was read is found by the next round.
  void kill_all() {
    signal_all(SIGKILL);
    // Whoever is still there belongs to another user, or waits for a device: the host should know.
    if (rounds_ == kill_rounds_listed) list();
    next_ms_ = ++rounds_ < kill_rounds_max ? now_ms() + pause_ms_ : never;
    pause_ms_ = pause_ms_ * 2 < kill_pause_ms_max ? pause_ms_ * 2 : kill_pause_ms_max;
  }

  void reap() {
    signalfd_siginfo ignored[8];
    while (read(signals_, ignored, sizeof ignored) > 0) {
    }
    bool exited = false;
    keeper_report report;
    for (;;) {
      int status = 0;
      const pid_t pid = waitpid(-1, &status, WNOHANG);
      if (pid == shell_ && !shell_reaped_) {
        shell_reaped_ = true;
        exited = true;
        report.value = status;
      }
      if (pid > 0 || (pid < 0 && errno == EINTR)) continue;
      if (pid == 0) break;
      if (exited) send_report(command_.channel, report);
      _exit(0);  // no child is left, and closing the channel says so
    }
    if (exited) {
      send_report(command_.channel, report);
      if (stage_ == stage::running) {
        stage_ = stage::left_running;
        next_ms_ = never;
      }
    }
    if (stage_ == stage::killing) kill_all();
  }

  const kept_command& command_;
  process_table& table_;
  int signals_ = -1;
  pid_t shell_ = 0;
  bool shell_reaped_ = false;
  bool host_gone_ = false;
  stage stage_ = stage::running;
  std::int64_t next_ms_ = never;
  std::uint32_t rounds_ = 0;
  std::int64_t pause_ms_ = 1;
};

}  // namespace

void keep(const kept_command& command, process_table& table) {
  keeper(command, table).run();
}

void send_report(int channel, const keeper_report& report) {
  const std::size_t unused = (listed_processes_max - report.listed) * sizeof(listed_process);
  while (send(channel, &report, sizeof report - unused, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

std::int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace rustic::shell
