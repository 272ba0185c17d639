// The resilience policy as a plugin.
#include <rustic/plugin.hpp>

#include "resilience.hpp"

namespace {

struct resilience_plugin {
  explicit resilience_plugin(rustic::setup& s) : policy(&s.host(), s.config()) {
    s.coroutine("rustic.interceptor/resilience",
                [this](rustic::context& ctx) { return policy.intercept(ctx); });
    s.coroutine("rustic.resilience/default",
                [this](rustic::context& ctx) { return policy.status(ctx); });
  }
  std::string save() { return policy.save(); }
  void restore(std::string_view state) { policy.restore(state); }
  rustic::resilience::policy policy;
};

}  // namespace

RUSTIC_PLUGIN(resilience_plugin)
