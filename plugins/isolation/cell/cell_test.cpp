// A plugin in its cell, with a real kernel and loader: calls in both directions, and every way to
// die.
#include "cell_world.hpp"

using namespace rustic::cell::testing;

namespace {
constexpr auto hostile = "rustic.test/hostile";
constexpr auto raw = "rustic.test/raw";
}  // namespace

TEST_CASE("a call goes through the cell and back") {
  world w;
  w.add(test_plugin("hostile"));
  CHECK(w.ask(raw, "echo", R"({"a":1})") == R"({"a":1})");
  CHECK(w.ask(hostile, "echo", R"({"b":"ü"})") == R"({"b":"ü"})");
  CHECK(w.number(hostile, "pid") != ::getpid());
  CHECK(w.plugins.stop(1'000).empty());
  CHECK(w.died() == 0);
  for (const auto& line : w.log) CHECK(line == "");
}

TEST_CASE("an end that was asked for is never a death") {
  for (int round = 0; round < 30; ++round) {
    world w;
    w.add(test_plugin("hostile"));
    CHECK(w.number(hostile, "pid") != ::getpid());
    CHECK(w.plugins.stop(20'000).empty());
    CHECK(w.died() == 0);
    CHECK(w.log.empty());
  }
}
