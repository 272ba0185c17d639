// How long calls live: trees, deadlines, shields, abandonment, limits.
#include <doctest/doctest.h>

#include <cstddef>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "kernel/test_parts.hpp"

using namespace rustic::kernel;
using namespace rustic::kernel::testing;

TEST_CASE("a tree: children end with their parent, with its reason, top down") {
  bench b;
  service top, mid, leaf;
  b.provide("t/top", top);
  b.provide("t/mid", mid);
  b.provide("t/leaf", leaf);
  std::string order;
  const auto note = [&](const char* name) {
    return [&order, &b, name](rai_call id) {
      order += name;
      b.k.finish(id, RAI_OK, str("{}"));
    };
  };
  leaf.on_cancel = note("l");
  mid.on_cancel = [&](rai_call) { order += "m"; };
  top.on_cancel = [&](rai_call) { order += "t"; };
  caller root, child, grandchild, other;
  const rai_call a = b.call(root, "t/top");
  const rai_call m = b.call(child, "t/mid", a, "plug");
  b.call(grandchild, "t/leaf", m, "plug");
  const rai_call free = b.call(other, "t/leaf");
  CHECK(info_of(b.k, m).root == a);
  CHECK(info_of(b.k, m).trace_high == info_of(b.k, a).trace_high);
  CHECK(info_of(b.k, m).trace_low == info_of(b.k, a).trace_low);
  CHECK(info_of(b.k, free).trace_low != info_of(b.k, a).trace_low);
  CHECK(view(info_of(b.k, m).caller) == "plug");
  CHECK(view(info_of(b.k, a).caller).empty());
  b.k.cancel(a);
  CHECK(order == "tml");
  CHECK(grandchild.status() == RAI_CANCELLED);
  CHECK(other.finishes() == 0);
  caller refused;
  CHECK(b.call(refused, "t/leaf", a) == 0);
  CHECK(refused.status() == RAI_CANCELLED);
  CHECK(refused.said("its parent was cancelled"));
  b.k.finish(m, RAI_OK, str("{}"));
  b.k.finish(a, RAI_OK, str("{}"));
  CHECK(root.status() == RAI_CANCELLED);
  b.call(refused, "t/leaf", a);
  CHECK(refused.finishes() == 2);
  CHECK(refused.said("its parent has finished"));
  b.k.finish(free, RAI_OK, str("{}"));
  CHECK(b.k.live_calls() == 0);
}

TEST_CASE("a parent that finishes takes its children along") {
  bench b;
  service top, leaf;
  b.provide("t/top", top);
  b.provide("t/leaf", leaf);
  leaf.on_cancel = [&](rai_call id) { b.k.finish(id, RAI_OK, str("{}")); };
  caller root;
  caller child[5];
  const rai_call a = b.call(root, "t/top");
  for (auto& c : child) b.call(c, "t/leaf", a);
  b.k.finish(leaf.last(), RAI_OK, str("{}"));
  b.k.finish(a, RAI_OK, str("{}"));
  CHECK(root.status() == RAI_OK);
  for (int i = 0; i < 4; ++i) {
    CHECK(child[i].status() == RAI_CANCELLED);
    CHECK(child[i].said("the call above it has finished"));
  }
  CHECK(child[4].status() == RAI_OK);
  CHECK(b.k.live_calls() == 0);
}

TEST_CASE("no deadline is left for whoever learns that a call has ended") {
  bench b;
  service top, leaf;
  b.provide("t/top", top);
  b.provide("t/leaf", leaf);
  caller root, child;
  rai_request with = request_for("t/top");
  const rai_call a = b.k.call(0, with, root.observer(), {});
  with.target = str("t/leaf");
  with.timeout_ms = 100;
  const rai_call m = b.k.call(a, with, child.observer(), {});
  child.on_finish = [&] { b.k.finish(a, RAI_OK, str("{}")); };
  std::optional<std::int64_t> left = 0;
  root.on_finish = [&] { left = b.k.next_deadline_ns(); };
  CHECK(b.k.next_deadline_ns() == b.now_ns + 100'000'000);
  b.k.finish(m, RAI_OK, str("{}"));
  CHECK(root.finishes() == 1);
  CHECK_FALSE(left.has_value());
}

