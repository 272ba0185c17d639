#include "kernel/calls.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <thread>

#include "kernel/test_parts.hpp"

using namespace rustic::kernel;
using namespace rustic::kernel::testing;

TEST_CASE("a call that finishes at once, and one that finishes later") {
  one_service b;
  caller at_once, later;
  b.s.on_call = [&](const service::seen& c) {
    CHECK(c.method == "do");
    CHECK(c.target == "a/x");
    CHECK(c.flags == 0);
    b.k.emit(c.id, text_event("one "));
    b.k.emit(c.id, text_event("two"));
    b.k.finish(c.id, RAI_OK, str("{\"r\":1}"));
    CHECK(b.s.releases() == 0);  // not before `call` has returned
  };
  CHECK(b.call(at_once, "a/x") == 0);
  CHECK(at_once.joined() == "one two");
  CHECK(at_once.status() == RAI_OK);
  CHECK(at_once.body() == "{\"r\":1}");
  CHECK(b.s.releases() == 1);
  b.s.on_call = nullptr;
  const rai_call id = b.call(later, "a/x");
  CHECK(id != 0);
  CHECK(id == b.s.last());
  CHECK(b.k.live_calls() == 1);
  std::thread([&] {
    CHECK(b.k.emit(id, text_event("x")) == RAI_CONTINUE);
    b.k.finish(id, RAI_NOT_FOUND, str("{\"message\":\"m\"}"));
  }).join();
  CHECK(later.status() == RAI_NOT_FOUND);
  CHECK(later.body() == "{\"message\":\"m\"}");
  CHECK(b.s.releases() == 2);
  CHECK(b.k.live_calls() == 0);
  CHECK(b.violations().empty());
}

TEST_CASE("the second finish, a late finish and a late emit do nothing") {
  one_service b;
  caller c;
  c.on_finish = [&] { b.k.finish(b.s.last(), RAI_INTERNAL, str("{}")); };  // from inside the first
  const rai_call id = b.call(c, "a/x");
  b.k.finish(id, RAI_OK, str("{\"first\":1}"));
  b.k.finish(id, RAI_OK, str("{\"late\":1}"));
  CHECK(b.k.emit(id, text_event("late")) == RAI_STOP);
  b.k.cancel(id);
  b.k.resume(id);
  b.k.abandon(id);
  CHECK(c.finishes() == 1);
  CHECK(c.said("first"));
  CHECK(c.events().empty());
  CHECK(b.s.cancels() == 0);
  CHECK(b.s.releases() == 1);
  CHECK(b.violations() == std::vector<std::string>{"plug: a call of a/x was finished twice"});
  // The same while `call` has not returned.
  caller twice;
  b.s.on_call = [&](const service::seen& now) {
    b.k.finish(now.id, RAI_OK, str("{}"));
    b.k.finish(now.id, RAI_INTERNAL, str("{}"));
    CHECK(b.k.emit(now.id, text_event("late")) == RAI_STOP);
  };
  b.call(twice, "a/x");
  CHECK(twice.finishes() == 1);
  CHECK(twice.status() == RAI_OK);
  CHECK(b.violations().size() == 2);
  // No such call ever was.
  for (const rai_call none : {rai_call{0}, rai_call{1}, rai_call{77777}, ~rai_call{0}}) {
    b.k.finish(none, RAI_OK, str("{}"));
    b.k.cancel(none);
    CHECK(b.k.emit(none, text_event("x")) == RAI_STOP);
  }
  CHECK(b.k.live_calls() == 0);
}

TEST_CASE("a status that is none becomes UNKNOWN") {
  one_service b;
  for (const rai_status odd : {-1, 17, 1000}) {
    caller c;
    b.call(c, "a/x");
    b.k.finish(b.s.last(), odd, str("{}"));
    CHECK(c.status() == RAI_UNKNOWN);
  }
}

TEST_CASE("concurrent finishes: one wins") {
  for (int round = 0; round < 200; ++round) {
    one_service b;
    caller c;
    const rai_call id = b.call(c, "a/x");
    std::atomic<int> ready{0};
    const auto racer = [&] {
      ++ready;
      while (ready.load() < 2) std::this_thread::yield();
      b.k.emit(id, text_event("e"));
      b.k.finish(id, RAI_OK, str("{}"));
    };
    std::thread one(racer), two(racer);
    one.join();
    two.join();
    CHECK(c.finishes() == 1);
    CHECK(c.faults() == 0);
    CHECK(b.s.releases() == 1);
    CHECK(b.k.live_calls() == 0);
  }
}

