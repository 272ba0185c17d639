// bus_links.hpp - the program's end of a child's subscriptions.
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>

#include "frame.hpp"
#include "frame_queue.hpp"

namespace rustic::cell {

// All on one thread, except the handlers, which the bus calls on any. A publisher never waits for a
// child: what it does not take in time is dropped and counted.
class bus_links {
 public:
  bus_links(const rai_host& host, frame_queue& out) : host_(host), out_(out) {}
  ~bus_links() { clear(); }
  bus_links(const bus_links&) = delete;
  bus_links& operator=(const bus_links&) = delete;

  void open(std::uint64_t generation) { generation_ = generation; }
  // From the child. False: no honest child sends that.
  bool on_subscribe(const frame& in);
  void on_unsubscribe(std::uint64_t id);
  void clear();

 private:
  struct link {
    bus_links& owner;
    std::uint64_t id;
    std::uint64_t generation;
    std::uint64_t subscription = 0;  // the host's
  };
  static void handle(void* self, rai_str topic, rai_str body) noexcept;
  void note_dropped() noexcept;

  const rai_host& host_;
  frame_queue& out_;
  std::uint64_t generation_ = 0;
  std::map<std::uint64_t, std::unique_ptr<link>> links_;
  std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace rustic::cell
