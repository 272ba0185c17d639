#include "outbox.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <exception>

namespace rustic::cell {

void outbox::write(std::unique_lock<std::mutex>& lock) {
  writing_ = true;
  while (!waiting_.empty() && !broken_) {
    going_.clear();
    going_.swap(waiting_);
    lock.unlock();
    room_.notify_all();
    const bool sent = send_all(going_);
    if (going_.capacity() > receive_growth_bytes) std::string().swap(going_);
    lock.lock();
    broken_ = !sent;
  }
  writing_ = false;
  if (broken_) room_.notify_all();
}

bool outbox::send_all(const std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto sent = ::send(socket_, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    done += static_cast<std::size_t>(sent);
  }
  return true;
}

bool outbox::wake_writer() {
  if (writer_.joinable()) {
    if (writer_idle_) {
      writer_idle_ = false;
      work_.notify_one();
    }
    return true;
  }
  try {
    writer_ = std::thread([this] {
      std::unique_lock lock(mutex_);
      for (;;) {
        if (!writing_ && !waiting_.empty()) write(lock);
        writer_idle_ = true;
        work_.wait(lock, [&] { return !writer_idle_; });
      }
    });
  } catch (const std::exception&) {
    return false;
  }
  return true;
}

}  // namespace rustic::cell
