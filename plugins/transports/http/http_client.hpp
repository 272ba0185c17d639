// An HTTP/1.1 client: connection pool, TLS, proxies, redirects, streaming answers. No kernel in it.
//
// Threads  start, request_handle and stop from any thread. A sink is called on the client's own
//          thread, never concurrently for one request.
// Cost     constructing a client starts no thread and reads no file; the first request does.
#pragma once
#include <rustic/abi.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "limits.hpp"
#include "proxy.hpp"
#include "resolver.hpp"
#include "response_decoder.hpp"
#include "tls.hpp"

namespace rustic::http {

struct request_header {
  std::string name;
  std::string value;
  bool secret = false;  // not sent on to another origin by a redirect
};

struct http_request {
  std::string method = "GET";
  std::string url;
  std::vector<request_header> headers;
  std::string body;
  // Absent: as in the client's settings.
  std::optional<std::chrono::milliseconds> connect_timeout;
  std::optional<std::chrono::milliseconds> first_byte_timeout;
  std::optional<std::chrono::milliseconds> idle_timeout;
  int max_redirects = limits::redirects_default;  // 0: a redirect is the answer
  std::uint64_t max_body_bytes = 0;               // 0: no limit
};

// How a request ended.
struct outcome {
  rai_status status = RAI_OK;  // RAI_OK whatever the HTTP status is
  int http_status = 0;         // 0: no head came
  std::uint64_t body_bytes = 0;
  // Below: only when status is not RAI_OK.
  std::string kind;  // dns connect proxy tls reset truncated protocol redirect first_byte idle body
  std::string message;
  std::string hint;
};

enum class sink_flow {
  go_on,
  pause,  // no more until request_handle::resume
  stop    // as cancel
};

// Receives one answer. on_finish comes exactly once, last. Must not block and must not throw.
class response_sink {
 public:
  virtual ~response_sink() = default;
  // Of the last hop. final_url is empty unless a redirect was followed. When the body's content
  // encoding is removed, content-encoding and content-length are left out of the headers.
  virtual sink_flow on_head(const response_head& head, const std::string& final_url) = 0;
  virtual sink_flow on_data(std::string_view piece) = 0;  // at most limits::piece_bytes_max
  virtual void on_finish(const outcome& result) = 0;
};

struct client_settings {
  std::chrono::milliseconds connect_timeout = limits::connect_timeout_default;
  std::chrono::milliseconds first_byte_timeout = limits::first_byte_timeout_default;
  std::chrono::milliseconds idle_timeout = limits::idle_timeout_default;
  std::size_t max_connections_per_origin = limits::connections_per_origin_default;
  std::string user_agent = "rustic-ai";
  tls_settings tls;
  proxy_settings proxy;
  lookup_function lookup = system_lookup;
};

class client_core;

// Names one request. Copies name the same one; using it after the request has finished, or after
// the client has gone, does nothing.
class request_handle {
 public:
  request_handle() = default;
  void cancel() const;  // the request finishes with RAI_CANCELLED, unless it has finished
  void resume() const;  // after sink_flow::pause

 private:
  friend class http_client;
  std::weak_ptr<client_core> core_;
  std::uint64_t id_ = 0;
};

class http_client {
 public:
  explicit http_client(client_settings settings);
  ~http_client();  // as stop
  http_client(const http_client&) = delete;
  http_client& operator=(const http_client&) = delete;

  // The sink is kept until on_finish has returned. On a stopped client, on_finish comes from here.
  request_handle start(http_request request, std::shared_ptr<response_sink> sink);

  // Cancels what runs, closes every connection and joins every thread; a name look-up that is
  // under way is waited for, because the system offers no way to interrupt it.
  void stop();

 private:
  std::shared_ptr<client_core> core_;
};

}  // namespace rustic::http