TEST_CASE("what a service throws ends in the kernel") {
  one_service b;
  caller c, after_finish, in_cancel, in_resume;
  b.s.on_call = [](const service::seen&) { throw std::runtime_error("boom"); };
  CHECK(b.call(c, "a/x") == 0);
  CHECK(c.status() == RAI_INTERNAL);
  CHECK(c.said("call of a/x failed: its call function threw: boom"));
  CHECK(b.violations().back() == "plug: a/x: its call function threw: boom");
  b.s.on_call = [&](const service::seen& now) {
    b.k.finish(now.id, RAI_OK, str("{}"));
    throw 7;
  };
  b.call(after_finish, "a/x");
  CHECK(after_finish.finishes() == 1);
  CHECK(after_finish.status() == RAI_OK);
  CHECK(b.violations().size() == 2);
  b.s.on_call = nullptr;
  b.s.on_cancel = [](rai_call) { throw 7; };
  const rai_call id = b.call(in_cancel, "a/x");
  b.k.cancel(id);
  CHECK(in_cancel.finishes() == 0);
  CHECK(b.violations().back() == "plug: a/x: its cancel function threw");
  b.k.finish(id, RAI_OK, str("{}"));
  CHECK(in_cancel.status() == RAI_CANCELLED);
  CHECK(b.k.live_calls() == 0);
}

TEST_CASE("what a caller throws ends in the kernel and cancels its call") {
  one_service b;
  caller c, d;
  c.flow = [](const rai_event&) -> rai_flow { throw std::runtime_error("boom"); };
  const rai_call id = b.k.call(0, request_for("a/x"), c.observer(), "asker");
  CHECK(b.k.emit(id, text_event("x")) == RAI_STOP);
  CHECK(b.s.cancels() == 1);
  b.k.finish(id, RAI_OK, str("{}"));
  CHECK(c.status() == RAI_CANCELLED);
  CHECK(b.violations()[0] == "asker: its event function threw; the call is cancelled");
  d.on_finish = [] { throw 7; };
  const rai_call other = b.k.call(0, request_for("a/x"), d.observer(), "asker");
  b.k.finish(other, RAI_OK, str("{}"));
  CHECK(b.violations()[1] == "asker: its finish function threw");
  CHECK(b.k.live_calls() == 0);
}

TEST_CASE("cancel: the service is told once, and the kernel decides the status") {
  one_service b;
  caller c;
  const rai_call id = b.call(c, "a/x");
  b.k.cancel(id);
  b.k.cancel(id);
  CHECK(b.s.cancels() == 1);
  CHECK(c.finishes() == 0);
  CHECK(info_of(b.k, id).cancelled == 1);
  CHECK(b.k.emit(id, text_event("late")) == RAI_STOP);
  b.k.finish(id, RAI_OK, str("{\"paid\":true}"));
  CHECK(c.status() == RAI_CANCELLED);
  CHECK(c.body() ==
        "{\"message\":\"call of a/x was cancelled: its caller cancelled it\","
        "\"details\":{\"late_status\":0,\"late_body\":{\"paid\":true}}}");
  CHECK(c.events().empty());
  CHECK(b.s.releases() == 1);
  caller odd;
  const rai_call second = b.call(odd, "a/x");
  b.k.cancel(second);
  b.k.finish(second, RAI_INTERNAL, str("not json"));
  CHECK(odd.said("\"details\":{\"late_status\":13}}"));
  CHECK(b.s.faults() == 0);
}

TEST_CASE("a cancel that comes before `call` has returned is delivered right after") {
  one_service b;
  caller c;
  b.s.on_call = [&](const service::seen& now) {
    b.k.cancel(now.id);
    CHECK(b.s.cancels() == 0);
  };
  b.s.on_cancel = [&](rai_call id) { b.k.finish(id, RAI_OK, str("{}")); };
  b.call(c, "a/x");
  CHECK(b.s.cancels() == 1);
  CHECK(c.status() == RAI_CANCELLED);
  CHECK(b.s.releases() == 1);
  CHECK(b.s.faults() == 0);
  CHECK(b.k.live_calls() == 0);
}

TEST_CASE("STOP from the caller cancels") {
  one_service b;
  caller c;
  c.flow = [](const rai_event&) { return rai_flow{RAI_STOP}; };
  const rai_call id = b.call(c, "a/x");
  CHECK(b.k.emit(id, text_event("x")) == RAI_STOP);
  CHECK(b.k.emit(id, text_event("y")) == RAI_STOP);
  CHECK(b.s.cancels() == 1);
  b.k.finish(id, RAI_OK, str("{}"));
  CHECK(c.status() == RAI_CANCELLED);
  CHECK(c.said("takes no more events"));
  CHECK(c.joined() == "x");
}

TEST_CASE("a caller that wants no events gets none") {
  one_service b;
  caller c;
  const rai_call id = b.k.call(0, request_for("a/x"), c.observer(false), {});
  CHECK(b.k.emit(id, text_event("x")) == RAI_CONTINUE);
  b.k.finish(id, RAI_OK, str("{}"));
  CHECK(c.finishes() == 1);
}

