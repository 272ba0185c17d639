// Interceptors, guards, and what passes through them.
#include <doctest/doctest.h>

#include "kernel/test_parts.hpp"

using namespace rustic::kernel;
using namespace rustic::kernel::testing;

namespace {

/// Interceptors p, q, r before t/x. Each notes its name and forwards.
struct chain : bench {
  service end, p, q, r;
  std::string order;

  chain() {
    provide("t/x", end, "tool");
    end.on_call = [this](const service::seen& c) {
      order += "x";
      k.emit(c.id, text_event("event"));
      k.finish(c.id, RAI_OK, str("{\"r\":1}"));
    };
    place("p", p);
    place("q", q);
    place("r", r);
  }
  void place(const char* name, service& s) {
    provide(std::string(interceptor_prefix) + name, s, std::string("plug-") + name);
    s.on_call = [this, name](const service::seen& c) {
      order += name;
      forward(c);
    };
  }
  void forward(const service::seen& c) {
    const rai_request next = request_for(c.target, c.method, c.body);
    k.forward(c.id, next);
  }
  rai_request next_request() {
    rai_request out = request_for("ignored/target", "other", "{\"changed\":1}");
    out.flags = RAI_NEXT;
    return out;
  }
  void intercept(const char* pattern, int order_number, const char* name, bool required = true) {
    CHECK(k.names().intercept(pattern, order_number, name, required).ok());
  }
};

}  // namespace

TEST_CASE("interceptors stand by their order, see the call as it is, and forward") {
  chain c;
  c.intercept("t/*", 20, "q");
  c.intercept("*", -5, "rustic.interceptor/p");
  c.intercept("t/x", 30, "r");
  c.intercept("u/*", 1, "r");
  c.intercept("*", 99, "q");  // stands there already
  caller who;
  CHECK(c.call(who, "t/x") == 0);
  CHECK(c.order == "pqrx");
  CHECK(who.joined() == "event");
  CHECK(who.body() == "{\"r\":1}");
  CHECK(c.p.last_seen().flags == RAI_INTERCEPTED);
  CHECK(c.p.last_seen().target == "t/x");
  CHECK(c.p.last_seen().method == "do");
  CHECK(c.end.last_seen().flags == 0);
  CHECK(c.end.releases() == 1);
  CHECK(c.q.releases() == 1);
  CHECK(c.k.live_calls() == 0);
  CHECK(c.violations().empty());
  caller direct;
  c.call(direct, "rustic.interceptor/p");
  CHECK(direct.status() == RAI_PERMISSION_DENIED);
  CHECK(c.k.names().alias("t/sly", "rustic.interceptor/p").ok());
  caller sly;
  c.call(sly, "t/sly");
  CHECK(sly.status() == RAI_PERMISSION_DENIED);
}

TEST_CASE("an interceptor may refuse, and may change what it asks for") {
  chain c;
  c.intercept("t/*", 1, "p");
  c.intercept("t/*", 2, "q");
  c.q.on_call = [&](const service::seen& now) {
    c.k.finish(now.id, RAI_PERMISSION_DENIED, str("{\"message\":\"no\"}"));
  };
  caller refused;
  c.call(refused, "t/x");
  CHECK(refused.status() == RAI_PERMISSION_DENIED);
  CHECK(refused.body() == "{\"message\":\"no\"}");
  CHECK(c.order == "p");
  c.q.on_call = [&](const service::seen& now) { c.k.forward(now.id, c.next_request()); };
  caller changed;
  c.call(changed, "t/x");
  CHECK(changed.status() == RAI_OK);
  CHECK(c.end.last_seen().target == "t/x");
  CHECK(c.end.last_seen().method == "other");
  CHECK(c.end.last_seen().body == "{\"changed\":1}");
}