TEST_CASE("deadlines: the own and the inherited, and who is told") {
  bench b;
  service top, leaf;
  b.provide("t/top", top);
  b.provide("t/leaf", leaf);
  leaf.on_cancel = [&](rai_call id) { b.k.finish(id, RAI_OK, str("{}")); };
  caller root, child, shorter;
  rai_request with = request_for("t/top");
  with.timeout_ms = 100;
  const rai_call a = b.k.call(0, with, root.observer(), {});
  CHECK(b.deadline_changes == 1);
  CHECK(b.k.next_deadline_ns() == b.now_ns + 100'000'000);
  with.target = str("t/leaf");
  with.timeout_ms = 1'000;  // the parent's comes first
  const rai_call m = b.k.call(a, with, child.observer(), {});
  CHECK(b.deadline_changes == 1);
  CHECK(info_of(b.k, m).deadline_ms == 100);
  with.timeout_ms = 30;
  b.k.call(a, with, shorter.observer(), {});
  CHECK(b.deadline_changes == 2);
  b.pass_ms(29);
  CHECK(shorter.finishes() == 0);
  b.pass_ms(1);
  CHECK(shorter.status() == RAI_DEADLINE_EXCEEDED);
  CHECK(shorter.said("its deadline has passed"));
  CHECK(child.finishes() == 0);
  b.pass_ms(70);
  CHECK(child.status() == RAI_DEADLINE_EXCEEDED);
  CHECK(root.finishes() == 0);
  CHECK(top.cancels() == 1);
  b.k.finish(a, RAI_OK, str("{}"));
  CHECK(root.status() == RAI_DEADLINE_EXCEEDED);
  CHECK_FALSE(b.k.next_deadline_ns().has_value());
  CHECK(b.k.live_calls() == 0);
}

TEST_CASE("shielded calls outlive their parent's cancellation, for a while") {
  bench b;
  service top, store;
  b.provide("t/top", top);
  b.provide("t/store", store);
  caller root, saved, slow, bad;
  const rai_call a = b.call(root, "t/top");
  rai_request shielded = request_for("t/store");
  shielded.flags = RAI_SHIELDED;
  b.k.call(a, shielded, bad.observer(), {});
  CHECK(bad.status() == RAI_INVALID_ARGUMENT);
  shielded.timeout_ms = 500;
  caller orphan;
  b.k.call(0, shielded, orphan.observer(), {});
  CHECK(orphan.status() == RAI_INVALID_ARGUMENT);
  const rai_call before = b.k.call(a, shielded, saved.observer(), {});
  b.k.cancel(a);
  CHECK(store.cancels() == 0);
  shielded.timeout_ms = 4'000'000;  // is capped
  const rai_call after = b.k.call(a, shielded, slow.observer(), {});
  CHECK(after != 0);
  CHECK(info_of(b.k, after).deadline_ms == max_shield_ms);
  b.k.finish(before, RAI_OK, str("{}"));
  CHECK(saved.status() == RAI_OK);
  b.k.finish(a, RAI_OK, str("{}"));
  CHECK(root.status() == RAI_CANCELLED);
  CHECK(slow.finishes() == 0);
  b.pass_ms(max_shield_ms);
  CHECK(store.cancels() == 1);
  b.k.finish(after, RAI_OK, str("{}"));
  CHECK(slow.status() == RAI_DEADLINE_EXCEEDED);
  CHECK(b.k.live_calls() == 0);
}

TEST_CASE("a shield is limited from when its parent is cancelled or ends, not before") {
  for (const bool cancelled : {true, false}) {
    CAPTURE(cancelled);
    bench b;
    service top, store;
    b.provide("t/top", top);
    b.provide("t/store", store);
    caller root, saved, brief;
    const rai_call a = b.call(root, "t/top");
    rai_request shielded = request_for("t/store");
    shielded.flags = RAI_SHIELDED;
    shielded.timeout_ms = 6 * max_shield_ms;
    const rai_call save = b.k.call(a, shielded, saved.observer(), {});
    b.pass_ms(2 * max_shield_ms);
    CHECK(store.cancels() == 0);
    CHECK(info_of(b.k, save).deadline_ms == 4 * max_shield_ms);
    shielded.timeout_ms = 100;
    const rai_call short_one = b.k.call(a, shielded, brief.observer(), {});
    cancelled ? b.k.cancel(a) : b.k.finish(a, RAI_OK, str("{}"));
    CHECK(info_of(b.k, save).deadline_ms == max_shield_ms);
    b.pass_ms(100);
    CHECK(store.cancels() == 1);
    b.pass_ms(max_shield_ms - 101);
    CHECK(store.cancels() == 1);
    b.pass_ms(1);
    CHECK(store.cancels() == 2);
    b.k.finish(save, RAI_OK, str("{}"));
    CHECK(saved.status() == RAI_DEADLINE_EXCEEDED);
    b.k.finish(short_one, RAI_OK, str("{}"));
    if (cancelled) b.k.finish(a, RAI_OK, str("{}"));
    CHECK(b.k.live_calls() == 0);
    CHECK_FALSE(b.k.next_deadline_ns().has_value());
  }
}

