#include "resolver.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <cstring>
#include <system_error>

#include "limits.hpp"
#include "url.hpp"

namespace rustic::http {
namespace {

socket_address make_address(const sockaddr* from, socklen_t length) {
  socket_address out;
  std::memcpy(&out.storage, from, length);
  out.length = length;
  return out;
}

socket_address v4(in_addr address, std::uint16_t port) {
  sockaddr_in full{};
  full.sin_family = AF_INET;
  full.sin_port = htons(port);
  full.sin_addr = address;
  return make_address(reinterpret_cast<const sockaddr*>(&full), sizeof full);
}

socket_address v6(const in6_addr& address, std::uint16_t port) {
  sockaddr_in6 full{};
  full.sin6_family = AF_INET6;
  full.sin6_port = htons(port);
  full.sin6_addr = address;
  return make_address(reinterpret_cast<const sockaddr*>(&full), sizeof full);
}

// IPv6 and IPv4 in turn, in the order that the system prefers within each, so that a broken family
// costs one attempt and not all of them.
void interleave(std::vector<socket_address>& addresses) {
  std::vector<socket_address> first;
  std::vector<socket_address> second;
  if (addresses.empty()) return;
  const auto family = addresses.front().storage.ss_family;
  for (auto& a : addresses) (a.storage.ss_family == family ? first : second).push_back(a);
  addresses.clear();
  for (std::size_t i = 0; i < first.size() || i < second.size(); ++i) {
    if (i < first.size()) addresses.push_back(first[i]);
    if (i < second.size()) addresses.push_back(second[i]);
  }
  if (addresses.size() > limits::addresses_max) addresses.resize(limits::addresses_max);
}

}  // namespace

std::string socket_address::text() const {
  char out[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(storage).sin_addr, out, sizeof out);
  } else {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr, out, sizeof out);
  }
  return out;
}

resolved system_lookup(const std::string& host, std::uint16_t port) {
  resolved out;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int status = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (status != 0) {
    out.error =
        status == EAI_SYSTEM ? std::generic_category().message(errno) : gai_strerror(status);
    return out;
  }
  for (const addrinfo* a = found; a; a = a->ai_next) {
    if (a->ai_family == AF_INET || a->ai_family == AF_INET6) {
      out.addresses.push_back(make_address(a->ai_addr, a->ai_addrlen));
    }
  }
  freeaddrinfo(found);
  interleave(out.addresses);
  if (out.addresses.empty()) out.error = "it has no address";
  return out;
}

bool resolve_at_once(const std::string& host, std::uint16_t port, resolved& out) {
  in_addr four;
  in6_addr six;
  if (inet_pton(AF_INET, host.c_str(), &four) == 1) {
    out.addresses = {v4(four, port)};
  } else if (inet_pton(AF_INET6, host.c_str(), &six) == 1) {
    out.addresses = {v6(six, port)};
  } else if (is_loopback(host)) {
    four.s_addr = htonl(INADDR_LOOPBACK);
    out.addresses = {v4(four, port), v6(in6addr_loopback, port)};
  } else {
    return false;
  }
  return true;
}

resolver::resolver(lookup_function lookup) : lookup_(std::move(lookup)) {}

resolver::~resolver() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

bool resolver::start(std::string host, std::uint16_t port, std::function<bool()> wanted,
                     std::function<void(resolved)> done) {
  std::lock_guard lock(mutex_);
  if (stopping_ || jobs_.size() >= limits::resolver_queue_max) return false;
  if (idle_ <= jobs_.size() && threads_.size() < limits::resolver_threads_max) {
    try {
      threads_.emplace_back([this] { run(); });
      pthread_setname_np(threads_.back().native_handle(), "rustic-dns");
    } catch (const std::system_error&) {
      if (threads_.empty()) return false;
    }
  }
  jobs_.push_back({std::move(host), port, std::move(wanted), std::move(done)});
  wake_.notify_one();
  return true;
}

void resolver::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    --idle_;
    if (stopping_) return;
    job next = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    if (next.wanted()) {
      resolved answer;
      try {
        answer = lookup_(next.host, next.port);
      } catch (...) {
        answer.error = "the look-up failed";
      }
      next.done(std::move(answer));
    }
    next = job();
    lock.lock();
  }
}

}  // namespace rustic::http
