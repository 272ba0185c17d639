#include "event_loop.hpp"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace rustic::http {

namespace asio = boost::asio;

// Asio's own timers wake an idle reactor every five minutes once one has been used, so deadlines
// have a timer descriptor of their own, which is disarmed when none is set.
struct event_loop::impl {
  asio::io_context io{1};
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work;
  std::mutex mutex;
  bool stopped = false;  // under mutex
  std::thread thread;    // under mutex until stopped

  int timer_fd = -1;
  std::optional<asio::posix::stream_descriptor> timer;
  std::multimap<steady_time, alarm*> alarms;
  steady_time armed = steady_time::max();
  bool closing = false;

  // What a job throws must not end the process; jobs report their own failures.
  void run() noexcept {
    for (;;) {
      try {
        io.run();
        return;
      } catch (...) {
      }
    }
  }

  void arm(steady_time when) {
    if (closing) return;
    if (timer_fd < 0) {
      timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
      if (timer_fd < 0) throw std::system_error(errno, std::generic_category(), "timerfd_create");
      timer.emplace(io, timer_fd);
      await_timer();
    }
    itimerspec spec{};
    if (when != steady_time::max()) {
      const auto ns = std::max<std::int64_t>(
          1, std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count());
      spec.it_value.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
      spec.it_value.tv_nsec = static_cast<long>(ns % 1'000'000'000);
    }
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &spec, nullptr);
    armed = when;
  }

  void await_timer() {
    timer->async_wait(asio::posix::stream_descriptor::wait_read,
                      [this](const boost::system::error_code& error) {
                        if (error) return;
                        std::uint64_t expirations;
                        if (read(timer_fd, &expirations, sizeof expirations) > 0) expire();
                        await_timer();
                      });
  }

  void queue(alarm* a, steady_time when, steady_time& queued) {
    alarms.emplace(when, a);
    queued = when;
    if (when < armed) arm(when);
  }

  void unqueue(alarm* a, steady_time& queued) {
    if (queued == steady_time::max()) return;
    auto [first, last] = alarms.equal_range(queued);
    alarms.erase(std::find_if(first, last, [a](const auto& entry) { return entry.second == a; }));
    queued = steady_time::max();
    if (alarms.empty() && armed != steady_time::max()) arm(steady_time::max());
  }

  void expire();
};

event_loop::event_loop() : impl_(std::make_unique<impl>()) {}

event_loop::~event_loop() {
  stop();
}

bool event_loop::post(std::function<void()> job) {
  std::lock_guard lock(impl_->mutex);
  if (impl_->stopped) return false;
  if (!impl_->thread.joinable()) {
    impl_->work.emplace(impl_->io.get_executor());
    try {
      impl_->thread = std::thread([self = impl_.get()] { self->run(); });
    } catch (const std::system_error&) {
      return false;
    }
    pthread_setname_np(impl_->thread.native_handle(), "rustic-http");
  }
  asio::post(impl_->io, std::move(job));
  return true;
}

void event_loop::stop() {
  std::thread thread;
  {
    std::lock_guard lock(impl_->mutex);
    if (impl_->stopped) return;
    impl_->stopped = true;
    if (impl_->thread.joinable()) {
      asio::post(impl_->io, [self = impl_.get()] {
        self->closing = true;
        self->timer.reset();
        self->work.reset();
      });
    }
    thread = std::move(impl_->thread);
  }
  if (thread.joinable()) thread.join();
}

void event_loop::impl::expire() {
  armed = steady_time::max();
  const auto now = std::chrono::steady_clock::now();
  // An alarm's callback may destroy any alarm, so the queue is looked at afresh each time.
  while (!alarms.empty() && alarms.begin()->first <= now) {
    alarm* due = alarms.begin()->second;
    alarms.erase(alarms.begin());
    due->queued_ = steady_time::max();
    if (due->deadline_ > now) {
      if (due->deadline_ != steady_time::max()) {
        alarms.emplace(due->deadline_, due);
        due->queued_ = due->deadline_;
      }
      continue;
    }
    due->deadline_ = steady_time::max();
    due->fired_();
  }
  if (!alarms.empty() && alarms.begin()->first < armed) arm(alarms.begin()->first);
}

struct fd_watch::impl : std::enable_shared_from_this<impl> {
  impl(asio::io_context& io, int fd) : descriptor(io, fd) {}
  asio::posix::stream_descriptor descriptor;
  std::function<void()> ready;
  std::uint64_t generation = 0;  // callbacks of an earlier one are out of date
  int outstanding = 0;

  void await(asio::posix::stream_descriptor::wait_type what) {
    ++outstanding;
    descriptor.async_wait(
        what, [self = shared_from_this(), wanted = generation](const boost::system::error_code&) {
          --self->outstanding;
          if (self->generation != wanted) return;
          ++self->generation;
          auto call = std::move(self->ready);
          self->ready = nullptr;
          if (call) call();
        });
  }
};

fd_watch::fd_watch(event_loop& loop, int fd) : impl_(std::make_shared<impl>(loop.impl_->io, fd)) {}

fd_watch::~fd_watch() {
  ++impl_->generation;
  impl_->ready = nullptr;
  if (impl_->descriptor.is_open()) impl_->descriptor.release();
}

void fd_watch::wait(bool readable, bool writable, std::function<void()> ready) {
  if (impl_->outstanding > 0) cancel();
  ++impl_->generation;
  impl_->ready = std::move(ready);
  if (readable) impl_->await(asio::posix::stream_descriptor::wait_read);
  if (writable) impl_->await(asio::posix::stream_descriptor::wait_write);
}

void fd_watch::cancel() {
  ++impl_->generation;
  impl_->ready = nullptr;
  boost::system::error_code ignored;
  if (impl_->outstanding > 0) impl_->descriptor.cancel(ignored);
}

alarm::alarm(event_loop& loop, std::function<void()> fired)
    : loop_(loop), fired_(std::move(fired)) {}

alarm::~alarm() {
  loop_.impl_->unqueue(this, queued_);
}

void alarm::set(steady_time deadline) {
  deadline_ = deadline;
  if (queued_ <= deadline) return;  // re-queued when that earlier time comes
  if (queued_ != steady_time::max()) loop_.impl_->unqueue(this, queued_);
  loop_.impl_->queue(this, deadline, queued_);
}

// It stays queued, since it is mostly set again at once; the destructor takes it out.
void alarm::clear() {
  deadline_ = steady_time::max();
}

}  // namespace rustic::http
