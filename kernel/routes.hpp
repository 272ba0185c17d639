// The read side of the registry: for each name the finished way to its service.
#pragma once
#include <rustic/abi.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kernel/binding.hpp"
#include "kernel/sharded_lock.hpp"

namespace rustic::kernel {

inline constexpr std::string_view interceptor_prefix = "rustic.interceptor/";

/// One configured interceptor or guard.
struct chain_rule {
  std::string pattern;
  const std::string* interceptor;  // its target; kept by the registry for good
  std::uint64_t position;          // sorts: order, then age; never 0
  bool required;
  bool guards;  // a guard only; it places nothing
};

/// One interceptor before a service.
struct hop {
  const std::string* interceptor;
  binding* to;  // null: there is no such service
  std::uint64_t position;
  bool required;
  bool guards;
  std::atomic<bool> warned{false};

  hop(const chain_rule& rule, binding* service)
      : interceptor(rule.interceptor),
        to(service),
        position(rule.position),
        required(rule.required),
        guards(rule.guards) {}
};

/// A guard that no interceptor of the chain answers for.
struct missing_guard {
  const std::string* interceptor;
  const std::string* owner;  // of that interceptor; null when it is not registered
};

/// The way from a name to its service. Only `warned` changes after it was built.
struct route {
  std::string target;  // the service's own name
  binding* service = nullptr;
  std::vector<std::unique_ptr<hop>> hops;  // outermost first
  std::vector<missing_guard> unguarded;
};

/// Interceptors that a call does not pass through, because they made it. Both point to names that
/// the registry keeps for good.
struct exemption {
  const std::string* interceptor = nullptr;  // made while it served a call
  const std::string* owner = nullptr;        // made on its plugin's own account
};

/// What a call asks for.
struct hop_request {
  std::string_view target;     // as the caller wrote it
  std::string& resolved;       // becomes the service's own name where that is another, else empty
  std::uint64_t after = 0;     // position of the hop that passes it on; 0: from the start
  exemption& exempt;           // the owner is found out here
  std::string_view account{};  // plugin that calls on its own account; empty: it does not
};

/// Why a call is refused. Held by pointer: the way of a call that is not carries none.
struct refusal {
  rai_status status = RAI_OK;
  std::string message;
  std::string hint;
};
using verdict = std::unique_ptr<refusal>;  // null: go on

inline verdict refuse(rai_status status, std::string message, std::string hint = {}) {
  return std::make_unique<refusal>(refusal{status, std::move(message), std::move(hint)});
}

/// Where a call goes. Without `to` it is refused.
struct entry {
  binding* to = nullptr;  // counted in flight
  bool ready = false;     // else it needs registry::activate
  bool required = true;
  const std::string* interceptor = nullptr;  // null: it is the service itself
  std::uint64_t position = 0;
  bool unknown = false;                  // there is no such target
  verdict why;                           // it is refused
  std::unique_ptr<std::string> warning;  // something was left out, for the first time

  /// The same without the texts.
  entry place() const {
    entry out;
    out.to = to;
    out.ready = ready;
    out.required = required;
    out.interceptor = interceptor;
    out.position = position;
    return out;
  }
};

/// Finished routes. Readers share by shards; the registry is the writer.
class routes {
 public:
  /// Resolves the next hop and counts the caller in. False: the route is not built yet.
  bool enter(const hop_request& from, entry& out);
  /// Counts out. True: the binding is closing and may have drained.
  bool leave(binding& at) noexcept;

  sharded_lock& lock() noexcept { return lock_; }

  // With every shard of the lock held.
  void put(std::string_view name, std::unique_ptr<route> built);
  void clear() noexcept { table_.clear(); }

 private:
  struct hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };

  sharded_lock lock_;
  std::unordered_map<std::string, std::unique_ptr<route>, hash, std::equal_to<>> table_;
};

}  // namespace rustic::kernel
