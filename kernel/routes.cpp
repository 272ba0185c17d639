#include "kernel/routes.hpp"

#include <algorithm>

#include "kernel/error.hpp"

namespace rustic::kernel {
namespace {

bool made_by(const hop& h, const exemption& exempt) noexcept {
  if (exempt.interceptor == h.interceptor) return true;
  return exempt.owner != nullptr && h.to != nullptr && exempt.owner == &h.to->owner;
}

bool made_by(const missing_guard& g, const exemption& exempt) noexcept {
  return exempt.interceptor == g.interceptor ||
         (exempt.owner != nullptr && exempt.owner == g.owner);
}

/// Finds out whether the plugin that calls on its own account owns an interceptor on the way.
void find_owner(const route& way, const hop_request& from) noexcept {
  for (const auto& h : way.hops) {
    if (h->to != nullptr && h->to->owner == from.account) from.exempt.owner = &h->to->owner;
  }
  for (const auto& g : way.unguarded) {
    if (g.owner != nullptr && *g.owner == from.account) from.exempt.owner = g.owner;
  }
}

void pass_over(hop& h, const route& way, entry& out) {
  if (h.warned.exchange(true, std::memory_order_relaxed)) return;
  out.warning =
      std::make_unique<std::string>("optional interceptor " + *h.interceptor +
                                    " is left out before " + way.target + ": it is not registered");
}

}  // namespace

bool routes::enter(const hop_request& from, entry& out) {
  const sharded_lock::reader reading(lock_);
  const auto found = table_.find(from.target);
  if (found == table_.end()) return false;
  const route& way = *found->second;

  binding* to = nullptr;
  if (!way.hops.empty() || !way.unguarded.empty()) {
    if (!from.account.empty()) find_owner(way, from);
    for (const auto& g : way.unguarded) {
      if (made_by(g, from.exempt)) continue;
      out.why = refuse(RAI_PERMISSION_DENIED,
                       "call of " + way.target + " refused: it is guarded by " + *g.interceptor +
                           ", which does not stand before it",
                       "Enable " + *g.interceptor + " for this target in the configuration.");
      return true;
    }
    for (const auto& h : way.hops) {
      if (h->position <= from.after || made_by(*h, from.exempt)) continue;
      if (h->to == nullptr) {
        if (!h->required) {
          pass_over(*h, way, out);
          continue;
        }
        out.why = refuse(h->guards ? RAI_PERMISSION_DENIED : RAI_FAILED_PRECONDITION,
                         "call of " + way.target + " refused: its " +
                             (h->guards ? "guard " : "interceptor ") + *h->interceptor +
                             " is not registered",
                         "Install the plugin that provides " + *h->interceptor + ".");
        return true;
      }
      to = h->to;
      out.interceptor = h->interceptor;
      out.position = h->position;
      out.required = h->required;
      break;
    }
  }
  if (to == nullptr) {
    to = way.service;
    out.interceptor = nullptr;
    out.position = UINT64_MAX;
    out.required = true;
  }
  if (way.target != from.target) from.resolved.assign(way.target);
  ++to->in_flight[reading.shard()].calls;
  out.to = to;
  out.ready = to->state == binding_state::active;
  return true;
}

bool routes::leave(binding& at) noexcept {
  const sharded_lock::reader reading(lock_);
  --at.in_flight[reading.shard()].calls;
  return at.closing;
}

void routes::put(std::string_view name, std::unique_ptr<route> built) {
  table_[std::string(name)] = std::move(built);
}

}  // namespace rustic::kernel
