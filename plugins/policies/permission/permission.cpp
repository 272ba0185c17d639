#include "permission.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "limits.hpp"
#include "pattern.hpp"
#include "question.hpp"

namespace rustic::permission {
namespace {

constexpr std::string_view tool_prefix = "rustic.tool/";
constexpr std::string_view rule_hint =
    "add a rule to [permissions], or choose another mode with --permission-mode";

std::uint32_t read_timeout(const json::object& config) {
  const std::int64_t ms = duration_ms_or(config, "ask_timeout", default_ask_timeout_ms);
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(ms, 1, 24LL * 60 * 60 * 1000));
}

// By the real directory: a link that leads elsewhere later must not take the answers with it.
std::string project_scope(const std::string& workspace) {
  const std::vector<std::string> names = names_of_path(workspace, "");
  return "project:" + (names.empty() ? workspace : names.back());
}

void deny(verdict& why, std::string rule, std::string reason) {
  why.what = decision::deny;
  why.rule = std::move(rule);
  why.reason = std::move(reason);
}

}  // namespace

// One call while it is judged.
struct policy::open_call {
  std::string id;
  std::string tool;
  std::string agent;
  std::string session;
  std::string workspace;
  bool interactive = true;
  bool asked = false;
  std::string body;  // of the call, as it was judged
  json::object arguments;
  call_request view;
};

policy::policy(const rai_host* host, const json::object& config)
    : host_(host), rules_(config), ask_timeout_ms_(read_timeout(config)), turns_(host) {}

task<std::string> policy::intercept(context& ctx) {
  if (!ctx.request().intercepted())
    throw failure(status_code::failed_precondition,
                  "permission: it answers no calls of its own, it stands before tools");
  if (ctx.request().method != "call") co_return co_await pass(ctx, ctx.request().body);
  co_return co_await judge(ctx);
}

task<std::string> policy::judge(context& ctx) {
  open_call call;
  verdict why;
  std::string hint(rule_hint);
  const std::string& target = ctx.request().target;
  call.tool = target;
  try {
    if (!target.starts_with(tool_prefix) || target.size() == tool_prefix.size())
      throw failure(status_code::invalid_argument,
                    "the policy stands before " + target + ", which is no tool");
    call.tool = target.substr(tool_prefix.size());
    const json::object body = ctx.request().object();
    call.body = json::serialize(body);
    call.id = text_or(body, "id");
    const json::value* arguments = body.if_contains("arguments");
    if (arguments == nullptr || !arguments->is_object())
      throw failure(status_code::invalid_argument, "the call has no object `arguments`");
    call.arguments = arguments->get_object();
    // Strict where the SDK's reader is mild: an unreadable context must not look like an empty one.
    const json::object scope = parse_object(ctx.request().context, "context");
    call.agent = text_or(scope, "agent");
    call.session = text_or(scope, "session");
    call.workspace = normal_path(text_or(scope, "workspace"), "").value_or("");
    const json::value* interactive = scope.if_contains("interactive");
    call.interactive =
        interactive == nullptr || (interactive->is_bool() && interactive->get_bool());
    call.view.in_mode = rules_.configured_mode();
    if (const json::value* name = find(scope, "permission_mode")) {
      const std::optional<mode> found =
          name->is_string() ? mode_from_name(name->get_string()) : std::nullopt;
      if (!found)
        throw failure(status_code::invalid_argument,
                      "the permission mode " + json::serialize(*name) + " is not one of " +
                          std::string(mode_names));
      call.view.in_mode = *found;
    }
    call.view.tool = call.tool;
    call.view.arguments = &call.arguments;
    call.view.agent = call.agent;
    call.view.workspace = call.workspace;
    call.view.read_only = is_read_only(target);
    why = co_await decide(ctx, call);
    if (why.what == decision::ask) co_await settle(ctx, call, why);
  } catch (const failure& problem) {
    if (problem.problem().code == status_code::cancelled || ctx.cancelled()) throw;
    deny(why, "error", "the decision failed: " + problem.problem().message);
    hint = "this is a fault of the configuration or of the policy, not of the call";
  } catch (const std::exception& problem) {
    deny(why, "error", std::string("the decision failed: ") + problem.what());
  }
  if (ctx.cancelled()) throw failure(status_code::cancelled, "the call was cancelled");
  if (call.asked || why.what != decision::allow)
    ctx.event({{"type", "permission"},
               {"id", to_utf8(call.id)},
               {"name", to_utf8(call.tool)},
               {"decision", why.what == decision::allow ? "allow" : "deny"},
               {"reason", to_utf8(why.reason)},
               {"rule", to_utf8(why.rule)}});
  if (why.what != decision::allow) throw failure(make_denial(call.tool, why, hint));
  // Links may be turned since they were looked at, and a walk passes more than its arguments name.
  if (const std::vector<std::string> withheld = rules_.withheld(call.view); !withheld.empty()) {
    json::object body = parse_object(call.body, "call");
    body["withheld"] = json::array(withheld.begin(), withheld.end());
    call.body = json::serialize(body);
  }
  // What was judged goes on, and not a text that another parser may read in another way.
  co_return co_await pass(ctx, std::move(call.body));
}

