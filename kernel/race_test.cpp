// Two or more ends of one call at the same moment, again and again: what stress leaves to chance.
#include <doctest/doctest.h>

#include <barrier>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "kernel/test_parts.hpp"

using namespace rustic::kernel;
using namespace rustic::kernel::testing;

namespace {

// Each is a few switches between threads: on a busy machine they are what takes the time.
constexpr int rounds = 300;

/// Threads that live for all rounds; in each, every one does its part at the same moment.
class racers {
 public:
  explicit racers(std::vector<std::function<void(int round)>> parts)
      : gate_(static_cast<std::ptrdiff_t>(parts.size()) + 1) {
    for (auto& part : parts) {
      threads_.emplace_back([this, part = std::move(part)] {
        for (int round = 0; round < rounds; ++round) {
          gate_.arrive_and_wait();
          part(round);
          gate_.arrive_and_wait();
        }
      });
    }
  }
  /// `before` and `after` run alone.
  void run(const std::function<void(int)>& before, const std::function<void(int)>& after) {
    for (int round = 0; round < rounds; ++round) {
      before(round);
      gate_.arrive_and_wait();
      gate_.arrive_and_wait();
      after(round);
    }
    for (auto& t : threads_) t.join();
  }

 private:
  std::barrier<> gate_;
  std::vector<std::thread> threads_;
};

/// One service under a name of its own for each round.
struct stage {
  bench b;
  std::unique_ptr<service> s;
  std::unique_ptr<caller> who;
  rai_call id = 0;
  std::uint64_t generation = 0;

  void set(const char* target, std::uint32_t timeout_ms) {
    s = std::make_unique<service>();
    who = std::make_unique<caller>();
    const outcome made = b.k.names().provide({target, "plug", {}}, s->table());
    REQUIRE(made.ok());
    generation = made.generation;
    rai_request request = request_for(target);
    request.timeout_ms = timeout_ms;
    id = b.k.call(0, request, who->observer(), {});
    REQUIRE(id != 0);
  }
};

}  // namespace

