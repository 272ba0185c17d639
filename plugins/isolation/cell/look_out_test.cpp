#include "look_out.hpp"

#include <doctest/doctest.h>

using namespace rustic::cell;

namespace {
const auto now = look_out::clock::now();
const auto whole = now + std::chrono::microseconds(look_out_us);

// How many sleeps follow without a look.
int sleeps(look_out& one) {
  int out = 0;
  while (one.until(now) < now) {
    one.found(false);
    ++out;
  }
  return out;
}
}  // namespace

TEST_CASE("looks in vain become rare, and one that found something brings them back") {
  look_out one(2);
  for (const int rare : {0, 1, 3, 7, 15, 31, 63, 63, 63}) {
    CHECK(sleeps(one) == rare);
    one.found(false);
  }
  CHECK(sleeps(one) == 63);
  one.found(true);
  for (int i = 0; i < 10; ++i) {
    CHECK(one.until(now) == whole);
    one.found(true);
  }
}

TEST_CASE("nobody looks where there is one processor") {
  for (const unsigned processors : {0U, 1U}) {
    look_out one(processors);
    for (int i = 0; i < 10; ++i) {
      CHECK(one.until(now) < now);
      one.found(true);
    }
  }
}
