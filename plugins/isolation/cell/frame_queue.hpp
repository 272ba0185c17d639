// frame_queue.hpp - what the program says to one child after the other: frames of all threads,
// written without ever waiting for a child that does not read.
#pragma once
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "limits.hpp"

namespace rustic::cell {

// Any thread, except open, close and flush: those belong to one.
class frame_queue {
 public:
  enum class outcome {
    taken,
    congested,  // taken, but so much waits that its sort should stop
    refused,    // not taken: more than its limit waits
    gone,       // not taken: there is no such child, or it has not read for too long
  };

  // `wake` is called when the socket has to be watched for writing, or the queue has overrun.
  explicit frame_queue(std::function<void()> wake) : wake_(std::move(wake)) {}
  frame_queue(const frame_queue&) = delete;
  frame_queue& operator=(const frame_queue&) = delete;

  // Whole frames, for the child of that generation and no other. With a limit below the largest
  // they are only taken when no more than that waits.
  outcome post(std::uint64_t generation, std::string_view bytes,
               std::size_t limit_bytes = send_queue_bytes_max);

  void open(int socket, std::uint64_t generation);
  void close();
  // When the socket is writable. False: the child reads no more.
  bool flush();
  bool waiting();
  bool overrun();
  // Once after a congestion is over.
  bool relieved();

 private:
  outcome post_locked(std::string_view bytes);
  bool send_some(std::string_view& bytes);

  const std::function<void()> wake_;
  std::mutex mutex_;
  int socket_ = -1;
  std::uint64_t generation_ = 0;
  std::string waiting_;
  std::size_t sent_ = 0;  // of waiting_
  bool congested_ = false, overrun_ = false, broken_ = false;
};

}  // namespace rustic::cell
