#include "resilience.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "limits.hpp"
#include "notice.hpp"
#include "rewrite.hpp"

namespace rustic::resilience {
namespace {

constexpr std::string_view provider_prefix = "rustic.provider/";
constexpr std::string_view tool_prefix = "rustic.tool/";

constexpr std::string_view timer = "rustic.timer/default";

bool is_blank(std::string_view text) noexcept {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}
}  // namespace

// One intercepted call on its way. Lives in the frame of `carry`.
struct policy::journey {
  bool tool = false;
  bool generate = false;
  bool emitted = false;  // an event has gone out that no RESTART has made void
  bool said = false;     // one that the caller has shown or counted
  std::uint64_t attempts = 0;
  std::string provider;       // as it was called
  std::optional<course> way;  // made when there is something to decide
  std::optional<error> first, last;
  bool last_is_setup = false;
  json::array told;  // of the attempts that failed

  target asked;       // by the latest attempt
  std::string usage;  // the newest that it has told
  json::array spent;  // by the attempts before it, where they told it

  void keep_usage();
};

// What an answer has cost that nobody will read.
void policy::journey::keep_usage() {
  const auto text = std::exchange(usage, {});
  if (text.empty() || spent.size() >= attempts_told_max) return;
  try {
    spent.push_back({{"provider", to_utf8(asked.provider.empty() ? provider : asked.provider)},
                     {"model", to_utf8(asked.model)},
                     {"usage", parse_object(text, "usage")}});
  } catch (const failure&) {  // no usage after all
  }
}

policy::policy(const rai_host* host, const json::object& config)
    : host_(host),
      settings_(config),
      circuits_(settings_.circuit_failures, settings_.circuit_cooldown_ms),
      budgets_(settings_.turn_retries, settings_.turn_wait_ms),
      seed_(
          static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()) ^
          reinterpret_cast<std::uintptr_t>(this)) {}

double policy::random() noexcept {
  std::uint64_t x = seed_.fetch_add(0x9E3779B97F4A7C15u, std::memory_order_relaxed);
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return static_cast<double>((x ^ (x >> 31)) >> 11) * 0x1.0p-53;
}

task<std::string> policy::intercept(context& ctx) {
  const auto& in = ctx.request();
  if (!in.intercepted())
    throw failure(status_code::failed_precondition,
                  "resilience: it answers no calls of its own, it stands before others");
  const bool provider =
      in.target.starts_with(provider_prefix) &&
      (in.method == "generate" || in.method == "embed" || in.method == "count_tokens");
  const bool tool = in.target.starts_with(tool_prefix) && in.method == "call";
  if ((provider || tool) && !bool_or(ctx.scope(), "once")) return carry(ctx);
  return pass(ctx);
}

task<std::string> policy::pass(context& ctx) {
  const auto& in = ctx.request();
  call_spec spec{
      .target = in.target, .method = in.method, .body = in.body, .data = in.data, .next = true};
  spec.on_event = [&ctx](const rai_event& event) { return ctx.emit(event); };
  auto result = co_await ctx.call(std::move(spec));
  if (!result.ok()) throw failure(result.problem());
  co_return std::move(result.body);
}

void policy::begin(context& ctx, journey& on) {
  const auto& in = ctx.request();
  const auto& scope = ctx.scope();
  std::vector<target> chain;
  if (on.generate) {
    const auto body = in.object();
    chain = settings_.chain(on.provider, text_or(body, "model"), text_or(scope, "agent"));
  } else {
    chain.push_back({on.provider, {}, 0});
  }
  course::surroundings around{settings_, on.tool ? nullptr : &circuits_,
                              budgets_.of(text_or(scope, "turn")), [this] { return random(); },
                              bool_or(scope, "interactive")};
  on.way.emplace(std::move(around), std::move(chain));
}

// Told to the person, to the log and on the bus.
void policy::tell(context& ctx, journey& on, const json::object& event, std::string_view topic) {
  ctx.event(event);
  on.emitted = true;
  ctx.log(RAI_LOG_INFO, text_or(event, "message"));
  if (!RAI_HAS(host_, publish)) return;
  const auto text = json::serialize(event);
  host_->publish(host_->self, to_str(topic), to_str(text));
}

void policy::publish(const std::optional<circuit_breakers::change>& change) {
  if (!change || !RAI_HAS(host_, publish)) return;
  const json::object event{{"target", to_utf8(change->target)},
                           {"state", state_name(change->state)},
                           {"failures", change->failures},
                           {"retry_in_ms", change->wait_ms}};
  const auto text = json::serialize(event);
  host_->publish(host_->self, to_str("rustic.resilience.circuit"), to_str(text));
}

// Nothing: there is no time to be had here, and so nothing can be waited for.
task<std::optional<std::int64_t>> policy::now(context& ctx) {
  call_spec spec{.target = timer, .method = "now"};
  const auto told = co_await ctx.call(std::move(spec));
  if (!told.ok()) co_return std::nullopt;
  const auto body = told.object();
  co_return int_or(body, "now_ms");
}

