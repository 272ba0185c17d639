#include "kernel/registry.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>

#include "kernel/limits.hpp"

namespace rustic::kernel {
namespace {

outcome failure(rai_status status, std::string message) {
  outcome out;
  out.status = status;
  out.message = std::move(message);
  return out;
}

bool valid_target(std::string_view target) noexcept {
  if (target.size() > max_target_bytes) return false;
  const auto slash = target.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == target.size()) return false;
  return std::none_of(target.begin(), target.end(), [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '*' || c == '"';
  });
}

std::string quoted(std::string_view text) {
  return "'" + std::string(text.substr(0, max_target_bytes)) + "'";
}

std::int64_t calls_in_flight(const binding& b) noexcept {
  std::int64_t sum = 0;
  for (const auto& shard : b.in_flight) sum += shard.calls;
  return sum;
}

std::string full_interceptor(std::string_view name) {
  if (name.find('/') != std::string_view::npos) return std::string(name);
  return std::string(interceptor_prefix) + std::string(name);
}

/// Orders by `order` first (negative ones too), then by age.
std::uint64_t position_of(std::int32_t order, std::uint32_t age) noexcept {
  const auto biased = static_cast<std::uint64_t>(std::int64_t{order} - INT32_MIN);
  return biased << 32 | age;
}

}  // namespace

registry::registry(const hooks& told) : hooks_(told) {}
registry::~registry() = default;

outcome registry::declare(const offer& what, std::shared_ptr<activator> source) {
  return put(what, std::move(source), nullptr, false);
}
outcome registry::provide(const offer& what, const rai_service& service) {
  return put(what, nullptr, &service, false);
}
outcome registry::rebind(const offer& what, std::shared_ptr<activator> source) {
  return put(what, std::move(source), nullptr, true);
}
outcome registry::rebind(const offer& what, const rai_service& service) {
  return put(what, nullptr, &service, true);
}

outcome registry::put(const offer& what, std::shared_ptr<activator> source,
                      const rai_service* service, bool replace) {
  if (!valid_target(what.target)) {
    return failure(RAI_INVALID_ARGUMENT, "register " + quoted(what.target) +
                                             ": a target is interface/name, without spaces and "
                                             "stars, of at most 256 bytes");
  }
  if (service != nullptr ? !RAI_HAS(service, call) : source == nullptr) {
    return failure(RAI_INVALID_ARGUMENT,
                   "register " + quoted(what.target) + ": the service has no call function");
  }
  outcome out;
  {
    const std::lock_guard hold(mutex_);
    const auto found = bindings_.find(what.target);
    if (found != bindings_.end() && !replace && found->second->owner != what.owner) {
      return failure(RAI_ALREADY_EXISTS, "register " + quoted(what.target) + ": it belongs to " +
                                             quoted(found->second->owner) + " already");
    }
    if (found == bindings_.end() && bindings_.size() >= max_targets) {
      return failure(RAI_RESOURCE_EXHAUSTED, "register " + quoted(what.target) + ": there are " +
                                                 std::to_string(max_targets) + " targets");
    }
    auto made = std::make_unique<binding>(
        std::string(what.target), intern(owners_, what.owner),
        what.attributes.empty() ? std::string("{}") : std::string(what.attributes),
        next_generation_++);
    made->source = std::move(source);
    if (service != nullptr) {
      // An older plugin's struct may be shorter than ours.
      std::memcpy(&made->service, service,
                  std::min<std::size_t>(service->struct_size, sizeof made->service));
      made->state = binding_state::active;
    }
    out.generation = made->generation;
    watchers_.push({found == bindings_.end() ? change_kind::appeared : change_kind::changed,
                    made->target, made->owner, made->attributes});
    const sharded_lock::writer writing(routes_.lock());
    if (found == bindings_.end()) {
      bindings_.emplace(made->target, std::move(made));
    } else {
      std::swap(found->second, made);
      out.replaced = made->generation;
      made->closing = true;
      draining_.push_back(std::move(made));
    }
    routes_.clear();
  }
  if (out.replaced != 0) sweep();
  watchers_.tell();
  return out;
}

