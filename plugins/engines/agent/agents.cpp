#include "agents.hpp"

#include <algorithm>
#include <rustic/status.hpp>

#include "limits.hpp"

namespace rustic::agent {
namespace {

bool matches(std::string_view name, std::string_view pattern) noexcept {
  std::size_t n = 0, p = 0, star = std::string_view::npos, mark = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}
}  // namespace

bool matches_any(std::string_view name, const std::vector<std::string>& patterns) noexcept {
  return patterns.empty() || std::any_of(patterns.begin(), patterns.end(),
                                         [&](const auto& one) { return matches(name, one); });
}

agents::agents(const json::object& config) {
  for (const auto& value : array_or_empty(config, "agents")) {
    const auto& entry = value.as_object();
    agent one;
    one.name = require_text(entry, "name", "agents");
    one.provider = text_or(entry, "provider");
    one.model = text_or(entry, "model");
    one.description = text_or(entry, "description");
    one.engine = text_or(entry, "engine");
    if (one.engine == "default") one.engine.clear();
    one.system_prompt = text_or(entry, "system_prompt");
    for (const auto& pattern : array_or_empty(entry, "tools"))
      if (const auto* text = pattern.if_string()) one.tools.emplace_back(*text);
    if (const auto* tools = entry.if_contains("tools");
        tools && tools->is_array() && one.tools.empty())
      one.tools.emplace_back("-");  // an empty list means no tool at all
    for (const auto key : {"temperature", "max_tokens", "top_p", "top_k", "seed", "stop_sequences",
                           "presence_penalty", "frequency_penalty", "reasoning_effort",
                           "tool_choice", "parallel_tool_calls", "response_format"})
      if (const auto* option = find(entry, key)) one.options[key] = *option;
    one.rounds_max = static_cast<int>(int_or(entry, "max_rounds", rounds_default));
    one.tool_calls_max = static_cast<int>(int_or(entry, "max_tool_calls", tool_calls_default));
    one.repeats_max = static_cast<int>(
        std::clamp<std::int64_t>(int_or(entry, "max_repeats", repeats_default), 2, repeats_max));
    one.parallel_calls_max = static_cast<std::size_t>(std::clamp<std::int64_t>(
        int_or(entry, "max_parallel_tools", parallel_calls_default), 1, parallel_calls_max));
    one.tool_timeout_ms = static_cast<std::uint32_t>(std::clamp<std::int64_t>(
        duration_ms_or(entry, "tool_timeout", tool_timeout_ms_default), 1, tool_timeout_ms_max));
    one.window_tokens = int_or(entry, "context_window");
    agents_.push_back(std::move(one));
  }
  for (const auto& [name, value] : object_or_empty(config, "providers")) {
    const auto& entry = value.as_object();
    providers_.push_back(
        {std::string(name), std::string(text_or(entry, "model")), int_or(entry, "context_window")});
  }
}

const agent& agents::get(std::string_view name) const {
  std::string known;
  for (const auto& one : agents_) {
    if (name.empty() || one.name == name) return one;
    known += (known.empty() ? "" : ", ") + one.name;
  }
  throw failure(status_code::not_found,
                "finding agent \"" + std::string(name) + "\": no such agent",
                "configured are: " + known);
}

const provider& agents::provider_of(std::string_view name) const {
  std::string known;
  for (const auto& one : providers_) {
    if (name.empty() || one.name == name) return one;
    known += (known.empty() ? "" : ", ") + one.name;
  }
  if (name.empty())
    throw failure(status_code::failed_precondition, "choosing a provider: none is configured",
                  "set OPENAI_API_KEY, or add [providers.NAME] to the configuration");
  throw failure(status_code::not_found,
                "finding provider \"" + std::string(name) + "\": no such provider",
                known.empty() ? "none is configured" : "configured are: " + known);
}

json::object agents::list() const {
  json::array out;
  for (const auto& one : agents_)
    out.push_back({{"name", one.name},
                   {"provider", one.provider},
                   {"model", one.model},
                   {"description", one.description}});
  return {{"agents", std::move(out)}};
}

json::object agents::describe(std::string_view name, const json::array& tools) const {
  const auto& one = get(name);
  return {{"name", one.name},
          {"provider", one.provider},
          {"model", one.model},
          {"description", one.description},
          {"engine", one.engine.empty() ? "default" : one.engine},
          {"system_prompt", one.system_prompt},
          {"options", one.options},
          {"max_rounds", one.rounds_max},
          {"max_tool_calls", one.tool_calls_max},
          {"tools", tools}};
}
}  // namespace rustic::agent
