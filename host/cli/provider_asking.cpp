#include "host/cli/provider_asking.hpp"

#include <poll.h>
#include <signal.h>

#include <cerrno>
#include <chrono>

#include "host/cli/limits.hpp"

namespace rustic::cli {

std::vector<provider_answer> ask_providers(program& with, signal_watch& signals,
                                           const std::vector<provider_question>& questions) {
  using clock = std::chrono::steady_clock;
  const auto begin = clock::now();
  std::vector<std::unique_ptr<runtime::root_call>> calls;
  for (const auto& one : questions)
    calls.push_back(with.runtime().start("rustic.provider/" + one.provider, one.method, one.body,
                                         {{"once", true}}, provider_answer_ms_max));
  std::vector<provider_answer> out(calls.size());
  std::size_t open = calls.size();
  while (open > 0) {
    std::vector<pollfd> waiting{{signals.descriptor(), POLLIN, 0}};
    for (std::size_t i = 0; i < calls.size(); ++i) {
      if (!calls[i]) continue;
      while (calls[i]->try_next()) {
      }
      if (!calls[i]->finished()) {
        waiting.push_back({calls[i]->descriptor(), POLLIN, 0});
        continue;
      }
      out[i].result = calls[i]->result();
      out[i].latency_ms = (clock::now() - begin) / std::chrono::milliseconds(1);
      calls[i].reset();
      --open;
    }
    if (open == 0) break;
    if (poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR)
      throw failure(status_code::internal, "waiting for the providers failed");
    if (const auto signal = signals.take())
      throw failure(status_code::cancelled, *signal == SIGINT ? "interrupted" : "terminated");
  }
  return out;
}
}  // namespace rustic::cli