TEST_CASE("abandon: the caller goes on, the service is a tombstone until it finishes") {
  one_service b;
  caller by_hand, by_time;
  const rai_call one = b.call(by_hand, "a/x");
  b.k.abandon(one);  // not cancelled
  CHECK(by_hand.finishes() == 0);
  b.k.cancel(one);
  b.k.abandon(one);
  b.k.abandon(one);
  CHECK(by_hand.status() == RAI_CANCELLED);
  CHECK(by_hand.said("its service did not stop in time"));
  CHECK_FALSE(by_hand.said("details"));
  const rai_call two = b.call(by_time, "a/x");
  b.k.cancel(two);
  CHECK(b.k.next_deadline_ns() == b.now_ns + default_grace_ms * std::int64_t{1'000'000});
  b.pass_ms(default_grace_ms - 1);
  CHECK(by_time.finishes() == 0);
  b.pass_ms(1);
  CHECK(by_time.status() == RAI_CANCELLED);
  auto counts = b.k.abandoned_calls();
  REQUIRE(counts.size() == 1);
  CHECK(counts[0].owner == "plug");
  CHECK(counts[0].now == 2);
  CHECK(counts[0].total == 2);
  CHECK(b.k.live_calls() == 2);
  CHECK(b.s.releases() == 0);
  CHECK(b.k.emit(one, text_event("late")) == RAI_STOP);
  b.k.finish(one, RAI_OK, str("{}"));
  b.k.finish(two, RAI_OK, str("{}"));
  CHECK(by_hand.finishes() == 1);
  CHECK(by_time.finishes() == 1);
  CHECK(b.s.releases() == 2);
  counts = b.k.abandoned_calls();
  CHECK(counts[0].now == 0);
  CHECK(counts[0].total == 2);
  CHECK(b.k.live_calls() == 0);
  CHECK(b.violations().empty());
}

TEST_CASE("the context is inherited until a call replaces it") {
  one_service b;
  caller root, child, grandchild;
  rai_request with = request_for("a/x");
  with.context = str("{\"session\":\"s1\"}");
  const rai_call a = b.k.call(0, with, root.observer(), {});
  const rai_call m = b.call(child, "a/x", a);
  CHECK(b.s.last_seen().context == "{\"session\":\"s1\"}");
  CHECK(view(info_of(b.k, m).context) == "{\"session\":\"s1\"}");
  CHECK(info_of(b.k, m).context.ptr == info_of(b.k, a).context.ptr);  // shared, not copied
  with.context = str("{\"session\":\"s2\"}");
  b.k.call(m, with, grandchild.observer(), {});
  CHECK(b.s.last_seen().context == "{\"session\":\"s2\"}");
  const std::string large(max_context_bytes + 1, ' ');
  caller refused;
  with.context = str(large);
  b.k.call(0, with, refused.observer(), {});
  CHECK(refused.status() == RAI_INVALID_ARGUMENT);
  b.s.on_cancel = [&](rai_call id) { b.k.finish(id, RAI_OK, str("{}")); };
  b.k.cancel(a);
  CHECK(b.k.live_calls() == 0);
}

TEST_CASE("structs of other sizes: an older caller, an older reader") {
  one_service b;
  caller c;
  struct {
    rai_request request = request_for("a/x");
    char newer[64] = {};
  } grown;
  grown.request.struct_size = sizeof grown;
  const rai_call id = b.k.call(0, grown.request, c.observer(), {});
  CHECK(id != 0);
  rai_call_info small{};
  small.struct_size = offsetof(rai_call_info, trace_high);
  small.root = 99;
  CHECK(b.k.info(id, &small) == RAI_OK);
  CHECK(small.root == 99);
  CHECK(small.struct_size == offsetof(rai_call_info, trace_high));
  b.k.finish(id, RAI_OK, str("{}"));
  CHECK(b.k.info(id, &small) == RAI_NOT_FOUND);
}