outcome registry::withdraw(std::string_view target, std::string_view owner, std::uint64_t only) {
  outcome out;
  {
    const std::lock_guard hold(mutex_);
    const auto found = bindings_.find(target);
    if (found == bindings_.end() || (only != 0 && found->second->generation != only)) {
      return failure(RAI_NOT_FOUND, "withdraw " + quoted(target) + ": it is not registered");
    }
    if (found->second->owner != owner) {
      return failure(RAI_PERMISSION_DENIED, "withdraw " + quoted(target) + ": it belongs to " +
                                                quoted(found->second->owner));
    }
    auto gone = std::move(found->second);
    out.replaced = gone->generation;
    watchers_.push({change_kind::disappeared, gone->target, gone->owner, gone->attributes});
    const sharded_lock::writer writing(routes_.lock());
    bindings_.erase(found);
    gone->closing = true;
    draining_.push_back(std::move(gone));
    routes_.clear();
  }
  sweep();
  watchers_.tell();
  return out;
}

void registry::sweep() {
  std::vector<std::unique_ptr<binding>> gone;
  {
    const std::lock_guard hold(mutex_);
    const sharded_lock::writer writing(routes_.lock());
    const auto first = std::stable_partition(
        draining_.begin(), draining_.end(), [](const auto& b) { return calls_in_flight(*b) != 0; });
    std::move(first, draining_.end(), std::back_inserter(gone));
    draining_.erase(first, draining_.end());
  }
  if (gone.empty()) return;
  changed_.notify_all();
  for (const auto& b : gone) {
    for (const auto& then : b->on_drained) then();
  }
}

binding* registry::find_generation(std::uint64_t generation) {
  for (const auto& b : draining_) {
    if (b->generation == generation) return b.get();
  }
  for (const auto& [name, b] : bindings_) {
    if (b->generation == generation) return b.get();
  }
  return nullptr;
}

bool registry::drained(std::uint64_t generation) {
  const std::lock_guard hold(mutex_);
  return find_generation(generation) == nullptr;
}

bool registry::wait_drained(std::uint64_t generation, std::uint32_t timeout_ms) {
  std::unique_lock hold(mutex_);
  return changed_.wait_for(hold, std::chrono::milliseconds(timeout_ms),
                           [&] { return find_generation(generation) == nullptr; });
}

void registry::when_drained(std::uint64_t generation, std::function<void()> then) {
  {
    const std::lock_guard hold(mutex_);
    if (binding* const b = find_generation(generation)) {
      b->on_drained.push_back(std::move(then));
      return;
    }
  }
  then();
}

outcome registry::alias(std::string_view from, std::string_view to) {
  if (!valid_target(from) || (!to.empty() && !valid_target(to))) {
    return failure(RAI_INVALID_ARGUMENT,
                   "alias " + quoted(from) + " to " + quoted(to) + ": both must be interface/name");
  }
  const std::lock_guard hold(mutex_);
  if (to.empty()) {
    if (const auto found = aliases_.find(from); found != aliases_.end()) aliases_.erase(found);
  } else {
    if (aliases_.size() >= max_targets) {
      return failure(RAI_RESOURCE_EXHAUSTED, "alias " + quoted(from) + ": there are too many");
    }
    if (from == to || leads_to(to, from)) {
      return failure(RAI_INVALID_ARGUMENT, "alias " + quoted(from) + " to " + quoted(to) +
                                               ": aliases would lead in a circle");
    }
    const auto found = aliases_.find(from);
    const std::string before = found == aliases_.end() ? std::string() : found->second;
    aliases_.insert_or_assign(std::string(from), std::string(to));
    // Whatever leads here has become as much longer.
    const bool too_long = std::any_of(aliases_.begin(), aliases_.end(),
                                      [this](const auto& a) { return resolve(a.first).empty(); });
    if (too_long) {
      if (before.empty()) {
        aliases_.erase(aliases_.find(from));
      } else {
        aliases_.find(from)->second = before;
      }
      return failure(RAI_INVALID_ARGUMENT, "alias " + quoted(from) + " to " + quoted(to) +
                                               ": more than " + std::to_string(max_alias_hops) +
                                               " aliases would stand one behind the other");
    }
  }
  const sharded_lock::writer writing(routes_.lock());
  routes_.clear();
  return {};
}

