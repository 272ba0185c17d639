// One generation of a service under a name, and what stands behind it.
#pragma once
#include <rustic/abi.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernel/limits.hpp"

namespace rustic::kernel {

/// Brings a declared service to life. Called by the first caller, on its thread, with no lock
/// held, once at a time for one binding and again at a later call after a failure.
class activator {
 public:
  virtual ~activator() = default;
  /// Fills `out`, which stays valid until the binding has drained; or fills `error`, a sentence
  /// that names the cause. May register, but a call to the same target waits for its return.
  virtual rai_status activate(std::string_view target, rai_service* out, std::string& error) = 0;
};

/// Where a binding stands in its life.
enum class binding_state : std::uint8_t { declared, activating, active, failed };

/// Something that waits for an activation. Runs on the activating thread with no lock held.
class parked {
 public:
  virtual ~parked() = default;
  /// `reason` is empty when the service is ready, else why it is not.
  virtual void resume(const std::string& reason) = 0;
  /// What it holds, for the limit.
  std::size_t bytes = 0;
};

/// Owned by the registry; alive while it is registered or counted in flight. The service may be
/// used by whoever counted himself in and saw `active`.
struct binding {
  struct alignas(cache_line_bytes) shard_count {
    std::int64_t calls = 0;
  };

  binding(std::string name, const std::string& owner_id, std::string attributes_text,
          std::uint64_t number)
      : target(std::move(name)),
        owner(owner_id),
        attributes(std::move(attributes_text)),
        generation(number) {}

  const std::string target;      // "interface/name"
  const std::string& owner;      // plugin id, kept by the registry for good
  const std::string attributes;  // JSON text, never read here
  const std::uint64_t generation;

  // Read with a shard of the registry's lock held, written with all of them.
  binding_state state = binding_state::declared;
  bool closing = false;  // no longer registered
  rai_service service{};

  // Guarded by the registry's mutex.
  std::shared_ptr<activator> source;  // null for a service that came ready
  std::string reason;                 // why the last activation failed
  std::vector<std::unique_ptr<parked>> waiting;
  std::size_t waiting_bytes = 0;
  std::vector<std::function<void()>> on_drained;

  // Each number belongs to a shard of the registry's lock. A call may come in by one and leave by
  // another: only the sum means something.
  std::array<shard_count, lock_shards> in_flight;
};

}  // namespace rustic::kernel
