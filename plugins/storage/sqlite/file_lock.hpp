// file_lock.hpp - one holder among all processes and all stores of this one, by flock on a file of
// its own.
//
// SQLite before 3.51.3 can lose commits when two connections write, checkpoint or close at the same
// instant (https://sqlite.org/wal.html#walresetbug). Whoever does one of these holds this lock. It
// is
// flock and not fcntl, because fcntl locks do not exclude inside one process.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>

namespace rustic::storage {

// Shortens the waits of a thread that is to stop. Threads: any.
class interrupt {
 public:
  void raise();
  // When it was raised; nothing while it is not.
  std::optional<std::chrono::steady_clock::time_point> raised_at() const;
  // Sleeps, or returns early when raised.
  void nap(std::chrono::microseconds duration);

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<std::chrono::steady_clock::time_point> raised_at_;
};

// Threads: one at a time. The file stays when the lock goes: removing it would let two holders in.
class file_lock {
 public:
  explicit file_lock(std::string path) : path_(std::move(path)) {}
  ~file_lock();
  file_lock(const file_lock&) = delete;
  file_lock& operator=(const file_lock&) = delete;

  // Waits at most `timeout`, and not beyond stop_grace after the interrupt; tries once in any case.
  // Throws failure(UNAVAILABLE).
  void acquire(std::chrono::milliseconds timeout, interrupt& stop);
  void release() noexcept;

 private:
  void open_file();
  bool is_current() const noexcept;
  std::string path_;
  int descriptor_ = -1;
};

// Holds a lock for a scope.
class held_lock {
 public:
  held_lock(file_lock& lock, std::chrono::milliseconds timeout, interrupt& stop) : lock_(lock) {
    lock_.acquire(timeout, stop);
  }
  ~held_lock() { lock_.release(); }
  held_lock(const held_lock&) = delete;
  held_lock& operator=(const held_lock&) = delete;

 private:
  file_lock& lock_;
};
}  // namespace rustic::storage
