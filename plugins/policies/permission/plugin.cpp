// The permission policy as a plugin.
#include <rustic/plugin.hpp>

#include "permission.hpp"

namespace {

struct permission_plugin {
  explicit permission_plugin(rustic::setup& s) : policy(&s.host(), s.config()) {
    s.coroutine("rustic.interceptor/permission",
                [this](rustic::context& ctx) { return policy.intercept(ctx); });
    s.raw(std::string(rustic::permission::turn_queue::target), policy.turns().service());
  }
  rustic::permission::policy policy;
};

}  // namespace

RUSTIC_PLUGIN(permission_plugin)