TEST_CASE("PAUSE keeps events back until resume") {
  one_service b;
  caller c;
  c.flow = [](const rai_event& e) {
    return rai_flow{view(e.text) == "2" ? RAI_PAUSE : RAI_CONTINUE};
  };
  const rai_call id = b.call(c, "a/x");
  CHECK(b.k.emit(id, text_event("1")) == RAI_CONTINUE);
  CHECK(b.k.emit(id, text_event("2")) == RAI_PAUSE);
  CHECK(b.k.emit(id, text_event("3")) == RAI_PAUSE);  // overshoot is kept
  CHECK(b.k.emit(id, text_event("4")) == RAI_PAUSE);
  CHECK(c.joined() == "12");
  CHECK(b.s.resumes() == 0);
  b.k.resume(id);
  CHECK(c.joined() == "1234");
  CHECK(b.s.resumes() == 1);
  b.k.resume(id);  // nothing is paused
  CHECK(b.s.resumes() == 1);
  // The finish waits behind events that were kept, and only behind those.
  CHECK(b.k.emit(id, text_event("2")) == RAI_PAUSE);
  CHECK(b.k.emit(id, text_event("5")) == RAI_PAUSE);
  b.k.finish(id, RAI_OK, str("{\"r\":2}"));
  CHECK(b.s.releases() == 1);
  CHECK(c.finishes() == 0);
  CHECK(b.k.emit(id, text_event("6")) == RAI_STOP);
  b.k.resume(id);
  CHECK(c.joined() == "123425");
  CHECK(c.body() == "{\"r\":2}");
  CHECK(b.s.resumes() == 1);
  CHECK(b.k.live_calls() == 0);
  caller d;
  d.flow = [](const rai_event&) { return rai_flow{RAI_PAUSE}; };
  const rai_call other = b.call(d, "a/x");
  b.k.emit(other, text_event("x"));
  b.k.finish(other, RAI_OK, str("{}"));
  CHECK(d.finishes() == 1);
}

TEST_CASE("a resume during the event that answers PAUSE is not lost") {
  one_service b;
  caller c;
  rai_call id = 0;
  bool from_thread = false;
  c.flow = [&](const rai_event&) {
    if (from_thread) {
      std::thread([&] { b.k.resume(id); }).join();
    } else {
      b.k.resume(id);
    }
    return rai_flow{RAI_PAUSE};
  };
  id = b.call(c, "a/x");
  CHECK(b.k.emit(id, text_event("1")) == RAI_CONTINUE);
  from_thread = true;
  CHECK(b.k.emit(id, text_event("2")) == RAI_CONTINUE);
  CHECK(c.joined() == "12");
  CHECK(b.s.resumes() == 0);  // it was never told to pause
  b.k.finish(id, RAI_OK, str("{}"));
}

TEST_CASE("an endless stream in small steps: resume emits, and is paused again") {
  one_service b;
  caller c;
  int left = 10'000;
  c.flow = [](const rai_event&) { return rai_flow{RAI_PAUSE}; };
  b.s.on_resume = [&](rai_call id) {
    while (left > 0) {
      --left;
      if (b.k.emit(id, text_event(".")) == RAI_PAUSE) return;
    }
    b.k.finish(id, RAI_OK, str("{}"));
  };
  const rai_call id = b.call(c, "a/x");
  b.k.emit(id, text_event("."));
  int rounds = 0;
  while (c.finishes() == 0 && ++rounds < 20'000) b.k.resume(id);
  CHECK(c.events().size() == 10'001);
  CHECK(c.status() == RAI_OK);
  CHECK(b.s.faults() == 0);
  CHECK(b.s.releases() == 1);
}

TEST_CASE("who emits more than the backlog holds is cancelled") {
  for (const bool bytes : {false, true}) {
    one_service b;
    caller c;
    c.flow = [](const rai_event&) { return rai_flow{RAI_PAUSE}; };
    const rai_call id = b.call(c, "a/x");
    const std::string text(bytes ? 4'096 : 1, 'x');
    const std::size_t fits = bytes ? max_backlog_bytes / text.size() : max_backlog_events;
    CHECK(b.k.emit(id, text_event(text)) == RAI_PAUSE);
    for (std::size_t i = 0; i < fits; ++i) CHECK(b.k.emit(id, text_event(text)) == RAI_PAUSE);
    CHECK(b.k.emit(id, text_event(text)) == RAI_STOP);
    CHECK(b.s.cancels() == 1);
    b.k.finish(id, RAI_OK, str("{}"));
    CHECK(c.status() == RAI_RESOURCE_EXHAUSTED);
    CHECK(c.events().size() == 1);
  }
}

TEST_CASE("events from inside an event and from another thread keep their order") {
  one_service b;
  caller c;
  rai_call id = 0;
  c.flow = [&](const rai_event& e) {
    if (view(e.text) == "1") {
      CHECK(b.k.emit(id, text_event("2")) == RAI_CONTINUE);
      std::thread([&] { CHECK(b.k.emit(id, text_event("3")) == RAI_CONTINUE); }).join();
      b.k.finish(id, RAI_OK, str("{}"));
      CHECK(c.finishes() == 0);
      CHECK(b.k.emit(id, text_event("4")) == RAI_STOP);
    }
    return rai_flow{RAI_CONTINUE};
  };
  id = b.call(c, "a/x");
  b.k.emit(id, text_event("1"));
  CHECK(c.joined() == "123");
  CHECK(c.finishes() == 1);
  CHECK(c.faults() == 0);
  CHECK(b.k.live_calls() == 0);
}
