// call_budget.hpp - counts calls for each session, as a plain class that a test can construct.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace call_budget_plugin {

inline constexpr std::int64_t calls_default = 100;
// Beyond it the session that has made the fewest calls is forgotten.
inline constexpr std::size_t sessions_max = 1000;

// Threads: any.
class budget {
 public:
  explicit budget(std::int64_t calls) : calls_(calls) {}

  // Takes one call of the session's budget. False: it is used up.
  bool take(std::string_view session);
  std::int64_t calls() const noexcept { return calls_; }

  // One "count session" on each line, for the generation that replaces this one in a reload.
  std::string save() const;
  void restore(std::string_view state);

 private:
  const std::int64_t calls_;
  mutable std::mutex mutex_;
  std::map<std::string, std::int64_t, std::less<>> used_;
};
}  // namespace call_budget_plugin
