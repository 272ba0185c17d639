// rustic/subscription.hpp - hear events of the bus on a loop of one's own, through a bounded queue.
//
// A handler of the bus runs on the thread of whoever publishes, who waits for it. Here it only
// copies the event; the listener runs on the loop, one event after the other, in the order in which
// they came. When the queue is full events are lost, by the rule that the type names; how many is
// counted, and the log tells of it.
#pragma once
#include <rustic/abi.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace rustic {
class loop;

// How much may wait for the listener; texts of topics and bodies count as bytes.
struct queue_bounds {
  std::size_t events_max = 1'024;
  std::size_t bytes_max = std::size_t{4} << 20;
};

// Which events go when the queue is full.
struct drop_oldest {};  // those that have waited longest: for whoever wants to know how things are
struct drop_newest {};  // the one that comes: for whoever wants to know how it began

namespace detail {
class queued_events;
}

// Made by queued_subscription.
class event_queue {
 public:
  using listener = std::function<void(std::string_view topic, std::string_view body)>;

  event_queue(const event_queue&) = delete;
  event_queue& operator=(const event_queue&) = delete;
  // Events that were lost because the queue was full. Any thread.
  std::uint64_t dropped() const noexcept;

 protected:
  event_queue(const rai_host& host, std::string_view pattern, loop& lane, listener heard,
              bool keeps_newest, queue_bounds bounds);
  ~event_queue();

 private:
  std::shared_ptr<detail::queued_events> queue_;
};

// Patterns: "a.b", "a.*", "*". When the constructor returns it is subscribed; it throws failure
// when the host refuses. When the destructor returns the listener runs on no other thread and never
// again; what waited is gone. Inside the listener, on the loop, it does not wait. What the listener
// throws is logged. `host` and `lane` outlive this, and the loop is stopped after it.
template <class Overflow>
class queued_subscription : public event_queue {
 public:
  queued_subscription(const rai_host& host, std::string_view pattern, loop& lane, listener heard,
                      queue_bounds bounds = {})
      : event_queue(host, pattern, lane, std::move(heard), keeps_newest(Overflow{}), bounds) {}

 private:
  static constexpr bool keeps_newest(drop_oldest) noexcept { return true; }
  static constexpr bool keeps_newest(drop_newest) noexcept { return false; }
};
}  // namespace rustic