TEST_CASE("limits: depth, calls alive, targets") {
  bench b;
  service echo;
  b.provide("t/echo", echo);
  int depth = 0;
  caller deepest;
  std::deque<caller> callers;
  echo.with_op = false;
  echo.on_call = [&](const service::seen& now) {
    ++depth;
    b.call(callers.emplace_back(), "t/echo", now.id);
    b.k.finish(now.id, RAI_OK, str("{}"));
  };
  caller root;
  b.call(root, "t/echo");
  CHECK(depth == max_call_depth);
  CHECK(callers.back().status() == RAI_RESOURCE_EXHAUSTED);
  CHECK(root.status() == RAI_OK);
  CHECK(b.k.live_calls() == 0);

  echo.on_call = nullptr;
  std::vector<rai_call> ids;
  caller many;
  for (std::size_t i = 0; i < max_live_calls; ++i) ids.push_back(b.call(many, "t/echo"));
  CHECK(many.finishes() == 0);
  caller over;
  CHECK(b.call(over, "t/echo") == 0);
  CHECK(over.status() == RAI_RESOURCE_EXHAUSTED);
  CHECK(over.said("65536 calls are alive"));
  b.k.finish(ids.back(), RAI_OK, str("{}"));
  ids.pop_back();
  ids.push_back(b.call(many, "t/echo"));
  CHECK(ids.back() != 0);
  std::thread([&] {
    for (const rai_call id : ids) b.k.finish(id, RAI_OK, str("{}"));
  }).join();
  CHECK(many.finishes() == static_cast<int>(max_live_calls) + 1);
  CHECK(b.k.live_calls() == 0);
  for (std::size_t i = 0; i < max_live_calls; ++i) ids[i] = b.call(many, "t/echo");
  for (const rai_call id : ids) b.k.finish(id, RAI_OK, str("{}"));
  CHECK(b.k.live_calls() == 0);

  caller nameless;
  b.call(nameless, "");
  CHECK(nameless.status() == RAI_INVALID_ARGUMENT);
  b.call(nameless, std::string(300, 'x'));
  CHECK(nameless.status() == RAI_INVALID_ARGUMENT);
}

TEST_CASE("deadlines of finished calls do not pile up") {
  one_service b;
  b.s.with_op = false;
  b.s.on_call = [&](const service::seen& now) { b.k.finish(now.id, RAI_OK, str("{}")); };
  rai_request with = request_for("a/x");
  with.timeout_ms = 600'000;
  caller c, waits;
  for (int i = 0; i < 50'000; ++i) b.k.call(0, with, c.observer(), {});
  CHECK_FALSE(b.k.next_deadline_ns().has_value());
  b.s.on_call = nullptr;
  with.timeout_ms = 50;
  const rai_call id = b.k.call(0, with, waits.observer(), {});
  CHECK(b.k.next_deadline_ns() == b.now_ns + 50'000'000);
  b.pass_ms(50);
  b.k.finish(id, RAI_OK, str("{}"));
  CHECK(waits.status() == RAI_DEADLINE_EXCEEDED);
}

TEST_CASE("shut down: everything is cancelled and nothing begins") {
  one_service b;
  b.s.on_cancel = [&](rai_call id) { b.k.finish(id, RAI_OK, str("{}")); };
  caller c, late;
  b.call(c, "a/x");
  b.k.shut_down();
  CHECK(c.status() == RAI_CANCELLED);
  CHECK(c.said("shutting down"));
  b.call(late, "a/x");
  CHECK(late.status() == RAI_UNAVAILABLE);
  CHECK(b.k.live_calls() == 0);
}

TEST_CASE("a call that was on its way when all was shut down is cancelled too") {
  // The clock is read after the call was let in and before anybody can see it.
  kernel* shut = nullptr;
  kernel_options with;
  with.now_ns = [&] {
    if (kernel* const k = std::exchange(shut, nullptr)) k->shut_down();
    return std::int64_t{1'000'000'000};
  };
  kernel k(with);
  service s;
  REQUIRE(k.names().provide({"a/x", "plug", {}}, s.table()).ok());
  rai_request request = request_for("a/x");
  request.timeout_ms = 1'000;
  caller c;
  shut = &k;
  CHECK(k.call(0, request, c.observer(), {}) == 0);
  CHECK(c.finishes() == 1);
  CHECK(c.status() == RAI_CANCELLED);
  CHECK(s.calls() == 0);
  CHECK(k.live_calls() == 0);
  CHECK(k.names().find("a/x").has_value());
}
