#include <algorithm>
#include <deque>
#include <mutex>
#include <rustic/provider/limits.hpp>
#include <rustic/provider/service.hpp>

#include "exchange.hpp"

namespace rustic::provider {
namespace {

constexpr std::string_view http_target = "rustic.http/default";

// Hands the events of an answer to the caller; remembers where a pause stopped it.
class forwarder {
 public:
  forwarder(context& ctx, event_batch& events) : ctx_(ctx), events_(events) {}
  // Bytes still come after a pause or a stop; their events wait, or are not wanted any more.
  flow flush() {
    if (stopped_) return flow::stop;
    if (ctx_.paused()) return flow::pause;
    while (next_ < events_.size()) {
      const flow taken = ctx_.emit(events_[next_]);
      stopped_ = taken == flow::stop;
      if (stopped_) return flow::stop;
      ++next_;
      if (taken == flow::pause) return flow::pause;
    }
    events_.clear();
    next_ = 0;
    return flow::go_on;
  }

 private:
  context& ctx_;
  event_batch& events_;
  std::size_t next_ = 0;
  bool stopped_ = false;
};

flow take(exchange& into, const rai_event& event) {
  if (event.kind == RAI_EVENT_HEAD) into.head(event.a, to_view(event.text));
  if (event.kind == RAI_EVENT_DATA && !into.data(to_view(event.text))) return flow::stop;
  return flow::go_on;
}

void end(exchange& into, const call_result& http) {
  if (http.ok()) {
    into.end(nullptr);
  } else {
    const error transport = http.problem();
    into.end(&transport);
  }
}

// The ids that are made for an answer depend on the request alone, which differs with each round of
// a conversation: a recording played again gives the same ones.
std::uint64_t id_seed(std::string_view body) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : body) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

}  // namespace

// One configured provider.
class service {
 public:
  explicit service(std::unique_ptr<translator> made) : translator_(std::move(made)) {}

  task<std::string> serve(context& ctx) {
    const std::string& method = ctx.request().method;
    if (method == "generate") return generate(ctx);
    if (method == "count_tokens") return count_tokens(ctx);
    if (method == "models") return models(ctx);
    if (method == "embed") return embed(ctx);
    throw failure(status_code::unimplemented,
                  "rustic.provider/" + where().name + " has no method '" + method + "'",
                  "it has generate, count_tokens, models and embed");
  }

 private:
  const instance& where() const { return translator_->configured(); }

  subject about(std::string_view operation, std::string_view model) const {
    return {operation,
            where().name,
            where().base_url,
            model,
            translator_->classify(),
            translator_->unreachable_hint()};
  }

  task<std::string> generate(context& ctx) {
    json::object request = ctx.request().object();
    co_await name_model(ctx, request);
    const std::string model(text_or(request, "model"));
    const std::string session(text_or(ctx.scope(), "session"));
    std::vector<std::string> told;
    for (int attempt = 1;; ++attempt) {
      const outgoing sent = translator_->generate(request);
      for (const std::string& warning : sent.warnings) {
        if (std::find(told.begin(), told.end(), warning) != told.end()) continue;
        told.push_back(warning);
        if (!is_news(session, warning)) continue;
        const flow taken = ctx.event({{"type", "warning"}, {"message", warning}});
        if (taken == flow::pause) co_await ctx.writable();
        if (taken == flow::stop) throw failure(status_code::cancelled, "generate: told to stop");
      }
      const subject what = about("generate", model);
      exchange answer(what, translator_->reader_for(request, what, id_seed(sent.body)));
      forwarder forward(ctx, answer.events());
      const std::string head = http_request(where(), sent);
      call_spec spec{.target = http_target, .method = "request", .body = head, .data = sent.body};
      spec.on_event = [&](const rai_event& event) {
        if (take(answer, event) == flow::stop) return flow::stop;
        return forward.flush();
      };
      const call_result http = co_await ctx.call(std::move(spec));
      end(answer, http);
      if (answer.refused() && attempt < limits::attempts_max && !ctx.cancelled() &&
          translator_->reconsider({request, sent, answer.http_status(), answer.body(), attempt})) {
        continue;
      }
      for (flow now = forward.flush(); now != flow::go_on; now = forward.flush()) {
        if (now == flow::stop || ctx.cancelled()) break;
        co_await ctx.writable();
      }
      if (answer.problem()) throw failure(*answer.problem());
      co_return answer.result();
    }
  }

  // Each round of a conversation leaves out the same options; they are told of once.
  bool is_news(const std::string& session, const std::string& warning) {
    if (session.empty()) return true;
    const std::uint64_t mark = id_seed(session + "\n" + warning);
    const std::scoped_lock lock(mutex_);
    if (std::find(told_.begin(), told_.end(), mark) != told_.end()) return false;
    if (told_.size() >= limits::told_warnings_max) told_.pop_front();
    told_.push_back(mark);
    return true;
  }

