// plugin.cpp - an engine: a turn is a coroutine that calls other services and passes on what they
// say. It has no thread, waits for nothing by itself, and ends when its caller is cancelled.
#include <rustic/agent.hpp>
#include <rustic/plugin.hpp>

namespace {
using namespace rustic;

struct settings {
  std::string provider, system;
};

class plugin {
 public:
  explicit plugin(setup& setup)
      : settings_{std::string(text_or(setup.config(), "provider")),
                  std::string(text_or(setup.config(), "system", "Answer in one sentence."))} {
    setup.coroutine("rustic.agent/brief-agent",
                    [this](context& ctx) { return serve(ctx, settings_); });
  }

 private:
  static task<std::string> serve(context& ctx, const settings& with) {
    if (ctx.request().method == "turn") return turn(ctx, with);
    throw failure(status_code::unimplemented,
                  "rustic.agent/brief-agent has no method \"" + ctx.request().method + "\"",
                  "it has turn");
  }

  static task<std::string> turn(context& ctx, const settings& with) {
    auto request = from_json<turn_request>(ctx.request().object(), "turn");
    const auto provider = request.provider.value_or(with.provider);
    if (provider.empty())
      throw failure(status_code::invalid_argument, "beginning a turn: no provider is named",
                    "set [plugin.brief-agent] provider");

    generate_request question;
    question.model = request.model;
    question.messages.push_back({"system", {}});
    question.messages.back().parts.emplace_back().text = request.system.value_or(with.system);
    question.messages.push_back({"user", std::move(request.input)});

    const auto target = "rustic.provider/" + provider;
    const auto body = to_text(question);
    call_spec spec{.target = target, .method = "generate", .body = body};
    spec.on_event = [&ctx](const rai_event& event) {
      const bool passed_on = event.kind == RAI_EVENT_TEXT || event.kind == RAI_EVENT_REASONING ||
                             event.kind == RAI_EVENT_USAGE || event.kind == RAI_EVENT_RESTART;
      return passed_on ? ctx.emit(event) : flow::go_on;
    };
    const call_result outcome = co_await ctx.call(std::move(spec));
    if (!outcome.ok()) throw failure(outcome.problem());

    const auto answer = from_json<generate_result>(outcome.object(), "answer");
    turn_result result;
    result.session = request.session;
    result.agent = request.agent.value_or("brief-agent");
    result.provider = provider;
    result.model = answer.model;
    for (const auto& part : answer.message.parts)
      if (part.type == "text") result.text += part.text.value_or("");
    result.finish_reason = answer.finish_reason;
    result.rounds = 1;
    result.usage = answer.usage.value_or(token_usage{});
    co_return to_text(result);
  }

  const settings settings_;
};
}  // namespace

RUSTIC_PLUGIN(plugin)