// By what is in memory first; storage is read only when that would lead to a question.
task<verdict> policy::decide(context& ctx, open_call& call) {
  std::vector<grant> grants;
  bool loaded = true;
  if (!call.session.empty()) {
    std::scoped_lock lock(mutex_);
    const std::vector<grant>* known = sessions_.find(call.session);
    loaded = known != nullptr;
    if (known != nullptr) grants = *known;
  }
  verdict why = rules_.decide(call.view, grants);
  if (why.what != decision::ask) co_return why;
  if (!loaded) {
    std::vector<grant> stored;
    std::int64_t version = 0;
    const bool readable = co_await read_stored(ctx, "session:" + call.session, &stored, &version);
    std::scoped_lock lock(mutex_);
    if (readable) {
      sessions_.loaded(call.session, stored);
      grants = *sessions_.find(call.session);
    } else {
      grants = sessions_.unstored(call.session);
    }
  }
  if (!call.workspace.empty()) {
    std::vector<grant> stored;
    std::int64_t version = 0;
    co_await read_stored(ctx, project_scope(call.workspace), &stored, &version);
    grants.insert(grants.end(), stored.begin(), stored.end());
  }
  co_return rules_.decide(call.view, grants);
}

task<void> policy::settle(context& ctx, open_call& call, verdict& why) {
  if (!call.interactive) {
    deny(why, why.rule, "nobody can be asked in this run, and " + why.reason);
    co_return;
  }
  // Calls without a session form one line, too.
  turn_queue::ticket turn(turns_, call.session);
  if (!turn.first()) {
    const std::string body = turn.body();
    const call_result waited =
        co_await ctx.call({.target = turn_queue::target, .method = "wait", .body = body});
    if (!waited.ok()) throw failure(waited.problem());
    // The answers given meanwhile may have settled this one.
    why = co_await decide(ctx, call);
    if (why.what != decision::ask) co_return;
  }
  co_await ask(ctx, call, why);
}

task<void> policy::ask(context& ctx, open_call& call, verdict& why) {
  const json::object question =
      make_question(call.view, why, !call.session.empty(), !call.workspace.empty());
  const std::string body = json::serialize(question);
  const call_result result = co_await ctx.call({.target = "rustic.ask/default",
                                                .method = "ask",
                                                .body = body,
                                                .timeout_ms = ask_timeout_ms_});
  if (ctx.cancelled()) throw failure(status_code::cancelled, "the call was cancelled");
  if (result.status == status_code::cancelled) throw failure(result.problem());
  if (result.status == status_code::not_found || result.status == status_code::unimplemented) {
    deny(why, why.rule, "nobody can be asked, and " + why.reason);
    co_return;
  }
  if (!result.ok()) {
    deny(why, why.rule,
         "the question got no answer (" + result.problem().message + "), and " + why.reason);
    co_return;
  }
  std::optional<answer> answered;
  try {
    answered = read_answer(result.object(), question);
  } catch (const failure&) {
  }
  if (!answered) {
    deny(why, why.rule, "the question got an answer that was not offered, and " + why.reason);
    co_return;
  }
  call.asked = true;
  if (answered->kind == answer_kind::deny) {
    deny(why, "answer",
         answered->reason.empty() ? "the user said no" : "the user said no: " + answered->reason);
    co_return;
  }
  std::vector<grant> suggestion = std::move(why.suggestion);
  why.what = decision::allow;
  why.rule = "answer";
  why.reason = "the user allowed it once";
  if (answered->kind == answer_kind::once) co_return;
  const bool for_project = answered->kind == answer_kind::project;
  why.reason =
      for_project ? "the user allowed it in this project" : "the user allowed it in this session";
  co_await remember(ctx, call, std::move(suggestion), for_project);
}

task<void> policy::remember(context& ctx, open_call& call, std::vector<grant> grants,
                            bool for_project) {
  const std::int64_t time_ms = co_await now(ctx);
  std::string asked = call.tool + " " + json::serialize(call.arguments);
  asked = std::string(cut_utf8(asked, max_asked_bytes));
  for (grant& one : grants) {
    one.granted_at_ms = time_ms;
    one.session = call.session;
    one.asked = asked;
  }
  // In memory first: those that wait for their turn are decided by it.
  if (!call.session.empty()) {
    std::scoped_lock lock(mutex_);
    sessions_.add(call.session, grants);
  }
  std::string scope = for_project ? project_scope(call.workspace) : "session:" + call.session;
  if (!co_await store(ctx, scope, &grants))
    ctx.log(RAI_LOG_WARN,
            "permission: the answer could not be stored and holds while this program "
            "runs; scope " +
                scope);
}

