#include "course.hpp"

#include <doctest/doctest.h>

#include "limits.hpp"

using namespace rustic;
using namespace rustic::resilience;

namespace {

constexpr auto never_ms = INT64_MAX;

fault failing(std::string kind, std::optional<std::int64_t> retry_after_ms = {}) {
  error problem;
  problem.code = kind == "rate_limit" || kind == "quota" ? status_code::resource_exhausted
                 : kind == "bad_key"                     ? status_code::unauthenticated
                 : kind == "bad_request"                 ? status_code::invalid_argument
                                                         : status_code::unavailable;
  problem.details = json::object{{"kind", kind}};
  problem.retry_after_ms = retry_after_ms;
  return judge(problem);
}

// A clock of its own, that waits move on.
struct road {
  explicit road(json::object config = {}) : with(config) {
    circuits.emplace(with.circuit_failures, with.circuit_cooldown_ms);
    budget = std::make_shared<turn_budget>(with.turn_retries, with.turn_wait_ms);
  }
  course start(std::string_view called = "a", std::string_view model = "m") {
    return course({with, &*circuits, budget, [this] { return random; }, waits_long},
                  with.chain(called, model, "agent"));
  }
  // Until the next call: its target, or "" for the end. Waits are written down.
  std::string go(course& way) {
    for (;;) {
      const auto step = way.next(now_ms, left_ms);
      if (step.what == course::act::give_up) return {};
      if (step.what == course::act::call) {
        switched = step.switched;
        return way.at().name();
      }
      if (!step.silent) waits.push_back(step.wait_ms);
      now_ms += step.wait_ms;
    }
  }
  std::string fail(course& way, const fault& what, bool said = false) {
    (void)way.failed(what, now_ms, left_ms, said);
    return go(way);
  }

  settings with;
  std::optional<circuit_breakers> circuits;
  std::shared_ptr<turn_budget> budget;
  double random = 0.5;
  bool waits_long = true;
  std::int64_t now_ms = 1'000'000;
  std::int64_t left_ms = never_ms;
  std::vector<std::int64_t> waits;
  bool switched = false;
};

const json::object chain_of_two{{"fallback", json::array{"b/n"}}};
}  // namespace

TEST_CASE("waits grow twofold up to the limit, with full jitter, and the tries end") {
  road r({{"retries", 5}, {"backoff", "1s"}, {"max_backoff", "4s"}, {"circuit_failures", 100}});
  auto way = r.start();
  CHECK(r.go(way) == "a/m");
  for (int i = 0; i < 5; ++i) CHECK(r.fail(way, failing("overloaded")) == "a/m");
  CHECK(r.fail(way, failing("overloaded")) == "");
  CHECK(r.waits == std::vector<std::int64_t>{500, 1000, 2000, 2000, 2000});

  road least({{"retries", 2}});
  least.random = 0;
  auto quick = least.start();
  CHECK(least.go(quick) == "a/m");
  CHECK(least.fail(quick, failing("connect")) == "a/m");
  CHECK(least.waits == std::vector<std::int64_t>{1});
}

TEST_CASE("what is not transient ends it, with a fallback or without") {
  for (const auto& config : {json::object{}, chain_of_two}) {
    road r(config);
    auto way = r.start();
    CHECK(r.go(way) == "a/m");
    CHECK(r.fail(way, failing("bad_request")) == "");
    CHECK(r.waits.empty());
  }
}

TEST_CASE("a refused key is never tried again, and the next target is, where there is one") {
  road alone;
  auto way = alone.start();
  CHECK(alone.go(way) == "a/m");
  CHECK(alone.fail(way, failing("bad_key")) == "");
  road r(chain_of_two);
  auto other = r.start();
  CHECK(r.go(other) == "a/m");
  CHECK(r.fail(other, failing("bad_key")) == "b/n");
  CHECK(r.switched);
  CHECK(r.fail(other, failing("bad_key")) == "");
  CHECK(r.waits.empty());
  CHECK(r.circuits->quiet());
}

TEST_CASE("after text nothing is tried again, unless it is wished") {
  road r(chain_of_two);
  auto way = r.start();
  CHECK(r.go(way) == "a/m");
  CHECK(r.fail(way, failing("stream_cut"), true) == "");
  road again({{"after_text", "restart"}});
  auto other = again.start();
  CHECK(again.go(other) == "a/m");
  CHECK(again.fail(other, failing("stream_cut"), true) == "a/m");
}

