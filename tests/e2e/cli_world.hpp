// tests/e2e/cli_world.hpp - a place whose program talks to a fake model on loopback.
#pragma once
#include "cli_process.hpp"
#include "model_server.hpp"

namespace rustic::e2e {

inline constexpr const char* planted_key = "sk-planted-123456789";

struct world : place {
  explicit world(std::vector<fakes::step> steps = {})
      : server(fakes::script{std::move(steps), {}}) {
    environment["OPENAI_BASE_URL"] = server.base_url();
    environment["OPENAI_API_KEY"] = planted_key;
    environment["OPENAI_MODEL"] = "fake-model";
    environment["RUSTIC_AI_RESILIENCE__BACKOFF"] = "1ms";
    environment["RUSTIC_AI_RESILIENCE__MAX_BACKOFF"] = "1ms";
  }
  ended chat(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "chat");
    return run(*this, std::move(arguments));
  }

  fakes::model_server server;
};

inline fakes::step always(fakes::step one) {
  one.times = 0;
  return one;
}
inline fakes::step shell_call(const std::string& command) {
  return fakes::step::calling("shell", json::serialize(json::object{{"command", command}}));
}
// Says one word and stands still until it is released or the connection is closed.
inline fakes::step stalling() {
  auto one = fakes::step::saying("");
  one.text = {"partial ", "words ", "never"};
  one.stall_after_events = 3;
  return one;
}
inline fakes::step cut() {
  auto one = fakes::step::saying("");
  one.text = {"partial ", "words ", "that ", "break off"};
  one.cut_after_bytes = 600;
  return one;
}
}  // namespace rustic::e2e
