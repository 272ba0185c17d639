// One connection to a server or proxy, plain or TLS, with its place in the event loop.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "event_loop.hpp"
#include "tls.hpp"

namespace rustic::http {

// Loop thread only. The socket is closed by the destructor.
class connection {
 public:
  connection(event_loop& loop, int fd, std::string key);
  ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  void begin_tls(std::unique_ptr<tls_stream> stream) { tls_ = std::move(stream); }
  tls_stream* tls() { return tls_.get(); }
  io_result read(char* to, std::size_t capacity);
  io_result write(const char* from, std::size_t size);
  fd_watch& watch() { return *watch_; }
  int fd() const { return fd_; }
  const std::string& key() const { return key_; }

  // Between requests nothing may arrive: true when nothing has.
  bool quiet();

  bool reused = false;
  steady_time idle_since{};

 private:
  const int fd_;
  const std::string key_;
  std::unique_ptr<tls_stream> tls_;
  std::optional<fd_watch> watch_;
};

}  // namespace rustic::http
