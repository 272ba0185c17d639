#include "kernel/registry.hpp"

#include <doctest/doctest.h>

#include <thread>

#include "kernel/test_parts.hpp"

using namespace rustic::kernel;
using namespace rustic::kernel::testing;

namespace {

std::vector<std::string> names(kernel& k, std::string_view pattern) {
  std::vector<std::string> out;
  k.names().list(pattern, [&](const listed& one) { out.push_back(one.target); });
  return out;
}

void answer(bench& b, service& s, std::string body = "{}") {
  s.on_call = [&b, body](const service::seen& c) { b.k.finish(c.id, RAI_OK, str(body)); };
}

}  // namespace

TEST_CASE("a name belongs to its first owner") {
  bench b;
  service one, two;
  const auto first = b.k.names().provide({"a/x", "p", "{\"n\":1}"}, one.table());
  CHECK(first.ok());
  CHECK(first.replaced == 0);
  const auto taken = b.k.names().provide({"a/x", "q", {}}, two.table());
  CHECK(taken.status == RAI_ALREADY_EXISTS);
  CHECK(taken.message.find("'p'") != std::string::npos);
  const auto again = b.k.names().provide({"a/x", "p", "{\"n\":2}"}, two.table());
  CHECK(again.ok());
  CHECK(again.replaced == first.generation);
  CHECK(b.k.names().drained(first.generation));
  CHECK_FALSE(b.k.names().drained(again.generation));
  CHECK(b.k.names().find("a/x")->attributes == "{\"n\":2}");
  CHECK(b.k.names().withdraw("a/x", "q").status == RAI_PERMISSION_DENIED);
  CHECK(b.k.names().withdraw("a/x", "p").replaced == again.generation);
  CHECK(b.k.names().withdraw("a/x", "p").status == RAI_NOT_FOUND);
}

TEST_CASE("targets, patterns and services are checked") {
  bench b;
  service s;
  for (const char* bad : {"", "x", "/x", "x/", "a/b c", "a/*", "a/\n", "a/\"b"}) {
    CHECK_MESSAGE(b.k.names().provide({bad, "p", {}}, s.table()).status == RAI_INVALID_ARGUMENT,
                  bad);
  }
  CHECK_FALSE(b.k.names().provide({std::string(300, 'a') + "/b", "p", {}}, s.table()).ok());
  CHECK_FALSE(b.k.names().provide({"a/b", "p", {}}, rai_service{}).ok());
  rai_service small = s.table();
  small.struct_size = 16;  // does not reach `call`
  CHECK_FALSE(b.k.names().provide({"a/b", "p", {}}, small).ok());
  CHECK_FALSE(b.k.names().declare({"a/b", "p", {}}, nullptr).ok());
  for (const char* bad : {"", "a*", "*/b", "a/*b"}) CHECK_FALSE(valid_pattern(bad));
  CHECK_FALSE(b.k.names().intercept("a/*", 1, "rustic.tool/x", true).ok());
  CHECK_FALSE(b.k.names().guard("a*", "x").ok());
}

TEST_CASE("lists match exactly, by interface, and all") {
  bench b;
  service s;
  for (const char* name : {"a/x", "a/y", "ab/z", "a.b/x"}) b.provide(name, s);
  CHECK(names(b.k, "a/*") == std::vector<std::string>{"a/x", "a/y"});
  CHECK(names(b.k, "a/x") == std::vector<std::string>{"a/x"});
  CHECK(names(b.k, "a/q").empty());
  CHECK(names(b.k, "*").size() == 4);
  b.k.names().list("*", [&](const listed& one) {  // may change what it lists
    (void)b.k.names().withdraw(one.target, "plug");
  });
  CHECK(names(b.k, "*").empty());
}

TEST_CASE("aliases lead to other names, also before those exist") {
  bench b;
  service s;
  answer(b, s);
  CHECK(b.k.names().alias("st/default", "st/sqlite").ok());
  CHECK(b.k.names().alias("st/main", "st/default").ok());
  caller early;
  b.call(early, "st/default");
  CHECK(early.status() == RAI_NOT_FOUND);
  b.provide("st/sqlite", s);
  caller c;
  b.call(c, "st/main");
  CHECK(c.status() == RAI_OK);
  CHECK(s.last_seen().target == "st/sqlite");
  CHECK(names(b.k, "st/default") == std::vector<std::string>{"st/default"});
  CHECK(names(b.k, "st/*") == std::vector<std::string>{"st/sqlite"});
  CHECK(b.k.names().alias("st/sqlite", "st/main").status == RAI_INVALID_ARGUMENT);
  CHECK(b.k.names().alias("st/a", "st/a").status == RAI_INVALID_ARGUMENT);
  CHECK(b.k.names().alias("st/default", "").ok());
  caller gone;
  b.call(gone, "st/main");
  CHECK(gone.status() == RAI_NOT_FOUND);
}

