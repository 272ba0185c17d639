// limits.hpp - what the fake servers take before they refuse.
#pragma once
#include <cstddef>

namespace rustic::fakes::limits {

inline constexpr std::size_t connections_max = 1024;
inline constexpr std::size_t head_bytes_max = std::size_t{64} << 10;
inline constexpr std::size_t body_bytes_max = std::size_t{256} << 20;
inline constexpr std::size_t script_bytes_max = std::size_t{64} << 20;
inline constexpr std::size_t events_max = 10'000'000;  // of one answer
inline constexpr std::size_t records_max = 1'000'000;
// Beyond it, the bodies of further requests are not kept.
inline constexpr std::size_t recorded_bytes_max = std::size_t{512} << 20;

}  // namespace rustic::fakes::limits
