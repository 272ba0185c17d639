// Threads at once: what only a race detector sees. Meant for ThreadSanitizer; the checks hold
// everywhere.
#include <doctest/doctest.h>

#include <algorithm>
#include <future>
#include <memory>
#include <random>
#include <thread>

#include "kernel/test_parts.hpp"

using namespace rustic::kernel;
using namespace rustic::kernel::testing;

namespace {

constexpr int thread_count = 4;

void in_threads(const std::function<void(int)>& work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < thread_count; ++i) threads.emplace_back(work, i);
  for (auto& t : threads) t.join();
}

/// Takes jobs from any thread and does them on its own: a service that answers later.
class loop {
 public:
  loop() : thread_([this] { run(); }) {}
  ~loop() {
    {
      const std::lock_guard hold(mutex_);
      over_ = true;
    }
    moved_.notify_all();
    thread_.join();
  }
  void post(std::function<void()> job) {
    {
      const std::lock_guard hold(mutex_);
      jobs_.push_back(std::move(job));
    }
    moved_.notify_all();
  }

 private:
  void run() {
    std::unique_lock hold(mutex_);
    for (;;) {
      moved_.wait(hold, [this] { return over_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      const auto job = std::move(jobs_.front());
      jobs_.pop_front();
      hold.unlock();
      job();
      hold.lock();
    }
  }
  std::mutex mutex_;
  std::condition_variable moved_;
  std::deque<std::function<void()>> jobs_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace

TEST_CASE("calls, events, cancels, pauses and deadlines from all sides") {
  bench b;
  loop worker;  // declared after the kernel: it is joined first
  service s;
  s.on_call = [&](const service::seen& now) {
    const rai_call id = now.id;
    switch (id >> 20 & 3) {
      case 0:
        b.k.finish(id, RAI_OK, str("{}"));
        break;
      case 1:
        b.k.emit(id, text_event("early"));
        [[fallthrough]];
      default:
        worker.post([&b, id] {
          for (int i = 0; i < 5; ++i) {
            const std::string text(1 + static_cast<std::size_t>(i) * 7, 'x');
            if (b.k.emit(id, text_event(text)) == RAI_STOP) break;
          }
          b.k.finish(id, RAI_OK, str("{\"a\":1}"));
          b.k.finish(id, RAI_INTERNAL, str("{}"));
        });
    }
  };
  service pass;
  pass.on_call = [&](const service::seen& now) {
    const rai_request next = request_for(now.target, now.method, now.body);
    if (now.id % 3 == 0) {
      worker.post([&b, id = now.id] { b.k.forward(id, request_for("ignored/x")); });
    } else {
      b.k.forward(now.id, next);
    }
  };
  b.provide("a/x", s);
  b.provide("i/x", s);
  b.provide("rustic.interceptor/pass", pass);
  CHECK(b.k.names().intercept("i/*", 1, "pass", true).ok());

  constexpr int rounds = 400;
  std::vector<std::deque<caller>> callers(thread_count);
  in_threads([&](int thread) {
    std::mt19937 random(static_cast<unsigned>(thread) + 1);
    std::vector<rai_call> ids;
    for (int i = 0; i < rounds; ++i) {
      caller& c = callers[static_cast<std::size_t>(thread)].emplace_back();
      const auto dice = random() % 8;
      c.flow = [dice](const rai_event&) {
        return rai_flow{dice == 0 ? RAI_PAUSE : dice == 1 ? RAI_STOP : RAI_CONTINUE};
      };
      rai_request r = request_for(random() % 2 ? "a/x" : "i/x");
      if (random() % 4 == 0) r.timeout_ms = static_cast<std::uint32_t>(1 + random() % 20);
      const rai_call parent = random() % 3 == 0 && !ids.empty() ? ids.back() : 0;
      const rai_call id = b.k.call(parent, r, c.observer(), "asker");
      if (id != 0) ids.push_back(id);
      for (int k = 0; k < 3 && !ids.empty(); ++k) {
        const rai_call other = ids[random() % ids.size()];
        switch (random() % 5) {
          case 0:
            b.k.cancel(other);
            break;
          case 1:
            b.k.resume(other);
            break;
          case 2:
            b.k.abandon(other);
            break;
          case 3: {
            rai_call_info info{};
            info.struct_size = sizeof info;
            (void)b.k.info(other, &info);
            break;
          }
          default:
            b.now_ns += 1'000'000;
            b.k.expire(b.now_ns);
        }
      }
    }
    for (const rai_call id : ids) b.k.cancel(id);
  });
  for (auto& mine : callers) {
    for (caller& c : mine) {
      REQUIRE(c.wait_finished());
      CHECK(c.finishes() == 1);
      CHECK(c.faults() == 0);
    }
  }
  std::promise<void> done;
  worker.post([&] { done.set_value(); });
  done.get_future().wait();
  CHECK(b.k.live_calls() == 0);
  CHECK(s.releases() == s.calls());
  CHECK(pass.releases() == pass.calls());
  CHECK(s.faults() == 0);
  CHECK(pass.faults() == 0);
  for (const auto& count : b.k.abandoned_calls()) CHECK(count.now == 0);
}

TEST_CASE("a service is swapped, withdrawn and activated again under load") {
  bench b;
  service generations[8];
  for (auto& s : generations) {
    s.on_call = [&](const service::seen& now) { b.k.finish(now.id, RAI_OK, str("{}")); };
  }
  b.provide("a/x", generations[0], "p");
  std::atomic<bool> over{false};
  std::atomic<int> answered{0}, missing{0}, drained{0};
  int made = 0;
  std::thread swapper([&] {
    for (int i = 0; i < 300; ++i) {
      service& s = generations[i % 8];
      outcome done;
      if (i % 3 == 0) {
        (void)b.k.names().withdraw("a/x", "p");
      }
      if (i % 2 == 0) {
        done = b.k.names().rebind({"a/x", "p", {}}, s.table());
      } else {
        done = b.k.names().rebind(
            {"a/x", "p", {}}, activating([&s](std::string_view, rai_service* out, std::string&) {
              *out = s.table();
              return rai_status{RAI_OK};
            }));
      }
      CHECK(done.ok());
      if (done.replaced != 0) {
        ++made;
        b.k.names().when_drained(done.replaced, [&] { ++drained; });
        CHECK(b.k.names().wait_drained(done.replaced, 20'000));
      }
      (void)b.k.names().alias("a/other", i % 2 == 0 ? "a/x" : "");
    }
    over = true;
  });
  in_threads([&](int) {
    do {
      caller c;
      b.call(c, "a/x");
      REQUIRE(c.wait_finished());
      CHECK(c.finishes() == 1);
      ++(c.status() == RAI_OK ? answered : missing);
      caller d;
      b.call(d, "a/other");
      REQUIRE(d.wait_finished());
    } while (!over.load());
  });
  swapper.join();
  CHECK(answered.load() > 0);
  CHECK(drained.load() == made);
  CHECK(b.k.live_calls() == 0);
}

TEST_CASE("many wait for one activation") {
  for (int round = 0; round < 50; ++round) {
    bench b;
    service s;
    s.on_call = [&](const service::seen& now) { b.k.finish(now.id, RAI_OK, str("{}")); };
    std::atomic<int> activations{0};
    (void)b.k.names().declare(
        {"a/x", "p", {}}, activating([&](std::string_view, rai_service* out, std::string& error) {
          std::this_thread::yield();
          if (activations.fetch_add(1) == 0 && round % 2 == 0) {
            error = "not yet";
            return rai_status{RAI_UNAVAILABLE};
          }
          *out = s.table();
          return rai_status{RAI_OK};
        }));
    in_threads([&](int) {
      caller c;
      const rai_call id = b.call(c, "a/x");
      if (id % 5 == 0) b.k.cancel(id);
      REQUIRE(c.wait_finished());
      CHECK(c.finishes() == 1);
    });
    CHECK(b.k.live_calls() == 0);
  }
}

TEST_CASE("subscribers come and go while everybody publishes") {
  bench b;
  bus& events = b.k.events();
  std::atomic<int> faults{0};
  struct target {
    std::atomic<bool> alive{true};
    std::atomic<int>* faults;
    bus* events;
  };
  in_threads([&](int thread) {
    std::mt19937 random(static_cast<unsigned>(thread) + 1);
    for (int i = 0; i < 300; ++i) {
      target t;
      t.faults = &faults;
      t.events = &events;
      {
        const subscription s(events, events.subscribe(
                                         random() % 2 ? "t.*" : "*",
                                         [](void* self, rai_str topic, rai_str) {
                                           auto& at = *static_cast<target*>(self);
                                           if (!at.alive.load()) ++*at.faults;
                                           if (view(topic) == "t.nest")
                                             at.events->publish("t.inner", "{}");
                                         },
                                         &t));
        events.publish(random() % 4 ? "t.x" : "t.nest", "{}");
        events.publish("u", "{}");
      }
      t.alive = false;
    }
  });
  CHECK(faults.load() == 0);
  CHECK(b.warnings().empty());
}

TEST_CASE("watchers come and go while names change") {
  bench b;
  service s;
  std::atomic<int> heard{0};
  in_threads([&](int thread) {
    const std::string name = "w/" + std::to_string(thread);
    for (int i = 0; i < 100; ++i) {
      auto alive = std::make_unique<std::atomic<int>>(0);
      const auto id = b.k.names().watch("w/*", [&, at = alive.get()](const change&) {
        ++*at;
        ++heard;
      });
      (void)b.k.names().provide({name, "p", {}}, s.table());
      (void)b.k.names().withdraw(name, "p");
      b.k.names().unwatch(id);
    }
  });
  CHECK(heard.load() > 0);
}
