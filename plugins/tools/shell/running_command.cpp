#include "running_command.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <rustic/json.hpp>

namespace rustic::shell {
namespace {

using std::chrono::milliseconds;

std::string describe(const keeper_report& report, const command_spec& spec) {
  const std::string cause = std::strerror(report.value);
  switch (report.step) {
    case start_step::directory:
      return "the working directory '" + spec.directory + "' cannot be entered: " + cause;
    case start_step::execute:
      return "the configured shell cannot be executed: " + cause +
             "; set plugin.shell.shell to the path of a shell";
    case start_step::fork:
      break;
  }
  return "no process could be made for the command: " + cause +
         "; end background processes and try again";
}

}  // namespace

running_command::running_command(std::uint64_t id, command_spec spec,
                                 std::shared_ptr<command_listener> listener,
                                 std::size_t kept_bytes_max, std::uint32_t grace_ms,
                                 spill_directory& spill)
    : id_(id),
      spec_(std::move(spec)),
      listener_(std::move(listener)),
      collector_(kept_bytes_max, spill),
      started_(clock::now()),
      deadline_(started_ + milliseconds(spec_.timeout_ms)),
      overdue_time_(deadline_ + milliseconds(grace_ms + overdue_ms)),
      quiet_time_(clock::time_point::max()),
      drained_time_(clock::time_point::max()) {}

std::vector<descriptor> running_command::open(int epoll, bool separate_streams) {
  epoll_ = epoll;
  std::vector<descriptor> given;
  for (const source which : {output, error}) {
    if (which == error && !separate_streams) break;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      fail(std::string("creating a pipe failed: ") + std::strerror(errno));
      return {};
    }
    pipes_[which] = descriptor(ends[0]);
    given.emplace_back(ends[1]);
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    watch(which, true);
  }
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    fail(std::string("creating a socket failed: ") + std::strerror(errno));
    return {};
  }
  channel_ = descriptor(pair[0]);
  given.emplace_back(pair[1]);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = id_ * sources + channel;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, channel_.get(), &event);
  return given;
}

void running_command::fail(std::string reason) {
  outcome_.failure = std::move(reason);
  tree_gone_ = true;
  finish();
}

// A pipe whose writers are gone reports that without being asked, so it is taken out altogether.
void running_command::watch(source which, bool wanted) {
  if (!pipes_[which] || watched_[which] == wanted) return;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = id_ * sources + which;
  ::epoll_ctl(epoll_, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, pipes_[which].get(), &event);
  watched_[which] = wanted;
}

void running_command::close_pipe(source which) {
  watch(which, false);
  pipes_[which].reset();
}

void running_command::on_ready(source which, char* buffer) {
  if (which == channel) {
    read_reports();
  } else if (pipes_[which] && watched_[which]) {
    read_pipe(which, buffer);
  }
  settle(buffer);
}

bool running_command::read_pipe(source which, char* buffer) {
  const ssize_t size = ::read(pipes_[which].get(), buffer, read_bytes_max);
  if (size > 0) {
    if (stage_ == stage::draining) quiet_time_ = clock::now() + milliseconds(drain_quiet_ms);
    take_output(which, {buffer, static_cast<std::size_t>(size)});
    return true;
  }
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  close_pipe(which);
  return false;
}

void running_command::take_output(source which, std::string_view bytes) {
  collector_.append(bytes);
  if (muted_ || stage_ == stage::finished) return;
  switch (listener_->on_output(which == output ? 1 : 2, bytes)) {
    case next::more:
      break;
    case next::pause:
      paused_ = true;
      watch(output, false);
      watch(error, false);
      break;
    case next::stop:
      cancel();
      break;
  }
}

void running_command::read_reports() {
  keeper_report report;
  while (channel_) {
    const ssize_t size = ::recv(channel_.get(), &report, sizeof report, MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
      ::epoll_ctl(epoll_, EPOLL_CTL_DEL, channel_.get(), nullptr);
      channel_.reset();
      tree_gone_ = true;
      return;
    }
    switch (report.kind) {
      case report_kind::not_started:
        outcome_.failure = describe(report, spec_);
        outcome_.missing_directory = report.step == start_step::directory;
        break;
      case report_kind::deadline:
        outcome_.timed_out = true;
        ending_ = true;
        mute();
        break;
      case report_kind::exited:
        wait_status_ = report.value;
        break;
      case report_kind::processes:
        outcome_.remaining_count = report.value;
        outcome_.remaining.clear();
        for (std::uint32_t i = 0; i < std::min<std::size_t>(report.listed, listed_processes_max);
             ++i) {
          outcome_.remaining.emplace_back(report.processes[i].pid,
                                          to_utf8(report.processes[i].name));
        }
        if (stage_ == stage::listing) finish();
        break;
    }
  }
}

