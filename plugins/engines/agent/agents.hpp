// plugins/engines/agent/agents.hpp - the configured agents and providers, as the host hands them
// over.
#pragma once
#include <cstdint>
#include <optional>
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::agent {

struct agent {
  std::string name;
  std::string provider;
  std::string model;  // empty: the provider's
  std::string description;
  std::string engine;  // another rustic.agent service that serves its turns; empty: this one
  std::string system_prompt;
  std::vector<std::string> tools;  // patterns with *; empty: all
  json::object options;            // temperature, max_tokens, ... as rustic.provider takes them
  int rounds_max = 0;
  int tool_calls_max = 0;
  int repeats_max = 0;
  std::size_t parallel_calls_max = 0;
  std::uint32_t tool_timeout_ms = 0;
  std::int64_t window_tokens = 0;  // 0: the provider's
};

struct provider {
  std::string name;
  std::string model;
  std::int64_t window_tokens = 0;
};

// Immutable after construction; any thread.
class agents {
 public:
  // {"agents": [{name, provider, ...}], "providers": {name: {model, context_window}}}
  explicit agents(const json::object& config);

  // Empty name: the first. Throws failure(NOT_FOUND) that lists the known ones.
  const agent& get(std::string_view name) const;
  // The named provider, the first for an empty name, or failure(NOT_FOUND / FAILED_PRECONDITION)
  // that says what to configure.
  const provider& provider_of(std::string_view name) const;
  json::object list() const;
  json::object describe(std::string_view name, const json::array& tools) const;

 private:
  std::vector<agent> agents_;
  std::vector<provider> providers_;
};

// Does `name` match one of the patterns? "*" stands for any run of characters. No pattern: yes.
bool matches_any(std::string_view name, const std::vector<std::string>& patterns) noexcept;
}  // namespace rustic::agent
