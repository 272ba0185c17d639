// Connects to the first of several addresses that answers, starting the next attempt when one
// fails or takes long (RFC 8305).
#pragma once
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "event_loop.hpp"
#include "resolver.hpp"

namespace rustic::http {

// Loop thread only. The destructor ends all attempts; `done` is not called after that.
class connect_race {
 public:
  struct result {
    int fd = -1;        // the receiver's from now on; -1: all failed
    std::string error;  // of the last address to fail
  };

  // done comes once, possibly before the constructor has returned.
  connect_race(event_loop& loop, std::vector<socket_address> addresses,
               std::function<void(result)> done);
  ~connect_race();
  connect_race(const connect_race&) = delete;
  connect_race& operator=(const connect_race&) = delete;

 private:
  struct attempt {
    int fd;
    std::string address;
    std::unique_ptr<fd_watch> watch;
  };
  void start_next();
  void settle(std::list<attempt>::iterator one);
  void finish(result outcome);

  event_loop& loop_;
  const std::vector<socket_address> addresses_;
  std::function<void(result)> done_;
  std::size_t next_ = 0;
  std::list<attempt> attempts_;
  alarm stagger_;
  std::string error_;
};

}  // namespace rustic::http
