// outbox.hpp - what the child says: frames of all threads in the order in which they were posted.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <string>
#include <thread>

#include "../limits.hpp"

namespace rustic::cell {

// Any thread. Nothing grows: whoever posts while outbox_bytes_max wait for the socket waits too.
class outbox {
 public:
  explicit outbox(int socket) : socket_(socket) {}
  outbox(const outbox&) = delete;
  outbox& operator=(const outbox&) = delete;

  // `build` appends frames to the string that it gets. `now`: they are written before this returns,
  // unless another thread is writing, which then takes them along. Otherwise they may wait for
  // company for as long as it takes a thread to wake.
  template <class Build>
  void post(bool now, Build&& build) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return waiting_.size() < outbox_bytes_max || broken_; });
    if (broken_) return;
    build(waiting_);
    if (writing_) return;
    if (now || waiting_.size() >= outbox_batch_bytes || !wake_writer()) write(lock);
  }

 private:
  void write(std::unique_lock<std::mutex>& lock);
  // False: there is none, and no thread can be had.
  bool wake_writer();
  bool send_all(const std::string& bytes);

  const int socket_;
  std::mutex mutex_;
  std::condition_variable room_, work_;
  std::string waiting_, going_;
  bool writing_ = false;
  bool broken_ = false;  // nobody reads any more
  bool writer_idle_ = false;
  std::thread writer_;  // never joined: the process ends without it
};

}  // namespace rustic::cell
