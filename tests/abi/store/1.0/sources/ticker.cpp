// ticker: streams, from a coroutine and from a worker; both wait while the receiver has paused
// them.
#include <rustic/plugin.hpp>

RAI_MANIFEST(R"({"id":"ticker","version":"1.0.0","description":"Streams","license":"MIT",)"
             R"("abi":{"major":1,"min_minor":0},"provides":[)"
             R"({"interface":"rustic.test/1","name":"ticker","attributes":{}},)"
             R"({"interface":"rustic.test/1","name":"blocking-ticker","attributes":{}}]})");

namespace {
using namespace rustic;

constexpr std::int64_t ticks_max = 10'000;

std::int64_t ticks(context& ctx) {
  const auto wanted = int_or(ctx.request().object(), "ticks", 1);
  if (ctx.request().method != "count")
    throw failure(status_code::unimplemented, "ticker has one method, count");
  if (wanted < 0 || wanted > ticks_max)
    throw failure(status_code::invalid_argument, "counting: 0 to 10000 ticks", "ask for fewer");
  return wanted;
}

struct ticker {
  explicit ticker(setup& plugin) {
    plugin.coroutine("rustic.test/ticker", count);
    plugin.blocking("rustic.test/blocking-ticker", [](context& ctx) {
      const auto wanted = ticks(ctx);
      for (std::int64_t i = 1; i <= wanted; ++i)
        ctx.emit_blocking(make_event(RAI_EVENT_TEXT, std::to_string(i) + " "));
      return std::string(R"({"form":"blocking"})");
    });
  }

  static task<std::string> count(context& ctx) {
    const auto wanted = ticks(ctx);
    for (std::int64_t i = 1; i <= wanted; ++i) {
      if (ctx.paused()) co_await ctx.writable();
      if (ctx.cancelled()) throw failure(status_code::cancelled, "counting was cancelled");
      (void)ctx.text(std::to_string(i) + " ");
    }
    co_return std::string(R"({"form":"coroutine"})");
  }
};
}  // namespace

RUSTIC_PLUGIN(ticker)