// False when the storage cannot be read. Nothing stored is an empty list.
task<bool> policy::read_stored(context& ctx, std::string scope, std::vector<grant>* out,
                               std::int64_t* version) {
  *version = 0;
  const std::string body = json::serialize(json::object{{"scope", scope}, {"key", "grants"}});
  const call_result result = co_await ctx.call({.target = "rustic.storage/default",
                                                .method = "state.get",
                                                .body = body,
                                                .timeout_ms = storage_timeout_ms});
  if (ctx.cancelled()) throw failure(status_code::cancelled, "the call was cancelled");
  if (result.status == status_code::not_found) co_return true;
  if (!result.ok()) {
    ctx.log(RAI_LOG_WARN, "permission: stored answers of " + scope +
                              " cannot be read: " + result.problem().message);
    co_return false;
  }
  try {
    const json::object found = result.object();
    std::size_t unreadable = 0;
    const json::value* value = find(found, "value");
    *out = read_grants(value ? *value : json::value(), &unreadable);
    *version = int_or(found, "version");
    if (unreadable != 0)
      ctx.log(RAI_LOG_WARN, "permission: " + std::to_string(unreadable) + " stored answers of " +
                                scope + " cannot be read and allow nothing");
    co_return true;
  } catch (const failure& problem) {
    ctx.log(RAI_LOG_WARN, "permission: stored answers of " + scope +
                              " cannot be read: " + problem.problem().message);
    co_return false;
  }
}

// Compare-and-set: another process may store answers of the same project.
task<bool> policy::store(context& ctx, std::string scope, const std::vector<grant>* added) {
  for (int attempt = 0; attempt < max_put_attempts; ++attempt) {
    std::vector<grant> all;
    std::int64_t version = 0;
    if (!co_await read_stored(ctx, scope, &all, &version)) co_return false;
    merge_grants(all, *added);
    const std::string body = json::serialize(json::object{{"scope", scope},
                                                          {"key", "grants"},
                                                          {"value", to_json(all)},
                                                          {"expected_version", version}});
    // The person has answered: cancelling the call does not take the answer back.
    const call_result result = co_await ctx.call({.target = "rustic.storage/default",
                                                  .method = "state.put",
                                                  .body = body,
                                                  .timeout_ms = storage_timeout_ms,
                                                  .shielded = true});
    if (result.ok()) co_return true;
    if (result.status != status_code::aborted) {
      ctx.log(RAI_LOG_WARN, "permission: storing an answer failed: " + result.problem().message);
      co_return false;
    }
  }
  ctx.log(RAI_LOG_WARN, "permission: storing an answer failed: others kept changing " + scope);
  co_return false;
}

// 0 when there is no clock: the time is for an audit and decides nothing.
task<std::int64_t> policy::now(context& ctx) {
  const call_result result = co_await ctx.call(
      {.target = "rustic.clock/default", .method = "now", .timeout_ms = clock_timeout_ms});
  if (!result.ok()) co_return 0;
  try {
    co_return int_or(result.object(), "unix_ms");
  } catch (const failure&) {
    co_return 0;
  }
}

// The rest of the chain. Its result goes back as it is.
task<std::string> policy::pass(context& ctx, std::string body) {
  const request& in = ctx.request();
  call_spec spec{
      .target = in.target, .method = in.method, .body = body, .data = in.data, .next = true};
  spec.on_event = [&ctx](const rai_event& event) { return ctx.emit(event); };
  call_result result = co_await ctx.call(std::move(spec));
  if (!result.ok()) throw failure(result.problem());
  co_return std::move(result.body);
}

// Asked of the registry each time: tools come and go, and an old answer could widen a right.
bool policy::is_read_only(const std::string& target) const {
  struct found {
    const std::string& target;
    std::string attributes;
    std::size_t count = 0;
  } state{target, {}, 0};
  if (!RAI_HAS(host_, list)) return false;
  host_->list(
      host_->self, to_str(target),
      [](void* self, rai_str name, rai_str attributes) {
        auto& me = *static_cast<found*>(self);
        try {
          if (to_view(name) != me.target) return;
          me.attributes = to_view(attributes);
          ++me.count;
        } catch (...) {
          me.count = 0;
        }
      },
      &state);
  if (state.count != 1) return false;
  try {
    const json::object attributes = parse_object(state.attributes, "attributes");
    return bool_or(object_or_empty(attributes, "annotations"), "read_only");
  } catch (const failure&) {
    return false;
  }
}

}  // namespace rustic::permission
