// What the policy may do, as configuration says it, and which targets stand in for which.
#pragma once
#include <cstdint>
#include <map>
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::resilience {

// A provider with a model; without a model it is the one that the provider's configuration names.
struct target {
  std::string provider;
  std::string model;
  std::int64_t window_tokens = 0;  // 0: not known

  std::string name() const { return model.empty() ? provider : provider + "/" + model; }
};

// Immutable after construction; any thread.
class settings {
 public:
  settings() = default;
  // Throws failure(INVALID_ARGUMENT) that names the member.
  explicit settings(const json::object& config);

  int retries = 3;        // of one request with one target
  int turn_retries = 12;  // of one turn, with all targets
  std::int64_t turn_wait_ms = 120'000;
  std::int64_t backoff_ms = 500;  // the first wait at most; it doubles
  std::int64_t backoff_ms_max = 8000;
  std::int64_t retry_after_ms_max = 30'000;  // beyond it the next target, where there is one
  bool restart_after_text = false;
  int circuit_failures = 5;
  std::int64_t circuit_cooldown_ms = 30'000;

  // Does configuration name any stand-in at all?
  bool has_fallbacks() const noexcept { return has_fallbacks_; }
  // The called one and its stand-ins in order, each once: those of the agent, else of the provider,
  // else those for all. `model` is what the request names, maybe nothing.
  std::vector<target> chain(std::string_view provider, std::string_view model,
                            std::string_view agent) const;

 private:
  struct known_provider {
    std::string model;
    std::int64_t window_tokens = 0;
    std::vector<std::string> fallback;
  };
  target parse(std::string_view text) const;

  bool has_fallbacks_ = false;
  std::vector<std::string> fallback_;
  std::map<std::string, known_provider, std::less<>> providers_;
  std::map<std::string, std::vector<std::string>, std::less<>> agents_;
};
}  // namespace rustic::resilience