TEST_CASE("RAI_NEXT: the interceptor sees events and result, and may try again") {
  chain c;
  c.intercept("t/*", 1, "p");
  int attempts = 0;
  c.end.on_call = [&](const service::seen& now) {
    c.k.emit(now.id, text_event("e" + std::to_string(++attempts)));
    c.k.finish(now.id, attempts < 3 ? RAI_UNAVAILABLE : RAI_OK, str("{}"));
  };
  caller tries[4];
  std::vector<rai_status> seen;
  c.p.on_call = [&](const service::seen& now) {
    const rai_request next = c.next_request();
    for (int i = 0; i < 3; ++i) {  // hidden from the caller: may be repeated
      c.k.call(now.id, next, tries[i].observer(), "plug-p");
      seen.push_back(tries[i].status());
    }
    c.k.emit(now.id, text_event(tries[2].joined()));
    c.k.call(now.id, next, tries[3].observer(), "plug-p");
    CHECK(tries[3].status() == RAI_FAILED_PRECONDITION);
    CHECK(tries[3].said("events of the first attempt went out"));
    c.k.emit(now.id, text_event("", RAI_EVENT_RESTART));
    c.k.call(now.id, next, tries[3].observer(), "plug-p");
    CHECK(tries[3].status() == RAI_OK);
    c.k.finish(now.id, RAI_OK, str("{}"));
  };
  caller who;
  c.call(who, "t/x");
  CHECK(seen == std::vector<rai_status>{RAI_UNAVAILABLE, RAI_UNAVAILABLE, RAI_OK});
  CHECK(who.events() == std::vector<std::string>{"e3", ""});
  CHECK(who.status() == RAI_OK);
  CHECK(c.k.live_calls() == 0);
}

TEST_CASE("RAI_NEXT and forward where they do not belong") {
  chain c;
  caller none, alien, plain, outer, sneaky;
  rai_request next = c.next_request();
  c.k.call(0, next, none.observer(), {});
  CHECK(none.status() == RAI_FAILED_PRECONDITION);
  c.end.on_call = nullptr;
  const rai_call id = c.call(plain, "t/x");
  c.k.call(id, next, alien.observer(), "tool");  // it serves no intercepted call
  CHECK(alien.status() == RAI_FAILED_PRECONDITION);
  c.k.forward(id, next);
  CHECK(plain.status() == RAI_FAILED_PRECONDITION);
  c.k.forward(id, next);  // gone
  c.intercept("t/*", 1, "p");
  c.p.on_call = nullptr;
  const rai_call open = c.call(outer, "t/x");
  c.k.call(open, next, sneaky.observer(), "tool");  // another plugin skips the interceptor
  CHECK(sneaky.status() == RAI_FAILED_PRECONDITION);
  c.k.forward(open, next);
  c.k.forward(open, next);
  c.k.finish(open, RAI_OK, str("{}"));
  CHECK(c.k.emit(open, text_event("x")) == RAI_STOP);
  CHECK(c.violations().size() == 2);
  CHECK(outer.finishes() == 0);
  c.k.finish(c.end.last(), RAI_OK, str("{}"));
  CHECK(outer.status() == RAI_OK);
  CHECK(c.k.live_calls() == 0);
}

TEST_CASE("back-pressure and cancel pass through forwarding interceptors") {
  chain c;
  for (const char* name : {"p", "q", "r"}) c.intercept("t/*", 1, name);
  c.end.on_call = nullptr;
  caller who;
  who.flow = [](const rai_event& e) {
    return rai_flow{view(e.text) == "stop" ? RAI_PAUSE : RAI_CONTINUE};
  };
  const rai_call id = c.call(who, "t/x");
  const rai_call far = c.end.last();
  CHECK(c.k.emit(far, text_event("a")) == RAI_CONTINUE);
  CHECK(c.k.emit(far, text_event("stop")) == RAI_PAUSE);
  CHECK(c.k.emit(far, text_event("b")) == RAI_PAUSE);
  CHECK(who.joined() == "astop");
  c.k.resume(id);
  CHECK(who.joined() == "astopb");
  CHECK(c.end.resumes() == 1);
  CHECK(c.p.resumes() == 0);
  CHECK(c.k.emit(far, text_event("c")) == RAI_CONTINUE);
  c.k.cancel(id);
  CHECK(c.end.cancels() == 1);
  CHECK(c.p.cancels() == 1);
  c.k.finish(far, RAI_OK, str("{\"done\":1}"));
  CHECK(who.status() == RAI_CANCELLED);
  // What was done, and not what each hop said about it.
  CHECK(who.body() ==
        "{\"message\":\"call of t/x was cancelled: its caller cancelled it\","
        "\"details\":{\"late_status\":0,\"late_body\":{\"done\":1}}}");
  CHECK(c.k.live_calls() == 0);
  CHECK(c.violations().empty());
}

