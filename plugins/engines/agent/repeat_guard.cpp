#include "repeat_guard.hpp"

#include <functional>

namespace rustic::agent {

repeat_guard::verdict repeat_guard::seen(std::string_view name, std::string_view arguments,
                                         std::string_view output) {
  const std::hash<std::string_view> hash;
  std::uint64_t key = hash(name);
  key = key * 0x9E3779B97F4A7C15u + hash(arguments);
  key = key * 0x9E3779B97F4A7C15u + hash(output);
  const int count = ++counts_[key];
  if (count >= stop_after_) return verdict::stop;
  return count >= stop_after_ / 2 ? verdict::warn : verdict::fine;
}
}  // namespace rustic::agent
