// Where live calls stand: slots in chunks that are never given back, named by ids that never
// come twice.
#pragma once
#include <rustic/abi.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernel/limits.hpp"
#include "kernel/routes.hpp"
#include "kernel/sharded_lock.hpp"

namespace rustic::kernel {

/// Events that wait in a call, oldest first. The storage goes round: no allocation in the steady
/// state for short texts.
class event_backlog {
 public:
  bool empty() const noexcept { return count_ == 0; }
  /// False: it is full, and nothing was taken.
  bool push(const rai_event& event);
  /// Moves the oldest out. Its text points into `text`.
  rai_event pop(std::string& text);
  void clear() noexcept;

 private:
  struct item {
    rai_event event;
    std::string text;
  };
  std::vector<item> ring_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
};

/// A context, shared by all calls of a tree that inherit it.
class shared_context {
 public:
  explicit shared_context(std::string text) : text_(std::move(text)) {}
  const std::string& text() const noexcept { return text_; }
  void hold() noexcept { holders_.fetch_add(1, std::memory_order_relaxed); }
  static void drop(shared_context* context) noexcept {
    if (context != nullptr && context->holders_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      delete context;
    }
  }

 private:
  std::atomic<std::uint32_t> holders_{1};
  const std::string text_;
};

/// What one call tells another that is made beneath it.
struct lineage {
  rai_call root = 0;
  std::uint64_t trace_high = 0, trace_low = 0;
  std::int64_t deadline_ns = INT64_MAX;
  std::uint32_t depth = 0;
};

/// One hop of a call: from whoever made it to a service or to one interceptor before it.
struct call_slot {
  // The id while the call lives, else 0. Everything below it belongs to that life.
  std::atomic<rai_call> id{0};
  const std::uint32_t index;
  std::uint64_t life;  // counts the uses: with the index it makes the id

  // Set before the id is published, constant while the call lives.
  rai_call parent = 0;
  lineage line;
  shared_context* context = nullptr;
  std::string caller;   // plugin id
  std::string address;  // the target as the caller wrote it
  rai_observer observer{};
  bool forwards = false;  // the parent takes events and finish, not the observer
  bool wants_events = false;
  bool shielded = false;

  // Belongs to the dispatching thread until `entered`, constant afterwards.
  std::string resolved;  // the service's own name where that is another, else empty
  exemption exempt;
  std::uint64_t after = 0;  // position of the hop that passed the call on

  // Guarded by `lock`.
  spin_lock lock;
  binding* to = nullptr;                     // counted in flight
  const std::string* interceptor = nullptr;  // what serves the call is one
  std::uint64_t position = 0;                // of it
  bool in_call = false;       // the call is on its way to the service, or the service's `call` runs
  bool entered = false;       // the service knows of the call
  bool service_done = false;  // its finish came
  bool cancelled = false;
  bool abandoned = false;
  bool paused = false;
  bool pause_told = false;   // the service waits for resume
  bool delivering = false;   // one thread calls the observer
  bool ended = false;        // the caller's finish is on its way
  bool caller_done = false;  // and has returned
  bool in_op = false;        // one thread calls the service's op
  bool cancel_wanted = false;
  bool released = false;
  bool forwarded = false;  // the interceptor handed its answer over to the next hop
  bool passed_on = false;  // it has called on at least once
  bool emitted = false;    // an event went out since the last RESTART
  rai_status cancel_status = RAI_CANCELLED;
  rai_status status = RAI_OK;  // of the service
  const char* cancel_reason = "";
  std::uint32_t resumes = 0;  // counts, so that a resume during the event that pauses is seen
  std::int64_t abandon_at_ns = INT64_MAX;
  std::int64_t shield_ends_ns = INT64_MAX;  // the parent was cancelled or has ended
  rai_call forward_child = 0;
  rai_op op{};
  std::string body;  // of the service, when it cannot be delivered at once
  event_backlog backlog;
  call_slot* first_child = nullptr;

  // Guarded by the parent's lock.
  call_slot* previous = nullptr;
  call_slot* next = nullptr;
  bool linked = false;

  call_slot* next_free = nullptr;  // guarded by the slab

  /// Once the call has been entered.
  std::string_view target() const noexcept { return resolved.empty() ? address : resolved; }
  /// At any time; the lock is held.
  std::string_view name() const noexcept { return entered ? target() : std::string_view(address); }

  call_slot(std::uint32_t at, std::uint64_t first_life) : index(at), life(first_life) {}
};

/// Holds the lock of a live call, or nothing.
class held_call {
 public:
  held_call() = default;
  explicit held_call(call_slot* locked) noexcept : slot_(locked) {}
  held_call(held_call&& other) noexcept : slot_(other.slot_), locked_(other.locked_) {
    other.slot_ = nullptr;
  }
  held_call& operator=(held_call&&) = delete;
  ~held_call() {
    if (slot_ != nullptr && locked_) slot_->lock.unlock();
  }
  explicit operator bool() const noexcept { return slot_ != nullptr; }
  call_slot* operator->() const noexcept { return slot_; }
  call_slot& operator*() const noexcept { return *slot_; }

  /// Between these the slot stays only if a bit of it says that somebody is busy with it.
  void unlock() noexcept {
    locked_ = false;
    slot_->lock.unlock();
  }
  void lock() noexcept {
    slot_->lock.lock();
    locked_ = true;
  }
  /// Unlocks and lets go.
  void release() noexcept {
    unlock();
    slot_ = nullptr;
  }

 private:
  call_slot* slot_ = nullptr;
  bool locked_ = true;
};

/// Any thread.
class call_slab {
 public:
  /// `salt` sets the ids of one kernel apart from those of another.
  explicit call_slab(std::uint64_t salt);
  ~call_slab();

  /// A free slot, or null at the limit. It is the caller's alone until its id is stored.
  call_slot* take();
  /// The id of the slot's next life.
  rai_call next_id(call_slot& slot) noexcept;
  /// Takes a slot back. Its id is 0 already and its lock is free.
  void give_back(call_slot& slot) noexcept;

  /// The live call of that id, locked. Empty when there is none or no longer.
  held_call hold(rai_call id) noexcept;

  /// Calls `each` with the id of every call that is live, with no lock held.
  template <typename Each>
  void for_each(Each each) {
    for (std::size_t chunk = 0; chunk < chunk_count; ++chunk) {
      call_slot* const* const slots = chunks_[chunk].load(std::memory_order_acquire);
      if (slots == nullptr) continue;
      for (std::size_t i = 0; i < slots_per_chunk; ++i) {
        if (const rai_call id = slots[i]->id.load(std::memory_order_acquire)) each(id);
      }
    }
  }

 private:
  static constexpr std::size_t chunk_count = max_live_calls / slots_per_chunk;
  static constexpr std::uint32_t index_bits = 20;

  struct alignas(cache_line_bytes) shard {
    spin_lock lock;
    call_slot* first = nullptr;
    std::size_t count = 0;
  };

  call_slot* slot_of(rai_call id) const noexcept;
  call_slot* refill(shard& own);

  std::array<shard, lock_shards> shards_;
  const std::uint64_t first_life_;
  std::array<std::atomic<call_slot**>, chunk_count> chunks_{};

  // Guarded by mutex_, which is never taken with a shard's lock held.
  std::mutex mutex_;
  call_slot* spare_ = nullptr;
  std::size_t next_chunk_ = 0;
};

}  // namespace rustic::kernel