TEST_CASE("an alias that changes its mind makes no circle, and the row of aliases stays short") {
  bench b;
  service s;
  answer(b, s);
  b.provide("st/old", s);
  registry& names = b.k.names();
  CHECK(names.alias("st/a", "st/old").ok());
  CHECK(names.alias("st/b", "st/a").ok());
  // st/a leads to st/old now, but would then lead to st/b and back.
  CHECK(names.alias("st/a", "st/b").status == RAI_INVALID_ARGUMENT);
  caller c;
  b.call(c, "st/b");
  CHECK(c.status() == RAI_OK);

  for (std::size_t i = 1; i < max_alias_hops; ++i) {
    CHECK(names.alias("r/" + std::to_string(i), "r/" + std::to_string(i + 1)).ok());
  }
  const std::string last = "r/" + std::to_string(max_alias_hops);
  CHECK(names.alias(last, "st/old").ok());
  const outcome front = names.alias("r/0", "r/1");
  CHECK(front.status == RAI_INVALID_ARGUMENT);
  CHECK(front.message.find("one behind the other") != std::string::npos);
  CHECK(names.alias(last, "st/b").status == RAI_INVALID_ARGUMENT);  // r/1 would be too far away
  caller far;
  b.call(far, "r/1");
  CHECK(far.status() == RAI_OK);
}

TEST_CASE("an unknown target is answered with the nearest known one") {
  bench b;
  service s;
  b.provide("rustic.tool/shell", s);
  b.provide("rustic.tool/read_file", s);
  b.provide("rustic.interceptor/shells", s);
  caller c;
  CHECK(b.call(c, "rustic.tool/shel") == 0);
  CHECK(c.status() == RAI_NOT_FOUND);
  CHECK(c.body() ==
        "{\"message\":\"call of rustic.tool/shel: no plugin provides it\","
        "\"hint\":\"Did you mean rustic.tool/shell?\"}");
  caller far;
  b.call(far, "zzz/qq\"q\n");
  CHECK(far.body() == "{\"message\":\"call of zzz/qq\\\"q\\n: no plugin provides it\"}");
  CHECK(edit_distance("kitten", "sitting", 9) == 3);
  CHECK(edit_distance("kitten", "sitting", 3) == 3);
  CHECK(edit_distance("", "abc", 9) == 3);
}

TEST_CASE("a declared service is activated once, by its first call") {
  bench b;
  service s;
  answer(b, s);
  int activations = 0;
  caller inner;
  auto source = activating([&](std::string_view target, rai_service* out, std::string&) {
    ++activations;
    CHECK(target == "a/x");
    b.call(inner, "a/x");  // waits for the end of the activation
    CHECK(inner.finishes() == 0);
    CHECK(b.k.names().find("a/x")->state == binding_state::activating);
    *out = s.table();
    return rai_status{RAI_OK};
  });
  CHECK(b.k.names().declare({"a/x", "p", {}}, source).ok());
  CHECK(names(b.k, "a/*").size() == 1);
  CHECK(activations == 0);
  caller c, later;
  b.call(c, "a/x");
  b.call(later, "a/x");
  CHECK(c.status() == RAI_OK);
  CHECK(inner.status() == RAI_OK);
  CHECK(later.status() == RAI_OK);
  CHECK(activations == 1);
  CHECK(s.calls() == 3);
  CHECK(b.k.live_calls() == 0);
}

TEST_CASE("a failed activation refuses everybody who waited, and is tried again") {
  bench b;
  service s;
  answer(b, s);
  int activations = 0;
  caller waiting;
  auto source = activating([&](std::string_view, rai_service* out, std::string& error) {
    if (++activations == 1) {
      b.call(waiting, "a/x");
      error = "no libfoo";
      return rai_status{RAI_NOT_FOUND};
    }
    if (activations == 2) throw std::runtime_error("boom");
    if (activations == 3) return rai_status{RAI_OK};  // gives no service
    *out = s.table();
    return rai_status{RAI_OK};
  });
  (void)b.k.names().declare({"a/x", "p", {}}, source);
  caller c[4];
  for (auto& one : c) b.call(one, "a/x");
  CHECK(waiting.status() == RAI_FAILED_PRECONDITION);
  CHECK(waiting.said("call of a/x refused: a/x cannot be activated: no libfoo"));
  CHECK(c[0].said("no libfoo"));
  CHECK(c[1].said("boom"));
  CHECK(c[2].said("without a call function"));
  CHECK(c[3].status() == RAI_OK);
  CHECK(activations == 4);
  CHECK(s.calls() == 1);
  CHECK(b.k.live_calls() == 0);
}

