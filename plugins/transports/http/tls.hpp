// TLS client streams over a non-blocking socket: certificate and host name always verified,
// sessions resumed. Hides OpenSSL.
#pragma once
#include <cstddef>
#include <memory>
#include <string>

namespace rustic::http {

// What one attempt to read or write gave.
struct io_result {
  enum kind_t {
    some,        // bytes moved
    want_read,   // again when the socket is readable
    want_write,  // again when the socket is writable
    closed,      // the other side has ended the stream properly
    failed       // error tells
  };
  kind_t kind = failed;
  std::size_t bytes = 0;
  int error_number = 0;  // errno of the socket; 0: the failure is TLS's own
  std::string error;
};

struct tls_settings {
  std::string ca_file;  // PEM; trusted beside those of ca_path
  std::string ca_path;  // hashed directory; empty: the system's
};

class tls_stream {
 public:
  ~tls_stream();  // tells the other side, without waiting; does not close the socket
  tls_stream(const tls_stream&) = delete;
  tls_stream& operator=(const tls_stream&) = delete;

  io_result handshake();  // some: done
  io_result read(char* to, std::size_t capacity);
  io_result write(const char* from, std::size_t size);
  bool resumed() const;

 private:
  friend class tls_client;
  struct impl;
  explicit tls_stream(std::unique_ptr<impl> state);
  std::unique_ptr<impl> impl_;
};

// Authorities and sessions of one HTTP client. One thread. Must outlive its streams.
class tls_client {
 public:
  explicit tls_client(tls_settings settings);  // does nothing costly
  ~tls_client();
  tls_client(const tls_client&) = delete;
  tls_client& operator=(const tls_client&) = delete;

  // A stream over `fd` to `host`; sessions are kept under `session_key`. Null: `problem` tells.
  std::unique_ptr<tls_stream> open(int fd, const std::string& host, const std::string& session_key,
                                   std::string& problem);

 private:
  friend class tls_stream;
  struct impl;
  std::unique_ptr<impl> impl_;
};

// The same for a plain socket. Never raises SIGPIPE.
io_result socket_read(int fd, char* to, std::size_t capacity);
io_result socket_write(int fd, const char* from, std::size_t size);

}  // namespace rustic::http
