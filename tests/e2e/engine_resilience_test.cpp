// tests/e2e/engine_resilience_test.cpp - the policy in its place before providers and tools, with
// time that only moves when somebody waits.
#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <thread>

#include "engine_world.hpp"
#include "kernel/kernel.hpp"

using namespace rustic;
using namespace rustic::e2e;

namespace {

constexpr std::string_view answer =
    R"({"message":{"role":"assistant","parts":[{"type":"text","text":"ok"}]},)"
    R"("finish_reason":"stop","model":"","usage":{"input_tokens":3,"output_tokens":1}})";

struct reply {
  status_code status = status_code::ok;
  std::string body = std::string(answer);
  std::int64_t takes_ms = 0;
};

reply failing(status_code status, std::string_view kind, std::int64_t retry_after_ms = 0) {
  json::object body{{"message", std::string("no: ") + std::string(kind)}};
  body["details"] = json::object{{"kind", kind}};
  if (retry_after_ms > 0) body["retry_after_ms"] = retry_after_ms;
  return {status, json::serialize(body)};
}
reply overloaded() {
  return failing(status_code::unavailable, "overloaded");
}
reply limited(std::int64_t wait_ms) {
  return failing(status_code::resource_exhausted, "rate_limit", wait_ms);
}

// Providers and a tool of the program's own, a timer that counts what is waited for, and what the
// bus has told.
struct world : engine_world {
  explicit world(json::object resilience = {}) : engine_world(json::array()) {
    options.resilience = std::move(resilience);
  }

  runtime::runtime& start() {
    rt.emplace(options);
    auto& services = rt->services();
    services.withdraw("rustic.timer/default");
    services.provide_later("rustic.timer/default",
                           [this](runtime::host_services::question one) { time(one); });
    for (const auto* name : {"a", "b", "c"})
      services.provide(std::string("rustic.provider/") + name,
                       [this, name](std::string_view, const json::object& body, std::string_view) {
                         return play(name, body);
                       });
    for (const auto* name : {"reads", "writes"}) {
      const bool idempotent = std::string_view(name) == "reads";
      services.provide(std::string("rustic.tool/") + name,
                       [this, name](std::string_view, const json::object& body, std::string_view) {
                         return play(name, body);
                       },
                       {{"description", "x"}, {"annotations", {{"idempotent", idempotent}}}});
    }
    told = rt->kernel().events().subscribe("rustic.resilience.*", &on_news, this, "test");
    return *rt;
  }
  ~world() {
    if (rt) rt->kernel().events().unsubscribe(told);
    rt.reset();
  }

  static void on_news(void* self, rai_str topic, rai_str body) {
    auto& me = *static_cast<world*>(self);
    std::scoped_lock lock(me.mutex);
    me.news.push_back(std::string(to_view(topic)) + " " + std::string(to_view(body)));
  }

  void time(runtime::host_services::question& one) {
    std::unique_lock lock(state);
    if (one.method == "wait") {
      if (hold_waits) {
        ++held;
        changed.notify_all();
        *one.on_cancel = [reply = one.answer] { reply(status_code::cancelled, "{}"); };
        return;
      }
      const auto ms = int_or(parse_object(one.body), "ms");
      waits.push_back(ms);
      now_ms += ms;
    }
    const auto text = json::serialize(json::object{{"now_ms", now_ms}});
    lock.unlock();
    one.answer(status_code::ok, text);
  }

  std::string play(const std::string& name, const json::object& body) {
    std::scoped_lock lock(state);
    asked.push_back({name, body});
    auto& list = replies[name];
    reply next;
    if (!list.empty()) {
      next = list.front();
      if (list.size() > 1 || !sticky) list.pop_front();
    }
    if (next.status != status_code::ok) throw failure(read_error(next.status, next.body));
    return next.body;
  }

