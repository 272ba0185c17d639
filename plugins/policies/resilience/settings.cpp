#include "settings.hpp"

#include <algorithm>
#include <rustic/status.hpp>

#include "limits.hpp"

namespace rustic::resilience {
namespace {

int count_or(const json::object& config, std::string_view key, int fallback, std::int64_t least,
             std::int64_t most) {
  const auto value = int_or(config, key, fallback);
  if (value < least || value > most)
    throw failure(status_code::invalid_argument,
                  "[resilience] " + std::string(key) + " is " + std::to_string(value),
                  "it takes " + std::to_string(least) + " to " + std::to_string(most));
  return static_cast<int>(value);
}

std::int64_t wait_or(const json::object& config, std::string_view key, std::int64_t fallback_ms) {
  return std::clamp<std::int64_t>(duration_ms_or(config, key, fallback_ms), 0, wait_ms_max);
}

std::vector<std::string> targets(const json::object& section) {
  std::vector<std::string> out;
  for (const auto& one : array_or_empty(section, "fallback"))
    if (const auto* text = one.if_string();
        text && !text->empty() && text->size() <= target_bytes_max)
      out.emplace_back(*text);
  return out;
}
}  // namespace

settings::settings(const json::object& config) {
  retries = count_or(config, "retries", retries, 0, retries_max);
  turn_retries = count_or(config, "turn_retries", turn_retries, 0, turn_retries_max);
  turn_wait_ms = wait_or(config, "turn_wait", turn_wait_ms);
  backoff_ms = wait_or(config, "backoff", backoff_ms);
  backoff_ms_max = std::max(backoff_ms, wait_or(config, "max_backoff", backoff_ms_max));
  retry_after_ms_max = wait_or(config, "max_retry_after", retry_after_ms_max);
  restart_after_text = text_or(config, "after_text") == "restart";
  circuit_failures =
      count_or(config, "circuit_failures", circuit_failures, 1, circuit_failures_max);
  circuit_cooldown_ms = wait_or(config, "circuit_cooldown", circuit_cooldown_ms);
  fallback_ = targets(config);
  has_fallbacks_ = !fallback_.empty();
  for (const auto& [name, value] : object_or_empty(config, "providers")) {
    const auto* section = value.if_object();
    if (!section) continue;
    auto& one = providers_[std::string(name)];
    one.model = text_or(*section, "model");
    one.window_tokens = int_or(*section, "context_window");
    one.fallback = targets(*section);
    has_fallbacks_ |= !one.fallback.empty();
  }
  for (const auto& [name, value] : object_or_empty(config, "agents")) {
    const auto* section = value.if_object();
    // An empty list is one: this agent has no stand-in.
    if (!section || !section->contains("fallback")) continue;
    auto& list = agents_[std::string(name)];
    list = targets(*section);
    has_fallbacks_ |= !list.empty();
  }
}

// Up to the first slash it is the provider: models have slashes in their names.
target settings::parse(std::string_view text) const {
  const auto slash = text.find('/');
  target out;
  out.provider = text.substr(0, slash);
  if (slash != std::string_view::npos) out.model = text.substr(slash + 1);
  if (const auto known = providers_.find(out.provider); known != providers_.end()) {
    // The window is the configured model's; another model of the same provider may have another.
    if (out.model.empty() || out.model == known->second.model)
      out.window_tokens = known->second.window_tokens;
    if (out.model.empty()) out.model = known->second.model;
  }
  return out;
}

std::vector<target> settings::chain(std::string_view provider, std::string_view model,
                                    std::string_view agent) const {
  std::string called(provider);
  if (!model.empty()) called.append("/").append(model);
  std::vector<target> out{parse(called)};
  const std::vector<std::string>* names = &fallback_;
  if (const auto own = agents_.find(agent); own != agents_.end()) {
    names = &own->second;
  } else if (const auto known = providers_.find(provider);
             known != providers_.end() && !known->second.fallback.empty()) {
    names = &known->second.fallback;
  }
  for (const auto& text : *names) {
    auto next = parse(text);
    const bool there = std::any_of(out.begin(), out.end(), [&](const target& one) {
      return one.provider == next.provider && one.model == next.model;
    });
    if (!there && out.size() < chain_targets_max) out.push_back(std::move(next));
  }
  return out;
}
}  // namespace rustic::resilience
