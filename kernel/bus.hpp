// Events between plugins: topics, handlers, synchronous delivery.
#pragma once
#include <rustic/abi.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/hooks.hpp"
#include "kernel/sharded_lock.hpp"

namespace rustic::kernel {

/// Any thread, concurrently; handlers may publish, subscribe and unsubscribe. No lock is held
/// while a handler runs. An event costs no allocation.
class bus {
 public:
  /// `told` must outlive the bus.
  explicit bus(const hooks& told) : hooks_(told) {}
  bus(const bus&) = delete;
  bus& operator=(const bus&) = delete;

  /// Runs the matching handlers on this thread, in the order in which they subscribed; returns
  /// when the last has returned. A handler that subscribed after the event was published does not
  /// see it. RESOURCE_EXHAUSTED, and no handler runs, when handlers publish from handlers
  /// max_publish_depth deep.
  rai_status publish(std::string_view topic, std::string_view body);

  /// Patterns: "a.b", "a.*", "*". When it returns the handler is subscribed. `self` and `handler`
  /// stay valid until unsubscribe returns. 0: the pattern is none of these, or there are
  /// max_subscriptions. What a handler throws is charged to `owner`.
  std::uint64_t subscribe(std::string_view pattern, rai_handler handler, void* self,
                          std::string_view owner = {});

  /// The handler is not entered again, and when this returns it runs on no other thread. Called
  /// inside a handler of this bus (on this thread) it does not wait: two handlers may unsubscribe
  /// each other. Unknown ids are ignored.
  void unsubscribe(std::uint64_t subscription);

 private:
  struct subscriber {
    std::uint64_t id;
    std::string pattern;
    rai_handler handler;
    void* self;
    std::string owner;
  };
  /// One publish on one thread. Linked into its shard, guarded by the shard's lock.
  struct frame {
    std::uintptr_t thread = 0;
    std::uint64_t running = 0;  // id of the handler that runs
    frame* outer = nullptr;
  };
  struct alignas(cache_line_bytes) frame_list {
    frame* newest = nullptr;
  };

  bool enter(std::size_t shard, frame& own, std::uint64_t& last);
  bool next(std::size_t shard, frame& own, std::uint64_t last, std::string_view topic,
            rai_handler& handler, void*& self);
  bool runs(std::uint64_t subscription);
  void wake();
  void charge(std::uint64_t subscription, const char* what);

  // Read with a shard of it held, written with all.
  sharded_lock lock_;
  std::array<frame_list, lock_shards> frames_;
  std::vector<subscriber> subscribers_;  // by id, which is the order of subscription
  const hooks& hooks_;

  std::mutex write_mutex_;  // one writer at a time
  std::uint64_t next_id_ = 1;

  std::atomic<std::uint32_t> waiting_{0};  // threads in unsubscribe
  std::mutex wait_mutex_;
  std::condition_variable left_;
};

/// Ends its subscription with its life. Move-only.
class subscription {
 public:
  subscription() = default;
  subscription(bus& on, std::uint64_t id) : bus_(&on), id_(id) {}
  subscription(subscription&& other) noexcept
      : bus_(other.bus_), id_(std::exchange(other.id_, 0)) {}
  subscription& operator=(subscription&& other) noexcept {
    if (this != &other) {
      reset();
      bus_ = other.bus_;
      id_ = std::exchange(other.id_, 0);
    }
    return *this;
  }
  ~subscription() { reset(); }
  /// Returns when the handler runs on no other thread.
  void reset() {
    if (id_ != 0) bus_->unsubscribe(std::exchange(id_, 0));
  }
  std::uint64_t id() const noexcept { return id_; }

 private:
  bus* bus_ = nullptr;
  std::uint64_t id_ = 0;
};

}  // namespace rustic::kernel