TEST_CASE("finish, cancel, deadline, abandon and unload at one moment") {
  stage at;
  kernel& k = at.b.k;
  std::atomic<int> drained{0};
  racers all({[&](int round) {
                k.emit(at.id, text_event("e"));
                k.finish(at.id, RAI_OK, str("{\"did\":1}"));
                if (round % 3 == 0) k.finish(at.id, RAI_INTERNAL, str("{}"));
              },
              [&](int round) {
                k.cancel(at.id);
                if (round % 2 == 0) k.abandon(at.id);
              },
              [&](int) { k.expire(at.b.now_ns); },
              [&](int) {
                const outcome gone = k.names().withdraw("a/x", "plug");
                k.cancel_generation(gone.replaced);
                k.names().when_drained(gone.replaced, [&] { ++drained; });
                CHECK(k.names().wait_drained(gone.replaced, 20'000));
              }});
  all.run(
      [&](int) {
        at.set("a/x", 5);
        at.b.now_ns += 5'000'000;
      },
      [&](int round) {
        REQUIRE(at.who->finishes() == 1);
        const auto status = at.who->status();
        CHECK((status == RAI_OK || status == RAI_CANCELLED || status == RAI_DEADLINE_EXCEEDED));
        // Whatever the service has done stays known, but for a call that was abandoned.
        if (status == RAI_OK) CHECK(at.who->body() == "{\"did\":1}");
        if (status != RAI_OK && round % 2 != 0) {
          CAPTURE(at.who->body());
          CHECK(at.who->said("\"late_body\":{\"did\":1}"));
        }
        CHECK(at.who->faults() == 0);
        CHECK(at.s->faults() == 0);
        CHECK(at.s->releases() == 1);
        CHECK(k.live_calls() == 0);
      });
  CHECK(drained.load() == rounds);
  for (const auto& count : k.abandoned_calls()) CHECK(count.now == 0);
}

TEST_CASE("children are made while their parent finishes, is cancelled, or is forwarded") {
  stage at;
  kernel& k = at.b.k;
  service leaf;
  leaf.on_cancel = [&](rai_call id) { k.finish(id, RAI_CANCELLED, str("{}")); };
  leaf.with_op = true;
  at.b.provide("t/leaf", leaf, "leaf");
  std::deque<caller> children, shielded;
  racers all({[&](int) {
                for (int i = 0; i < 4; ++i)
                  at.b.call(children.emplace_back(), "t/leaf", at.id, "plug");
              },
              [&](int) {
                rai_request request = request_for("t/leaf");
                request.flags = RAI_SHIELDED;
                request.timeout_ms = 1;
                k.call(at.id, request, shielded.emplace_back().observer(), "plug");
              },
              [&](int round) {
                if (round % 2 == 0) k.cancel(at.id);
                k.finish(at.id, RAI_OK, str("{}"));
              }});
  all.run([&](int) { at.set("a/x", 0); },
          [&](int) {
            at.b.pass_ms(1);  // shielded ones end by their own deadline
            REQUIRE(at.who->finishes() == 1);
            for (const auto* some : {&children, &shielded}) {
              for (const caller& c : *some) {
                CHECK(c.finishes() == 1);
                CHECK(c.faults() == 0);
              }
            }
            children.clear();
            shielded.clear();
            CHECK(k.live_calls() == 0);
            (void)k.names().withdraw("a/x", "plug");
          });
  CHECK(leaf.releases() == leaf.calls());
  CHECK(leaf.faults() == 0);
}

TEST_CASE("a paused stream: resume, emit, cancel and finish at one moment") {
  stage at;
  kernel& k = at.b.k;
  racers all({[&](int) {
                for (int i = 0; i < 5; ++i) {
                  if (k.emit(at.id, text_event("e")) == RAI_STOP) break;
                }
                k.finish(at.id, RAI_OK, str("{}"));
              },
              [&](int) {
                for (int i = 0; i < 8; ++i) k.resume(at.id);
              },
              [&](int round) {
                if (round % 3 == 0) k.cancel(at.id);
              }});
  all.run(
      [&](int) {
        at.set("a/x", 0);
        at.who->flow = [](const rai_event&) { return rai_flow{RAI_PAUSE}; };
      },
      [&](int round) {
        for (int i = 0; i < 6; ++i) k.resume(at.id);
        REQUIRE(at.who->finishes() == 1);
        if (round % 3 != 0) CHECK(at.who->joined() == "eeeee");
        CHECK(at.who->faults() == 0);
        CHECK(at.s->faults() == 0);
        CHECK(k.live_calls() == 0);
        (void)k.names().withdraw("a/x", "plug");
      });
}

TEST_CASE("an activation, those who wait for it, a withdrawal and the end of everything") {
  std::unique_ptr<bench> b;
  service s;
  std::deque<caller> first, second;
  const auto ask = [&](std::deque<caller>& callers) {
    for (int i = 0; i < 3; ++i) b->call(callers.emplace_back(), "z/lazy");
  };
  s.on_call = [&](const service::seen& now) { b->k.finish(now.id, RAI_OK, str("{}")); };
  racers all({[&](int) { ask(first); }, [&](int) { ask(second); },
              [&](int round) {
                if (round % 2 == 0) (void)b->k.names().withdraw("z/lazy", "plug");
                if (round % 3 == 0) b->k.shut_down();
              }});
  all.run(
      [&](int round) {
        first.clear();
        second.clear();
        b = std::make_unique<bench>();
        (void)b->k.names().declare(
            {"z/lazy", "plug", {}},
            activating([&, round](std::string_view, rai_service* out, std::string& error) {
              std::this_thread::yield();
              if (round % 5 == 0) {
                error = "not now";
                return rai_status{RAI_UNAVAILABLE};
              }
              *out = s.table();
              return rai_status{RAI_OK};
            }));
      },
      [&](int round) {
        for (const auto* some : {&first, &second}) {
          for (const caller& c : *some) {
            CHECK(c.finishes() == 1);
            CHECK(c.faults() == 0);
            if (round % 30 == 1) CHECK(c.status() == RAI_OK);
          }
        }
        CHECK(b->k.live_calls() == 0);
      });
  CHECK(s.releases() == s.calls());
}

TEST_CASE("an observer that ends its call from inside its own callbacks") {
  one_service b;
  for (const bool abandons : {false, true}) {
    CAPTURE(abandons);
    caller who, below;
    rai_call id = 0;
    who.flow = [&](const rai_event&) {
      b.k.cancel(id);
      b.k.cancel(id);
      if (abandons) b.k.abandon(id);
      CHECK(who.finishes() == 0);  // not while the event is on its way
      return rai_flow{RAI_PAUSE};
    };
    who.on_finish = [&] {
      b.k.cancel(id);
      b.k.abandon(id);
      b.k.resume(id);
      b.call(below, "a/x", id);  // too late
    };
    id = b.call(who, "a/x");
    CHECK(b.k.emit(id, text_event("e")) == RAI_STOP);
    CHECK(who.finishes() == (abandons ? 1 : 0));
    b.k.finish(id, RAI_OK, str("{}"));
    CHECK(who.finishes() == 1);
    CHECK(who.status() == RAI_CANCELLED);
    CHECK(below.finishes() == 1);
    CHECK(below.status() == RAI_CANCELLED);
    CHECK(b.k.live_calls() == 0);
  }
  CHECK(b.s.faults() == 0);
  CHECK(b.violations().empty());
}

TEST_CASE("an interceptor that calls, and calls on, from inside the observer of its own call") {
  bench b;
  service end, side, p;
  end.on_call = [&](const service::seen& now) {
    b.k.emit(now.id, text_event("x"));
    b.k.finish(now.id, end.calls() == 1 ? RAI_UNAVAILABLE : RAI_OK, str("{}"));
  };
  side.on_call = [&](const service::seen& now) { b.k.finish(now.id, RAI_OK, str("{}")); };
  b.provide("t/x", end, "tool");
  b.provide("t/side", side, "tool");
  b.provide("rustic.interceptor/p", p, "plug-p");
  REQUIRE(b.k.names().intercept("t/*", 1, "p", true).ok());
  std::deque<caller> inner;
  int attempts = 0;
  std::function<void(rai_call)> next = [&](rai_call id) {
    rai_request request = request_for("ignored/x");
    request.flags = RAI_NEXT;
    caller& c = inner.emplace_back();
    c.flow = [&, id](const rai_event&) {
      b.call(inner.emplace_back(), "t/side", id, "plug-p");  // not intercepted by p
      return rai_flow{RAI_CONTINUE};
    };
    c.on_finish = [&, id] {
      if (++attempts == 1) return next(id);  // the second try out of the finish of the first
      b.k.finish(id, RAI_OK, str("{\"tries\":2}"));
    };
    b.k.call(id, request, c.observer(), "plug-p");
  };
  p.on_call = [&](const service::seen& now) { next(now.id); };
  caller who;
  b.call(who, "t/x");
  CHECK(who.body() == "{\"tries\":2}");
  CHECK(p.calls() == 1);
  CHECK(end.calls() == 2);
  CHECK(side.calls() == 2);
  for (const caller& c : inner) CHECK(c.finishes() == 1);
  CHECK(b.k.live_calls() == 0);
  CHECK(b.violations().empty());
}
