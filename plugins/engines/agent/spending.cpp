#include "spending.hpp"

#include <algorithm>
#include <cmath>

#include "limits.hpp"

namespace rustic::agent {

// Beyond the limit the rest is counted together, under no name.
spending::entry* spending::at(std::string_view provider, std::string_view model) {
  const auto same = [&](const entry& one) {
    return one.provider == provider && one.model == model;
  };
  auto found = std::find_if(entries_.begin(), entries_.end(), same);
  if (found != entries_.end()) return &*found;
  if (entries_.size() + 1 >= models_counted_max) {
    provider = model = {};
    found = std::find_if(entries_.begin(), entries_.end(), same);
    if (found != entries_.end()) return &*found;
  }
  auto& made = entries_.emplace_back();
  made.provider = provider;
  made.model = model;
  return &made;
}

void spending::add(std::string_view provider, std::string_view model, const json::object& usage,
                   std::optional<double> cost_usd) {
  auto& one = *at(provider, model);
  ++one.requests;
  one.usage.add(usage);
  if (one.cost_usd && cost_usd && std::isfinite(*cost_usd))
    *one.cost_usd += *cost_usd;
  else
    one.cost_usd.reset();
}

void spending::add(const json::array& earlier) {
  for (const auto& value : earlier) {
    const auto* kept = value.if_object();
    if (!kept) continue;
    const auto requests = int_or(*kept, "requests");
    if (requests <= 0) continue;
    auto& one = *at(text_or(*kept, "provider"), text_or(*kept, "model"));
    one.requests += requests;
    one.usage.add(*kept);
    const auto* cost = find(*kept, "cost_usd");
    if (one.cost_usd && cost && cost->is_number() && std::isfinite(cost->to_number<double>()))
      *one.cost_usd += cost->to_number<double>();
    else
      one.cost_usd.reset();
  }
}

std::optional<double> spending::cost_usd() const {
  if (entries_.empty()) return std::nullopt;
  double sum = 0;
  for (const auto& one : entries_) {
    if (!one.cost_usd) return std::nullopt;
    sum += *one.cost_usd;
  }
  return sum;
}

json::array spending::to_json() const {
  json::array out;
  for (const auto& one : entries_) {
    json::object made{{"provider", one.provider}, {"model", one.model}};
    made["requests"] = one.requests;
    for (const auto& [key, value] : one.usage.to_json()) made[key] = value;
    made["cost_usd"] = one.cost_usd ? json::value(*one.cost_usd) : json::value(nullptr);
    out.push_back(std::move(made));
  }
  return out;
}
}  // namespace rustic::agent
