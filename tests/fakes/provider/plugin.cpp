// tests/fakes/provider/plugin.cpp - scripted providers of the type "fake", tools that misbehave,
// and a storage that fails on demand.
//
// A provider's script is a list of steps, one for each request, the last for all that follow:
// {"text": [pieces], "reasoning": text, "tool_calls": [{id, name, arguments}], "usage": {...},
//  "finish_reason", "error": {"status", "message", "kind"}, "max_bytes": n, "stall": true}.
// The error comes after the texts; max_bytes gives context_length to any longer request; stall
// waits to be cancelled after the texts.
//
// The storage "faulty" passes each call on to "memory", but fails the n-th call of
// [plugin.fake-provider] "fail_call" (counted from 1, writes only) with RESOURCE_EXHAUSTED, before
// or ("fail_after") after it was done.
#include <rustic/plugin.hpp>
#include <rustic/tool.hpp>

#include <condition_variable>
#include <mutex>

namespace {
using namespace rustic;

struct instance {
  json::array script;
  std::size_t next = 0;
};

class plugin {
 public:
  explicit plugin(setup& setup) {
    for (const auto& [name, section] : object_or_empty(setup.config(), "instances")) {
      auto& one = instances_[std::string(name)];
      one.script = array_or_empty(section.as_object(), "script");
      setup.coroutine("rustic.provider/" + std::string(name),
                      [this, &one](context& ctx) { return generate(ctx, *this, one); });
    }
    fail_call_ = int_or(setup.config(), "fail_call");
    fail_after_ = bool_or(setup.config(), "fail_after");
    setup.coroutine("rustic.storage/faulty", [this](context& ctx) { return store(ctx, *this); });
    add_tool(setup, "look",
             [this](const json::object& arguments, context& ctx) { return look(arguments, ctx); });
    add_tool(setup, "change", [this](const json::object& arguments, context&) {
      std::scoped_lock lock(mutex_);
      list_ += std::string(text_or(arguments, "word")) + " ";
      return list_;
    });
    add_tool(setup, "throws", [](const json::object&, context&) -> tool_result {
      throw std::runtime_error("the tool broke");
    });
    setup.coroutine("rustic.tool/silent", [](context& ctx) { return silent(ctx); });
    add_tool(setup, "chatter", [](const json::object&, context& ctx) {
      for (const auto* piece : {"caf\xC3", "\xA9 ", "\xE2", "\x82", "\xAC\n"})
        ctx.emit_blocking(make_event(RAI_EVENT_OUTPUT, piece, 1));
      return std::string("caf\xC3\xA9 \xE2\x82\xAC\n");
    });
  }
  void stop() {
    std::scoped_lock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }

 private:
  tool_result look(const json::object& arguments, context& ctx) {
    std::unique_lock lock(mutex_);
    ++looks_;
    changed_.notify_all();
    const auto wanted = static_cast<std::size_t>(int_or(arguments, "wait"));
    while (looks_ < wanted && !stopping_ && !ctx.cancelled())
      changed_.wait_for(lock, std::chrono::milliseconds(5));
    tool_result out;
    out.output = "saw " + std::string(text_or(arguments, "word", "nothing"));
    return out;
  }

  // Paused for ever, and woken by its cancellation.
  static task<std::string> silent(context& ctx) {
    while (!ctx.cancelled()) co_await wait_for_cancel(ctx);
    throw failure(status_code::cancelled, "the call was cancelled");
  }

  // A call to a tool of the host that never comes: rustic.never/default answers when it is
  // cancelled.
  static task<void> wait_for_cancel(context& ctx) {
    const auto waited = co_await ctx.call({.target = "rustic.never/default", .method = "wait"});
    (void)waited;
    if (!ctx.cancelled()) throw failure(status_code::internal, "rustic.never/default has answered");
  }