void running_command::order(order_kind kind, std::uint32_t grace_ms) {
  if (!channel_) return;
  keeper_order message;
  message.kind = kind;
  message.grace_ms = grace_ms;
  while (::send(channel_.get(), &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
         errno == EINTR) {
  }
}

void running_command::mute() {
  muted_ = true;
  resume();
}

void running_command::begin_end(std::uint32_t grace_ms) {
  const auto overdue_time = clock::now() + milliseconds(grace_ms + overdue_ms);
  overdue_time_ = ending_ ? std::min(overdue_time_, overdue_time) : overdue_time;
  ending_ = true;
  mute();
}

void running_command::cancel() {
  if (stage_ == stage::finished || outcome_.cancelled) return;
  outcome_.cancelled = true;
  order(order_kind::end, cancel_grace_ms);
  begin_end(cancel_grace_ms);
}

void running_command::stop() {
  outcome_.cancelled = true;
  if (channel_) ::shutdown(channel_.get(), SHUT_WR);
  begin_end(stop_grace_ms);
}

void running_command::resume() {
  paused_ = false;
  watch(output, true);
  watch(error, true);
}

clock::time_point running_command::next_time() const {
  if (stage_ == stage::finished) return clock::time_point::max();
  auto time = overdue_time_;
  if (paused_) time = std::min(time, deadline_);
  if (stage_ == stage::draining && !paused_) {
    time = std::min({time, quiet_time_, drained_time_});
  }
  return time;
}

void running_command::on_time(char* buffer) {
  if (clock::now() >= next_time()) settle(buffer);
}

// The one place that decides whether the command has come to its end.
void running_command::settle(char* buffer) {
  if (stage_ == stage::finished) return;
  const auto now = clock::now();
  // Nobody took the output until the deadline. What is left of it is in the result.
  if (paused_ && now >= deadline_) mute();

  if (tree_gone_) {
    drain(buffer);
    if (!paused_) finish();
    return;
  }
  if (now >= overdue_time_) {
    overdue_ = true;
    if (outcome_.failure.empty() && !wait_status_) {
      outcome_.failure = "the command could not be ended in time; processes of it may remain";
    }
    finish();
    return;
  }
  if (ending_ || !wait_status_) return;
  if (stage_ == stage::running) {
    stage_ = stage::draining;
    quiet_time_ = now + milliseconds(drain_quiet_ms);
    drained_time_ = now + milliseconds(drain_ms_max);
    overdue_time_ = std::max(overdue_time_, drained_time_ + milliseconds(overdue_ms));
  }
  const bool dry = !pipes_[output] && !pipes_[error];
  if (stage_ == stage::draining && !paused_ &&
      (dry || now >= quiet_time_ || now >= drained_time_)) {
    stage_ = stage::listing;
    overdue_time_ = now + milliseconds(overdue_ms);
    order(order_kind::list, 0);
  }
}

// All writers have exited, so what is in the pipes is all there will be. Somebody outside the tree
// may hold them open; hence the bound.
void running_command::drain(char* buffer) {
  for (const source which : {output, error}) {
    for (std::size_t bytes = 0; bytes < drain_bytes_max && pipes_[which] && !paused_;
         bytes += read_bytes_max) {
      if (!read_pipe(which, buffer)) break;
    }
  }
}

void running_command::finish() {
  stage_ = stage::finished;
  outcome_.duration_ms = std::chrono::duration_cast<milliseconds>(clock::now() - started_).count();
  if (wait_status_) {
    if (WIFSIGNALED(*wait_status_)) {
      outcome_.signal = WTERMSIG(*wait_status_);
    } else {
      outcome_.exit_code = WEXITSTATUS(*wait_status_);
    }
  } else if (outcome_.failure.empty()) {
    outcome_.failure = "the process that watched over the command was killed, its exit is unknown";
  }
  outcome_.output = collector_.text();
  outcome_.truncated = collector_.truncated();
  if (tree_gone_ || (!pipes_[output] && !pipes_[error])) {
    close_pipe(output);
    close_pipe(error);
    outcome_.remaining_count = tree_gone_ ? 0 : outcome_.remaining_count;
    if (tree_gone_) outcome_.remaining.clear();
  } else {
    collector_.follow();  // who still writes must neither block nor die of a closed pipe
    resume();
  }
  outcome_.spill_file = collector_.spill_path();
  const auto listener = std::move(listener_);
  listener->on_finished(std::move(outcome_));
}

}  // namespace rustic::shell
