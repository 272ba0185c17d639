#include "dispatcher.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <exception>

#include "../look_out.hpp"

namespace rustic::cell {
namespace {
constexpr int hung_up = 0, not_understood = 70;
}

dispatcher::dispatcher(int socket, std::function<bool(const frame&)> on_frame)
    : socket_(socket),
      on_frame_(std::move(on_frame)),
      poll_(::epoll_create1(EPOLL_CLOEXEC)),
      poke_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.fd = poke_;
  ::epoll_ctl(poll_, EPOLL_CTL_ADD, poke_, &event);
}

frame dispatcher::read_one() {
  frame out;
  for (;;) {
    switch (buffer_.next(out)) {
      case frame_buffer::found::whole:
        return out;
      case frame_buffer::found::broken:
        ::_exit(not_understood);
      case frame_buffer::found::partial:
        break;
    }
    const auto room = buffer_.room();
    const auto size = ::recv(socket_, room.data(), room.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) ::_exit(hung_up);
    buffer_.received(static_cast<std::size_t>(size));
  }
}

void dispatcher::run() {
  {
    const std::lock_guard reading(read_mutex_);
    receive_waiting();
  }
  arm(true);
  work();
}

void dispatcher::arm(bool first) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT;
  event.data.fd = socket_;
  if (::epoll_ctl(poll_, first ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket_, &event) != 0)
    ::_exit(not_understood);
}

void dispatcher::work() {
  look_out before_sleep;
  for (;;) {
    while (run_next()) {
    }
    epoll_event event{};
    idle_.fetch_add(1);
    int count = 0;
    for (const auto until = before_sleep.until(look_out::clock::now());
         count == 0 && look_out::clock::now() < until;)
      count = ::epoll_wait(poll_, &event, 1, 0);
    before_sleep.found(count != 0);
    if (count == 0) count = ::epoll_wait(poll_, &event, 1, -1);
    idle_.fetch_sub(1);
    if (count < 0 && errno != EINTR) ::_exit(not_understood);
    if (count == 1 && event.data.fd == socket_) read();
  }
}

void dispatcher::schedule(std::shared_ptr<step> what, bool wake) {
  const std::lock_guard lock(mutex_);
  steps_.push_back(std::move(what));
  if (wake) more_hands();
}

void dispatcher::poke() {
  const std::uint64_t one = 1;
  if (::write(poke_, &one, sizeof one) < 0) return;  // it is full: somebody is on the way
}

bool dispatcher::run_next() {
  std::shared_ptr<step> next;
  {
    const std::lock_guard lock(mutex_);
    if (steps_.empty()) return false;
    next = std::move(steps_.front());
    steps_.pop_front();
    more_hands();
  }
  next->run();
  return true;
}

// The plugin may keep this thread: somebody must be there for what is left and for what comes.
void dispatcher::more_hands() {
  if (idle_.load() == 0) {
    if (threads_.size() + 1 >= dispatch_threads_max) return;
    try {
      threads_.emplace_back([this] { work(); });
    } catch (const std::exception&) {  // no room for another: those there are go on
    }
  } else if (!steps_.empty()) {
    poke();
  }
}

void dispatcher::read() {
  const std::lock_guard reading(read_mutex_);
  for (std::size_t taken = 0; taken < receive_growth_bytes;) {
    const auto room = buffer_.room();
    const auto size = ::recv(socket_, room.data(), room.size(), MSG_DONTWAIT);
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) ::_exit(hung_up);
    if (size < 0) break;
    const auto bytes = static_cast<std::size_t>(size);
    buffer_.received(bytes);
    receive_waiting();
    taken += bytes;
    if (bytes < room.size()) break;
  }
  arm(false);
}

void dispatcher::receive_waiting() {
  for (frame next;;) {
    switch (buffer_.next(next)) {
      case frame_buffer::found::partial:
        return;
      case frame_buffer::found::broken:
        ::_exit(not_understood);
      case frame_buffer::found::whole:
        if (!on_frame_(next)) ::_exit(not_understood);
    }
  }
}

}  // namespace rustic::cell