TEST_CASE("a paused forwarded call keeps its finish behind its events") {
  chain c;
  c.intercept("t/*", 1, "p");
  c.end.on_call = nullptr;
  caller who;
  who.flow = [](const rai_event&) { return rai_flow{RAI_PAUSE}; };
  const rai_call id = c.call(who, "t/x");
  for (const char* text : {"1", "2", "3"}) c.k.emit(c.end.last(), text_event(text));
  c.k.finish(c.end.last(), RAI_OK, str("{}"));
  CHECK(who.joined() == "1");
  for (int i = 0; i < 4; ++i) c.k.resume(id);
  CHECK(who.joined() == "123");
  CHECK(who.status() == RAI_OK);
  CHECK(c.k.live_calls() == 0);
}

TEST_CASE("a next hop that has ended is no child of the call any more") {
  chain c;
  c.intercept("t/*", 1, "p");
  c.p.on_call = nullptr;
  caller who, other;
  rai_call later = 0;
  who.flow = [&](const rai_event& e) {
    if (view(e.text) != "own") return rai_flow{RAI_CONTINUE};
    // Its answer waits until this event is over; its slot serves another call meanwhile.
    c.forward(c.p.last_seen());
    CHECK(c.end.calls() == 1);
    c.end.on_call = nullptr;
    c.provide("u/x", c.end);
    later = c.call(other, "u/x");
    return rai_flow{RAI_CONTINUE};
  };
  const rai_call id = c.call(who, "t/x");
  CHECK(c.k.emit(id, text_event("own")) == RAI_STOP);
  CHECK(who.joined() == "ownevent");
  CHECK(who.status() == RAI_OK);
  CHECK(later != 0);
  CHECK(c.end.cancels() == 0);
  c.k.finish(later, RAI_OK, str("{}"));
  CHECK(other.status() == RAI_OK);
  CHECK(c.k.live_calls() == 0);
}

TEST_CASE("an interceptor's own calls do not pass through it") {
  chain c;
  service log;
  c.provide("log/x", log, "log");
  log.with_op = false;
  int depth = 0;
  std::string seen;
  log.on_call = [&](const service::seen& now) {
    seen += "l";
    // What the log calls is not the interceptor's own any more.
    if (depth++ == 0) {
      caller inner;
      c.call(inner, "t/x", now.id, "log");
      CHECK(inner.finishes() == 1);
    }
    c.k.finish(now.id, RAI_OK, str("{}"));
  };
  c.intercept("*", 1, "p");
  c.intercept("*", 2, "q");
  c.p.on_call = [&](const service::seen& now) {
    c.order += "p";
    if (c.order.size() < 20) {
      caller own;
      c.call(own, "log/x", now.id, "plug-p");
      CHECK(own.status() == RAI_OK);
    }
    c.forward(now);
  };
  caller who;
  c.call(who, "t/x");
  CHECK(who.status() == RAI_OK);
  // p; its log call: q only; from there t/x: p (its log call: q), q, x; then the first: q, x.
  CHECK(c.order == "pqpqqxqx");
  // On the plugin's own account.
  c.order.clear();
  caller account;
  c.call(account, "t/x", 0, "plug-q");
  CHECK(c.order.find("q") == c.order.rfind("q"));
  CHECK(c.order.starts_with("p"));
  CHECK(c.order.ends_with("px") == false);
  CHECK(account.status() == RAI_OK);
  // Another plugin's call below the intercepted one is not its own.
  c.order.clear();
  c.p.on_call = nullptr;
  caller outer, sneaky;
  const rai_call open = c.call(outer, "t/x");
  c.call(sneaky, "t/x", open, "tool");
  CHECK(c.p.last() != open);
  c.p.on_cancel = [&](rai_call id) { c.k.finish(id, RAI_OK, str("{}")); };
  c.k.cancel(open);
  CHECK(c.k.live_calls() == 0);
}

