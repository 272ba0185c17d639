// What a plugin does from inside its cell: it calls, streams, intercepts, publishes, subscribes,
// asks the registry and keeps its state.
#include <list>

#include "cell_world.hpp"

using namespace rustic::cell::testing;

namespace {
namespace json = boost::json;
constexpr auto co = "rustic.test/co";
constexpr auto block = "rustic.test/block";
constexpr auto hostile = "rustic.test/hostile";
constexpr auto raw = "rustic.test/raw";

// Answers "go" at once; emits what it was asked for before. Like all that plugins reach, it must
// outlive the world, whose end waits for their last words.
struct streaming {
  service table;
  int count;
  world* w = nullptr;
  std::atomic<int> paused{0};
  std::mutex mutex;
  std::map<rai_call, int> sent;

  explicit streaming(int events) : count(events) {
    table.on_call = [this](const service::seen& now) { run(now.id); };
    table.on_resume = [this](rai_call id) { run(id); };
    table.on_cancel = [this](rai_call id) { w->b.k.finish(id, RAI_CANCELLED, str("{}")); };
  }
  void serve_in(world& where) {
    w = &where;
    where.b.provide("rustic.test/stream", table);
  }
  int sent_first() {
    const std::scoped_lock lock(mutex);
    return sent.begin()->second;
  }
  void run(rai_call id) {
    for (;;) {
      int next = 0;
      {
        const std::scoped_lock lock(mutex);
        next = sent[id]++;
      }
      if (next >= count) break;
      const auto text = std::to_string(next);
      const auto flow = w->b.k.emit(id, text_event(text));
      if (flow == RAI_STOP) return;
      if (flow == RAI_PAUSE) {
        ++paused;
        return;
      }
    }
    w->b.k.finish(id, RAI_OK, str(R"({"done":true})"));
  }
};

std::vector<std::string> numbers(int count) {
  std::vector<std::string> out;
  for (int i = 0; i < count; ++i) out.push_back(std::to_string(i));
  return out;
}
}  // namespace

TEST_CASE("it calls others, with the parent's line and on its own account") {
  service go;
  world w;
  std::mutex mutex;
  std::string caller_id, context;
  std::uint64_t root = 0;
  go.on_call = [&](const service::seen& now) {
    rai_call_info info{};
    info.struct_size = sizeof info;
    CHECK(w.b.k.info(now.id, &info) == RAI_OK);
    {
      const std::scoped_lock lock(mutex);
      caller_id = view(info.caller);
      context = view(info.context);
      root = info.root;
    }
    w.b.k.finish(now.id, RAI_OK, str(R"({"gone":1})"));
  };
  w.b.provide("rustic.test/go", go);
  w.add(test_plugin("probe"));
  for (const auto* target : {co, block}) {
    CAPTURE(target);
    caller who;
    auto request = request_for(target, "ask", R"({"target":"rustic.test/go","count":3})");
    request.context = str(R"({"session":"s_1"})");
    const auto id = w.b.k.call(0, request, who.observer(), {});
    REQUIRE(who.wait_finished());
    CHECK(who.body() == R"({"done":3})");
    const std::scoped_lock lock(mutex);
    CHECK(caller_id == "probe");
    CHECK(context == R"({"session":"s_1"})");
    if (id != 0) CHECK(root == id);
  }
  CHECK(w.ask(block, "own", R"({"target":"rustic.test/go"})") == R"({"gone":1})");
  CHECK(context == R"({"principal":"plugin:probe"})");
  const auto refused = w.ask(co, "ask", R"({"target":"rustic.test/nobody"})", RAI_NOT_FOUND);
  CHECK(refused.find("rustic.test/nobody") != std::string::npos);
}

