// A scriptable HTTP server on loopback for the tests, plain or TLS, and a sink that records.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "http_client.hpp"

struct ssl_st;
struct ssl_ctx_st;

namespace rustic::http::testing {

// One accepted connection, in the server's thread for it.
class peer {
 public:
  peer(int fd, int number, ssl_ctx_st* tls);
  ~peer();
  peer(const peer&) = delete;
  peer& operator=(const peer&) = delete;

  int number() const { return number_; }  // from 0
  bool secure() const { return ssl_ != nullptr; }
  bool resumed() const;

  // Head and body of the next request; empty at the end of the connection.
  std::string read_request();
  std::string receive();  // what has come, at least one byte; empty at the end
  bool send(std::string_view bytes);
  // One system call for each piece.
  bool send_split(std::string_view bytes, std::size_t piece);
  void wait_until_closed();  // by the client
  void close();
  void reset();  // RST instead of FIN
  // Turns this connection into TLS, as behind a CONNECT proxy.
  bool accept_tls(ssl_ctx_st* tls);
  bool tunnel_to(std::uint16_t port);  // copies both ways until one side ends

 private:
  friend class test_server;
  int fd_;
  const int number_;
  ssl_st* ssl_ = nullptr;
  bool tls_failed_ = false;
  std::string held_;
};

// A key and a certificate that signs itself, made anew.
class test_certificate {
 public:
  // names: "DNS:localhost,IP:127.0.0.1"
  explicit test_certificate(const std::string& names, long ends_in_s = 3600);
  ~test_certificate();
  test_certificate(const test_certificate&) = delete;
  test_certificate& operator=(const test_certificate&) = delete;
  ssl_ctx_st* context() const { return context_; }
  const std::string& file() const { return file_; }

 private:
  ssl_ctx_st* context_ = nullptr;
  std::string file_;
};

class test_server {
 public:
  using script = std::function<void(peer&)>;
  explicit test_server(script run, ssl_ctx_st* tls = nullptr);
  ~test_server();
  test_server(const test_server&) = delete;
  test_server& operator=(const test_server&) = delete;

  std::uint16_t port() const { return port_; }
  std::string url(std::string_view path = "/") const;
  int connections() const { return connections_; }

 private:
  void accept_all();
  script run_;
  ssl_ctx_st* tls_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::mutex mutex_;
  std::vector<int> open_;  // under mutex_
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

// Listens and never accepts, with its queue full: a further connection attempt hangs.
class hung_listener {
 public:
  hung_listener();
  ~hung_listener();
  hung_listener(const hung_listener&) = delete;
  hung_listener& operator=(const hung_listener&) = delete;
  std::uint16_t port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }

 private:
  std::vector<int> fds_;
  std::uint16_t port_ = 0;
};

// A gate that many may wait at, until it is opened.
class gate {
 public:
  ~gate() { open(); }
  void open();
  void pass();
  bool wait_until_waited_at();  // false: nobody came within 20 s

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;  // under mutex_, as waiting_
  int waiting_ = 0;
};

socket_address loopback(std::uint16_t port);

// A full answer with Content-Length.
std::string answer(std::string_view body, std::string_view extra_headers = "", int status = 200);
std::string chunk(std::string_view body);
std::string gzip(std::string_view text);
std::string deflate_raw(std::string_view text);
std::string deflate_zlib(std::string_view text);
// The value of a header of a request, or nothing.
std::string header_of(const std::string& request, std::string name);

// Records an answer. Waits give up after 20 s, so that a hang is a failure and not a hang.
class recorder : public response_sink {
 public:
  sink_flow on_head(const response_head& head, const std::string& final_url) override;
  sink_flow on_data(std::string_view piece) override;
  void on_finish(const outcome& result) override;

  bool wait_finished();
  bool wait_head();
  bool wait_body(std::size_t bytes);
  std::size_t body_bytes();
  std::string body_text();

  std::function<sink_flow(std::string_view)> on_piece;  // on the client's thread
  // Stable once finished.
  response_head head;
  std::string final_url;
  std::string body;
  std::size_t pieces = 0;
  std::size_t largest_piece = 0;
  int finishes = 0;
  outcome result;

 private:
  template <class Condition>
  bool wait_for(Condition condition);
  std::mutex mutex_;
  std::condition_variable changed_;
  bool has_head_ = false;
};

// Sends and waits.
std::shared_ptr<recorder> fetch(http_client& client, http_request request);
http_request get(std::string url);

}  // namespace rustic::http::testing
