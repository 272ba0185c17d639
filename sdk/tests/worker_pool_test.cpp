// The pool of workers: its bounds, its pauses and its end.
#include <doctest/doctest.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <rustic/worker_pool.hpp>
#include <system_error>
#include <thread>

using namespace rustic;

namespace {

// Counts and waits with a deadline.
struct counter {
  std::mutex mutex;
  std::condition_variable changed;
  int value = 0;
  bool open = false;

  void add(int by) {
    std::scoped_lock lock(mutex);
    value += by;
    changed.notify_all();
  }
  bool reach(int wanted) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(20), [&] { return value >= wanted; });
  }
  void wait_open() {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, std::chrono::seconds(20), [&] { return open; });
  }
  void open_up() {
    std::scoped_lock lock(mutex);
    open = true;
    changed.notify_all();
  }
};

std::ptrdiff_t threads_now() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                       std::filesystem::directory_iterator());
}
}  // namespace

TEST_CASE("no more jobs run at once than were allowed, and threads are made only for work") {
  std::thread([] {}).join();  // what a sanitizer starts with the first thread is there now
  const auto before = threads_now();
  std::atomic<int> running{0}, most{0};
  counter done;
  {
    worker_pool pool(3);
    CHECK(threads_now() == before);
    for (int i = 0; i < 60; ++i)
      REQUIRE(pool.submit([&] {
        const int now = ++running;
        int seen = most.load();
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        std::this_thread::yield();
        --running;
        done.add(1);
      }));
    CHECK(done.reach(60));
    CHECK(threads_now() <= before + 3);
  }
  CHECK(most <= 3);
  CHECK(threads_now() == before);
}

TEST_CASE("a job that pauses gives its place to another") {
  worker_pool pool(1);
  counter gate, done;
  REQUIRE(pool.submit([&] {
    worker_pool::pause away(&pool);
    done.add(1);
    gate.wait_open();
  }));
  REQUIRE(done.reach(1));
  REQUIRE(pool.submit([&] { done.add(1); }));
  CHECK(done.reach(2));  // while the first is still waiting
  gate.open_up();
  pool.stop();
}

TEST_CASE("sixty-three waiters do not starve the one that they wait for") {
  worker_pool pool(4);
  counter gate, waiting;
  for (int i = 0; i < 63; ++i)
    REQUIRE(pool.submit([&] {
      worker_pool::pause away(&pool);
      waiting.add(1);
      gate.wait_open();
    }));
  REQUIRE(waiting.reach(63));
  REQUIRE(pool.submit([&] { gate.open_up(); }));
  gate.wait_open();
  CHECK(gate.open);
  pool.stop();
}

TEST_CASE("the queue is bounded, and stop finishes what is in it and takes no more") {
  counter gate, done;
  worker_pool pool(1);
  REQUIRE(pool.submit([&] {
    done.add(1);
    gate.wait_open();
  }));
  REQUIRE(done.reach(1));
  std::size_t taken = 0;
  while (taken <= worker_pool::queued_jobs_max && pool.submit([&] { done.add(1); })) ++taken;
  CHECK(taken == worker_pool::queued_jobs_max);
  gate.open_up();
  pool.stop();
  CHECK(done.value == static_cast<int>(worker_pool::queued_jobs_max) + 1);
  CHECK(!pool.submit([] {}));
  pool.stop();
}

TEST_CASE("a job's own objects are gone before the pool says that it is stopped") {
  const auto held = std::make_shared<int>(0);
  worker_pool pool(2);
  for (int i = 0; i < 20; ++i) REQUIRE(pool.submit([held] { (void)*held; }));
  pool.stop();
  CHECK(held.use_count() == 1);
}

TEST_CASE("a job for which no thread can be made was not taken, and does not run later") {
  pthread_attr_t usual, impossible;
  REQUIRE(pthread_getattr_default_np(&usual) == 0);
  REQUIRE(pthread_attr_init(&impossible) == 0);
  REQUIRE(pthread_attr_setstacksize(&impossible, std::size_t{1} << 46) == 0);
  counter gate;
  std::atomic<int> ran{0};
  int taken = 0, refused = 0;
  worker_pool pool(4);
  REQUIRE(pool.submit([&] { gate.wait_open(); }));
  REQUIRE(pthread_setattr_default_np(&impossible) == 0);
  for (int i = 0; i < 5; ++i) {
    try {
      taken += pool.submit([&] { ++ran; });
    } catch (const std::system_error&) {
      ++refused;
    }
  }
  REQUIRE(pthread_setattr_default_np(&usual) == 0);
  gate.open_up();
  pool.stop();
  CHECK(refused > 0);
  CHECK(taken + refused == 5);
  CHECK(ran == taken);
  pthread_attr_destroy(&usual);
  pthread_attr_destroy(&impossible);
}
