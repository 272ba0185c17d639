// plugins/engines/agent/plugin.cpp - offers rustic.agent/default.
#include <rustic/plugin.hpp>

#include "agents.hpp"
#include "tool_catalogue.hpp"
#include "turn.hpp"

namespace {
using namespace rustic;

// A turn of an agent that has another engine: what that one says, with the agent's settings for
// what the request leaves open.
task<std::string> elsewhere(context& ctx, const agent::agents& known, const agent::agent& who) {
  auto request = ctx.request().object();
  const auto& provider = known.provider_of(text_or(request, "provider", who.provider));
  const bool usual = text_or(request, "provider", who.provider) == who.provider;
  const auto fill = [&](const char* key, const std::string& value) {
    if (!value.empty() && !request.contains(key)) request[key] = value;
  };
  fill("agent", who.name);
  fill("model", usual && !who.model.empty() ? who.model : provider.model);
  fill("provider", provider.name);
  fill("system", who.system_prompt);
  const auto target = "rustic.agent/" + who.engine;
  const auto body = json::serialize(request);
  call_spec rest{.target = target, .method = "turn", .body = body};
  rest.on_event = [&ctx](const rai_event& event) { return ctx.emit(event); };
  const call_result result = co_await ctx.call(std::move(rest));
  if (!result.ok()) {
    auto problem = result.problem();
    if (problem.hint.empty())
      problem.hint = "[agents." + who.name + "] engine names the service " + target;
    throw failure(std::move(problem));
  }
  co_return result.body;
}

task<std::string> serve(context& ctx, const agent::agents& known) {
  const std::string& method = ctx.request().method;
  if (method == "turn") {
    const auto& who = known.get(text_or(ctx.request().object(), "agent"));
    if (!who.engine.empty()) co_return co_await elsewhere(ctx, known, who);
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
