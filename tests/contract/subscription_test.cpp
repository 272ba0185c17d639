// The queued subscription of the SDK on the bus of the kernel.
#include <rustic/subscription.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <rustic/loop.hpp>
#include <rustic/status.hpp>
#include <string>
#include <thread>
#include <vector>

#include "kernel/kernel.hpp"

using namespace rustic;

namespace {

using lossy_end = queued_subscription<drop_newest>;
using lossy_begin = queued_subscription<drop_oldest>;

// A host table over a kernel's bus.
struct host {
  kernel::kernel k;
  std::mutex mutex;
  std::string logged;
  rai_host table{};

  host() {
    table.struct_size = sizeof(table);
    table.self = this;
    table.subscribe = [](void* self, rai_str pattern, rai_handler handler, void* context) {
      return static_cast<host*>(self)->k.events().subscribe(to_view(pattern), handler, context);
    };
    table.unsubscribe = [](void* self, std::uint64_t id) {
      static_cast<host*>(self)->k.events().unsubscribe(id);
    };
    table.log = [](void* self, std::int32_t, rai_call, rai_str text) {
      auto& me = *static_cast<host*>(self);
      const std::scoped_lock lock(me.mutex);
      me.logged += std::string(to_view(text)) + "\n";
    };
  }
  void publish(std::string_view topic, std::string_view body) { k.events().publish(topic, body); }
  std::string log_text() {
    const std::scoped_lock lock(mutex);
    return logged;
  }
};

// Keeps the loop busy until it is told, so that what comes meanwhile has to wait.
class busy {
 public:
  explicit busy(loop& lane) {
    std::promise<void> begun;
    auto running = begun.get_future();
    REQUIRE(lane.post([this, &begun] {
      begun.set_value();
      over_.get_future().wait();
    }));
    running.wait();
  }
  void end() { over_.set_value(); }

 private:
  std::promise<void> over_;
};

// Returns when the loop has done what was posted before, and what that posted.
void settle(loop& lane, int rounds = 50) {
  for (int i = 0; i < rounds; ++i) {
    std::promise<void> done;
    REQUIRE(lane.post([&] { done.set_value(); }));
    done.get_future().wait();
  }
}
}  // namespace

TEST_CASE("events are heard on the loop, in order, and nobody waits for them") {
  host h;
  loop lane;
  std::string heard;
  std::thread::id where;
  lossy_end s(h.table, "news.*", lane, [&](std::string_view topic, std::string_view body) {
    heard += std::string(topic) + "=" + std::string(body) + ";";
    where = std::this_thread::get_id();
  });
  busy meanwhile(lane);
  h.publish("news.a", "1");
  h.publish("other", "2");
  h.publish("news.b", "3");
  meanwhile.end();
  settle(lane);
  CHECK(heard == "news.a=1;news.b=3;");
  CHECK(where != std::this_thread::get_id());
  CHECK(s.dropped() == 0);
  CHECK(h.log_text().empty());
}

TEST_CASE("a full queue loses what its type says, counts it, and says so once") {
  host h;
  loop lane;
  std::string oldest, newest, bytes;
  const auto into = [](std::string& out) {
    return [&out](std::string_view, std::string_view body) { out += body; };
  };
  lossy_begin a(h.table, "n", lane, into(oldest), {3, 100});
  lossy_end b(h.table, "n", lane, into(newest), {3, 100});
  lossy_begin c(h.table, "n", lane, into(bytes), {100, 6});  // topic and body count
  busy meanwhile(lane);
  for (const char* text : {"1", "2", "3", "4", "5"}) h.publish("n", text);
  h.publish("n", std::string(100, 'x'));  // fits nowhere
  meanwhile.end();
  settle(lane);
  CHECK(oldest == "345");
  CHECK(newest == "123");
  CHECK(bytes == "345");
  for (const event_queue* q : {static_cast<event_queue*>(&a), static_cast<event_queue*>(&b),
                               static_cast<event_queue*>(&c)})
    CHECK(q->dropped() == 3);
  const auto said = h.log_text();
  CHECK(std::count(said.begin(), said.end(), '\n') == 3);
  CHECK(said.find("events of n are lost") != std::string::npos);
  h.publish("n", "6");
  settle(lane);
  CHECK(oldest == "3456");
  CHECK(newest == "1236");
}

TEST_CASE("what the listener throws is told, and the next event is heard") {
  host h;
  loop lane;
  int heard = 0;
  lossy_end s(h.table, "*", lane, [&](std::string_view, std::string_view) {
    if (++heard == 1) throw std::runtime_error("not this one");
  });
  h.publish("a", "{}");
  h.publish("a", "{}");
  settle(lane);
  CHECK(heard == 2);
  CHECK(h.log_text().find("the listener of * threw: not this one") != std::string::npos);
}

TEST_CASE("a pattern that is none is refused") {
  host h;
  loop lane;
  CHECK_THROWS_AS(lossy_end(h.table, "a*b", lane, {}), failure);
}

TEST_CASE("after the destructor nothing is heard, wherever it runs") {
  host h;
  loop lane;
  std::optional<lossy_end> s;
  std::atomic<int> heard{0};
  SUBCASE("on another thread, while the listener runs") {
    std::promise<void> begun;
    std::atomic<bool> ended{false};
    s.emplace(h.table, "*", lane, [&](std::string_view, std::string_view) {
      begun.set_value();
      for (int i = 0; i < 1'000; ++i) std::this_thread::yield();
      ended = true;
    });
    h.publish("a", "{}");
    h.publish("a", "{}");
    begun.get_future().wait();
    s.reset();
    CHECK(ended);
    settle(lane);
  }
  SUBCASE("inside the listener") {
    s.emplace(h.table, "*", lane, [&](std::string_view, std::string_view) {
      ++heard;
      s.reset();
    });
    h.publish("a", "{}");
    settle(lane);
    h.publish("a", "{}");
    settle(lane);
    CHECK(heard == 1);
  }
  SUBCASE("inside a handler of the bus") {
    s.emplace(h.table, "b", lane, [&](std::string_view, std::string_view) { ++heard; });
    const auto other = h.k.events().subscribe(
        "a",
        [](void* self, rai_str, rai_str) { static_cast<std::optional<lossy_end>*>(self)->reset(); },
        &s);
    busy meanwhile(lane);
    h.publish("b", "{}");
    h.publish("a", "{}");
    meanwhile.end();
    h.publish("b", "{}");
    settle(lane);
    CHECK(heard == 0);
    h.k.events().unsubscribe(other);
  }
}

TEST_CASE("subscriptions come and go while everybody publishes") {
  host h;
  loop lane;
  std::atomic<bool> over{false};
  std::vector<std::thread> loud;
  for (int i = 0; i < 3; ++i) {
    loud.emplace_back([&] {
      while (!over) h.publish("t.x", "{}");
    });
  }
  for (int i = 0; i < 200; ++i) {
    auto alive = std::make_unique<std::atomic<int>>(0);
    const lossy_begin s(h.table, "t.*", lane,
                        [at = alive.get()](std::string_view, std::string_view) { ++*at; },
                        {4, 1'000});
    if (i % 4 == 0) {
      while (*alive == 0) std::this_thread::yield();
    }
  }
  over = true;
  for (auto& one : loud) one.join();
  settle(lane);
}
