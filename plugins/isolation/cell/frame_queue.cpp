#include "frame_queue.hpp"

#include <sys/socket.h>

#include <cerrno>

namespace rustic::cell {

// False: the socket is broken. Leaves in `bytes` what did not fit.
bool frame_queue::send_some(std::string_view& bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS)) return true;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

frame_queue::outcome frame_queue::post_locked(std::string_view bytes) {
  if (broken_ || overrun_) return outcome::gone;
  const bool was_waiting = !waiting_.empty();
  if (!was_waiting) {
    broken_ = !send_some(bytes);  // the reading side notices too
    if (broken_) return outcome::gone;
    if (bytes.empty()) return outcome::taken;
  }
  if (waiting_.size() - sent_ + bytes.size() > send_queue_bytes_max) {
    overrun_ = true;
    wake_();
    return outcome::gone;
  }
  waiting_.append(bytes);
  if (!was_waiting) wake_();
  if (waiting_.size() - sent_ > send_queue_bytes) congested_ = true;
  return congested_ ? outcome::congested : outcome::taken;
}

frame_queue::outcome frame_queue::post(std::uint64_t generation, std::string_view bytes,
                                       std::size_t limit_bytes) {
  const std::lock_guard lock(mutex_);
  if (generation != generation_ || socket_ < 0) return outcome::gone;
  if (waiting_.size() - sent_ > limit_bytes) return outcome::refused;
  return post_locked(bytes);
}

void frame_queue::open(int socket, std::uint64_t generation) {
  const std::lock_guard lock(mutex_);
  socket_ = socket;
  generation_ = generation;
  waiting_.clear();
  sent_ = 0;
  congested_ = overrun_ = broken_ = false;
}

void frame_queue::close() {
  const std::lock_guard lock(mutex_);
  socket_ = -1;
  std::string().swap(waiting_);
  sent_ = 0;
}

bool frame_queue::flush() {
  const std::lock_guard lock(mutex_);
  if (socket_ < 0 || waiting_.empty()) return true;
  std::string_view left = std::string_view(waiting_).substr(sent_);
  broken_ = broken_ || !send_some(left);
  sent_ = waiting_.size() - left.size();
  if (left.empty()) {
    waiting_.clear();
    if (waiting_.capacity() > receive_growth_bytes) std::string().swap(waiting_);
    sent_ = 0;
  } else if (sent_ > waiting_.size() / 2) {
    waiting_.erase(0, sent_);
    sent_ = 0;
  }
  return !broken_;
}

bool frame_queue::waiting() {
  const std::lock_guard lock(mutex_);
  return socket_ >= 0 && !waiting_.empty();
}

bool frame_queue::overrun() {
  const std::lock_guard lock(mutex_);
  return overrun_;
}

bool frame_queue::relieved() {
  const std::lock_guard lock(mutex_);
  if (!congested_ || waiting_.size() - sent_ > send_queue_low_bytes) return false;
  congested_ = false;
  return true;
}

}  // namespace rustic::cell
