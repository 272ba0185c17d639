// Host names to socket addresses on threads of its own, because getaddrinfo blocks and cannot be
// interrupted. Several threads, so that one name server that hangs does not hold up other names.
#pragma once
#include <sys/socket.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace rustic::http {

struct socket_address {
  sockaddr_storage storage{};
  socklen_t length = 0;

  std::string text() const;  // "192.0.2.1"
};

struct resolved {
  std::vector<socket_address> addresses;
  std::string error;  // set when there are none
};

// Blocks. May run on several threads at once.
using lookup_function = std::function<resolved(const std::string& host, std::uint16_t port)>;

// getaddrinfo.
resolved system_lookup(const std::string& host, std::uint16_t port);

// Numeric addresses and localhost: true, answered without a look-up.
bool resolve_at_once(const std::string& host, std::uint16_t port, resolved& out);

class resolver {
 public:
  explicit resolver(lookup_function lookup);
  ~resolver();  // waits for look-ups that run; those that only wait are dropped
  resolver(const resolver&) = delete;
  resolver& operator=(const resolver&) = delete;

  // `wanted` is asked before the look-up begins, `done` gets the answer; both on a resolver thread.
  // False: too many look-ups wait.
  bool start(std::string host, std::uint16_t port, std::function<bool()> wanted,
             std::function<void(resolved)> done);

 private:
  struct job {
    std::string host;
    std::uint16_t port;
    std::function<bool()> wanted;
    std::function<void(resolved)> done;
  };
  void run();

  const lookup_function lookup_;
  std::mutex mutex_;
  std::condition_variable wake_;
  // Under mutex_.
  std::deque<job> jobs_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool stopping_ = false;
};

}  // namespace rustic::http