TEST_CASE("callers on other threads wait for the activation without blocking") {
  bench b;
  service s;
  answer(b, s);
  std::mutex mutex;
  std::condition_variable moved;
  bool inside = false, open = false;
  auto source = activating([&](std::string_view, rai_service* out, std::string&) {
    std::unique_lock hold(mutex);
    inside = true;
    moved.notify_all();
    moved.wait(hold, [&] { return open; });
    *out = s.table();
    return rai_status{RAI_OK};
  });
  (void)b.k.names().declare({"a/x", "p", {}}, source);
  caller first, parked_one, cancelled;
  std::thread other([&] { b.call(first, "a/x"); });
  {
    std::unique_lock hold(mutex);
    moved.wait(hold, [&] { return inside; });
  }
  CHECK(b.call(parked_one, "a/x") != 0);
  const rai_call gone = b.call(cancelled, "a/x");
  CHECK(gone != 0);
  b.k.cancel(gone);  // nobody has to be asked: it ends at once
  CHECK(cancelled.status() == RAI_CANCELLED);
  CHECK(parked_one.finishes() == 0);
  {
    const std::lock_guard hold(mutex);
    open = true;
    moved.notify_all();
  }
  other.join();
  CHECK(first.status() == RAI_OK);
  CHECK(parked_one.wait_finished());
  CHECK(parked_one.status() == RAI_OK);
  CHECK(cancelled.finishes() == 1);
  CHECK(s.calls() == 2);
  CHECK(b.k.live_calls() == 0);
}

TEST_CASE("rebind: calls in flight finish on the old generation, new ones go to the new") {
  bench b;
  service old_one, new_one;
  answer(b, new_one, "{\"new\":1}");
  const auto first = b.k.names().provide({"a/x", "p", {}}, old_one.table());
  caller flying, next;
  b.call(flying, "a/x");
  const auto second = b.k.names().rebind({"a/x", "q", {}}, new_one.table());
  CHECK(second.replaced == first.generation);
  CHECK_FALSE(b.k.names().drained(first.generation));
  CHECK_FALSE(b.k.names().wait_drained(first.generation, 0));
  int told = 0;
  b.k.names().when_drained(first.generation, [&] { ++told; });
  b.call(next, "a/x");
  CHECK(next.said("new"));
  CHECK(flying.finishes() == 0);
  CHECK(told == 0);
  b.k.finish(old_one.last(), RAI_OK, str("{\"old\":1}"));
  CHECK(flying.said("old"));
  CHECK(told == 1);
  CHECK(b.k.names().drained(first.generation));
  CHECK(b.k.names().wait_drained(first.generation, 0));
  b.k.names().when_drained(first.generation, [&] { ++told; });
  CHECK(told == 2);
  CHECK(old_one.releases() == 1);
}

TEST_CASE("withdraw while a call is in flight; the rest is cancelled by its generation") {
  bench b;
  service s;
  s.on_cancel = [&](rai_call id) { b.k.finish(id, RAI_OK, str("{}")); };
  const auto there = b.k.names().provide({"a/x", "p", {}}, s.table());
  caller done, stuck, none;
  b.call(done, "a/x");
  const rai_call first = s.last();
  b.call(stuck, "a/x");
  CHECK(b.k.names().withdraw("a/x", "p").replaced == there.generation);
  b.call(none, "a/x");
  CHECK(none.status() == RAI_NOT_FOUND);
  b.k.finish(first, RAI_OK, str("{}"));
  CHECK(done.status() == RAI_OK);
  CHECK_FALSE(b.k.names().drained(there.generation));
  b.k.cancel_generation(there.generation);
  CHECK(stuck.status() == RAI_CANCELLED);
  CHECK(b.k.names().drained(there.generation));
}

TEST_CASE("watchers hear of changes in order, and not after they left") {
  bench b;
  service s;
  std::vector<std::string> seen;
  std::uint64_t id = 0;
  id = b.k.names().watch("a/*", [&](const change& c) {
    seen.push_back(std::to_string(static_cast<int>(c.kind)) + c.target + c.owner);
    if (c.kind == change_kind::changed) b.provide("a/nested", s);
    if (c.kind == change_kind::disappeared) b.k.names().unwatch(id);  // does not wait for itself
  });
  CHECK(id != 0);
  CHECK(b.k.names().watch("a*", [](const change&) {}) == 0);
  b.provide("a/x", s);
  b.provide("b/x", s);
  (void)b.k.names().rebind({"a/x", "q", {}}, s.table());
  (void)b.k.names().withdraw("a/x", "q");
  b.provide("a/later", s);
  CHECK(seen == std::vector<std::string>{"0a/xplug", "1a/xq", "0a/nestedplug", "2a/xq"});
}

TEST_CASE("a kernel knows nothing of another") {
  bench one, two;
  service s;
  one.provide("a/x", s);
  caller in_one, in_two;
  const rai_call id = one.call(in_one, "a/x");
  two.call(in_two, "a/x");
  CHECK(in_two.status() == RAI_NOT_FOUND);
  two.k.cancel(id);
  two.k.finish(id, RAI_OK, str("{}"));
  CHECK(in_one.finishes() == 0);
  one.k.finish(id, RAI_OK, str("{}"));
  CHECK(in_one.status() == RAI_OK);

  // Also with ids that differ in nothing but the seed.
  kernel_options other;
  other.seed = 8;
  kernel third(other);
  (void)third.names().provide({"a/x", "p", {}}, s.table());
  caller mine;
  const rai_call in_third = third.call(0, request_for("a/x"), mine.observer(), {});
  one.k.cancel(in_third);
  CHECK(in_third != id);
  third.finish(in_third, RAI_OK, str("{}"));
  CHECK(mine.status() == RAI_OK);
}
