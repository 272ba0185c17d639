// connection.hpp - one HTTP/1.1 connection of a fake server: reads requests, sends scripted
// answers.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model_server.hpp"

namespace rustic::fakes {

// Owns the socket, which must not block. Used by one thread; ends early when stop_event is
// readable.
class model_server::connection {
 public:
  connection(int socket, int stop_event, int release_event);
  ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  // Waits for the next request. False: the connection is over.
  bool receive(received_request& request);
  // Each of these says whether the connection can be kept.
  bool answer(received_request& request, const step& one);
  bool answer_plain(received_request& request, std::string_view body, int status = 200);
  // What no step answers: /models, /embeddings, and a refusal for the rest.
  bool answer_otherwise(received_request& request, const boost::json::array& models);
  void close();

 private:
  enum class waited { ready, timeout, stopped, gone };
  class deflater;

  bool read_more_();
  bool read_body_(received_request& request, std::size_t begin);
  bool read_chunked_(received_request& request, std::size_t begin);
  waited wait_(int fd, short events, std::int64_t timeout_ms);
  bool stall_(received_request& request);
  bool pause_(received_request& request, std::int64_t ms);
  bool send_(received_request& request, std::string_view bytes, std::size_t write_bytes);
  void cut_(bool reset);

  int socket_;
  int stop_event_;
  int release_event_;
  std::string in_;
  std::int64_t first_byte_ns_ = 0;
};

}  // namespace rustic::fakes
