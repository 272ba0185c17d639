// Coroutines: one after the other on a strand, side by side in when_all, exceptions in their place.
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <rustic/task.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace rustic;

namespace {

// Waits until somebody opens it; resumes on the strand.
struct gate {
  strand& lane;
  std::coroutine_handle<> waiting;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) { waiting = handle; }
  void await_resume() const noexcept {}
  void open() { lane.post(std::exchange(waiting, nullptr)); }
};

detail::detached run(task<void>& inner, bool& done) {
  co_await inner;
  done = true;
}

constexpr int tasks_count = 1'000'000;

task<int> number(int value) {
  co_return value;
}
task<int> broken() {
  throw std::runtime_error("broken");
  co_return 0;
}
task<int> behind(gate& door, int value) {
  co_await door;
  co_return value;
}
}  // namespace

TEST_CASE("a task starts when it is awaited, gives its value, and throws what it threw") {
  bool started = false, done = false;
  std::string caught;
  int sum = 0;
  const auto inner = [](bool& flag) -> task<int> {
    flag = true;
    co_return 4;
  };
  auto lazy = inner(started);
  CHECK(!started);
  const auto outer = [](task<int> first, int& out, std::string& text) -> task<void> {
    out = co_await first;
    auto second = number(3);
    out += co_await second;
    try {
      auto bad = broken();
      co_await bad;
    } catch (const std::exception& problem) {
      text = problem.what();
    }
  };
  auto whole = outer(std::move(lazy), sum, caught);
  run(whole, done);
  CHECK(started);
  CHECK(done);
  CHECK(sum == 7);
  CHECK(caught == "broken");
}

TEST_CASE("a task that is never awaited frees what it holds") {
  const auto held = std::make_shared<int>(1);
  const auto keep = [](std::shared_ptr<int> value) -> task<int> { co_return *value; };
  {
    auto never = keep(held);
    CHECK(held.use_count() == 2);
  }
  CHECK(held.use_count() == 1);
}

TEST_CASE("many tasks that end at once, one after the other") {
  bool done = false;
  long sum = 0;
  const auto loop = [](long& out) -> task<void> {
    for (int i = 0; i < tasks_count; ++i) {
      auto one = number(1);
      out += co_await one;
    }
  };
  auto whole = loop(sum);
  run(whole, done);
  CHECK(done);
  CHECK(sum == tasks_count);
}

TEST_CASE("when_all waits for all, in any order of ending, and keeps each outcome apart") {
  strand lane;
  gate first{lane, {}}, second{lane, {}};
  bool done = false;
  std::string told;
  const auto outer = [](gate& a, gate& b, std::string& text) -> task<void> {
    std::vector<task<int>> tasks;
    tasks.push_back(behind(a, 1));
    tasks.push_back(broken());
    tasks.push_back(behind(b, 3));
    tasks.push_back(number(4));
    when_all<int> all(std::move(tasks));
    co_await all;
    text = std::to_string(all.result(0)) + std::to_string(all.result(2)) +
           std::to_string(all.result(3));
    try {
      all.result(1);
    } catch (const std::exception& problem) {
      text += problem.what();
    }
    std::vector<task<int>> none;
    when_all<int> nothing(std::move(none));
    co_await nothing;
  };
  auto whole = outer(first, second, told);
  run(whole, done);
  CHECK(!done);
  second.open();
  CHECK(!done);
  first.open();
  CHECK(done);
  CHECK(told == "134broken");
}

TEST_CASE("a strand runs one at a time, from many threads, and posts from inside do not nest") {
  strand lane;
  std::atomic<int> inside{0}, faults{0}, ran{0};
  constexpr int threads_count = 4, each = 500;
  struct step {
    strand& lane;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> self) { lane.post(self); }
    void await_resume() const noexcept {}
  };
  const auto work = [](strand& on, std::atomic<int>& in, std::atomic<int>& bad,
                       std::atomic<int>& count) -> detail::detached {
    for (int i = 0; i < 3; ++i) {
      co_await step{on};
      if (in.fetch_add(1) != 0) ++bad;
      in.fetch_sub(1);
    }
    ++count;
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < threads_count; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < each; ++i) work(lane, inside, faults, ran);
    });
  for (auto& one : threads) one.join();
  CHECK(ran == threads_count * each);
  CHECK(faults == 0);
}
