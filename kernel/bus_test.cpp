#include "kernel/bus.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <thread>

#include "kernel/test_parts.hpp"

using namespace rustic::kernel;
using namespace rustic::kernel::testing;

namespace {

/// A handler that runs a function.
struct listener {
  std::function<void(std::string_view, std::string_view)> does;
  static void handle(void* self, rai_str topic, rai_str body) {
    static_cast<listener*>(self)->does(view(topic), view(body));
  }
  std::uint64_t on(bus& b, std::string_view pattern) {
    return b.subscribe(pattern, &listener::handle, this, "plug");
  }
};

}  // namespace

TEST_CASE("events go to what matches, in the order of subscription") {
  bench b;
  std::string order;
  listener one{
      [&](auto topic, auto body) { order += "1" + std::string(topic) + std::string(body); }};
  listener two{[&](auto, auto) { order += "2"; }};
  listener three{[&](auto, auto) { order += "3"; }};
  two.on(b.k.events(), "*");
  one.on(b.k.events(), "turn.end");
  three.on(b.k.events(), "turn.*");
  CHECK(b.k.events().publish("turn.end", "{}") == RAI_OK);
  CHECK(order == "21turn.end{}3");
  order.clear();
  b.k.events().publish("turn.ending", "{}");
  CHECK(order == "23");
  order.clear();
  b.k.events().publish("turn", "{}");
  CHECK(order == "2");
  CHECK(one.on(b.k.events(), "turn*") == 0);
  CHECK(one.on(b.k.events(), "") == 0);
}

TEST_CASE("handlers subscribe, unsubscribe and publish") {
  bench b;
  bus& events = b.k.events();
  std::string order;
  std::uint64_t second = 0;
  listener late{[&](auto, auto) { order += "L"; }};
  listener gone{[&](auto, auto) { order += "G"; }};
  std::uint64_t own = 0;
  listener first{[&](auto topic, auto) {
    if (topic != "a.1") return;
    order += "F";
    late.on(events, "*");
    events.unsubscribe(second);
    events.unsubscribe(own);  // itself, while it runs
    events.publish("a.2", "{}");
  }};
  own = first.on(events, "*");
  second = gone.on(events, "*");
  events.publish("a.1", "{}");
  CHECK(order == "FL");  // the nested event reaches the new handler, the running one does not
  events.publish("a.1", "{}");
  CHECK(order == "FLL");
  events.unsubscribe(own);
  events.unsubscribe(12345);
}

TEST_CASE("an echo ends") {
  bench b;
  int runs = 0;
  rai_status deepest = RAI_OK;
  listener echo{[&](auto topic, auto body) {
    ++runs;
    const rai_status s = b.k.events().publish(topic, body);
    if (s != RAI_OK) deepest = s;
  }};
  echo.on(b.k.events(), "x");
  b.k.events().publish("x", "{}");
  CHECK(runs == max_publish_depth);
  CHECK(deepest == RAI_RESOURCE_EXHAUSTED);
  CHECK(b.warnings().size() == 1);
  b.k.events().publish("x", "{}");
  CHECK(runs == 2 * max_publish_depth);
}

TEST_CASE("what a handler throws is charged to its owner and the others still hear") {
  bench b;
  int heard = 0;
  listener bad{[](auto, auto) { throw std::runtime_error("boom"); }};
  listener good{[&](auto, auto) { ++heard; }};
  bad.on(b.k.events(), "*");
  good.on(b.k.events(), "*");
  b.k.events().publish("x", "{}");
  CHECK(heard == 1);
  CHECK(b.violations() == std::vector<std::string>{"plug: its handler threw"});
}

TEST_CASE("unsubscribe waits for a handler on another thread") {
  bench b;
  bus& events = b.k.events();
  std::mutex mutex;
  std::condition_variable moved;
  bool inside = false, open = false;
  std::atomic<bool> ended{false}, left{false};
  listener slow{[&](auto, auto) {
    std::unique_lock hold(mutex);
    inside = true;
    moved.notify_all();
    moved.wait(hold, [&] { return open; });
    ended = true;
  }};
  const std::uint64_t id = slow.on(events, "x");
  std::thread publisher([&] { events.publish("x", "{}"); });
  {
    std::unique_lock hold(mutex);
    moved.wait(hold, [&] { return inside; });
  }
  std::thread leaver([&] {
    events.unsubscribe(id);
    CHECK(ended.load());
    left = true;
  });
  // Another handler need not wait: it could be the one that is waited for.
  listener inner{[&](auto, auto) { events.unsubscribe(id); }};
  inner.on(events, "y");
  events.publish("y", "{}");
  CHECK_FALSE(left.load());
  {
    const std::lock_guard hold(mutex);
    open = true;
    moved.notify_all();
  }
  publisher.join();
  leaver.join();
  CHECK(left.load());
}

TEST_CASE("two handlers on two threads unsubscribe each other") {
  for (int round = 0; round < 100; ++round) {
    bench b;
    bus& events = b.k.events();
    std::atomic<int> inside{0};
    std::uint64_t ids[2];
    listener pair[2];
    for (int i = 0; i < 2; ++i) {
      pair[i].does = [&, i](auto, auto) {
        ++inside;
        while (inside.load() < 2) std::this_thread::yield();
        events.unsubscribe(ids[1 - i]);
      };
      ids[i] = pair[i].on(events, i == 0 ? "x" : "y");
    }
    std::thread one([&] { events.publish("x", "{}"); });
    std::thread two([&] { events.publish("y", "{}"); });
    one.join();
    two.join();
    events.publish("x", "{}");
    CHECK(inside.load() == 2);
  }
}

TEST_CASE("after unsubscribe the handler may be destroyed") {
  bench b;
  bus& events = b.k.events();
  std::atomic<bool> over{false};
  std::thread publisher([&] {
    while (!over.load()) events.publish("x", "{}");
  });
  std::thread other([&] {
    while (!over.load()) events.publish("x", "{}");
  });
  for (int i = 0; i < 2'000; ++i) {
    auto owned = std::make_unique<std::string>("a text that is not short enough to be in place");
    listener reader{[&](auto, auto) { CHECK(owned->size() == 46); }};
    const subscription s(events, reader.on(events, "*"));
    if (i % 3 == 0) events.publish("x", "{}");
  }
  over = true;
  publisher.join();
  other.join();
}
