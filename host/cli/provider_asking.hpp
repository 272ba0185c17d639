// host/cli/provider_asking.hpp - asks several providers side by side.
#pragma once
#include <rustic/call.hpp>
#include <string>
#include <vector>

#include "host/cli/program.hpp"
#include "host/cli/signals.hpp"

namespace rustic::cli {

struct provider_question {
  std::string provider;
  std::string method;
  json::object body;
};

struct provider_answer {
  call_result result;
  std::int64_t latency_ms = 0;  // until the finish
};

// The answers in the order of the questions; none takes longer than provider_answer_ms_max. Throws
// failure(CANCELLED) when a signal comes.
std::vector<provider_answer> ask_providers(program& with, signal_watch& signals,
                                           const std::vector<provider_question>& questions);
}  // namespace rustic::cli