TEST_CASE("interceptors are activated by the first call that they match") {
  chain c;
  service lazy;
  int activations = 0;
  lazy.on_call = [&](const service::seen& now) { c.forward(now); };
  (void)c.k.names().declare({"rustic.interceptor/lazy", "plug-lazy", {}},
                            activating([&](std::string_view, rai_service* out, std::string& error) {
                              if (++activations == 1) {
                                error = "no policy file";
                                return rai_status{RAI_NOT_FOUND};
                              }
                              *out = lazy.table();
                              return rai_status{RAI_OK};
                            }));
  service free;
  free.on_call = [&](const service::seen& now) { c.k.finish(now.id, RAI_OK, str("{}")); };
  c.provide("u/x", free);
  c.intercept("t/*", 1, "lazy");
  caller unmatched, refused, passed;
  c.call(unmatched, "u/x");
  CHECK(activations == 0);
  c.call(refused, "t/x");
  CHECK(refused.status() == RAI_FAILED_PRECONDITION);
  CHECK(refused.said("rustic.interceptor/lazy cannot be activated: no policy file"));
  CHECK(c.order.empty());
  c.call(passed, "t/x");
  CHECK(passed.status() == RAI_OK);
  CHECK(lazy.calls() == 1);
  CHECK(c.k.live_calls() == 0);
}

TEST_CASE("an optional interceptor that cannot be had is left out, with a warning") {
  chain c;
  c.intercept("t/*", 1, "missing", false);
  c.intercept("t/*", 2, "broken", false);
  c.intercept("t/*", 3, "p", false);
  (void)c.k.names().declare({"rustic.interceptor/broken", "b", {}},
                            activating([](std::string_view, rai_service*, std::string& error) {
                              error = "bad";
                              return rai_status{RAI_INTERNAL};
                            }));
  caller who, again;
  c.call(who, "t/x");
  CHECK(who.status() == RAI_OK);
  CHECK(c.order == "px");
  REQUIRE(c.warnings().size() == 2);
  CHECK(c.warnings()[0].find("rustic.interceptor/missing is left out") != std::string::npos);
  CHECK(c.warnings()[1].find("rustic.interceptor/broken is left out") != std::string::npos);
  c.call(again, "t/x");
  CHECK(c.warnings().size() == 3);  // the missing one is told once; the broken one was tried again
  c.intercept("t/*", 4, "absent", true);
  caller refused;
  c.call(refused, "t/x");
  CHECK(refused.status() == RAI_FAILED_PRECONDITION);
  CHECK(refused.said("rustic.interceptor/absent is not registered"));
}

