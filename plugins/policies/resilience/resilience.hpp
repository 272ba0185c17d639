// The interceptor before providers and tools: carries a request through what passes by itself.
#pragma once
#include <atomic>
#include <cstdint>
#include <optional>
#include <rustic/call.hpp>
#include <string>
#include <string_view>

#include "circuit.hpp"
#include "course.hpp"
#include "settings.hpp"
#include "turn_budget.hpp"

namespace rustic::resilience {

// Time comes from rustic.timer: no thread and no clock of its own, and a cancelled wait ends at
// once.
// Threads: any; calls run side by side. Lives as long as the plugin.
class policy {
 public:
  // Throws failure(INVALID_ARGUMENT) for a configuration that cannot be read.
  policy(const rai_host* host, const json::object& config);

  // Serves one intercepted call: returns its result, or throws failure.
  task<std::string> intercept(context& ctx);
  // Serves rustic.resilience/default: `status`.
  task<std::string> status(context& ctx);

  // The circuits, for the generation that replaces this one.
  std::string save() const;
  void restore(std::string_view state);

 private:
  struct journey;

  task<std::string> pass(context& ctx);
  task<std::string> carry(context& ctx);
  task<call_result> send(context& ctx, journey& on);
  bool is_easy(context& ctx);
  task<std::optional<std::int64_t>> now(context& ctx);
  task<void> wait(context& ctx, journey& on, std::int64_t wait_ms);
  void note_failure(journey& on, error problem, const fault& what);
  void begin(context& ctx, journey& on);
  void tell(context& ctx, journey& on, const json::object& event, std::string_view topic);
  void publish(const std::optional<circuit_breakers::change>& change);
  [[noreturn]] void give_up(journey& on);
  bool is_idempotent(const std::string& target) const;
  double random() noexcept;

  const rai_host* host_;
  const settings settings_;
  circuit_breakers circuits_;
  turn_budgets budgets_;
  std::atomic<std::uint64_t> seed_;
};
}  // namespace rustic::resilience