task<void> policy::wait(context& ctx, journey& on, std::int64_t wait_ms) {
  const json::object wanted{{"ms", wait_ms}};
  const auto body = json::serialize(wanted);
  call_spec spec{.target = timer, .method = "wait", .body = body};
  const auto waited = co_await ctx.call(std::move(spec));
  if (waited.ok()) co_return;
  on.way->abandoned();
  if (ctx.cancelled()) throw failure(status_code::cancelled, "the call was cancelled");
  throw failure(on.last ? *on.last : waited.problem());
}

// One attempt with the target at which the journey stands.
task<call_result> policy::send(context& ctx, journey& on) {
  const auto& in = ctx.request();
  std::string body, scope;
  std::string to = in.target;
  call_spec spec{.target = to, .method = in.method, .data = in.data};
  if (on.way && !on.way->at_first()) {
    const auto& at = on.way->at();
    auto made = rewrite(in.body, at);
    if (at.window_tokens > 0 && made.tokens > at.window_tokens) {
      error too_long;
      too_long.code = status_code::invalid_argument;
      too_long.message = "generate with " + at.name() + ": the conversation has about " +
                         std::to_string(made.tokens) + " tokens, its window takes " +
                         std::to_string(at.window_tokens);
      too_long.hint = "leave older messages out";
      too_long.details =
          json::object{{"kind", "context_length"}, {"context_window", at.window_tokens}};
      on.way->abandoned();
      throw failure(std::move(too_long));
    }
    body = std::move(made.body);
    spec.body = body;
    if (at.provider != on.provider) {
      to = std::string(provider_prefix) + at.provider;
      auto inner = ctx.scope();
      inner["fallback_of"] = in.target;
      scope = json::serialize(inner);
      spec.context = scope;
    }
  } else {
    spec.body = in.body;
  }
  spec.target = to;
  spec.next = to == in.target;
  if (on.attempts > 0 && on.emitted) {
    ctx.emit(make_event(RAI_EVENT_RESTART, {}, 0, on.attempts + 1));
    on.emitted = false;
  }
  on.keep_usage();
  if (on.way) on.asked = on.way->at();
  ++on.attempts;
  on.said = false;
  spec.on_event = [&ctx, &on](const rai_event& event) {
    on.emitted = true;
    if (event.kind == RAI_EVENT_USAGE) on.usage = to_view(event.text);
    if (!on.said && (event.kind == RAI_EVENT_OUTPUT ||
                     (event.kind == RAI_EVENT_TEXT && !is_blank(to_view(event.text)))))
      on.said = true;
    return ctx.emit(event);
  };
  auto result = co_await ctx.call(std::move(spec));
  co_return result;
}

bool policy::is_easy(context& ctx) {
  if (!circuits_.quiet()) return false;
  return budgets_.empty() || !budgets_.find(text_or(ctx.scope(), "turn"));
}

task<std::string> policy::carry(context& ctx) {
  const auto& in = ctx.request();
  journey on;
  on.tool = in.target.starts_with(tool_prefix);
  on.generate = !on.tool && in.method == "generate";
  on.provider = in.target.substr(in.target.find('/') + 1);
  std::optional<std::int64_t> at_ms;
  // Where nothing has failed lately there is nothing to decide, and the request is not read.
  if (!on.tool && !is_easy(ctx)) {
    begin(ctx, on);
    at_ms = co_await now(ctx);
  }
  for (;;) {
    if (on.way && at_ms) {
      const auto step = on.way->next(*at_ms, ctx.info().deadline_ms);
      if (step.what == course::act::give_up) give_up(on);
      if (step.what == course::act::wait) {
        if (!step.silent) {
          const auto event = retry_event(on.way->at().name(), on.way->cause(), step.wait_ms,
                                         static_cast<int>(on.attempts) + 1);
          tell(ctx, on, event, "rustic.resilience.retry");
        }
        co_await wait(ctx, on, step.wait_ms);
        at_ms = co_await now(ctx);
        continue;
      }
      if (step.switched) {
        const auto event =
            fallback_event(on.way->left().name(), on.way->at().name(), on.way->cause());
        tell(ctx, on, event, "rustic.resilience.fallback");
      }
    }
    auto result = co_await send(ctx, on);
    if (result.ok()) {
      if (on.way) publish(on.way->succeeded());
      const bool elsewhere = on.way && !on.way->at_first();
      if (!elsewhere && on.spent.empty()) co_return std::move(result.body);
      co_return signed_by(result.body, elsewhere ? &on.way->at() : nullptr, std::move(on.spent));
    }
    auto problem = result.problem();
    if (ctx.cancelled() || problem.code == status_code::cancelled) {
      if (on.way) on.way->abandoned();
      throw failure(std::move(problem));
    }
    const auto what = on.tool ? judge_tool(problem) : judge(problem);
    if (on.tool && what.what != remedy::none && !is_idempotent(in.target))
      throw failure(std::move(problem));
    if (!on.way) {
      if (what.what == remedy::none) throw failure(std::move(problem));
      begin(ctx, on);
    }
    at_ms = co_await now(ctx);
    if (!at_ms) {
      on.way->abandoned();
      throw failure(std::move(problem));
    }
    note_failure(on, std::move(problem), what);
    publish(on.way->failed(what, *at_ms, ctx.info().deadline_ms, on.said));
  }
}

