// model_server.hpp - a fake model behind the HTTP API of OpenAI Chat Completions, on the loopback
// interface. It answers what a script says and records what it was asked.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "model_script.hpp"

namespace rustic::fakes {

// Times are CLOCK_MONOTONIC nanoseconds, which other processes of the machine can compare with;
// 0: has not happened.
struct received_request {
  std::size_t number = 0;
  std::size_t connection = 0;
  std::string method;
  std::string path;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  std::int64_t received_first_ns = 0;  // the first byte of the request
  std::int64_t received_last_ns = 0;
  std::int64_t sent_first_ns = 0;
  std::int64_t sent_last_ns = 0;
  std::uint64_t body_bytes_sent = 0;
  int status = 0;
  bool done = false;         // the answer has been sent, or cut as the script says
  bool client_gone = false;  // the client closed before that

  std::string_view header(std::string_view name) const;  // empty: absent
  boost::json::object json() const;                      // throws when the body is no object
};

// Serves from its construction until stop. One thread for each connection, all joined by stop.
// Threads: everything from any thread.
class model_server {
 public:
  struct options {
    std::uint16_t port = 0;     // 0: the system chooses
    std::string requests_file;  // each finished request as one line of JSON; empty: none
    bool keep_bodies = true;    // false: records have no body, for long benchmarks
  };

  // Throws std::runtime_error when it cannot listen or cannot write the file.
  explicit model_server(script what, options how);
  explicit model_server(script what = {}) : model_server(std::move(what), options{}) {}
  ~model_server();
  model_server(const model_server&) = delete;
  model_server& operator=(const model_server&) = delete;

  std::uint16_t port() const { return port_; }
  std::string base_url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }

  void add(step one);
  // Asked before the script for each request. No step: the script answers.
  void answer_with(std::function<std::optional<step>(const received_request&)> function);

  std::vector<received_request> requests() const;
  // Waits until the condition holds for the records. False after timeout_ms.
  bool wait(const std::function<bool(const std::vector<received_request>&)>& condition,
            std::int64_t timeout_ms) const;
  bool wait_for_requests(std::size_t count, std::int64_t timeout_ms = 10'000) const;
  bool wait_until_done(std::size_t count, std::int64_t timeout_ms = 10'000) const;

  // Lets so many stalled answers go on, now or when they stall.
  void release(std::size_t count = 1);

  // Closes everything and joins. The records stay.
  void stop();

 private:
  class connection;
  struct running;

  void accept_();
  void serve_(int socket, std::size_t number);
  void reap_(bool all);
  std::optional<step> next_step_(const received_request& request);
  std::size_t record_(received_request request);
  void finished_(const received_request& request);
  std::string records_json_() const;

  options options_;
  int listener_ = -1;
  int stop_event_ = -1;     // readable once the server stops
  int release_event_ = -1;  // counts the releases
  int log_ = -1;
  std::uint16_t port_ = 0;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  // Guarded by mutex_.
  script script_;
  std::vector<std::size_t> used_;  // of each step
  std::function<std::optional<step>(const received_request&)> function_;
  std::vector<received_request> records_;
  std::size_t recorded_bytes_ = 0;
  std::list<std::unique_ptr<running>> running_;
  bool stopped_ = false;

  std::thread acceptor_;
};

}  // namespace rustic::fakes
