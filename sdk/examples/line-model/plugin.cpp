// plugin.cpp - puts the model API between rustic.provider and rustic.http.
#include <rustic/plugin.hpp>

#include "line_model.hpp"

namespace {
using namespace rustic;
constexpr std::string_view http_target = "rustic.http/default";
constexpr std::size_t bytes_per_token = 4;  // of the estimate

// The host gives a section for each [providers.NAME] of this type; each is a service of its own.
class plugin {
 public:
  explicit plugin(setup& setup) {
    for (const auto& [name, section] : object_or_empty(setup.config(), "instances")) {
      auto& with = providers_.emplace_back(std::make_unique<line_model_plugin::settings>(
          line_model_plugin::settings::read(name, section.as_object())));
      setup.coroutine("rustic.provider/" + std::string(name),
                      [&with = *with](context& ctx) { return serve(ctx, with); });
    }
  }

 private:
  static task<std::string> serve(context& ctx, const line_model_plugin::settings& with) {
    const auto& method = ctx.request().method;
    if (method == "generate") return generate(ctx, with);
    if (method == "models") return models(ctx, with);
    if (method == "count_tokens") return count_tokens(ctx);
    throw failure(status_code::unimplemented,
                  "rustic.provider/" + with.name + " has no method \"" + method + "\"",
                  "it has generate, models and count_tokens");
  }

  static task<std::string> generate(context& ctx, const line_model_plugin::settings& with) {
    const auto request = from_json<generate_request>(ctx.request().object(), "generate");
    const auto model = request.model.value_or(with.model);
    if (model.empty())
      throw failure(status_code::invalid_argument, "asking " + with.name + ": no model is named",
                    "set [providers." + with.name + "] model");
    if (!request.tools.empty()) {
      const json::object warning{{"type", "warning"},
                                 {"message", with.name + " is not told of the tools"}};
      ctx.event(warning);
    }
    line_model_plugin::exchange answer(with, model);
    std::optional<error> problem;
    const auto body = line_model_plugin::to_body(request, model);
    const auto head = line_model_plugin::to_http(with, "POST", "/generate");
    call_spec spec{.target = http_target, .method = "request", .body = head, .data = body};
    spec.on_event = [&](const rai_event& event) {
      if (event.kind == RAI_EVENT_HEAD) answer.head(event.a, to_view(event.text));
      if (event.kind != RAI_EVENT_DATA) return flow::go_on;
      try {
        const auto fresh = answer.feed(to_view(event.text));
        return fresh.empty() ? flow::go_on : ctx.text(fresh);
      } catch (const failure& reason) {
        problem = reason.problem();
        return flow::stop;
      }
    };
    const call_result result = co_await ctx.call(std::move(spec));
    if (problem) throw failure(*problem);
    if (!result.ok()) problem = result.problem();
    co_return answer.result(problem);
  }

  static task<std::string> models(context& ctx, const line_model_plugin::settings& with) {
    std::string text;
    std::uint64_t http_status = 0;
    const auto head = line_model_plugin::to_http(with, "GET", "/models");
    call_spec spec{.target = http_target, .method = "request", .body = head};
    spec.on_event = [&](const rai_event& event) {
      if (event.kind == RAI_EVENT_HEAD) http_status = event.a;
      if (event.kind == RAI_EVENT_DATA) text += to_view(event.text);
      return text.size() > line_model_plugin::line_bytes_max ? flow::stop : flow::go_on;
    };
    const call_result result = co_await ctx.call(std::move(spec));
    if (!result.ok()) throw failure(result.problem());
    if (http_status != 200)
      throw failure(status_code::unavailable,
                    "asking " + with.name + " for its models: HTTP status " +
                        std::to_string(http_status), "is base_url right?");
    models_result out;
    const auto answer = parse_object(text, "the list of models");
    for (const auto& id : array_or_empty(answer, "models"))
      if (id.is_string()) out.models.push_back({std::string(id.get_string()), {}, {}});
    co_return to_text(out);
  }

  static task<std::string> count_tokens(context& ctx) {
    const auto bytes = ctx.request().body.size();
    const count_tokens_result out{static_cast<std::int64_t>(bytes / bytes_per_token), true};
    co_return to_text(out);
  }

  std::vector<std::unique_ptr<line_model_plugin::settings>> providers_;
};
}  // namespace

RUSTIC_PLUGIN(plugin)
