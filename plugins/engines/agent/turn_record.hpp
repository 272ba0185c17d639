// plugins/engines/agent/turn_record.hpp - what one turn has done so far, as its result tells it.
#pragma once
#include <optional>
#include <rustic/json.hpp>
#include <string>
#include <string_view>

namespace rustic::agent {

struct usage_totals {
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;
  std::int64_t cache_read_tokens = 0;
  std::int64_t cache_write_tokens = 0;
  std::int64_t reasoning_tokens = 0;

  void add(const json::object& usage);
  json::object to_json() const;
};

struct turn_record {
  std::string session, agent, provider, model;
  std::string text;  // of the last round
  std::string finish_reason;
  std::string limit;  // empty: none was reached
  int rounds = 0;
  json::array tool_calls;
  json::array denials;
  usage_totals usage;
  std::optional<double> cost_usd;
  json::array usage_by_model;  // docs/interfaces/agent.md

  json::object to_json() const;
};
}  // namespace rustic::agent