  static task<std::string> store(context& ctx, plugin& me) {
    const auto& request = ctx.request();
    static constexpr std::string_view reads[] = {"session.get",  "session.list", "messages.range",
                                                 "journal.read", "state.get",    "stats"};
    const bool write =
        std::find(std::begin(reads), std::end(reads), request.method) == std::end(reads);
    bool fail = false;
    if (write) {
      std::scoped_lock lock(me.mutex_);
      fail = ++me.writes_ == me.fail_call_;
    }
    const failure full(status_code::resource_exhausted, "the disk is full", "make room");
    if (fail && !me.fail_after_) throw full;
    const auto result = co_await ctx.call(
        {.target = "rustic.storage/memory", .method = request.method, .body = request.body});
    if (fail) throw full;
    if (!result.ok()) throw failure(result.problem());
    co_return result.body;
  }

  static task<std::string> generate(context& ctx, plugin& me, instance& one) {
    const auto request = ctx.request().object();
    json::object step;
    {
      std::scoped_lock lock(me.mutex_);
      if (one.script.empty()) throw failure(status_code::failed_precondition, "no script");
      step = one.script[std::min(one.next, one.script.size() - 1)].as_object();
      const auto bytes = static_cast<std::int64_t>(ctx.request().body.size());
      if (const auto most = int_or(step, "max_bytes"); most > 0 && bytes > most)
        throw failure(error{status_code::invalid_argument, "too long", "", std::nullopt,
                            json::object{{"kind", "context_length"}}});
      ++one.next;
    }
    if (bool_or(step, "echo")) {  // the request itself, for tests that look at it
      json::object seen{{"type", "seen"}, {"request", request}};
      ctx.event(seen);
    }
    json::array parts;
    std::string text;
    if (const auto words = text_or(step, "reasoning"); !words.empty())
      ctx.emit(make_event(RAI_EVENT_REASONING, words));
    for (const auto& piece : array_or_empty(step, "text")) {
      text += piece.as_string();
      if (ctx.text(piece.as_string()) == flow::stop)
        throw failure(status_code::cancelled, "the call was cancelled");
      co_await ctx.writable();
    }
    const auto& usage = object_or_empty(step, "usage");
    if (!usage.empty()) ctx.emit(make_event(RAI_EVENT_USAGE, json::serialize(usage)));
    if (bool_or(step, "stall")) {
      while (!ctx.cancelled()) co_await wait_for_cancel(ctx);
      throw failure(status_code::cancelled, "the call was cancelled");
    }
    if (const auto& problem = object_or_empty(step, "error"); !problem.empty())
      throw failure(error{static_cast<status_code>(int_or(problem, "status", RAI_UNAVAILABLE)),
                          std::string(text_or(problem, "message", "scripted")), "try again",
                          std::nullopt,
                          json::object{{"kind", text_or(problem, "kind", "server_error")}}});
    if (!text.empty()) parts.push_back(json::object{{"type", "text"}, {"text", text}});
    for (const auto& value : array_or_empty(step, "tool_calls")) {
      json::object call{{"type", "tool_call"}};
      for (const auto& [key, member] : value.as_object()) call[key] = member;
      parts.push_back(std::move(call));
    }
    const bool calls = !array_or_empty(step, "tool_calls").empty();
    json::object out{
        {"finish_reason", text_or(step, "finish_reason", calls ? "tool_calls" : "stop")},
        {"model", "fake-1"}};
    out["message"] = json::object{{"role", "assistant"}, {"parts", std::move(parts)}};
    if (usage.empty())
      out["usage"] = nullptr;
    else
      out["usage"] = usage;
    co_return json::serialize(out);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, instance, std::less<>> instances_;
  std::string list_;
  std::size_t looks_ = 0;
  std::int64_t writes_ = 0, fail_call_ = 0;
  bool fail_after_ = false;
  bool stopping_ = false;
};
}  // namespace
RUSTIC_PLUGIN(plugin)