TEST_CASE("a short Retry-After is waited for, never less") {
  road r(chain_of_two);
  auto way = r.start();
  CHECK(r.go(way) == "a/m");
  CHECK(r.fail(way, failing("rate_limit", 20'000)) == "a/m");
  CHECK(r.waits == std::vector<std::int64_t>{20'500});
  r.random = 0;
  CHECK(r.fail(way, failing("rate_limit", 30'000)) == "a/m");
  CHECK(r.waits.back() == 30'000);
}

TEST_CASE("a long Retry-After means the next target, and the first one is left alone for it") {
  road r(chain_of_two);
  auto way = r.start();
  CHECK(r.go(way) == "a/m");
  CHECK(r.fail(way, failing("rate_limit", 30'001)) == "b/n");
  CHECK(r.switched);
  CHECK(r.waits.empty());
  way.succeeded();
  // The next turn does not ask it before the time.
  r.budget = std::make_shared<turn_budget>(12, 120'000);
  r.now_ms += 30'000;
  auto next = r.start();
  CHECK(r.go(next) == "b/n");
  r.budget = std::make_shared<turn_budget>(12, 120'000);
  r.now_ms += 1;
  auto later = r.start();
  CHECK(r.go(later) == "a/m");
}

TEST_CASE("a long Retry-After without another target is waited for within the turn's time") {
  road r({{"turn_wait", "90s"}});
  auto way = r.start();
  CHECK(r.go(way) == "a/m");
  CHECK(r.fail(way, failing("rate_limit", 60'000)) == "a/m");
  CHECK(r.waits == std::vector<std::int64_t>{60'500});
  CHECK(r.fail(way, failing("rate_limit", 60'000)) == "");
  // Where nobody sits and waits the error comes at once.
  road alone;
  alone.waits_long = false;
  auto short_wait = alone.start();
  CHECK(alone.go(short_wait) == "a/m");
  CHECK(alone.fail(short_wait, failing("rate_limit", 30'000)) == "a/m");
  CHECK(alone.fail(short_wait, failing("rate_limit", 30'001)) == "");
  CHECK(alone.waits.size() == 1);
  road day;
  auto absurd = day.start();
  CHECK(day.go(absurd) == "a/m");
  CHECK(day.fail(absurd, failing("rate_limit", 86'400'000)) == "");
  CHECK(day.waits.empty());
}

TEST_CASE("the chain is walked in its order, each target once, and round its end") {
  road r({{"retries", 1},
          {"fallback", json::array{"b/n", "c"}},
          {"providers", {{"c", {{"model", "x"}}}}}});
  auto way = r.start();
  CHECK(r.go(way) == "a/m");
  CHECK(r.fail(way, failing("overloaded")) == "a/m");
  CHECK(r.fail(way, failing("overloaded")) == "b/n");
  CHECK(way.left().name() == "a/m");
  CHECK(r.fail(way, failing("quota")) == "c/x");
  CHECK(way.left().name() == "b/n");
  way.succeeded();
  CHECK(way.first().name() == "a/m");
  // The turn stays where it has come to.
  auto next = r.start();
  CHECK(r.go(next) == "c/x");
  CHECK_FALSE(r.switched);
  CHECK(r.fail(next, failing("quota")) == "a/m");
  CHECK(r.switched);
  CHECK(r.fail(next, failing("quota")) == "b/n");
  CHECK(r.fail(next, failing("quota")) == "");
}

TEST_CASE("a fallback that is not set up is passed over") {
  road r({{"retries", 0}, {"fallback", json::array{"b", "c"}}});
  auto way = r.start();
  CHECK(r.go(way) == "a/m");
  CHECK(r.fail(way, failing("overloaded")) == "b");
  CHECK(r.fail(way, failing("bad_key")) == "c");
  CHECK(r.fail(way, failing("bad_key")) == "");
}

TEST_CASE("one budget for all requests of a turn") {
  road r({{"turn_retries", 3}, {"circuit_failures", 100}});
  auto one = r.start();
  CHECK(r.go(one) == "a/m");
  CHECK(r.fail(one, failing("overloaded")) == "a/m");
  CHECK(r.fail(one, failing("overloaded")) == "a/m");
  one.succeeded();
  auto two = r.start();
  CHECK(r.go(two) == "a/m");
  CHECK(r.fail(two, failing("overloaded")) == "a/m");
  CHECK(r.fail(two, failing("overloaded")) == "");
  auto three = r.start();
  CHECK(r.go(three) == "a/m");  // a first try is free
  CHECK(r.fail(three, failing("overloaded")) == "");
}

TEST_CASE("switching takes from the budget too") {
  road r({{"turn_retries", 1}, {"retries", 0}, {"fallback", json::array{"b", "c"}}});
  auto way = r.start();
  CHECK(r.go(way) == "a/m");
  CHECK(r.fail(way, failing("quota")) == "b");
  CHECK(r.fail(way, failing("quota")) == "");
}

TEST_CASE("no wait beyond the caller's own deadline") {
  road r;
  r.left_ms = 200;
  auto way = r.start();
  CHECK(r.go(way) == "a/m");
  CHECK(r.fail(way, failing("overloaded")) == "");
  CHECK(r.waits.empty());
  road two(chain_of_two);
  two.left_ms = 200;
  auto other = two.start();
  CHECK(two.go(other) == "a/m");
  CHECK(two.fail(other, failing("overloaded")) == "b/n");
}

TEST_CASE("an open circuit: the other target, else the rest of the cooldown, then one probe") {
  road r({{"circuit_failures", 1}, {"retries", 0}, {"fallback", json::array{"b"}}});
  auto way = r.start();
  CHECK(r.go(way) == "a/m");
  CHECK(r.fail(way, failing("server_error")) == "b");
  way.succeeded();
  r.budget = std::make_shared<turn_budget>(12, 120'000);
  auto next = r.start();
  CHECK(r.go(next) == "b");
  CHECK(r.switched);
  CHECK(next.cause().kind == "circuit_open");

  road alone({{"circuit_failures", 1}, {"retries", 0}, {"circuit_cooldown", "10s"}});
  auto one = alone.start();
  CHECK(alone.go(one) == "a/m");
  CHECK(alone.fail(one, failing("server_error")) == "");
  auto two = alone.start();
  CHECK(alone.go(two) == "a/m");
  CHECK(alone.waits == std::vector<std::int64_t>{10'000});
  // While that probe runs, a third waits for it and gives up in the end.
  auto three = alone.start();
  CHECK(alone.go(three) == "");
  REQUIRE(three.refused());
  CHECK(three.refused()->failures == 1);
  CHECK(alone.waits.size() == 2);  // told once
  two.succeeded();
  auto four = alone.start();
  CHECK(alone.go(four) == "a/m");
}

TEST_CASE("a circuit that opens in the middle sends the request on at once") {
  road r({{"circuit_failures", 2}, {"retries", 10}, {"fallback", json::array{"b"}}});
  auto way = r.start();
  CHECK(r.go(way) == "a/m");
  CHECK(r.fail(way, failing("overloaded")) == "a/m");
  CHECK(r.fail(way, failing("overloaded")) == "b");
}

TEST_CASE("an abandoned probe is nobody's verdict") {
  road r({{"circuit_failures", 1}, {"retries", 0}, {"circuit_cooldown", "1s"}});
  auto one = r.start();
  CHECK(r.go(one) == "a/m");
  CHECK(r.fail(one, failing("overloaded")) == "");
  auto probe = r.start();
  CHECK(r.go(probe) == "a/m");
  probe.abandoned();
  auto next = r.start();
  CHECK(r.go(next) == "a/m");
  CHECK(r.waits.size() == 1);
}

TEST_CASE("chains: the agent's, else the provider's, else the one for all") {
  const settings with(json::object{
      {"fallback", json::array{"z"}},
      {"providers",
       {{"a", {{"model", "am"}, {"fallback", json::array{"b/x/y", "a", "a/other", "b/x/y"}}}},
        {"b", {{"model", "bm"}, {"context_window", 1000}}},
        {"z", json::object()}}},
      {"agents", {{"lone", {{"fallback", json::array()}}}, {"own", {{"fallback", {"b"}}}}}}});
  const auto names = [&](std::string_view provider, std::string_view model,
                         std::string_view agent) {
    std::string out;
    for (const auto& one : with.chain(provider, model, agent)) out += one.name() + " ";
    return out;
  };
  CHECK(with.has_fallbacks());
  CHECK(names("a", "", "") == "a/am b/x/y a/other ");
  CHECK(names("a", "other", "") == "a/other b/x/y a/am ");
  CHECK(names("b", "", "") == "b/bm z ");
  CHECK(names("b", "", "own") == "b/bm ");
  CHECK(names("a", "", "own") == "a/am b/bm ");
  CHECK(names("a", "", "lone") == "a/am ");
  CHECK(names("unknown", "", "") == "unknown z ");
  CHECK(with.chain("b", "", "").front().window_tokens == 1000);
  CHECK(with.chain("b", "other", "").front().window_tokens == 0);
}

TEST_CASE("chains are bounded") {
  json::array many;
  for (int i = 0; i < 50; ++i) many.push_back(json::value("p" + std::to_string(i)));
  const settings with(json::object{{"fallback", std::move(many)}});
  CHECK(with.chain("a", "", "").size() == chain_targets_max);
}

TEST_CASE("a configuration that makes no sense is refused by name") {
  for (const auto* text : {R"({"retries":-1})", R"({"retries":1000})", R"({"circuit_failures":0})",
                           R"({"turn_wait":"soon"})"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(settings(json::parse(text).as_object()), failure);
  }
}
