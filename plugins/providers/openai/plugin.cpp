// plugin.cpp - puts the translator between rustic.provider and rustic.http.
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <rustic/plugin.hpp>
#include <string>

#include "chat_request.hpp"
#include "config.hpp"
#include "exchange.hpp"
#include "limits.hpp"
#include "model_api.hpp"

namespace rustic::openai {
namespace {

constexpr std::string_view http_target = "rustic.http/default";

// One configured provider. Lives as long as the plugin.
class provider {
public:
  explicit provider(config instance) : config_(std::move(instance)) {}

  task<std::string> serve(context& ctx) {
    const std::string& method = ctx.request().method;
    if (method == "generate") return generate(ctx);
    if (method == "count_tokens") return count_tokens(ctx);
    if (method == "models") return models(ctx);
    if (method == "embed") return embed(ctx);
    throw failure(status_code::unimplemented,
                  "rustic.provider/" + config_.name + " has no method '" + method + "'",
                  "it has generate, count_tokens, models and embed");
  }

private:
  // Hands the events of an exchange to the caller; remembers where a pause stopped it.
  class forwarder {
  public:
    forwarder(context& ctx, event_batch& events) : ctx_(ctx), events_(events) {}
    flow flush() {
      while (next_ < events_.size()) {
        const flow answer = ctx_.emit(events_[next_]);
        if (answer == flow::stop) return flow::stop;
        ++next_;
        if (answer == flow::pause) return flow::pause;
      }
      events_.clear();
      next_ = 0;
      return flow::go_on;
    }

  private:
    context& ctx_;
    event_batch& events_;
    std::size_t next_ = 0;
  };

  subject about(std::string_view operation, std::string_view model) const {
    return {operation, config_.name, config_.base_url, model};
  }

  static flow take(exchange& answer, const rai_event& event) {
    if (event.kind == RAI_EVENT_HEAD) answer.head(event.a, to_view(event.text));
    if (event.kind == RAI_EVENT_DATA && !answer.data(to_view(event.text))) return flow::stop;
    return flow::go_on;
  }

  static void end(exchange& answer, const call_result& http) {
    if (http.ok()) {
      answer.end(nullptr);
    } else {
      const error transport = http.problem();
      answer.end(&transport);
    }
  }

  task<std::string> generate(context& ctx) {
    json::object request = ctx.request().object();
    std::string model(text_or(request, "model", config_.model));
    if (model.empty()) {
      model = co_await first_model(ctx);
      request["model"] = model;
    }
    std::string field = remembered_field(model);
    for (bool first = true;; first = false) {
      const chat_request chat = build_chat_request(config_, request, field);
      if (first) {
        for (const std::string& warning : chat.warnings) {
          ctx.event({{"type", "warning"}, {"message", warning}});
        }
      }
      const std::string http_body = http_request(config_, "POST", "/chat/completions", chat.stream);
      exchange answer(about("generate", chat.model), seed());
      forwarder forward(ctx, answer.events());
      call_spec spec{
          .target = http_target, .method = "request", .body = http_body, .data = chat.body};
      spec.on_event = [&](const rai_event& event) {
        if (take(answer, event) == flow::stop) return flow::stop;
        return forward.flush();
      };
      const call_result http = co_await ctx.call(std::move(spec));
      end(answer, http);
      if (answer.problem() && first && chat.has_max_tokens && !ctx.cancelled()) {
        const std::string used(field.empty() ? config_.default_max_tokens_field() : field);
        if (answer.refused_member(used)) {
          field = used == "max_tokens" ? "max_completion_tokens" : "max_tokens";
          remember_field(model, field);
          continue;
        }
      }
      for (flow now = forward.flush(); now != flow::go_on; now = forward.flush()) {
        if (now == flow::stop || ctx.cancelled()) break;
        co_await ctx.writable();
      }
      if (answer.problem()) throw failure(*answer.problem());
      co_return answer.chat_result();
    }
  }

