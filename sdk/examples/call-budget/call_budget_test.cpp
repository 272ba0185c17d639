// The counting by itself, then the built interceptor in front of a tool.
#include "call_budget.hpp"

#include <rustic/testing.hpp>

int main() {
  using namespace rustic;
  testing::checks check;

  call_budget_plugin::budget two(2);
  check(two.take("a") && two.take("a") && !two.take("a"), "the third call is one too many");
  check(two.take("b"), "another session has a budget of its own");
  call_budget_plugin::budget next(2);
  next.restore(two.save());
  check(!next.take("a") && next.take("b") && !next.take("b"), "a reload forgets nothing");

  testing::loaded_plugin plugin(PLUGIN_FILE, {{"calls", 1}});
  plugin.answer_for("rustic.tool/echo", [](const testing::asked& question) {
    testing::answer out;
    out.events.push_back({RAI_EVENT_OUTPUT, "working", 1});
    out.body = question.body;
    return out;
  });
  const json::object request{{"id", "call_1"}};
  const json::object context{{"session", "s"}};
  const auto first = plugin.intercept("rustic.interceptor/call-budget", "rustic.tool/echo", "call",
                                      request, context);
  check.equal(first.body, R"({"id":"call_1"})", "the tool's answer comes through");
  check.equal(first.joined(RAI_EVENT_OUTPUT), "working", "and so do its events");
  const auto second = plugin.intercept("rustic.interceptor/call-budget", "rustic.tool/echo", "call",
                                       request, context);
  check(second.status == status_code::resource_exhausted, "the budget is used up");
  check(!read_error(second.status, second.body).hint.empty(), "and the model is told what to do");
  return check.failures();
}
