#include "circuit.hpp"

#include <doctest/doctest.h>

#include <thread>

#include "limits.hpp"
#include "turn_budget.hpp"

using namespace rustic::resilience;

TEST_CASE("a circuit opens after failures in a row, and one probe closes it") {
  circuit_breakers c(3, 1000);
  CHECK(c.quiet());
  CHECK_FALSE(c.failed("a", 0));
  CHECK_FALSE(c.quiet());
  CHECK_FALSE(c.failed("a", 10));
  CHECK(c.admit("a", 11).admitted);
  CHECK_FALSE(c.admit("a", 11).probe);
  const auto opened = c.failed("a", 20);
  REQUIRE(opened);
  CHECK(opened->state == circuit_state::open);
  CHECK(opened->failures == 3);
  CHECK(opened->wait_ms == 1000);

  const auto shut = c.admit("a", 500);
  CHECK_FALSE(shut.admitted);
  CHECK(shut.wait_ms == 520);
  CHECK(shut.failures == 3);
  CHECK(c.admit("b", 500).admitted);  // another target is another circuit

  const auto probe = c.admit("a", 1020);
  CHECK(probe.admitted);
  CHECK(probe.probe);
  CHECK(c.list(1020).at(0).state == circuit_state::half_open);
  for (int i = 0; i < 5; ++i) {
    const auto other = c.admit("a", 1020 + i);  // one probe at a time
    CHECK_FALSE(other.admitted);
    CHECK(other.wait_ms == probe_wait_ms);
  }
  const auto closed = c.succeeded("a");
  REQUIRE(closed);
  CHECK(closed->state == circuit_state::closed);
  CHECK(c.quiet());
  CHECK(c.admit("a", 1030).admitted);
}

TEST_CASE("a success between failures starts the count again") {
  circuit_breakers c(2, 1000);
  for (int i = 0; i < 10; ++i) {
    CHECK_FALSE(c.failed("a", i));
    CHECK_FALSE(c.succeeded("a"));
  }
}

TEST_CASE("a probe that fails opens for another cooldown") {
  circuit_breakers c(1, 1000);
  REQUIRE(c.failed("a", 0));
  REQUIRE(c.admit("a", 1000).probe);
  const auto again = c.failed("a", 1100);
  REQUIRE(again);
  CHECK(again->wait_ms == 1000);
  CHECK_FALSE(c.admit("a", 2099).admitted);
  CHECK(c.admit("a", 2100).probe);
}

TEST_CASE("a probe that tells nothing lets the next call be one") {
  circuit_breakers c(1, 1000);
  REQUIRE(c.failed("a", 0));
  REQUIRE(c.admit("a", 1000).probe);
  c.released("a");
  CHECK(c.admit("a", 1001).probe);
}

TEST_CASE("late failures of calls from before do not keep it open") {
  circuit_breakers c(1, 1000);
  REQUIRE(c.failed("a", 0));
  CHECK_FALSE(c.failed("a", 900));
  CHECK(c.admit("a", 1000).probe);
}

TEST_CASE("a server that names a time is left alone for so long, and not for ever") {
  circuit_breakers c(5, 1000);
  const auto change = c.failed("a", 0, 60'000);
  REQUIRE(change);
  CHECK(change->wait_ms == 60'000);
  CHECK_FALSE(c.admit("a", 59'999).admitted);
  CHECK(c.admit("a", 60'000).probe);
  const auto day = c.failed("b", 0, 86'400'000);
  REQUIRE(day);
  CHECK(day->wait_ms == blocked_ms_max);
}

TEST_CASE("circuits are bounded: the one that rested longest is forgotten") {
  circuit_breakers c(1, 1000);
  for (std::size_t i = 0; i < circuits_max + 50; ++i) {
    (void)c.failed("t" + std::to_string(i), 0);
    (void)c.admit("t0", 0);
  }
  CHECK(c.list(0).size() == circuits_max);
  CHECK_FALSE(c.admit("t0", 0).admitted);
  CHECK(c.admit("t1", 0).admitted);
}

TEST_CASE("the next generation takes the circuits over") {
  circuit_breakers old(2, 1000), fresh(2, 1000);
  (void)old.failed("a", 0);
  (void)old.failed("a", 0);
  (void)old.failed("b", 0);
  fresh.take_over(old.keep());
  CHECK_FALSE(fresh.admit("a", 999).admitted);
  CHECK(fresh.admit("a", 1000).probe);
  CHECK(fresh.failed("b", 0));  // it was the second
}

TEST_CASE("one probe, whatever the threads") {
  circuit_breakers c(1, 10);
  (void)c.failed("a", 0);
  std::atomic<int> probes{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 1000; ++k) probes += c.admit("a", 100).probe;
    });
  for (auto& one : threads) one.join();
  CHECK(probes == 1);
}

TEST_CASE("a budget is taken whole or not at all") {
  turn_budget b(2, 100);
  CHECK_FALSE(b.take(1, 101));
  CHECK_FALSE(b.take(3, 0));
  CHECK(b.take(1, 100));
  CHECK(b.wait_left_ms() == 0);
  CHECK(b.take(1, 0));
  CHECK_FALSE(b.take(1, 0));
}

TEST_CASE("one budget for each turn, bounded, and one apart for what is no turn") {
  turn_budgets all(1, 10);
  CHECK(all.empty());
  CHECK(all.find("t") == nullptr);
  const auto one = all.of("t");
  CHECK_FALSE(all.empty());
  CHECK(all.of("t") == one);
  CHECK(all.find("t") == one);
  CHECK(all.of("") != all.of(""));
  CHECK(all.find("") == nullptr);
  for (std::size_t i = 0; i < turns_max; ++i) (void)all.of("u" + std::to_string(i));
  CHECK(all.find("t") == nullptr);
  CHECK(one->take(1, 0));  // whoever holds it keeps it
}
