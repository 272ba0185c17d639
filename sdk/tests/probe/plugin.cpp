// sdk/tests/probe/plugin.cpp - answers in both forms; what it does is in the calls.
//
// Configuration: {"coroutines": [targets], "blockings": [targets], "fail": reason, "tag": text,
// "threads": n}. Methods: echo; tag; throw; throw_number; refuse; emit {count}: texts "0", "1",
// ...; ask {target, method, count}: so many calls one after the other; pass {target, method}: what
// the other says, events too; own {target}: a call on the plugin's own account (blocking only);
// keep {text}: what save() hands over (blocking only); kept: that. "save" and "restore" in the
// configuration: the reasons why these fail. "offers": targets that start provides and nobody takes
// back; "hears": a pattern that start subscribes to for good; "asks": a target that start calls;
// "tells": a topic that start publishes; "no_start": the reason why start fails after all that.
// heard: how many events came.
#include <rustic/plugin.hpp>

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace {
using namespace rustic;

[[noreturn]] void fail_as(const std::string& method) {
  if (method == "throw") throw std::runtime_error("broken on purpose");
  if (method == "throw_number") throw 42;
  if (method == "refuse") throw failure(status_code::not_found, "it is gone", "look elsewhere");
  throw failure(status_code::unimplemented, "no method " + method);
}

struct plugin {
  explicit plugin(setup& setup) {
    if (const auto reason = text_or(setup.config(), "fail"); !reason.empty())
      throw failure(status_code::failed_precondition, std::string(reason));
    tag = text_or(setup.config(), "tag");
    no_save = text_or(setup.config(), "save");
    no_restore = text_or(setup.config(), "restore");
    host = &setup.host();
    started_with = setup.config();
    setup.limit_threads(static_cast<std::size_t>(int_or(setup.config(), "threads", 8)));
    const auto each = [&](std::string_view key, std::initializer_list<std::string> usual,
                          auto add) {
      if (!find(setup.config(), key))
        for (const auto& target : usual) add(target);
      for (const auto& target : array_or_empty(setup.config(), key))
        add(std::string(target.as_string()));
    };
    each("coroutines", {"rustic.test/co"}, [&](const std::string& target) {
      setup.coroutine(target, [this](context& ctx) { return serve(ctx, *this); });
    });
    each("blockings", {"rustic.test/block"}, [&](const std::string& target) {
      setup.blocking(target, [this](context& ctx) { return serve_blocking(ctx); });
    });
  }

  void start() {
    for (const auto& target : array_or_empty(started_with, "offers")) {
      const rai_service table{sizeof(table), 0, this,
                              [](void* self, const rai_request*, rai_call call, rai_op*) {
                                auto& me = *static_cast<plugin*>(self);
                                const auto body = "{\"tag\":\"" + me.tag + "\"}";
                                me.host->finish(me.host->self, call, RAI_OK, to_str(body));
                              }};
      if (host->provide(host->self, to_str(target.as_string()), to_str("{}"), &table) != RAI_OK)
        throw failure(status_code::already_exists, "it is taken");
    }
    if (const auto pattern = text_or(started_with, "hears"); !pattern.empty())
      host->subscribe(
          host->self, to_str(pattern),
          [](void* self, rai_str, rai_str) { ++static_cast<plugin*>(self)->heard; }, this);
    if (const auto topic = text_or(started_with, "tells"); !topic.empty())
      host->publish(host->self, to_str(topic), to_str("{}"));
    if (const auto target = text_or(started_with, "asks"); !target.empty())
      tag = own_call(*host, std::string(target));
    if (const auto reason = text_or(started_with, "no_start"); !reason.empty())
      throw failure(status_code::failed_precondition, std::string(reason));
  }

  static task<std::string> pass_on(context& ctx) {
    const auto& request = ctx.request();
    call_spec spec{.target = request.target, .method = request.method, .body = request.body};
    spec.data = request.data;
    spec.next = true;
    spec.on_event = [&ctx](const rai_event& event) { return ctx.emit(event); };
    auto result = co_await ctx.call(std::move(spec));
    if (!result.ok()) throw failure(result.problem());
    co_return std::move(result.body);
  }

  static task<std::string> serve(context& ctx, plugin& me) {
    if (ctx.request().intercepted()) {
      auto passed = pass_on(ctx);
      co_return co_await std::move(passed);
    }
    const auto body = ctx.request().object();
    const auto& method = ctx.request().method;
    const std::string target(text_or(body, "target"));
    const std::string inner(text_or(body, "method", "go"));
    if (method == "echo") co_return ctx.request().body;
    if (method == "tag") co_return "{\"tag\":\"" + me.tag + "\"}";
    if (method == "emit") {
      const auto count = int_or(body, "count");
      for (std::int64_t i = 0; i < count; ++i) {
        const auto text = std::to_string(i);
        if (ctx.text(text) == flow::stop) throw failure(status_code::cancelled, "told to stop");
        co_await ctx.writable();
      }
      co_return "{}";
    }
    if (method == "ask") {
      const auto count = int_or(body, "count", 1);
      for (std::int64_t i = 0; i < count; ++i) {
        const auto result = co_await ctx.call({.target = target, .method = inner});
        if (!result.ok()) throw failure(result.problem());
      }
      co_return "{\"done\":" + std::to_string(count) + "}";
    }
    if (method == "pass") {
      call_spec spec{.target = target, .method = inner, .body = ctx.request().body};
      spec.on_event = [&ctx](const rai_event& event) { return ctx.emit(event); };
      auto result = co_await ctx.call(std::move(spec));
      if (!result.ok()) throw failure(result.problem());
      co_return std::move(result.body);
    }
    fail_as(method);
  }

  std::string serve_blocking(context& ctx) {
    const auto body = ctx.request().object();
    const auto& method = ctx.request().method;
    const std::string target(text_or(body, "target"));
    const std::string inner(text_or(body, "method", "go"));
    if (method == "echo") return ctx.request().body;
    if (method == "tag") return "{\"tag\":\"" + tag + "\"}";
    if (method == "said") return tag;
    if (method == "heard") return "{\"heard\":" + std::to_string(heard.load()) + "}";
    if (method == "emit") {
      const auto count = int_or(body, "count");
      for (std::int64_t i = 0; i < count; ++i)
        ctx.emit_blocking(make_event(RAI_EVENT_TEXT, std::to_string(i)));
      return "{}";
    }
    if (method == "ask") {
      const auto count = int_or(body, "count", 1);
      for (std::int64_t i = 0; i < count; ++i) {
        const auto result = ctx.call_blocking({.target = target, .method = inner});
        if (!result.ok()) throw failure(result.problem());
      }
      return "{\"done\":" + std::to_string(count) + "}";
    }
    if (method == "pass") {
      call_spec spec{.target = target, .method = inner, .body = ctx.request().body};
      spec.on_event = [&ctx](const rai_event& event) { return ctx.emit(event); };
      const auto result = ctx.call_blocking(spec);
      if (!result.ok()) throw failure(result.problem());
      return result.body;
    }
    if (method == "own") return own_call(ctx.host(), target);
    if (method == "keep" || method == "kept") {
      const std::scoped_lock lock(kept_mutex);
      if (method == "keep") kept = text_or(body, "text");
      return json::serialize(json::object{{"text", kept}});
    }
    fail_as(method);
  }

  static std::string own_call(const rai_host& host, const std::string& target) {
    struct waiter {
      std::mutex mutex;
      std::condition_variable changed;
      bool done = false;
      std::string body;
    } state;
    rai_request request{};
    request.struct_size = sizeof(request);
    request.target = to_str(target);
    request.method = to_str("go");
    request.body = to_str("{}");
    const rai_observer observer{sizeof(observer), 0, &state, nullptr,
                                [](void* self, rai_status, rai_str body) {
                                  auto& me = *static_cast<waiter*>(self);
                                  std::scoped_lock lock(me.mutex);
                                  me.body = to_view(body);
                                  me.done = true;
                                  me.changed.notify_all();
                                }};
    host.call(host.self, 0, &request, &observer);
    std::unique_lock lock(state.mutex);
    state.changed.wait(lock, [&] { return state.done; });
    return state.body;
  }

  std::string save() {
    if (!no_save.empty()) throw failure(status_code::unavailable, no_save);
    const std::scoped_lock lock(kept_mutex);
    return kept;
  }
  void restore(std::string_view state) {
    if (!no_restore.empty()) throw failure(status_code::data_loss, no_restore);
    kept = state;
  }

  const rai_host* host = nullptr;
  json::object started_with;
  std::atomic<int> heard{0};
  std::string tag, no_save, no_restore;
  std::mutex kept_mutex;
  std::string kept;
};
}  // namespace
RUSTIC_PLUGIN(plugin)
