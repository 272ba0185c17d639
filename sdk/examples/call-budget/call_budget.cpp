#include "call_budget.hpp"

#include <algorithm>
#include <charconv>

namespace call_budget_plugin {

bool budget::take(std::string_view session) {
  const std::lock_guard lock(mutex_);
  auto found = used_.find(session);
  if (found == used_.end()) {
    if (used_.size() >= sessions_max) {
      used_.erase(std::min_element(used_.begin(), used_.end(), [](const auto& a, const auto& b) {
        return a.second < b.second;
      }));
    }
    found = used_.emplace(session, 0).first;
  }
  if (found->second >= calls_) return false;
  ++found->second;
  return true;
}

std::string budget::save() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& [session, used] : used_) out += std::to_string(used) + " " + session + "\n";
  return out;
}

void budget::restore(std::string_view state) {
  const std::lock_guard lock(mutex_);
  while (!state.empty()) {
    const auto line = state.substr(0, state.find('\n'));
    state.remove_prefix(std::min(line.size() + 1, state.size()));
    std::int64_t used = 0;
    const auto read = std::from_chars(line.data(), line.data() + line.size(), used);
    const auto digits = static_cast<std::size_t>(read.ptr - line.data());
    if (read.ec == std::errc() && digits < line.size() && used_.size() < sessions_max)
      used_[std::string(line.substr(digits + 1))] = used;
  }
}
}  // namespace call_budget_plugin
