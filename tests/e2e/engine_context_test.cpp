// tests/e2e/engine_context_test.cpp - the SDK's two forms of handlers in a real kernel, through a
// real plugin file.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "kernel/abi/loader.hpp"
#include "kernel/abi/plugin_files.hpp"
#include "kernel/test_parts.hpp"

using namespace rustic::kernel;
using namespace rustic::kernel::abi;
using namespace rustic::kernel::testing;

namespace {

struct world {
  bench b;
  loader plugins{b.k, {}};

  explicit world(bool interceptors = false) {
    auto file = inspect_plugin(PROBE_FILE);
    REQUIRE(file.problem == "");
    plugins.add(file);
    if (!interceptors) return;
    for (const auto* id : {"one", "two", "three"}) {
      auto other = file;
      other.about.id = id;
      other.about.provides.clear();
      provided entry;
      entry.interface = "rustic.interceptor";
      entry.name = id;
      entry.attributes = "{}";
      other.about.provides.push_back(entry);
      more.push_back(std::make_unique<loader>(
          b.k, loader::settings{
                   [id](const manifest&) {
                     return std::string("{\"blockings\":[],\"coroutines\":[\"rustic.interceptor/") +
                            id + "\"]}";
                   },
                   {},
                   {},
                   {},
                   {}}));
      more.back()->add(other);
    }
    int order = 0;
    for (const auto* id : {"one", "two", "three"})
      REQUIRE(b.k.names().intercept("rustic.test/leaf", ++order, id, true).ok());
  }
  ~world() {
    plugins.stop(1000);
    for (auto& one : more) one->stop(1000);
  }
  rai_call start(caller& who, std::string_view target, std::string_view method,
                 std::string_view body = "{}") {
    return b.k.call(0, request_for(target, method, body), who.observer(), {});
  }
  std::vector<std::unique_ptr<loader>> more;
};

constexpr const char* forms[] = {"rustic.test/co", "rustic.test/block"};

bool eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}
}  // namespace

TEST_CASE("whatever a handler throws becomes a status, in both forms") {
  world w;
  for (const auto* form : forms) {
    CAPTURE(form);
    caller thrown, number, refused, unknown, fine;
    w.start(thrown, form, "throw");
    w.start(number, form, "throw_number");
    w.start(refused, form, "refuse");
    w.start(unknown, form, "dance");
    w.start(fine, form, "echo", R"({"x":1})");
    for (auto* one : {&thrown, &number, &refused, &unknown, &fine}) REQUIRE(one->wait_finished());
    CHECK(thrown.status() != RAI_OK);
    CHECK(thrown.said("broken on purpose"));
    CHECK(number.status() != RAI_OK);
    CHECK(refused.status() == RAI_NOT_FOUND);
    CHECK(refused.said("look elsewhere"));
    CHECK(unknown.status() == RAI_UNIMPLEMENTED);
    CHECK(fine.body() == R"({"x":1})");
  }
  CHECK(w.b.violations().empty());
}

TEST_CASE(
    "cancelled while it waits for another, a handler of either form ends, and so does the other") {
  world w;
  service gate;
  gate.on_cancel = [&](rai_call id) { w.b.k.finish(id, RAI_CANCELLED, str("{}")); };
  w.b.provide("rustic.test/gate", gate);
  int expected = 0;
  for (const auto* form : forms) {
    caller who;
    const auto id = w.start(who, form, "ask", R"({"target":"rustic.test/gate"})");
    REQUIRE(eventually([&] { return gate.calls() == expected + 1; }));
    w.b.k.cancel(id);
    REQUIRE(who.wait_finished());
    CHECK(who.status() == RAI_CANCELLED);
    CHECK(gate.cancels() == ++expected);
  }
  CHECK(w.b.violations().empty());
}

