// bus_handlers.hpp - the handlers that the plugin has subscribed, on a thread of their own.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "../frame.hpp"
#include "outbox.hpp"

namespace rustic::cell {

// Any thread. Handlers run one after the other, in the order in which the events came.
class bus_handlers {
 public:
  explicit bus_handlers(outbox& out) : out_(out) {}
  bus_handlers(const bus_handlers&) = delete;
  bus_handlers& operator=(const bus_handlers&) = delete;

  bool on_published(const frame& in);  // from the program; false: no such frame

  std::uint64_t subscribe(rai_str pattern, rai_handler handler, void* self);
  // Waits for a running handler, unless a handler calls it.
  void unsubscribe(std::uint64_t subscription);

 private:
  struct subscription {
    rai_handler handler;
    void* self;
  };
  struct event {
    std::uint64_t subscription;
    std::string topic, body;
  };
  void work();

  outbox& out_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, subscription> subscriptions_;
  std::deque<event> events_;
  std::size_t bytes_ = 0;  // of events_
  std::uint64_t dropped_ = 0;
  std::uint64_t last_ = 0, running_ = 0;
  std::thread thread_;  // never joined: the process ends without it
};

}  // namespace rustic::cell
