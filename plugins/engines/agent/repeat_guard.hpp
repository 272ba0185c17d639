// plugins/engines/agent/repeat_guard.hpp - notices a model that goes in circles: the same call with
// the same result again and again.
#pragma once
#include <cstdint>
#include <string_view>
#include <unordered_map>

namespace rustic::agent {

// One turn's memory. Cycles (A, B, A, B) count as well as plain repetition, because each pair of
// call and result is counted for the whole turn; a different result starts its own count.
class repeat_guard {
 public:
  // Stops at `stop_after`, warns from half of that on.
  explicit repeat_guard(int stop_after) : stop_after_(stop_after) {}

  enum class verdict { fine, warn, stop };
  verdict seen(std::string_view name, std::string_view arguments, std::string_view output);

 private:
  int stop_after_;
  std::unordered_map<std::uint64_t, int> counts_;
};
}  // namespace rustic::agent
