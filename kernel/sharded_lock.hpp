// Locks for short sections: one that spins, and one that many readers share without meeting.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "kernel/limits.hpp"

namespace rustic::kernel {

/// Mutual exclusion for a few dozen instructions that never call out. Meets BasicLockable.
class spin_lock {
 public:
  void lock() noexcept {
    while (held_.exchange(true, std::memory_order_acquire)) {
      int spins = 0;
      // The holder may have been preempted: after a while give it the processor.
      while (held_.load(std::memory_order_relaxed)) {
        if (++spins > 64) std::this_thread::yield();
      }
    }
  }
  void unlock() noexcept { held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> held_{false};
};

/// A number that differs between threads and stays the same for one: the address of something
/// that every thread has its own of. Nothing is stored in it.
inline std::uintptr_t thread_mark() noexcept {
  static thread_local const char anchor = 0;
  return reinterpret_cast<std::uintptr_t>(&anchor);
}

/// The shard of the calling thread. Threads' stacks lie megabytes apart: the multiplication
/// spreads their addresses evenly.
inline std::size_t thread_shard() noexcept {
  const auto mixed = (std::uint64_t{thread_mark()} >> 12) * 0x9E3779B97F4A7C15ull;
  return static_cast<std::size_t>(mixed >> 32) % lock_shards;
}

/// Readers lock the shard of their thread, writers lock all. Readers of different shards never
/// touch the same cache line. Writers come one at a time: they hold a mutex of their own.
class sharded_lock {
 public:
  void lock_shard(std::size_t shard) noexcept { shards_[shard].lock.lock(); }
  void unlock_shard(std::size_t shard) noexcept { shards_[shard].lock.unlock(); }

  void lock_all() noexcept {
    for (auto& shard : shards_) shard.lock.lock();
  }
  void unlock_all() noexcept {
    for (auto& shard : shards_) shard.lock.unlock();
  }

  /// Holds the shard of the calling thread.
  class reader {
   public:
    explicit reader(sharded_lock& lock) noexcept : lock_(lock), shard_(thread_shard()) {
      lock_.lock_shard(shard_);
    }
    ~reader() { lock_.unlock_shard(shard_); }
    reader(const reader&) = delete;
    reader& operator=(const reader&) = delete;
    std::size_t shard() const noexcept { return shard_; }

   private:
    sharded_lock& lock_;
    const std::size_t shard_;
  };

  /// Holds every shard.
  class writer {
   public:
    explicit writer(sharded_lock& lock) noexcept : lock_(lock) { lock_.lock_all(); }
    ~writer() { lock_.unlock_all(); }
    writer(const writer&) = delete;
    writer& operator=(const writer&) = delete;

   private:
    sharded_lock& lock_;
  };

 private:
  struct alignas(cache_line_bytes) shard_lock {
    spin_lock lock;
  };
  std::array<shard_lock, lock_shards> shards_;
};

}  // namespace rustic::kernel