TEST_CASE("streams pass through it in order, whoever pauses") {
  streaming source(20'000);
  world w;
  source.serve_in(w);
  w.add(test_plugin("probe"));
  for (const auto* target : {co, block}) {
    CAPTURE(target);
    caller who;
    std::atomic<rai_call> id{0};
    int seen = 0;
    who.flow = [&](const rai_event&) -> rai_flow { return ++seen % 1'000 == 0 ? RAI_PAUSE : 0; };
    id = w.call(who, target, "pass", R"({"target":"rustic.test/stream"})");
    REQUIRE(eventually([&] {
      w.b.k.resume(id);
      return who.finishes() == 1;
    }));
    CHECK(who.status() == RAI_OK);
    CHECK(who.faults() == 0);
    CHECK(who.events() == numbers(20'000));
  }
  CHECK(source.table.faults() == 0);
}

TEST_CASE("a reader that stands still holds the source up, and nothing grows") {
  streaming source(1'000'000);
  world w;
  source.serve_in(w);
  w.add(test_plugin("probe"));
  caller who;
  who.flow = [](const rai_event&) -> rai_flow { return RAI_PAUSE; };
  const auto id = w.call(who, co, "pass", R"({"target":"rustic.test/stream"})");
  REQUIRE(eventually([&] { return source.paused > 0; }));
  CHECK(source.sent_first() < 20'000);
  CHECK(eventually([&] { return who.events().size() == 1; }));
  w.b.k.cancel(id);
  REQUIRE(who.wait_finished());
  CHECK(who.status() == RAI_CANCELLED);
  CHECK(eventually([&] { return source.table.cancels() == 1; }));
}

TEST_CASE("emitting: pause, resume, stop, and taking no notice") {
  world w;
  w.add(test_plugin("probe"));
  w.add(test_plugin("hostile"));
  for (const auto& [target, method] :
       {std::pair{co, "emit"}, std::pair{block, "emit"}, std::pair{raw, "stream"}}) {
    CAPTURE(target);
    caller who;
    std::atomic<int> seen{0};
    who.flow = [&](const rai_event&) -> rai_flow { return ++seen % 700 == 0 ? RAI_PAUSE : 0; };
    const auto id = w.call(who, target, method, R"({"count":10000})");
    REQUIRE(eventually([&] {
      w.b.k.resume(id);
      return who.finishes() == 1;
    }));
    CHECK(who.status() == RAI_OK);
    CHECK(seen == 10'000);

    caller stops;
    int taken = 0;
    stops.flow = [&](const rai_event&) -> rai_flow { return ++taken == 5 ? RAI_STOP : 0; };
    w.call(stops, target, method, R"({"count":1000000})");
    REQUIRE(stops.wait_finished());
    CHECK(stops.status() == RAI_CANCELLED);
    CHECK(taken == 5);
  }
  caller stands;
  stands.flow = [](const rai_event&) -> rai_flow { return RAI_PAUSE; };
  w.call(stands, raw, "overrun");
  REQUIRE(stands.wait_finished());
  CHECK(w.died() == 0);
}

TEST_CASE("it intercepts: passes on, and forwards") {
  streaming source(3'000);
  world w;
  source.serve_in(w);
  w.plugin_config = R"({"coroutines":["rustic.interceptor/pass"],"blockings":[]})";
  w.add(test_plugin("probe"), "rustic.interceptor", "pass");
  REQUIRE(w.b.k.names().intercept("rustic.test/stream", 1, "rustic.interceptor/pass", true).ok());
  caller who;
  w.call(who, "rustic.test/stream", "go");
  REQUIRE(who.wait_finished());
  CHECK(who.body() == R"({"done":true})");
  CHECK(who.events() == numbers(3'000));
  CHECK(source.table.releases() == 1);

  w.add(test_plugin("hostile"));
  w.ask(hostile, "provide", R"({"target":"rustic.interceptor/forward"})");
  REQUIRE(
      w.b.k.names().intercept("rustic.test/stream", 2, "rustic.interceptor/forward", true).ok());
  caller again;
  w.call(again, "rustic.test/stream", "forwarded");
  REQUIRE(again.wait_finished());
  CHECK(again.body() == R"({"done":true})");
  CHECK(again.events() == numbers(3'000));
  CHECK(source.table.last_seen().method == "forwarded");
}

TEST_CASE("cancel reaches it and what it calls") {
  service gate;
  world w;
  gate.on_cancel = [&](rai_call id) { w.b.k.finish(id, RAI_CANCELLED, str("{}")); };
  w.b.provide("rustic.test/gate", gate);
  w.add(test_plugin("probe"));
  for (const auto* target : {co, block}) {
    CAPTURE(target);
    const int before = gate.cancels();
    caller who;
    const auto id = w.call(who, target, "ask", R"({"target":"rustic.test/gate"})");
    REQUIRE(eventually([&] { return gate.calls() == before + 1; }));
    w.b.k.cancel(id);
    REQUIRE(who.wait_finished());
    CHECK(who.status() == RAI_CANCELLED);
    CHECK(gate.cancels() == before + 1);
  }
  CHECK(w.died() == 0);
}

TEST_CASE("its calls end with it") {
  service gate;
  world w;
  gate.on_cancel = [&](rai_call id) { w.b.k.finish(id, RAI_CANCELLED, str("{}")); };
  w.b.provide("rustic.test/gate", gate);
  w.add(test_plugin("hostile"));
  caller who, killer;
  w.call(who, hostile, "ask_gate");
  REQUIRE(eventually([&] { return gate.calls() == 2; }));  // below the call, and on its own account
  w.call(killer, hostile, "die", R"({"how":"kill"})");
  REQUIRE(who.wait_finished());
  CHECK(who.status() == RAI_UNAVAILABLE);
  CHECK(eventually([&] { return gate.cancels() == 2; }));
}

TEST_CASE("late, double and foreign uses of ids do nothing") {
  world w;
  w.add(test_plugin("hostile"));
  CHECK(w.ask(raw, "twice") == R"({"which":1})");
  CHECK(w.ask(raw, "echo") == "{}");
  const auto thrown = w.ask(raw, "throw", "{}", RAI_INTERNAL);
  CHECK(thrown.find("its call function threw: broken on purpose") != std::string::npos);
  CHECK(w.ask(raw, "wait_inside") == R"({"inside":true})");
  service victim;
  w.b.provide("rustic.test/victim", victim);
  caller who;
  const auto id = w.call(who, "rustic.test/victim", "go");
  w.ask(hostile, "meddle", "{\"call\":" + std::to_string(id >> 1) + "}");
  CHECK(who.finishes() == 0);
  CHECK(victim.cancels() == 0);
  w.b.k.finish(victim.last(), RAI_OK, str("{}"));
  CHECK(who.status() == RAI_OK);
  CHECK(w.died() == 0);
}

TEST_CASE("many calls at once from many threads") {
  service go;
  world w;
  go.on_call = [&](const service::seen& now) { w.b.k.finish(now.id, RAI_OK, str("{}")); };
  w.b.provide("rustic.test/go", go);
  w.add(test_plugin("probe"));
  w.add(test_plugin("hostile"));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 300; ++i) {
        caller who;
        const std::string body = "{\"n\":" + std::to_string(t * 1'000 + i) + "}";
        switch (i % 4) {
          case 0:
            w.call(who, raw, "echo", body);
            break;
          case 1:
            w.call(who, block, "echo", body);
            break;
          case 2:
            w.call(who, co, "ask", R"({"target":"rustic.test/go","count":2})");
            break;
          default:
            w.call(who, co, "emit", R"({"count":50})");
        }
        if (!who.wait_finished() || who.status() != RAI_OK || who.faults() != 0) ++wrong;
        if (i % 4 < 2 && who.body() != body) ++wrong;
        if (i % 4 == 3 && who.events() != numbers(50)) ++wrong;
      }
    });
  for (auto& one : threads) one.join();
  CHECK(wrong == 0);
  CHECK(w.died() == 0);
}

TEST_CASE("events between plugins, the registry, and services of its own") {
  std::atomic<int> heard{0};
  world w;
  w.add(test_plugin("hostile"));
  w.b.k.events().subscribe(
      "hostile.*", [](void* self, rai_str, rai_str) { ++*static_cast<std::atomic<int>*>(self); },
      &heard);
  w.ask(hostile, "subscribe", R"({"pattern":"news.*"})");
  w.ask(hostile, "subscribe", R"({"pattern":"no*good"})", RAI_INVALID_ARGUMENT);
  REQUIRE(eventually([&] {
    w.b.k.events().publish("news.first", R"({"n":1})");
    return w.ask(hostile, "heard").find("news.first") != std::string::npos;
  }));
  w.b.k.events().publish("other.topic", "{}");
  for (int i = 0; i < 50; ++i) w.b.k.events().publish("news.later", std::to_string(i));
  std::string all;
  CHECK(eventually([&] {
    all = w.ask(hostile, "heard");
    return all.find("news.later 49") != std::string::npos;
  }));
  CHECK(all.find("other.topic") == std::string::npos);
  CHECK(all.find("news.later 10") < all.find("news.later 11"));
  w.ask(hostile, "unsubscribe");
  w.ask(hostile, "publish", R"({"topic":"hostile.said","count":3})");
  CHECK(eventually([&] { return heard == 3; }));

  CHECK(w.ask(hostile, "list", R"({"pattern":"rustic.test/*"})").find(raw) != std::string::npos);
  CHECK(w.ask(hostile, "provide", R"({"target":"rustic.test/extra"})") == R"({"status":0})");
  CHECK(w.ask("rustic.test/extra", "echo", R"({"x":1})") == R"({"x":1})");
  w.ask(hostile, "withdraw", R"({"target":"rustic.test/extra"})");
  w.ask("rustic.test/extra", "echo", "{}", RAI_NOT_FOUND);
  CHECK(w.ask(hostile, "provide", R"({"target":"rustic.test/extra"})") == R"({"status":0})");
  w.ask(hostile, "die", R"({"how":"kill"})", RAI_UNAVAILABLE);
  CHECK(eventually([&] {
    caller who;
    w.call(who, "rustic.test/extra", "echo");
    REQUIRE(who.wait_finished());
    return who.status() == RAI_NOT_FOUND;
  }));
}

TEST_CASE("a reload hands its state over, between cells and out of one") {
  world w;
  w.add(test_plugin("hostile"));
  w.ask(hostile, "remember", R"({"text":"a secret"})");
  CHECK(w.plugins.reload("hostile", test_plugin("hostile")) == "");
  CHECK(w.ask(hostile, "recall") == R"({"text":"a secret"})");
  w.in_cell = false;
  CHECK(w.plugins.reload("hostile", test_plugin("hostile")) == "");
  CHECK(w.ask(hostile, "recall") == R"({"text":"a secret"})");
  CHECK(w.number(hostile, "pid") == ::getpid());
  w.in_cell = true;
  CHECK(w.plugins.reload("hostile", test_plugin("hostile")) == "");
  CHECK(w.ask(hostile, "recall") == R"({"text":"a secret"})");
  CHECK(w.number(hostile, "pid") != ::getpid());
}

TEST_CASE("large requests and results pass; too large ones are refused by name") {
  world w;
  w.add(test_plugin("hostile"));
  const std::string body = "{\"text\":\"" + std::string(9u << 20, 'x') + "\"}";
  CHECK(w.ask(raw, "echo", body) == body);
  CHECK(w.ask(raw, "big", R"({"bytes":5000000})").size() == 5'000'011);
  w.ask(raw, "big", R"({"bytes":70000000})", RAI_RESOURCE_EXHAUSTED);
  const std::string huge = "{\"text\":\"" + std::string(65u << 20, 'x') + "\"}";
  CHECK(w.ask(raw, "echo", huge, RAI_RESOURCE_EXHAUSTED).find("isolation") != std::string::npos);
  CHECK(w.ask(raw, "echo") == "{}");
}

TEST_CASE("a cancelled call that has ended is not late while others are slow to take events") {
  world w;
  w.section["cancel_grace"] = "1s";
  w.add(test_plugin("hostile"));
  std::mutex slow;
  w.b.k.events().subscribe(
      "test.slow",
      [](void* self, rai_str, rai_str) {
        const std::scoped_lock wait(*static_cast<std::mutex*>(self));
      },
      &slow);
  caller reader, publisher;
  std::list<caller> knocks;
  reader.flow = [](const rai_event&) -> rai_flow { return RAI_PAUSE; };
  const auto id = w.call(reader, raw, "stream", R"({"count":100000})");
  {
    const std::scoped_lock hold(slow);
    w.call(publisher, hostile, "publish", R"({"topic":"test.slow","count":5000})");
    // Until so many events wait that the child is not heard any more.
    do w.call(knocks.emplace_back(), raw, "echo");
    while (knocks.back().wait_finished(1) && knocks.size() < 10'000);
    REQUIRE(knocks.size() < 10'000);
    w.b.k.cancel(id);
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    eventually([&] { return w.died() != 0 || std::chrono::steady_clock::now() > until; });
    CHECK(w.died() == 0);
  }
  REQUIRE(publisher.wait_finished());
  REQUIRE(reader.wait_finished());
  CHECK(reader.status() == RAI_CANCELLED);
  for (auto& knock : knocks) REQUIRE(knock.wait_finished());
  w.ask(hostile, "echo");
  CHECK(w.died() == 0);
}

TEST_CASE(
    "a new generation that is refused is stopped although it calls what is not activated yet") {
  world w;
  w.add(test_plugin("hostile"));
  w.add(test_plugin("probe"));
  w.ask(raw, "echo");
  const auto file = w.dir.path / "withheld";
  std::ofstream(file) << "now";
  w.plugin_config = json::serialize(
      json::object{{"withheld_while", file.string()}, {"call_at_start", "rustic.test/block"}});
  const auto problem = w.plugins.reload("hostile", test_plugin("hostile"));
  CHECK(problem.find("it does not offer rustic.test/raw") != std::string::npos);
  w.ask(raw, "echo");
  w.ask("rustic.test/co", "echo");
}

TEST_CASE("a state that comes too late is lost, and the calls of the one that was slow are not") {
  world w;
  w.section["load_timeout"] = "2s";
  w.section["cancel_grace"] = "100ms";
  const auto file = w.dir.path / "now";
  w.plugin_config = json::serialize(json::object{{"save_waits_for", file.string()}});
  w.add(test_plugin("hostile"));
  caller waits;
  const auto id = w.call(waits, raw, "never");
  CHECK(w.plugins.reload("hostile", test_plugin("hostile")) == "");
  CHECK(w.logged("its state is not handed over"));
  std::ofstream(file) << "now";
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  eventually([&] { return std::chrono::steady_clock::now() > until; });  // its answer has come
  CHECK(w.died() == 0);
  CHECK(waits.finishes() == 0);
  w.ask(raw, "echo");
  w.b.k.cancel(id);
  REQUIRE(waits.wait_finished());
}
