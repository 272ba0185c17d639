#include "repeat_guard.hpp"

#include <doctest/doctest.h>

#include <string>

#include "limits.hpp"

using namespace rustic::agent;
using verdict = repeat_guard::verdict;

TEST_CASE("the same call with the same result is warned of, then stopped") {
  repeat_guard guard(repeats_default);
  for (int i = 1; i <= repeats_default; ++i) {
    const auto got = guard.seen("grep", "{\"a\":1}", "nothing");
    CHECK(got == (i >= repeats_default       ? verdict::stop
                  : i >= repeats_default / 2 ? verdict::warn
                                             : verdict::fine));
  }
}

TEST_CASE("a cycle of two calls is noticed") {
  repeat_guard guard(repeats_default);
  bool stopped = false;
  for (int i = 0; i < repeats_default * 2 && !stopped; ++i)
    stopped = guard.seen(i % 2 ? "a" : "b", "{}", "same") == verdict::stop;
  CHECK(stopped);
}

TEST_CASE("polling something that changes is no repetition") {
  repeat_guard guard(repeats_default);
  for (int i = 0; i < 100; ++i)
    CHECK(guard.seen("status", "{}", "step " + std::to_string(i)) == verdict::fine);
}
