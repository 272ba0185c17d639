// host/cli/limits.hpp - the numbers of the command line program.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rustic::cli {
inline constexpr std::size_t standard_input_bytes_max = 64u << 20;
inline constexpr int standard_input_notice_ms = 1000;  // then it says what it waits for
inline constexpr std::size_t shown_argument_bytes_max = 200;
inline constexpr std::size_t attachment_bytes_max = 10u << 20;  // one @path
inline constexpr std::size_t completions_max = 200;
inline constexpr std::int64_t rounds_max = 10'000;
}  // namespace rustic::cli
