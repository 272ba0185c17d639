// fake_model.hpp - the fake model as a process of its own, for one measurement.
#pragma once
#include <sys/types.h>

#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace rustic::bench {

// Times of one request, CLOCK_MONOTONIC nanoseconds.
struct request_times {
  std::int64_t received_first_ns = 0;
  std::int64_t sent_first_ns = 0;
  std::int64_t sent_last_ns = 0;
};

// Serves from its construction, which waits for the port, to its destruction.
class fake_model {
 public:
  // folder takes its two files. Throws std::runtime_error.
  fake_model(const std::string& program, const boost::json::array& steps,
             const std::string& folder);
  ~fake_model();
  fake_model(const fake_model&) = delete;
  fake_model& operator=(const fake_model&) = delete;

  std::string base_url() const;
  // Waits until `count` requests since the last call are answered, and takes their times.
  std::vector<request_times> take(std::size_t count);

 private:
  std::string requests_file_;
  std::size_t read_bytes_ = 0;
  pid_t pid_ = -1;
  int keep_ = -1;  // the program ends when this end of its standard input closes
  int port_ = 0;
};

}  // namespace rustic::bench
