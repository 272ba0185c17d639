// plugin.cpp - the budget as an interceptor: refuses a call, or passes it on and stands aside.
#include <rustic/plugin.hpp>

#include "call_budget.hpp"

namespace {
using namespace rustic;

class plugin {
 public:
  explicit plugin(setup& setup)
      : budget_(int_or(setup.config(), "calls", call_budget_plugin::calls_default)) {
    setup.coroutine("rustic.interceptor/call-budget",
                    [this](context& ctx) { return intercept(ctx, budget_); });
  }
  std::string save() { return budget_.save(); }
  void restore(std::string_view state) { budget_.restore(state); }

 private:
  static task<std::string> intercept(context& ctx, call_budget_plugin::budget& budget) {
    if (!budget.take(text_or(ctx.scope(), "session")))
      throw failure(status_code::resource_exhausted,
                    "calling " + ctx.request().target + ": the session has made its " +
                        std::to_string(budget.calls()) + " tool calls",
                    "finish without tools; the person can raise [plugin.call-budget] calls");
    const auto& request = ctx.request();
    call_spec rest{.target = request.target,
                   .method = request.method,
                   .body = request.body,
                   .data = request.data,
                   .next = true};
    rest.on_event = [&ctx](const rai_event& event) { return ctx.emit(event); };
    const call_result result = co_await ctx.call(std::move(rest));
    if (!result.ok()) throw failure(result.problem());
    co_return result.body;
  }

  call_budget_plugin::budget budget_;
};
}  // namespace

RUSTIC_PLUGIN(plugin)
