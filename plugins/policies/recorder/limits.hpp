// plugins/policies/recorder/limits.hpp - the numbers that a recording may not exceed.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rustic::recorder {
inline constexpr std::size_t recording_bytes_max = 1u << 30;   // the whole file, written or read
inline constexpr std::size_t exchange_bytes_max = 256u << 20;  // events of one call
inline constexpr std::size_t exchanges_max = 1'000'000;
inline constexpr std::uint32_t hide_ms_max = 30'000;  // of the host, to hide secrets in one
static_assert(exchange_bytes_max < recording_bytes_max);
}  // namespace rustic::recorder
