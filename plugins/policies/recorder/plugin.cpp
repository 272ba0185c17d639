// plugins/policies/recorder/plugin.cpp - offers rustic.interceptor/recorder.
#include <rustic/plugin.hpp>

#include "limits.hpp"
#include "recording.hpp"
#include "secrets.hpp"

namespace {
using namespace rustic;
using namespace rustic::recorder;

class plugin {
 public:
  explicit plugin(setup& setup) {
    const auto& config = setup.config();
    const std::string file(require_text(config, "file", "recorder"));
    live_tools_ = text_or(config, "tools", "recorded") == "live";
    if (text_or(config, "mode") == "replay")
      source_ = std::make_unique<recording>(file);
    else
      sink_ = std::make_unique<writer>(file);
    setup.coroutine("rustic.interceptor/recorder",
                    [this](context& ctx) { return serve(ctx, *this); });
  }

 private:
  static task<std::string> serve(context& ctx, plugin& me) {
    const auto& request = ctx.request();
    // The call that it stands in for is recorded as the caller sees it.
    if (ctx.scope().contains("fallback_of")) return pass(ctx);
    const bool tool = request.target.starts_with("rustic.tool/");
    const auto body = request.object();
    const bool of_a_call = tool || request.target.starts_with("rustic.clock/");
    const auto key = me.places_.next({request.target, request.method, text_or(ctx.scope(), "agent"),
                                      text_or(ctx.scope(), "session"),
                                      of_a_call ? text_or(body, "id") : std::string_view{}});
    if (me.sink_) return record(ctx, *me.sink_, key);
    if (tool && me.live_tools_) return pass(ctx);
    return replay(ctx, *me.source_, key);
  }

  static task<call_result> go_on(context& ctx, event_handler on_event) {
    const auto& request = ctx.request();
    call_spec spec{.target = request.target, .method = request.method, .body = request.body};
    spec.data = request.data;
    spec.next = true;
    spec.on_event = std::move(on_event);
    co_return co_await ctx.call(std::move(spec));
  }

  static task<std::string> pass(context& ctx) {
    event_handler forward = [&ctx](const rai_event& event) { return ctx.emit(event); };
    auto result = co_await go_on(ctx, std::move(forward));
    if (!result.ok()) throw failure(result.problem());
    co_return std::move(result.body);
  }

  // The secrets that the program knows, whatever their shape. The host alone sees them.
  static task<void> hide_known(context& ctx, exchange& one) {
    auto texts = texts_of(one);
    json::array told;
    for (const auto& text : texts)
      told.push_back(is_utf8(text) ? json::value(text) : json::value(nullptr));
    const json::object wanted{{"texts", std::move(told)}};
    const auto body = json::serialize(wanted);
    // Also of a call that was cancelled.
    call_spec spec{.target = "rustic.secret/default", .method = "hide", .body = body};
    spec.timeout_ms = hide_ms_max;
    spec.shielded = true;
    const auto result = co_await ctx.call(std::move(spec));
    if (result.status == status_code::not_found || result.status == status_code::unimplemented)
      co_return;  // a host without secrets
    const auto answer = result.object();
    const auto& hidden = array_or_empty(answer, "texts");
    for (std::size_t i = 0; i < texts.size() && i < hidden.size(); ++i)
      if (const auto* text = hidden[i].if_string(); text && text->size() == texts[i].size())
        texts[i].assign(text->data(), text->size());
    put_texts(one, texts);
  }

  static task<std::string> record(context& ctx, writer& sink, std::string key) {
    exchange one;
    one.key = std::move(key);
    std::size_t bytes = 0;
    event_handler keep = [&](const rai_event& event) {
      bytes += event.text.len;
      if (bytes <= exchange_bytes_max)
        one.events.push_back(
            {event.kind, event.index, event.a, event.b, std::string(to_view(event.text))});
      return ctx.emit(event);
    };
    auto result = co_await go_on(ctx, std::move(keep));
    if (bytes > exchange_bytes_max)
      throw failure(status_code::resource_exhausted,
                    "recording " + one.key + ": the exchange is larger than the limit");
    one.status = static_cast<std::int32_t>(result.status);
    one.body = result.body;
    hide_secrets(one);
    co_await hide_known(ctx, one);
    sink.add(one);
    if (!result.ok()) throw failure(result.problem());
    co_return std::move(result.body);
  }

  static task<std::string> replay(context& ctx, const recording& source, std::string key) {
    const auto* one = source.find(key);
    if (!one && source.torn())
      throw failure(status_code::data_loss,
                    "replaying: the recording ends in the middle of a line and has no " + key,
                    "the recorded run was killed, or the file was cut: replay a whole copy");
    if (!one)
      throw failure(
          status_code::failed_precondition,
          "replaying: the recording has no " + key + ", so this run goes another way",
          "replay with the agent, the provider and the prompts of the recorded run, and the "
          "whole of its file");
    for (const auto& event : one->events) {
      const rai_event sent{event.kind, 0, event.index, event.a, event.b, to_str(event.text)};
      if (ctx.emit(sent) == flow::stop)
        throw failure(status_code::cancelled, "the call was cancelled");
      co_await ctx.writable();
    }
    if (one->status != RAI_OK)
      throw failure(read_error(static_cast<status_code>(one->status), one->body));
    co_return one->body;
  }

  bool live_tools_ = false;
  places places_;
  std::unique_ptr<writer> sink_;
  std::unique_ptr<recording> source_;
};
}  // namespace
RUSTIC_PLUGIN(plugin)
