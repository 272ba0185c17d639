// A kernel with a clock that stands still, and what its tests ask it with.
#pragma once
#include <rustic/abi.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/kernel.hpp"
#include "kernel/test_roles.hpp"

namespace rustic::kernel::testing {

inline rai_request request_for(std::string_view target, std::string_view method = "do",
                               std::string_view body = "{}") {
  rai_request out{};
  out.struct_size = sizeof out;
  out.target = str(target);
  out.method = str(method);
  out.body = str(body);
  return out;
}

inline rai_event text_event(std::string_view text, std::uint16_t kind = RAI_EVENT_TEXT) {
  rai_event out{};
  out.kind = kind;
  out.text = str(text);
  return out;
}

/// A kernel whose clock stands still until told, and which keeps what its hooks say.
class bench {
 public:
  std::atomic<std::int64_t> now_ns{1'000'000'000};
  std::atomic<int> deadline_changes{0};
  kernel k;

  bench() : k(options(this)) {}

  void pass_ms(std::int64_t ms) {
    now_ns += ms * 1'000'000;
    k.expire(now_ns);
  }
  rai_call call(caller& who, std::string_view target, rai_call parent = 0,
                std::string_view plugin = {}) {
    return k.call(parent, request_for(target), who.observer(), plugin);
  }
  void provide(std::string_view target, service& what, std::string_view owner = "plug") {
    if (!k.names().provide({target, owner, {}}, what.table()).ok()) std::abort();
  }
  std::vector<std::string> violations() const {
    const std::lock_guard hold(mutex_);
    return violations_;
  }
  std::vector<std::string> warnings() const {
    const std::lock_guard hold(mutex_);
    return warnings_;
  }

 private:
  static kernel_options options(bench* me) {
    kernel_options out;
    out.seed = 7;
    out.now_ns = [me] { return me->now_ns.load(); };
    out.told.on_violation = [me](std::string_view owner, std::string_view what) {
      const std::lock_guard hold(me->mutex_);
      me->violations_.push_back(std::string(owner) + ": " + std::string(what));
    };
    out.told.on_warning = [me](std::string_view text) {
      const std::lock_guard hold(me->mutex_);
      me->warnings_.emplace_back(text);
    };
    out.told.on_deadline_changed = [me] { ++me->deadline_changes; };
    return out;
  }

  mutable std::mutex mutex_;
  std::vector<std::string> violations_, warnings_;
};

/// A kernel with one service, a/x.
struct one_service : bench {
  service s;
  one_service() { provide("a/x", s); }
};

inline rai_call_info info_of(kernel& k, rai_call id) {
  rai_call_info out{};
  out.struct_size = sizeof out;
  if (k.info(id, &out) != RAI_OK) std::abort();
  return out;
}

/// An activator that does what a function says.
class activation : public activator {
 public:
  using function = std::function<rai_status(std::string_view, rai_service*, std::string&)>;
  explicit activation(function does) : does_(std::move(does)) {}
  rai_status activate(std::string_view target, rai_service* out, std::string& error) override {
    return does_(target, out, error);
  }

 private:
  const function does_;
};

inline std::shared_ptr<activator> activating(activation::function does) {
  return std::make_shared<activation>(std::move(does));
}

}  // namespace rustic::kernel::testing
