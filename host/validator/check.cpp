#include "host/validator/check.hpp"

namespace rustic::validator {

std::vector<const check*> all_checks() {
  std::vector<const check*> out;
  for (const auto family :
       {static_checks(), manifest_checks(), import_checks(), load_checks(), create_checks(),
        contract_checks(), argument_checks(), async_checks(), robust_checks(), unload_checks(),
        storage_checks(), provider_checks(), performance_checks()})
    for (const auto& one : family) out.push_back(&one);
  return out;
}

const check* find_check(std::string_view name) {
  for (const auto* one : all_checks())
    if (one->name == name) return one;
  return nullptr;
}

bool matches(std::string_view pattern, std::string_view name) {
  const auto star = pattern.find('*');
  if (star == std::string_view::npos)
    return name == pattern || (name.starts_with(pattern) && name.size() > pattern.size() &&
                               name[pattern.size()] == '.');
  if (!name.starts_with(pattern.substr(0, star))) return false;
  const auto rest = pattern.substr(star + 1);
  for (auto at = star; at <= name.size(); ++at)
    if (rest.empty() || matches(rest, name.substr(at))) return true;
  return false;
}
}  // namespace rustic::validator
