// tests/e2e/cli_many_test.cpp - 32 processes on one database, 100 turns each, none of which fails.
#include <doctest/doctest.h>

#include <memory>

#include "cli_world.hpp"

using namespace rustic;
using namespace rustic::e2e;

namespace {
constexpr std::size_t processes = 32;
constexpr int turns = 100;
constexpr std::int64_t patience_ms = 900'000;
}  // namespace

TEST_CASE("32 processes with 100 turns each on one database") {
  world w({always(fakes::step::saying("ok"))});
  std::vector<std::unique_ptr<cli_process>> all;
  for (std::size_t i = 0; i < processes; ++i) {
    launch how;
    how.program = TURNS_PROGRAM;
    how.arguments = {w.server.base_url(), w.home().string(), PLUGIN_DIRECTORY,
                     std::to_string(turns)};
    all.push_back(std::make_unique<cli_process>(w, how));
  }
  for (auto& one : all) {
    const auto end = one->wait(patience_ms);
    CAPTURE(end.err);
    CHECK(end.in_time);
    CHECK(end.status == 0);
  }
  CHECK(w.server.requests().size() == processes * turns);
}

TEST_CASE("32 programs at once on a database that does not exist yet") {
  world w({always(fakes::step::saying("ok"))});
  std::vector<std::unique_ptr<cli_process>> all;
  for (std::size_t i = 0; i < processes; ++i) {
    launch how;
    how.arguments = {"chat", "Hi"};
    all.push_back(std::make_unique<cli_process>(w, how));
  }
  for (auto& one : all) {
    const auto end = one->wait(patience_ms);
    CAPTURE(end.err);
    CHECK(end.status == 0);
    CHECK(end.out == "ok\n");
  }
  const auto listed = run(w, {"session", "list", "-o", "json", "-n", "100"}).object();
  CHECK(array_or_empty(listed, "sessions").size() == processes);
}