  // Puts the model into a request that names none: the configured one, or else the first that the
  // server lists, which is usual for a server on this machine that serves a single one. A server
  // that lists none takes any name.
  task<> name_model(context& ctx, json::object& request) {
    if (!text_or(request, "model").empty()) co_return;
    if (!where().model.empty()) {
      request["model"] = where().model;
      co_return;
    }
    {
      const std::scoped_lock lock(mutex_);
      if (!first_model_.empty()) {
        request["model"] = first_model_;
        co_return;
      }
    }
    std::string found = "default";
    outgoing sent;
    try {
      sent = translator_->models({});
    } catch (const failure&) {
      throw failure(status_code::invalid_argument,
                    ctx.request().method +
                        ": no model is named, neither in the request nor in "
                        "the configuration of provider '" +
                        where().name + "'",
                    "set `model` of this provider");
    }
    const subject what = about("models", {});
    exchange answer(what);
    const call_result http = co_await ask(ctx, sent, answer);
    if (!answer.problem()) {
      try {
        json::array listed;
        translator_->read_models(what, answer.body(), listed);
        if (!listed.empty()) found = text_or(listed.front().as_object(), "id", found);
      } catch (const failure&) {  // a list in some other form: the server takes any name
      }
      const std::scoped_lock lock(mutex_);
      first_model_ = found;
    } else if (http.status != status_code::ok) {
      throw failure(*answer.problem());  // it cannot be reached: asking again would say the same
    }
    request["model"] = found;
  }

  // An exchange that is read as a whole. `sent` and `answer` outlive the wait.
  task<call_result> ask(context& ctx, const outgoing& sent, exchange& answer) {
    const std::string head = http_request(where(), sent);
    call_spec spec{.target = http_target, .method = "request", .body = head, .data = sent.body};
    spec.on_event = [&](const rai_event& event) { return take(answer, event); };
    call_result http = co_await ctx.call(std::move(spec));
    end(answer, http);
    co_return http;
  }

  task<std::string> count_tokens(context& ctx) {
    json::object request = ctx.request().object();
    // An estimate needs no model: none is asked for.
    if (text_or(request, "model").empty()) request["model"] = where().model;
    std::optional<outgoing> sent;
    if (!text_or(request, "model").empty()) sent = translator_->count_tokens(request);
    if (sent) {
      const subject what = about("count_tokens", text_or(request, "model"));
      exchange answer(what);
      const call_result http = co_await ask(ctx, *sent, answer);
      const bool unknown =
          answer.http_status() == 404 || answer.http_status() == 405 || answer.http_status() == 501;
      if (answer.problem() && !unknown) throw failure(*answer.problem());
      if (!answer.problem()) {
        const std::int64_t counted = translator_->read_count(what, answer.body());
        co_return json::serialize(json::object{{"input_tokens", counted}, {"estimate", false}});
      }
    }
    const std::size_t tokens = estimate_tokens(request);
    co_return json::serialize(json::object{{"input_tokens", tokens}, {"estimate", true}});
  }

  task<std::string> models(context& ctx) {
    json::array listed;
    const subject what = about("models", {});
    std::string page;
    for (std::size_t pages = 0; pages < limits::model_pages_max; ++pages) {
      const outgoing sent = translator_->models(page);
      exchange answer(what);
      const call_result http = co_await ask(ctx, sent, answer);
      if (answer.problem()) throw failure(*answer.problem());
      page = translator_->read_models(what, answer.body(), listed);
      if (page.empty()) break;
    }
    co_return json::serialize(json::object{{"models", std::move(listed)}});
  }

  task<std::string> embed(context& ctx) {
    json::object request = ctx.request().object();
    if (text_or(request, "model").empty()) request["model"] = where().model;
    const std::string model(text_or(request, "model"));
    check_embed(request);
    const outgoing sent = translator_->embed(request);
    const subject what = about("embed", model);
    exchange answer(what);
    const call_result http = co_await ask(ctx, sent, answer);
    if (answer.problem()) throw failure(*answer.problem());
    co_return json::serialize(translator_->read_embeddings(what, answer.body(), request));
  }

  static void check_embed(const json::object& request) {
    if (text_or(request, "model").empty()) {
      throw failure(status_code::invalid_argument,
                    "embed: no model is named, neither in the request nor in the configuration");
    }
    const json::array& inputs = array_or_empty(request, "inputs");
    if (inputs.empty()) throw failure(status_code::invalid_argument, "embed: inputs is empty");
    for (const json::value& input : inputs) {
      if (!input.is_string()) {
        throw failure(status_code::invalid_argument, "embed: every input must be text");
      }
    }
  }

  const std::unique_ptr<translator> translator_;
  std::mutex mutex_;
  std::string first_model_;         // empty: not asked yet
  std::deque<std::uint64_t> told_;  // warnings, each with its session
};

services::services(setup& s, const maker& make) {
  const json::object& instances = object_or_empty(s.config(), "instances");
  if (instances.size() > limits::instances_max) {
    throw failure(status_code::invalid_argument, "more providers of one plugin than allowed");
  }
  for (const auto& [name, value] : instances) {
    if (!value.is_object()) {
      throw failure(status_code::invalid_argument,
                    "provider '" + std::string(name) + "' must be a table");
    }
    auto& made = all_.emplace_back(std::make_unique<service>(make(name, value.as_object())));
    s.coroutine("rustic.provider/" + std::string(name),
                [one = made.get()](context& ctx) { return one->serve(ctx); });
  }
}

services::~services() = default;

}  // namespace rustic::provider