  call_result ask(std::string_view provider, json::object extra = {}, std::string turn = "t1",
                  std::uint32_t timeout_ms = 0) {
    if (!extra.contains("model")) extra["model"] = "m";
    const auto body = json::serialize(extra);
    const auto context = json::serialize(json::object{{"turn", turn}, {"agent", "tester"}});
    runtime::root_call call(rt->kernel(), "rustic.provider/" + std::string(provider), "generate",
                            body, context, timeout_ms);
    while (auto event = call.next())
      if (event->kind == RAI_EVENT_JSON) notices.push_back(parse_object(event->text));
    return call.result();
  }

  std::string order() {
    std::scoped_lock lock(state);
    std::string out;
    for (const auto& one : asked) out += one.first;
    return out;
  }

  std::mutex state;
  std::condition_variable changed;
  std::int64_t now_ms = 5'000'000;
  std::vector<std::int64_t> waits;
  bool hold_waits = false;
  int held = 0;
  bool sticky = false;  // the last reply is given for ever
  std::map<std::string, std::deque<reply>> replies;
  std::vector<std::pair<std::string, json::object>> asked;
  std::vector<json::object> notices;
  std::vector<std::string> news;
  std::uint64_t told = 0;
  std::optional<runtime::runtime> rt;
};
}  // namespace

