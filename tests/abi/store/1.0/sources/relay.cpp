// relay: calls another service and passes on its events and its answer; cancelling it cancels that.
#include <rustic/plugin.hpp>

RAI_MANIFEST(R"({"id":"relay","version":"1.0.0","description":"Calls others","license":"MIT",)"
             R"("abi":{"major":1,"min_minor":0},"provides":[)"
             R"({"interface":"rustic.test/1","name":"relay","attributes":{}},)"
             R"({"interface":"rustic.test/1","name":"blocking-relay","attributes":{}}]})");

namespace {
using namespace rustic;

struct asked {
  std::string target, method, body;
};
asked read(context& ctx) {
  const auto request = ctx.request().object();
  return {std::string(require_text(request, "target", "relay")),
          std::string(text_or(request, "method", "call")),
          json::serialize(object_or_empty(request, "body"))};
}

struct relay {
  explicit relay(setup& plugin) {
    plugin.coroutine("rustic.test/relay", pass_on);
    plugin.blocking("rustic.test/blocking-relay", [](context& ctx) {
      const auto what = read(ctx);
      call_spec spec{.target = what.target, .method = what.method, .body = what.body};
      spec.on_event = [&ctx](const rai_event& event) { return ctx.emit(event); };
      const auto result = ctx.call_blocking(spec);
      if (!result.ok()) throw failure(result.problem());
      return result.body;
    });
  }

  static task<std::string> pass_on(context& ctx) {
    const auto what = read(ctx);
    call_spec spec{.target = what.target, .method = what.method, .body = what.body};
    spec.on_event = [&ctx](const rai_event& event) { return ctx.emit(event); };
    const call_result result = co_await ctx.call(std::move(spec));
    if (!result.ok()) throw failure(result.problem());
    co_return result.body;
  }
};
}  // namespace

RUSTIC_PLUGIN(relay)