std::string registry::resolve(std::string_view name) const {
  for (std::size_t hops = 0; hops <= max_alias_hops; ++hops) {
    const auto found = aliases_.find(name);
    if (found == aliases_.end()) return std::string(name);
    name = found->second;
  }
  return {};
}

/// Does the way from `name` pass `other`? What `other` itself leads to is not looked at.
bool registry::leads_to(std::string_view name, std::string_view other) const {
  for (std::size_t hops = 0; hops <= max_alias_hops && name != other; ++hops) {
    const auto found = aliases_.find(name);
    if (found == aliases_.end()) return false;
    name = found->second;
  }
  return name == other;
}

outcome registry::intercept(std::string_view pattern, std::int32_t order,
                            std::string_view interceptor, bool required) {
  return rule(pattern, order, interceptor, required, false);
}

outcome registry::guard(std::string_view pattern, std::string_view interceptor) {
  return rule(pattern, INT32_MIN, interceptor, true, true);
}

outcome registry::rule(std::string_view pattern, std::int32_t order, std::string_view interceptor,
                       bool required, bool guards) {
  const std::string target = full_interceptor(interceptor);
  if (!valid_pattern(pattern) || !valid_target(target) || !target.starts_with(interceptor_prefix)) {
    return failure(RAI_INVALID_ARGUMENT,
                   "put " + quoted(interceptor) + " before " + quoted(pattern) +
                       ": needs a target under rustic.interceptor/ and a pattern interface/name, "
                       "interface/* or *");
  }
  const std::lock_guard hold(mutex_);
  if (rules_.size() >= max_rules) {
    return failure(RAI_RESOURCE_EXHAUSTED, "put " + quoted(target) + " before " + quoted(pattern) +
                                               ": there are " + std::to_string(max_rules) +
                                               " rules");
  }
  rules_.push_back({std::string(pattern), &intern(interceptors_, target),
                    position_of(order, next_rule_++), required, guards});
  std::sort(rules_.begin(), rules_.end(),
            [](const auto& a, const auto& b) { return a.position < b.position; });
  const sharded_lock::writer writing(routes_.lock());
  routes_.clear();
  return {};
}

const std::string& registry::intern(std::set<std::string, std::less<>>& names,
                                    std::string_view name) {
  const auto found = names.find(name);
  return found != names.end() ? *found : *names.emplace(name).first;
}

std::unique_ptr<route> registry::build(std::string_view name) {
  const std::string target = resolve(name);
  const auto found = bindings_.find(target);
  if (found == bindings_.end()) return nullptr;
  auto way = std::make_unique<route>();
  way->target = target;
  way->service = found->second.get();

  const auto registered = [&](const std::string& interceptor) -> binding* {
    const auto at = bindings_.find(interceptor);
    return at == bindings_.end() ? nullptr : at->second.get();
  };
  const auto applies = [&](const chain_rule& rule) {
    return matches(rule.pattern, target) ||
           (rule.pattern.back() != '*' && resolve(rule.pattern) == target);
  };
  const auto placed = [&](const std::string* interceptor) -> hop* {
    for (const auto& h : way->hops) {
      if (h->interceptor == interceptor) return h.get();
    }
    return nullptr;
  };
  for (const auto& rule : rules_) {
    if (rule.guards || !applies(rule)) continue;
    if (hop* const outer = placed(rule.interceptor)) {
      outer->required |= rule.required;
    } else {
      way->hops.push_back(std::make_unique<hop>(rule, registered(*rule.interceptor)));
    }
  }
  for (const auto& rule : rules_) {
    if (!rule.guards || !applies(rule)) continue;
    if (hop* const standing = placed(rule.interceptor)) {
      standing->required = standing->guards = true;
    } else {
      const binding* const b = registered(*rule.interceptor);
      way->unguarded.push_back({rule.interceptor, b == nullptr ? nullptr : &b->owner});
    }
  }
  return way;
}

entry registry::enter(const hop_request& from) {
  entry out;
  while (!routes_.enter(from, out)) {
    const std::lock_guard hold(mutex_);
    auto built = build(from.target);
    const std::string name(from.target);
    if (built == nullptr) {
      out.unknown = true;
      out.why = refuse(RAI_NOT_FOUND, "call of " + name + ": no plugin provides it");
      return out;
    }
    if (built->target.starts_with(interceptor_prefix)) {
      out.why = refuse(RAI_PERMISSION_DENIED,
                       "call of " + name + " refused: interceptors are not called directly",
                       "Configure it before the services that it is meant for.");
      return out;
    }
    const sharded_lock::writer writing(routes_.lock());
    routes_.put(name, std::move(built));
  }
  return out;
}