TEST_CASE("a guarded target is not reached around its guard") {
  chain c;
  CHECK(c.k.names().guard("t/*", "p").ok());
  caller bare;
  c.call(bare, "t/x");
  CHECK(bare.status() == RAI_PERMISSION_DENIED);
  CHECK(bare.said("it is guarded by rustic.interceptor/p, which does not stand before it"));
  CHECK(c.k.names().alias("u/sly", "t/x").ok());
  caller sly;
  c.call(sly, "u/sly");
  CHECK(sly.status() == RAI_PERMISSION_DENIED);
  CHECK(c.end.calls() == 0);

  caller own;  // the guard's plugin itself, on its own account
  c.call(own, "t/x", 0, "plug-p");
  CHECK(own.status() == RAI_OK);

  c.intercept("t/x", 5, "p", false);  // optional, but the guard makes it required
  caller through;
  c.call(through, "t/x");
  CHECK(through.status() == RAI_OK);
  CHECK(c.order == "xpx");
  (void)c.k.names().withdraw("rustic.interceptor/p", "plug-p");
  caller gone;
  c.call(gone, "t/x");
  CHECK(gone.status() == RAI_PERMISSION_DENIED);
  CHECK(gone.said("its guard rustic.interceptor/p is not registered"));
  (void)c.k.names().declare({"rustic.interceptor/p", "plug-p", {}},
                            activating([](std::string_view, rai_service*, std::string& error) {
                              error = "bad";
                              return rai_status{RAI_INTERNAL};
                            }));
  caller broken;
  c.call(broken, "t/x");
  CHECK(broken.status() == RAI_FAILED_PRECONDITION);
  CHECK(c.end.calls() == 2);
  CHECK(c.k.live_calls() == 0);
}

TEST_CASE("a rule for an alias holds for what the alias leads to") {
  chain c;
  CHECK(c.k.names().alias("t/default", "t/x").ok());
  c.intercept("t/default", 1, "p");
  CHECK(c.k.names().guard("t/default", "q").ok());
  caller who;
  c.call(who, "t/x");
  CHECK(who.status() == RAI_PERMISSION_DENIED);
  c.intercept("*", 2, "q");
  c.call(who, "t/x");
  CHECK(c.order == "pqx");
  c.call(who, "t/default");
  CHECK(c.order == "pqxpqx");
  CHECK(c.p.last_seen().target == "t/x");  // policies see the service's own name
}

TEST_CASE("a call inside its chain goes to the generation that stands there by then") {
  chain c;
  service fresh;
  fresh.on_call = [&](const service::seen& now) {
    c.k.finish(now.id, RAI_OK, str("{\"fresh\":1}"));
  };
  c.intercept("t/*", 1, "p");
  c.intercept("t/*", 2, "q");
  c.p.on_call = nullptr;
  caller who;
  c.call(who, "t/x");
  const auto old = c.k.names().rebind({"t/x", "tool", {}}, fresh.table());
  CHECK(c.k.names().drained(old.replaced));  // it may be stopped now
  c.forward(c.p.last_seen());
  CHECK(who.said("fresh"));
  CHECK(c.order == "q");
  caller late;
  c.call(late, "t/x");
  (void)c.k.names().withdraw("t/x", "tool");
  c.forward(c.p.last_seen());
  CHECK(late.status() == RAI_NOT_FOUND);
  CHECK(c.k.live_calls() == 0);
}

TEST_CASE("a cancelled call is not passed on") {
  chain c;
  c.intercept("t/*", 1, "p");
  c.p.on_call = nullptr;
  caller who, own;
  const rai_call id = c.call(who, "t/x");
  c.k.cancel(id);
  c.k.call(id, c.next_request(), own.observer(), "plug-p");
  CHECK(own.status() == RAI_CANCELLED);
  c.forward(c.p.last_seen());
  CHECK(who.status() == RAI_CANCELLED);
  CHECK(c.end.calls() == 0);
  CHECK(c.k.live_calls() == 0);
}

TEST_CASE("a hundred thousand calls in a row through three interceptors need no stack") {
  chain c;
  for (const char* name : {"p", "q", "r"}) c.intercept("t/*", 1, name);
  for (service* s : {&c.p, &c.q, &c.r, &c.end}) s->with_op = false;
  std::uintptr_t low = UINTPTR_MAX, high = 0;
  c.end.on_call = [&](const service::seen& now) {
    // The frame itself: sanitizers may keep local variables elsewhere.
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    low = std::min(low, here);
    high = std::max(high, here);
    c.k.finish(now.id, RAI_OK, str("{}"));
  };
  caller who;
  for (int i = 0; i < 100'000; ++i) c.call(who, "t/x");
  CHECK(who.finishes() == 100'000);
  CHECK(high - low < 64);
  CHECK(c.k.live_calls() == 0);
}
