// flow_window.hpp - the credit that keeps a stream of events bounded while it crosses a socket.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "limits.hpp"

namespace rustic::cell {

struct credit {
  std::uint32_t events = 0;
  std::uint64_t bytes = 0;
};

// The emitter's end. Not for several threads.
class send_window {
 public:
  void sent(std::size_t bytes) noexcept {
    ++events_;
    bytes_ += bytes;
  }
  // More credit than is owed counts as what is owed.
  void taken(credit back) noexcept {
    events_ -= std::min<std::uint64_t>(events_, back.events);
    bytes_ -= std::min(bytes_, back.bytes);
  }
  bool full() const noexcept { return events_ >= window_events || bytes_ >= window_bytes; }
  // Emitted against the pause until nothing may be granted any more.
  bool overrun() const noexcept {
    return events_ >= window_events + backlog_events_max ||
           (bytes_ >= window_bytes + backlog_bytes_max && events_ > 1);
  }

 private:
  std::uint64_t events_ = 0, bytes_ = 0;
};

// The receiver's end. Not for several threads.
class receive_window {
 public:
  // An event came in. False: there are more under way than anybody granted.
  bool came(std::size_t bytes) noexcept {
    const bool good = waiting_.events < window_events + backlog_events_max &&
                      (waiting_.bytes < window_bytes + backlog_bytes_max || waiting_.events <= 1);
    ++waiting_.events;
    waiting_.bytes += bytes;
    return good;
  }
  // It was taken. True: it is time to give() the credit back.
  bool took(std::size_t bytes) noexcept {
    ++taken_.events;
    taken_.bytes += bytes;
    return taken_.events >= window_events / 2 || taken_.bytes >= window_bytes / 2;
  }
  credit give() noexcept {
    const credit out = taken_;
    waiting_.events -= std::min(waiting_.events, out.events);
    waiting_.bytes -= std::min(waiting_.bytes, out.bytes);
    taken_ = {};
    return out;
  }

 private:
  credit waiting_, taken_;  // came and not given back; of those taken
};

}  // namespace rustic::cell