void registry::leave(binding& at) {
  if (routes_.leave(at)) sweep();
}

void registry::let_pass() {
  const std::lock_guard hold(mutex_);
  const sharded_lock::writer all(routes_.lock());
}

registry::activation registry::activate(binding& what, std::unique_ptr<parked>& later,
                                        std::string& reason) {
  std::shared_ptr<activator> source;
  {
    const std::lock_guard hold(mutex_);
    if (what.state == binding_state::active) return activation::ready;
    if (what.state == binding_state::activating) {
      if (what.waiting.size() >= max_parked_calls ||
          what.waiting_bytes + later->bytes > max_parked_bytes) {
        reason = "too many calls wait for its activation";
        return activation::failed;
      }
      what.waiting_bytes += later->bytes;
      what.waiting.push_back(std::move(later));
      return activation::waiting;
    }
    const sharded_lock::writer writing(routes_.lock());
    what.state = binding_state::activating;
    source = what.source;
  }
  rai_service service{};
  service.struct_size = sizeof service;
  rai_status status = RAI_INTERNAL;
  try {
    status = source->activate(what.target, &service, reason);
    if (status == RAI_OK && !RAI_HAS(&service, call)) {
      status = RAI_INTERNAL;
      reason = "its plugin gave a service without a call function";
    }
  } catch (const std::exception& thrown) {
    reason = thrown.what();
  } catch (...) {
    reason = "its activation threw";
  }
  if (status != RAI_OK && reason.empty()) reason = "its activation failed";
  if (status == RAI_OK) reason.clear();

  std::vector<std::unique_ptr<parked>> waiting;
  {
    const std::lock_guard hold(mutex_);
    const sharded_lock::writer writing(routes_.lock());
    what.state = status == RAI_OK ? binding_state::active : binding_state::failed;
    what.service = service;
    what.reason = reason;
    waiting.swap(what.waiting);
    what.waiting_bytes = 0;
  }
  for (const auto& one : waiting) one->resume(reason);
  return status == RAI_OK ? activation::ready : activation::failed;
}

listed registry::describe(const binding& b) const {
  return {b.target, b.owner, b.attributes, b.state, b.reason, b.generation};
}

void registry::list(std::string_view pattern, const std::function<void(const listed&)>& each) {
  std::vector<listed> found;
  if (pattern.empty() || pattern.back() != '*') {
    if (auto one = find(pattern)) found.push_back(std::move(*one));
  } else {
    const std::lock_guard hold(mutex_);
    const auto prefix = pattern.substr(0, pattern.size() - 1);
    for (auto at = bindings_.lower_bound(prefix);
         at != bindings_.end() && at->first.starts_with(prefix); ++at) {
      found.push_back(describe(*at->second));
    }
  }
  for (const auto& one : found) each(one);
}

std::optional<listed> registry::find(std::string_view target) {
  const std::lock_guard hold(mutex_);
  const auto at = bindings_.find(resolve(target));
  if (at == bindings_.end()) return std::nullopt;
  listed out = describe(*at->second);
  out.target = target;
  return out;
}

std::string registry::nearest(std::string_view target) {
  const std::lock_guard hold(mutex_);
  std::size_t best = std::max<std::size_t>(target.size() / 3, 2) + 1;
  std::string name;
  std::size_t compared = 0;
  const auto consider = [&](const std::string& known) {
    if (++compared > max_suggestion_candidates || known.starts_with(interceptor_prefix)) return;
    const auto distance = edit_distance(target, known, best);
    if (distance < best) {
      best = distance;
      name = known;
    }
  };
  for (const auto& [known, b] : bindings_) consider(known);
  for (const auto& [known, to] : aliases_) consider(known);
  return name;
}

std::uint64_t registry::watch(std::string_view pattern, watchers::callback told) {
  return watchers_.add(pattern, std::move(told));
}

}  // namespace rustic::kernel
