#include "host/validator/check.hpp"

namespace rustic::validator {
std::span<const check> storage_checks() {
  return {};
}
}  // namespace rustic::validator
