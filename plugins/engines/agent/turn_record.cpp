#include "turn_record.hpp"

namespace rustic::agent {

void usage_totals::add(const json::object& usage) {
  input_tokens += int_or(usage, "input_tokens");
  output_tokens += int_or(usage, "output_tokens");
  cache_read_tokens += int_or(usage, "cache_read_tokens");
  cache_write_tokens += int_or(usage, "cache_write_tokens");
  reasoning_tokens += int_or(usage, "reasoning_tokens");
}

json::object usage_totals::to_json() const {
  return {{"input_tokens", input_tokens},
          {"output_tokens", output_tokens},
          {"cache_read_tokens", cache_read_tokens},
          {"cache_write_tokens", cache_write_tokens},
          {"reasoning_tokens", reasoning_tokens}};
}

json::object turn_record::to_json() const {
  json::object out{{"session", session},
                   {"agent", agent},
                   {"provider", provider},
                   {"model", model},
                   {"text", text},
                   {"finish_reason", finish_reason},
                   {"rounds", rounds},
                   {"tool_calls", tool_calls},
                   {"permission_denials", denials},
                   {"usage", usage.to_json()},
                   {"usage_by_model", usage_by_model}};
  out["cost_usd"] = cost_usd ? json::value(*cost_usd) : json::value(nullptr);
  if (limit.empty())
    out["limit"] = nullptr;
  else
    out["limit"] = limit;
  return out;
}
}  // namespace rustic::agent
