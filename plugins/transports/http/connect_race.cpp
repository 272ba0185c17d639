#include "connect_race.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "limits.hpp"

namespace rustic::http {
namespace {

void set_option(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof value);
}

// The kernel finds out about dead peers, so that no request waits for a path that is gone, and it
// does so without waking this process.
void configure(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, limits::keepalive_idle_s);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, limits::keepalive_interval_s);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, limits::keepalive_probes);
  const std::chrono::milliseconds unacknowledged = limits::unacknowledged_max;
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(unacknowledged.count()));
}

}  // namespace

connect_race::connect_race(event_loop& loop, std::vector<socket_address> addresses,
                           std::function<void(result)> done)
    : loop_(loop),
      addresses_(std::move(addresses)),
      done_(std::move(done)),
      stagger_(loop, [this] { start_next(); }) {
  start_next();
}

connect_race::~connect_race() {
  for (auto& one : attempts_) {
    one.watch.reset();
    close(one.fd);
  }
}

void connect_race::start_next() {
  while (done_) {
    if (next_ == addresses_.size()) {
      if (attempts_.empty()) finish({-1, error_});
      return;
    }
    const socket_address& address = addresses_[next_++];
    const int fd =
        socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0) {
      error_ = address.text() + ": " + std::generic_category().message(errno);
      continue;
    }
    configure(fd);
    const int status =
        connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.length);
    if (status == 0) {
      finish({fd, {}});
      return;
    }
    if (errno != EINPROGRESS && errno != EINTR) {
      error_ = address.text() + ": " + std::generic_category().message(errno);
      close(fd);
      continue;
    }
    attempts_.push_back({fd, address.text(), std::make_unique<fd_watch>(loop_, fd)});
    const auto one = std::prev(attempts_.end());
    one->watch->wait(false, true, [this, one] { settle(one); });
    if (next_ < addresses_.size()) {
      stagger_.set(std::chrono::steady_clock::now() + limits::attempt_stagger);
    }
    return;
  }
}

void connect_race::settle(std::list<attempt>::iterator one) {
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(one->fd, SOL_SOCKET, SO_ERROR, &error, &length);
  attempt settled = std::move(*one);
  attempts_.erase(one);
  settled.watch.reset();
  if (error == 0) {
    finish({settled.fd, {}});
    return;
  }
  error_ = settled.address + ": " + std::generic_category().message(error);
  close(settled.fd);
  start_next();
}

void connect_race::finish(result outcome) {
  stagger_.clear();
  auto done = std::move(done_);
  done_ = nullptr;
  done(std::move(outcome));
}

}  // namespace rustic::http
