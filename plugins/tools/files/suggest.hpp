// "Did you mean": names like the one that does not exist.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "failure.hpp"
#include "path_scope.hpp"

namespace rustic::files {

// 0 (nothing in common) to 1 (equal), without regard to case.
double name_similarity(std::string_view a, std::string_view b);

// The failure for a place that does not exist, with the names nearby that resemble it.
failure missing_failure(const place& at);

}  // namespace rustic::files