void policy::note_failure(journey& on, error problem, const fault& what) {
  if (on.told.size() < attempts_told_max)
    on.told.push_back({{"target", to_utf8(on.way->at().name())},
                       {"kind", to_utf8(what.kind)},
                       {"status", status_name(problem.code)}});
  on.last_is_setup = what.what == remedy::setup;
  if (!on.first) on.first = problem;
  on.last = std::move(problem);
}

// With the error of the last target, or the first one's when the last was never set up.
void policy::give_up(journey& on) {
  if (!on.last) {
    const auto& gate = on.way->refused();
    const auto wait_ms = gate ? gate->wait_ms : 0;
    error out;
    out.code = status_code::unavailable;
    out.message = "asking " + on.way->at().name() + ": it has failed " +
                  std::to_string(gate ? gate->failures : 0) +
                  " times in a row and is left alone for " + time_in_words(wait_ms);
    out.hint = "wait that long, or use another provider";
    out.retry_after_ms = wait_ms;
    out.details = json::object{{"kind", "circuit_open"}};
    throw failure(std::move(out));
  }
  auto out = on.last_is_setup ? std::move(*on.first) : std::move(*on.last);
  if (!out.details.is_object()) out.details = json::object();
  auto& details = out.details.as_object();
  // Who told the newest usage, for whoever counts it.
  if (!on.usage.empty() && !on.asked.provider.empty()) {
    details["provider"] = to_utf8(on.asked.provider);
    details["model"] = to_utf8(on.asked.model);
  }
  if (const auto wait_ms = out.retry_after_ms.value_or(0); wait_ms > 0)
    out.hint = "it can be asked again in " + time_in_words(wait_ms) +
               (out.hint.empty() ? "" : "; " + out.hint);
  if (!on.spent.empty()) details["spent"] = std::move(on.spent);
  if (on.told.size() < 2) throw failure(std::move(out));
  std::string others;
  const auto shown = on.last_is_setup ? on.way->first().name() : on.way->at().name();
  std::size_t here = 0;
  std::vector<std::string> names;
  for (const auto& one : on.told) {
    std::string name(text_or(one.as_object(), "target"));
    here += name == shown;
    if (name == shown || std::find(names.begin(), names.end(), name) != names.end()) continue;
    fault why;
    why.kind = text_or(one.as_object(), "kind");
    others += "; " + name + ": " + in_words(why);
    names.push_back(std::move(name));
  }
  if (here > 1) out.message += " (tried " + std::to_string(here) + " times)";
  out.message += others;
  details["attempts"] = std::move(on.told);
  throw failure(std::move(out));
}

// Asked of the registry when a call has failed: tools come and go.
bool policy::is_idempotent(const std::string& target) const {
  struct found {
    const std::string& target;
    std::string attributes;
  } state{target, {}};
  if (!RAI_HAS(host_, list)) return false;
  host_->list(
      host_->self, to_str(target),
      [](void* self, rai_str name, rai_str attributes) {
        auto& me = *static_cast<found*>(self);
        try {
          if (to_view(name) == me.target) me.attributes = to_view(attributes);
        } catch (...) {
          me.attributes.clear();
        }
      },
      &state);
  try {
    const auto attributes = parse_object(state.attributes, "attributes");
    return bool_or(object_or_empty(attributes, "annotations"), "idempotent");
  } catch (const failure&) {
    return false;
  }
}

task<std::string> policy::status(context& ctx) {
  if (ctx.request().method != "status")
    throw failure(status_code::unimplemented,
                  "rustic.resilience has no method " + ctx.request().method, "it has: status");
  json::array circuits;
  const auto at_ms = co_await now(ctx);
  for (const auto& one : circuits_.list(at_ms.value_or(0)))
    circuits.push_back({{"target", to_utf8(one.target)},
                        {"state", state_name(one.state)},
                        {"failures", one.failures},
                        {"retry_in_ms", one.wait_ms}});
  const json::object out{{"circuits", std::move(circuits)}};
  co_return json::serialize(out);
}

std::string policy::save() const {
  json::array circuits;
  for (const auto& one : circuits_.keep())
    circuits.push_back({{"target", to_utf8(one.target)},
                        {"failures", one.failures},
                        {"open_until_ms", one.open_until_ms}});
  return json::serialize(json::object{{"circuits", std::move(circuits)}});
}

void policy::restore(std::string_view state) {
  const auto kept = parse_object(state, "state");
  std::vector<circuit_breakers::kept> out;
  for (const auto& value : array_or_empty(kept, "circuits")) {
    const auto* one = value.if_object();
    if (!one) continue;
    out.push_back({std::string(text_or(*one, "target")),
                   static_cast<int>(
                       std::clamp<std::int64_t>(int_or(*one, "failures"), 0, circuit_failures_max)),
                   int_or(*one, "open_until_ms")});
  }
  circuits_.take_over(out);
}
}  // namespace rustic::resilience
