// plugins/engines/agent/plugin.cpp - offers rustic.agent/default.
#include <rustic/plugin.hpp>

#include "agents.hpp"
#include "tool_catalogue.hpp"
#include "turn.hpp"

namespace {
using namespace rustic;

task<std::string> serve(context& ctx, const agent::agents& known) {
  const std::string& method = ctx.request().method;
  if (method == "turn") {
    agent::turn one(ctx, known);
    co_return co_await one.run();
  }
  if (method == "list") co_return json::serialize(known.list());
  if (method == "describe") {
    const auto body = ctx.request().object();
    const auto name = text_or(body, "name");
    const auto tools = agent::tool_catalogue::from_registry(ctx.host(), {known.get(name).tools});
    co_return json::serialize(known.describe(name, tools.for_model()));
  }
  throw failure(status_code::unimplemented, "rustic.agent has no method " + method);
}

struct plugin {
  explicit plugin(setup& setup) : known(setup.config()) {
    setup.coroutine("rustic.agent/default", [this](context& ctx) { return serve(ctx, known); });
  }
  const agent::agents known;
};
}  // namespace
RUSTIC_PLUGIN(plugin)
