#include "command_runner.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cstring>
#include <rustic/status.hpp>

namespace rustic::shell {
namespace {

constexpr std::uint64_t wake_data = 0;        // commands count from 1
constexpr std::uint64_t supervisor_data = 1;  // below 1 * running_command::sources
constexpr int events_max = 64;

}  // namespace

command_runner::command_runner(runner_settings settings)
    : settings_(std::move(settings)), spill_(settings_.spill), supervisor_(settings_.supervisor) {}

command_runner::~command_runner() {
  stop();
}

std::uint64_t command_runner::run(command_spec spec, std::shared_ptr<command_listener> listener) {
  const std::lock_guard lock(mutex_);
  if (stopped_) {
    throw failure(status_code::failed_precondition,
                  "running a command: the shell tool has stopped");
  }
  if (active_ == commands_max) {
    throw failure(status_code::resource_exhausted,
                  "running a command: " + std::to_string(commands_max) +
                      " commands run already or have left processes behind",
                  "end background processes with kill, then try again");
  }
  if (!thread_.joinable()) {
    epoll_ = descriptor(::epoll_create1(EPOLL_CLOEXEC));
    wake_ = descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = wake_data;
    if (!epoll_ || !wake_ || ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) {
      throw failure(status_code::resource_exhausted,
                    std::string("running a command: no descriptor left: ") + std::strerror(errno));
    }
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for the program's own threads
    try {
      thread_ = std::thread([this] { loop(); });
    } catch (...) {
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
      throw failure(status_code::resource_exhausted, "running a command: no thread could be made");
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  const std::uint64_t id = next_id_;
  inbox_.push_back(
      {order::kind::run, id,
       std::make_unique<running_command>(id, std::move(spec), std::move(listener),
                                         settings_.kept_bytes_max, settings_.grace_ms, spill_)});
  ++next_id_;
  ++active_;
  ::eventfd_write(wake_.get(), 1);
  return id;
}

void command_runner::post(order item) {
  const std::lock_guard lock(mutex_);
  if (!thread_.joinable() || stopped_) return;
  inbox_.push_back(std::move(item));
  ::eventfd_write(wake_.get(), 1);
}

void command_runner::cancel(std::uint64_t id) {
  post({order::kind::cancel, id});
}
void command_runner::resume(std::uint64_t id) {
  post({order::kind::resume, id});
}

void command_runner::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (!thread_.joinable()) {
      stopped_ = true;
      return;
    }
    if (!stopped_) inbox_.push_back({order::kind::stop});
    stopped_ = true;
    ::eventfd_write(wake_.get(), 1);
  }
  thread_.join();
}

void command_runner::loop() {
  const auto buffer = std::make_unique<char[]>(read_bytes_max);
  epoll_event events[events_max];
  while (!stopping_ || (!commands_.empty() && clock::now() < stop_time_)) {
    const int count = ::epoll_wait(epoll_.get(), events, events_max, wait_ms());
    for (int i = 0; i < count; ++i) dispatch(events[i].data.u64, buffer.get());
    on_time(buffer.get());
  }
  for (auto& [id, command] : commands_) {
    if (!command->finished()) {
      command->fail("the shell tool stopped before the command could be ended");
    }
  }
  commands_.clear();
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(stop_time_ - clock::now()).count();
  supervisor_.end(static_cast<std::uint32_t>(std::max<std::int64_t>(left, stop_wait_ms_min)));
}

void command_runner::dispatch(std::uint64_t data, char* buffer) {
  if (data == wake_data) {
    take_orders();
  } else if (data == supervisor_data) {
    supervisor_.flush();
    supervisor_.check_gone();
    watch_supervisor();
  } else if (running_command* command = find(data / running_command::sources)) {
    command->on_ready(static_cast<running_command::source>(data % running_command::sources),
                      buffer);
  }
}

void command_runner::take_orders() {
  eventfd_t ignored = 0;
  ::eventfd_read(wake_.get(), &ignored);
  std::vector<order> orders;
  {
    const std::lock_guard lock(mutex_);
    orders.swap(inbox_);
  }
  for (order& item : orders) {
    switch (item.what) {
      case order::kind::run:
        begin(std::move(item.command));
        break;
      case order::kind::cancel:
        if (auto* command = find(item.id)) command->cancel();
        break;
      case order::kind::resume:
        if (auto* command = find(item.id)) command->resume();
        break;
      case order::kind::stop:
        stopping_ = true;
        stop_time_ = clock::now() + std::chrono::milliseconds(stop_wait_ms_max);
        for (auto& [id, command] : commands_) command->stop();
        break;
    }
  }
}

void command_runner::begin(std::unique_ptr<running_command> owned) {
  running_command& command = *owned;
  commands_.emplace(command.id(), std::move(owned));
  if (const auto problem = supervisor_.ensure()) return command.fail(*problem);
  auto descriptors = command.open(epoll_.get(), settings_.separate_streams);
  if (!descriptors.empty()) hand_over(command, std::move(descriptors));
}

void command_runner::hand_over(running_command& command, std::vector<descriptor> descriptors) {
  run_request request;
  request.run = command.id();
  request.timeout_ms = command.spec().timeout_ms;
  request.grace_ms = settings_.grace_ms;
  request.environment_entries = static_cast<std::uint32_t>(settings_.environment.size());
  std::string packet(reinterpret_cast<const char*>(&request), sizeof request);
  const auto add = [&packet](const std::string& text) { packet.append(text).push_back('\0'); };
  add(settings_.shell);
  add(command.spec().text);
  add(command.spec().directory);
  for (const std::string& entry : settings_.environment) add(entry);
  supervisor_.post(std::move(packet), std::move(descriptors));
  watch_supervisor();
}

// The socket is in the epoll set as long as there is one; a closed one has left it by itself.
void command_runner::watch_supervisor() {
  if (supervisor_.socket() < 0) return;
  epoll_event event{};
  event.events = EPOLLIN | (supervisor_.writes_waiting() ? EPOLLOUT : 0U);
  event.data.u64 = supervisor_data;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, supervisor_.socket(), &event) != 0) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, supervisor_.socket(), &event);
  }
}

void command_runner::on_time(char* buffer) {
  for (auto at = commands_.begin(); at != commands_.end();) {
    running_command& command = *at->second;
    command.on_time(buffer);
    if (command.take_overdue() && supervisor_.socket() >= 0) {
      kill_request request;
      request.run = command.id();
      supervisor_.post({reinterpret_cast<const char*>(&request), sizeof request}, {});
      watch_supervisor();
    }
    if (!command.gone()) {
      ++at;
      continue;
    }
    at = commands_.erase(at);
    const std::lock_guard lock(mutex_);
    --active_;
  }
}

int command_runner::wait_ms() const {
  auto time = stop_time_;
  for (const auto& [id, command] : commands_) time = std::min(time, command->next_time());
  if (time == clock::time_point::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(time - clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, timeout_ms_cap_max));
}

running_command* command_runner::find(std::uint64_t id) {
  const auto found = commands_.find(id);
  return found == commands_.end() ? nullptr : found->second.get();
}

}  // namespace rustic::shell