TEST_CASE(
    "events come in order through pauses, and a resume that races with the pause loses nothing") {
  world w;
  for (const auto* form : forms) {
    for (const auto* method : {"emit", "pass"}) {
      CAPTURE(form);
      CAPTURE(method);
      caller who;
      std::atomic<rai_call> id{0};
      std::atomic<int> due{0};
      std::atomic<bool> over{false};
      who.flow = [&](const rai_event&) -> rai_flow {
        ++due;
        return RAI_PAUSE;
      };
      std::thread other([&] {  // resumes on another thread, as near to the pause as it can
        while (!over) {
          if (due.load() > 0 && id.load() != 0) {
            --due;
            w.b.k.resume(id.load());
          } else {
            std::this_thread::yield();
          }
        }
      });
      const bool pass = std::string_view(method) == "pass";
      id = w.start(
          who, form, method,
          pass ? R"({"target":"rustic.test/co","method":"emit","count":500})" : R"({"count":500})");
      const bool finished = who.wait_finished();
      over = true;
      other.join();
      REQUIRE(finished);
      CHECK(who.status() == RAI_OK);
      const auto events = who.events();
      REQUIRE(events.size() == 500);
      for (int i = 0; i < 500; ++i) CHECK(events[static_cast<std::size_t>(i)] == std::to_string(i));
      CHECK(who.faults() == 0);
    }
  }
  CHECK(w.b.violations().empty());
}

TEST_CASE("a receiver that says stop ends the emitter") {
  world w;
  for (const auto* form : forms) {
    caller who;
    std::atomic<int> seen{0};
    who.flow = [&](const rai_event&) -> rai_flow { return ++seen == 3 ? RAI_STOP : RAI_CONTINUE; };
    w.start(who, form, "emit", R"({"count":1000})");
    REQUIRE(who.wait_finished());
    CHECK(who.status() == RAI_CANCELLED);
    CHECK(seen == 3);
  }
}

TEST_CASE(
    "many calls that finish at once, through three interceptors, need no more stack than one") {
  world w(true);
  service leaf;
  leaf.with_op = false;
  std::atomic<std::uintptr_t> lowest{~std::uintptr_t{0}}, highest{0};
  std::atomic<int> calls{0};
  rai_service table{sizeof(rai_service), 0, nullptr, nullptr};
  struct state {
    kernel& k;
    std::atomic<std::uintptr_t>&lowest, &highest;
    std::atomic<int>& calls;
  } inner{w.b.k, lowest, highest, calls};
  table.self = &inner;
  table.call = [](void* self, const rai_request*, rai_call id, rai_op*) {
    auto& me = *static_cast<state*>(self);
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    me.lowest = std::min(me.lowest.load(), here);
    me.highest = std::max(me.highest.load(), here);
    ++me.calls;
    me.k.finish(id, RAI_OK, str("{}"));
  };
  REQUIRE(w.b.k.names().provide({"rustic.test/leaf", "test", {}}, table).ok());
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr int count = 10'000;
#else
  constexpr int count = 100'000;
#endif
  caller who;
  w.start(who, "rustic.test/co", "ask",
          "{\"target\":\"rustic.test/leaf\",\"count\":" + std::to_string(count) + "}");
  REQUIRE(who.wait_finished(200));
  CAPTURE(who.body());
  CHECK(who.status() == RAI_OK);
  CHECK(calls == count);
  CHECK(highest - lowest < 256 * 1024);
}

TEST_CASE("sixty nested blocking calls that wait for each other's plugin do not starve it") {
  world w;
  std::vector<std::unique_ptr<caller>> callers;
  for (int i = 0; i < 60; ++i) {
    callers.push_back(std::make_unique<caller>());
    w.start(*callers.back(), "rustic.test/block", "ask",
            R"({"target":"rustic.test/block","method":"echo"})");
  }
  for (auto& one : callers) {
    REQUIRE(one->wait_finished());
    CHECK(one->status() == RAI_OK);
  }
}

TEST_CASE("a call on the plugin's own account bears its own name and nobody's context") {
  world w;
  service other;
  other.on_call = [&](const service::seen& call) {
    rai_call_info info{};
    info.struct_size = sizeof(info);
    w.b.k.info(call.id, &info);
    const auto body = "{\"context\":" + std::string(view(info.context)) + ",\"caller\":\"" +
                      std::string(view(info.caller)) + "\"}";
    w.b.k.finish(call.id, RAI_OK, str(body));
  };
  w.b.provide("rustic.test/other", other);
  caller who;
  auto request = request_for("rustic.test/block", "own", R"({"target":"rustic.test/other"})");
  request.context = str(R"({"principal":"user","session":"s"})");
  w.b.k.call(0, request, who.observer(), {});
  REQUIRE(who.wait_finished());
  CHECK(who.body() == R"({"context":{"principal":"plugin:probe"},"caller":"probe"})");
}