  // For a server whose configuration names no model, which is usual for one that serves a single
  // model on this machine: the first that it lists. One that lists none takes any name.
  task<std::string> first_model(context& ctx) {
    {
      const std::scoped_lock lock(mutex_);
      if (!first_model_.empty()) co_return first_model_;
    }
    std::string found = "default";
    exchange answer(about("models", {}));
    const std::string http_body = http_request(config_, "GET", "/models", false);
    call_spec spec{.target = http_target, .method = "request", .body = http_body};
    spec.on_event = [&](const rai_event& event) { return take(answer, event); };
    const call_result http = co_await ctx.call(std::move(spec));
    end(answer, http);
    if (!answer.problem()) {
      try {
        const json::object listed = read_models(about("models", {}), answer.body());
        const json::array& all = array_or_empty(listed, "models");
        if (!all.empty()) found = text_or(all.front().as_object(), "id", found);
      } catch (const failure&) {  // a list in some other form: the server takes any name
      }
      const std::scoped_lock lock(mutex_);
      first_model_ = found;
    } else if (http.status != status_code::ok) {
      throw failure(*answer.problem());  // it cannot be reached: asking again would say the same
    }
    co_return found;
  }

  task<std::string> count_tokens(context& ctx) {
    const std::size_t tokens = estimate_tokens(ctx.request().object());
    co_return json::serialize(json::object{{"input_tokens", tokens}, {"estimate", true}});
  }

  task<std::string> models(context& ctx) {
    exchange answer(about("models", {}));
    const std::string http_body = http_request(config_, "GET", "/models", false);
    call_spec spec{.target = http_target, .method = "request", .body = http_body};
    spec.on_event = [&](const rai_event& event) { return take(answer, event); };
    const call_result http = co_await ctx.call(std::move(spec));
    end(answer, http);
    if (answer.problem()) throw failure(*answer.problem());
    co_return json::serialize(read_models(about("models", {}), answer.body()));
  }

  task<std::string> embed(context& ctx) {
    const json::object request = ctx.request().object();
    const std::string model(text_or(request, "model", config_.model));
    const std::string data = build_embed_request(config_, request);
    exchange answer(about("embed", model));
    const std::string http_body = http_request(config_, "POST", "/embeddings", false);
    call_spec spec{.target = http_target, .method = "request", .body = http_body, .data = data};
    spec.on_event = [&](const rai_event& event) { return take(answer, event); };
    const call_result http = co_await ctx.call(std::move(spec));
    end(answer, http);
    if (answer.problem()) throw failure(*answer.problem());
    const std::size_t inputs = array_or_empty(request, "inputs").size();
    co_return json::serialize(read_embeddings(about("embed", model), answer.body(), inputs));
  }

  static std::uint64_t seed() {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }

  std::string remembered_field(const std::string& model) {
    const std::scoped_lock lock(mutex_);
    const auto found = fields_.find(model);
    return found == fields_.end() ? std::string{} : found->second;
  }
  void remember_field(const std::string& model, const std::string& field) {
    const std::scoped_lock lock(mutex_);
    if (fields_.size() >= limits::remembered_models_max) fields_.clear();
    fields_[model] = field;
  }

  const config config_;
  std::mutex mutex_;
  std::string first_model_;                    // empty: not asked yet
  std::map<std::string, std::string> fields_;  // model -> the name that its server takes
};

class plugin {
public:
  explicit plugin(setup& s) {
    const json::object& instances = object_or_empty(s.config(), "instances");
    if (instances.size() > limits::instances_max) {
      throw failure(status_code::invalid_argument, "more providers of type openai than allowed");
    }
    for (const auto& [name, value] : instances) {
      if (!value.is_object()) {
        throw failure(status_code::invalid_argument,
                      "provider '" + std::string(name) + "' must be a table");
      }
      auto& made = providers_[std::string(name)];
      made = std::make_unique<provider>(read_config(name, value.as_object()));
      s.coroutine("rustic.provider/" + std::string(name),
                  [instance = made.get()](context& ctx) { return instance->serve(ctx); });
    }
  }

private:
  std::map<std::string, std::unique_ptr<provider>> providers_;
};

}  // namespace
}  // namespace rustic::openai

RUSTIC_PLUGIN(rustic::openai::plugin)