TEST_CASE("waits are taken from the timer and told, and the budget is the turn's") {
  world w({{"turn_retries", 3}, {"backoff", "1s"}, {"circuit_failures", 100}});
  w.start();
  w.replies["a"] = {overloaded(), limited(20'000), {}, overloaded(), overloaded()};
  CHECK(w.ask("a").ok());
  REQUIRE(w.waits.size() == 2);
  CHECK(w.waits[0] <= 1000);
  CHECK(w.waits[1] >= 20'000);
  REQUIRE(w.notices.size() == 2);
  CHECK(text_or(w.notices[1], "type") == "notice");
  CHECK(text_or(w.notices[1], "about") == "retry");
  CHECK(int_or(w.notices[1], "wait_ms") == w.waits[1]);
  CHECK(w.news.size() == 2);
  // One try is left for the next request of this turn, and another turn has its own.
  CHECK_FALSE(w.ask("a").ok());
  CHECK(w.order() == "aaaaa");
  w.replies["a"] = {overloaded(), {}};
  CHECK(w.ask("a", {}, "t2").ok());
}

TEST_CASE("a circuit opens, is told and shown, and after its time one of many calls tries") {
  world w(
      {{"retries", 0}, {"circuit_failures", 2}, {"circuit_cooldown", "10s"}, {"turn_wait", "0s"}});
  auto& rt = w.start();
  w.replies["a"] = {overloaded(), overloaded()};
  CHECK_FALSE(w.ask("a", {}, "t1").ok());
  CHECK_FALSE(w.ask("a", {}, "t2").ok());
  const auto refused = w.ask("a", {}, "t3");
  CHECK(refused.status == status_code::unavailable);
  CHECK(text_or(refused.problem().details.as_object(), "kind") == "circuit_open");
  CHECK(refused.problem().retry_after_ms == 10'000);
  CHECK(w.order() == "aa");
  auto circuits = [&] {
    const auto shown = rt.call("rustic.resilience/default", "status", {});
    return json::serialize(array_or_empty(shown, "circuits"));
  };
  CHECK(circuits() == R"([{"target":"a/m","state":"open","failures":2,"retry_in_ms":10000}])");
  REQUIRE(w.news.size() == 1);
  CHECK(w.news[0].find("rustic.resilience.circuit") == 0);
  CHECK(w.news[0].find("\"state\":\"open\"") != std::string::npos);
  // Another model of the provider is another target.
  CHECK(w.ask("a", {{"model", "other"}}, "t4").ok());
  w.now_ms += 10'000;
  CHECK(circuits().find("half_open") != std::string::npos);
  w.replies["a"] = {overloaded(), {}};
  CHECK_FALSE(w.ask("a", {}, "t5").ok());
  CHECK_FALSE(w.ask("a", {}, "t6").ok());  // open again
  CHECK(w.order() == "aaaa");
  w.now_ms += 10'000;
  CHECK(w.ask("a", {}, "t7").ok());
  CHECK(circuits() == "[]");
  CHECK(w.news.back().find("\"state\":\"closed\"") != std::string::npos);
}

TEST_CASE("what stands in gets its own model and nothing that only the other can read") {
  world w({{"retries", 0}, {"fallback", json::array{"b/bm"}}});
  w.start();
  w.replies["a"] = {failing(status_code::unauthenticated, "bad_key")};
  const auto messages = json::parse(R"([{"role":"assistant","parts":[
    {"type":"reasoning","text":"hm","opaque":"SIGNED","provider":"a"},
    {"type":"tool_call","id":"1","name":"f","arguments":"{}","opaque":"SIGNED","provider":"a"}]},
    {"role":"user","parts":[{"type":"tool_result","id":"1","name":"f","output":"done"}]}])");
  const auto done = w.ask("a", {{"messages", messages}});
  REQUIRE(done.ok());
  CHECK(text_or(done.object(), "provider") == "b");
  CHECK(text_or(done.object(), "asked_model") == "bm");
  REQUIRE(w.asked.size() == 2);
  const auto sent = json::serialize(w.asked[1].second);
  CHECK(text_or(w.asked[1].second, "model") == "bm");
  CHECK(sent.find("SIGNED") == std::string::npos);
  CHECK(sent.find("\"tool_call\"") != std::string::npos);
  CHECK(sent.find("done") != std::string::npos);
  REQUIRE(w.notices.size() == 1);
  CHECK(text_or(w.notices[0], "about") == "fallback");
  CHECK(text_or(w.notices[0], "from") == "a/m");
  CHECK(text_or(w.notices[0], "to") == "b/bm");
  // The turn stays with it, quietly.
  CHECK(w.ask("a").ok());
  CHECK(w.order() == "abb");
  CHECK(w.notices.size() == 1);
}

TEST_CASE("no wait beyond the caller's own deadline: the error at once, or the next target") {
  world w;
  w.start();
  w.replies["a"] = {limited(20'000)};
  CHECK(w.ask("a", {}, "t1", 10'000).status == status_code::resource_exhausted);
  CHECK(w.waits.empty());
  world two({{"fallback", json::array{"b"}}});
  two.start();
  two.replies["a"] = {limited(20'000)};
  CHECK(two.ask("a", {}, "t1", 10'000).ok());
  CHECK(two.order() == "ab");
  CHECK(two.waits.empty());
}

TEST_CASE("a wait ends with the call") {
  world w;
  w.start();
  w.hold_waits = true;
  w.replies["a"] = {limited(20'000)};
  auto call = w.rt->start("rustic.provider/a", "generate", {{"model", "m"}});
  {
    std::unique_lock lock(w.state);
    REQUIRE(w.changed.wait_for(lock, std::chrono::seconds(10), [&] { return w.held == 1; }));
  }
  call->cancel();
  CHECK(call->result().status == status_code::cancelled);
  CHECK(w.order() == "a");
}

TEST_CASE("the chain ends with the names of all that were asked") {
  world w({{"retries", 1}, {"fallback", json::array{"b", "c/x"}}});
  w.start();
  w.replies["a"] = {overloaded(), overloaded()};
  w.replies["b"] = {failing(status_code::resource_exhausted, "quota")};
  w.replies["c"] = {overloaded(), overloaded()};
  const auto end = w.ask("a");
  CHECK(end.status == status_code::unavailable);
  const auto problem = end.problem();
  CHECK(problem.message ==
        "no: overloaded (tried 2 times); a/m: overloaded; b: no money or quota left");
  CHECK(array_or_empty(problem.details.as_object(), "attempts").size() == 5);
  CHECK(w.order() == "aabcc");
}

TEST_CASE("a tool is called again when it is idempotent and was unavailable, not otherwise") {
  world w;
  auto& rt = w.start();
  const auto call = [&](const char* name) {
    return rt
        .start("rustic.tool/" + std::string(name), "call",
               {{"id", "1"}, {"arguments", json::object()}}, {{"permission_mode", "bypass"}})
        ->result();
  };
  const reply away{status_code::unavailable, R"({"message":"away","retry_after_ms":500})"};
  w.replies["reads"] = {away, {status_code::ok, R"({"success":true,"output":"x"})"}};
  CHECK(call("reads").ok());
  REQUIRE(w.waits.size() == 1);
  CHECK(w.waits[0] >= 500);
  w.replies["writes"] = {away, {}};
  CHECK(call("writes").status == status_code::unavailable);
  w.replies["reads"] = {failing(status_code::internal, ""), {}};
  CHECK(call("reads").status == status_code::internal);
  // A plugin that died may have died of this call.
  auto died = json::parse(R"({"message":"m","details":{"kind":"plugin_died"}})");
  died.at("details").as_object()["should_retry"] = false;
  w.replies["reads"] = {{status_code::unavailable, json::serialize(died)}, {}};
  CHECK(call("reads").status == status_code::unavailable);
  CHECK(w.order() == "readsreadswritesreadsreads");
}

TEST_CASE("many turns side by side, with servers that come and go") {
  world w({{"retries", 1},
           {"circuit_failures", 3},
           {"circuit_cooldown", "1s"},
           {"fallback", json::array{"b"}}});
  w.start();
  constexpr int turns = 8, requests = 40;
  std::atomic<int> good = 0, bad = 0;
  for (int i = 0; i < turns * requests; ++i) {
    std::scoped_lock lock(w.state);
    if (i % 3 != 0) w.replies["a"].push_back(overloaded());
    if (i % 5 == 0) w.replies["b"].push_back(limited(100));
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < turns; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < requests; ++i) {
        const auto turn = std::to_string(t) + "-" + std::to_string(i);
        const auto body = json::serialize(json::object{{"model", "m"}});
        const auto context = json::serialize(json::object{{"turn", turn}});
        runtime::root_call call(w.rt->kernel(), "rustic.provider/a", "generate", body, context);
        ++(call.result().ok() ? good : bad);
      }
    });
  for (auto& one : threads) one.join();
  CHECK(good + bad == turns * requests);
  CHECK(good > 0);
}

TEST_CASE(
    "the program's timer waits no less than it was asked for, and any wait can be cancelled") {
  engine_world w((json::array()));
  runtime::runtime rt(w.options);
  const auto now = [&] { return int_or(rt.call("rustic.timer/default", "now", {}), "now_ms"); };
  const auto before_ms = now();
  std::vector<std::unique_ptr<runtime::root_call>> calls;
  for (const int ms : {30, 10, 0, 20})
    calls.push_back(rt.start("rustic.timer/default", "wait", {{"ms", ms}}));
  auto endless = rt.start("rustic.timer/default", "wait", {{"ms", 86'400'000}});
  for (auto& one : calls) CHECK(one->result().ok());
  CHECK(now() - before_ms >= 30);
  CHECK_FALSE(endless->finished());
  endless->cancel();
  CHECK(endless->result().status == status_code::cancelled);
  for (const auto* body : {R"({"ms":-1})", R"({"ms":86400001})", R"({})"})
    CHECK(rt.start("rustic.timer/default", "wait", parse_object(body))->result().status ==
          status_code::invalid_argument);
  CHECK(rt.start("rustic.timer/default", "sleep", {})->result().status ==
        status_code::unimplemented);
  // One that is left behind ends with the program.
  auto left = rt.start("rustic.timer/default", "wait", {{"ms", 80'000'000}});
  left.reset();
}
