// Dates and times of RFC 3339.
#pragma once
#include <string_view>

namespace rustic::schema {
// `format` is date, time or date-time.
bool is_moment(std::string_view format, std::string_view text) noexcept;
std::string_view moment_example(std::string_view format) noexcept;
}  // namespace rustic::schema
