// Names and what stands under them: services, aliases, interceptors, guards.
#pragma once
#include <rustic/abi.h>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/binding.hpp"
#include "kernel/error.hpp"
#include "kernel/hooks.hpp"
#include "kernel/routes.hpp"
#include "kernel/watchers.hpp"

namespace rustic::kernel {

/// What is registered. Copied; `attributes` is JSON text that is handed on unread.
struct offer {
  std::string_view target;      // "interface/name"
  std::string_view owner;       // plugin id; empty: the program itself
  std::string_view attributes;  // empty: {}
};

/// What a listing tells of a target.
struct listed {
  std::string target;
  std::string owner;
  std::string attributes;
  binding_state state = binding_state::declared;
  std::string reason;  // of the failure
  std::uint64_t generation = 0;
};

/// Every function may be called on any thread, concurrently, and from inside callbacks. None
/// holds a lock while it calls out.
class registry {
 public:
  /// `told` must outlive the registry.
  explicit registry(const hooks& told);
  ~registry();
  registry(const registry&) = delete;
  registry& operator=(const registry&) = delete;

  // Services. A generation is one service under one name.

  /// Offers a service that is activated by the first call. ALREADY_EXISTS when the name is taken
  /// by another owner; the same owner replaces what it declared, like rebind.
  outcome declare(const offer& what, std::shared_ptr<activator> source);
  /// Offers a service that is ready. Same rules.
  outcome provide(const offer& what, const rai_service& service);
  /// Puts a new generation under a name, whoever held it: new calls go there, calls in flight
  /// finish on the old one (`replaced` of the outcome).
  outcome rebind(const offer& what, std::shared_ptr<activator> source);
  outcome rebind(const offer& what, const rai_service& service);
  /// Takes a name away: new calls find nothing, calls in flight finish. PERMISSION_DENIED when
  /// another owner holds it. `replaced` of the outcome is the generation to be drained. With
  /// `only`, a generation, another one that stands there by now stays: NOT_FOUND.
  outcome withdraw(std::string_view target, std::string_view owner, std::uint64_t only = 0);

  /// Has the last call on a generation ended (and is it no longer registered)?
  bool drained(std::uint64_t generation);
  /// Waits for that; false when the time is over. Not from inside a call to that generation.
  bool wait_drained(std::uint64_t generation, std::uint32_t timeout_ms);
  /// Runs `then` once when that is so: at once, or on the thread that ends the last call.
  void when_drained(std::uint64_t generation, std::function<void()> then);

  /// Makes `from` another name of `to`, which need not exist yet. Wins over a service of that
  /// name. An empty `to` takes the alias away.
  outcome alias(std::string_view from, std::string_view to);

  // Interceptors and guards. Patterns match the name of the service itself, never an alias of it;
  // an exact pattern that is an alias stands for what it leads to.

  /// Puts an interceptor before everything that matches; the smaller `order` is further out, equal
  /// ones stand as they came. `interceptor` is a target under "rustic.interceptor/" or the name
  /// alone. When it cannot be had: a required one refuses the call, an optional one is left out.
  outcome intercept(std::string_view pattern, std::int32_t order, std::string_view interceptor,
                    bool required);
  /// Calls to what matches are refused unless that interceptor stands before it. It counts as
  /// required there.
  outcome guard(std::string_view pattern, std::string_view interceptor);

  // Looking.

  /// Calls `each` for every match, sorted by name. An exact pattern follows aliases, and the
  /// result then carries the name that was asked for.
  void list(std::string_view pattern, const std::function<void(const listed&)>& each);
  std::optional<listed> find(std::string_view target);
  /// The known target most like this one, or nothing.
  std::string nearest(std::string_view target);
  /// Tells of every later change of a match; see watchers.hpp. 0: too many watchers.
  std::uint64_t watch(std::string_view pattern, watchers::callback told);
  /// Returns when the callback runs on no other thread.
  void unwatch(std::uint64_t id) { watchers_.remove(id); }

  // For calls. `enter` counts the caller in, and `leave` must follow.

  entry enter(const hop_request& from);
  void leave(binding& at);
  /// Returns when whoever was in enter() has left it; who comes later sees what was done before.
  void let_pass();

  enum class activation { ready, failed, waiting };
  /// For a binding that enter() gave back not ready. `waiting`: `later` has been taken and will be
  /// resumed. `failed`: `reason` says why.
  activation activate(binding& what, std::unique_ptr<parked>& later, std::string& reason);

 private:
  outcome put(const offer& what, std::shared_ptr<activator> source, const rai_service* service,
              bool replace);
  outcome rule(std::string_view pattern, std::int32_t order, std::string_view interceptor,
               bool required, bool guards);
  const std::string& intern(std::set<std::string, std::less<>>& names, std::string_view name);
  std::string resolve(std::string_view name) const;  // "" after more than max_alias_hops
  bool leads_to(std::string_view name, std::string_view other) const;
  std::unique_ptr<route> build(std::string_view name);
  void sweep();
  binding* find_generation(std::uint64_t generation);
  listed describe(const binding& b) const;

  routes routes_;
  const hooks& hooks_;

  // Guarded by mutex_, which is taken before a shard of the routes and never while calling out.
  std::mutex mutex_;
  std::condition_variable changed_;  // something drained
  std::map<std::string, std::unique_ptr<binding>, std::less<>> bindings_;
  std::vector<std::unique_ptr<binding>> draining_;
  std::map<std::string, std::string, std::less<>> aliases_;
  std::vector<chain_rule> rules_;
  std::set<std::string, std::less<>> owners_;        // never shrinks: one for each plugin id
  std::set<std::string, std::less<>> interceptors_;  // never shrinks: one for each rule
  std::uint64_t next_generation_ = 1;
  std::uint32_t next_rule_ = 1;

  watchers watchers_;
};

}  // namespace rustic::kernel
