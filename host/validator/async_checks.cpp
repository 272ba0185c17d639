#include "host/validator/check.hpp"

namespace rustic::validator {
std::span<const check> async_checks() {
  return {};
}
}  // namespace rustic::validator
