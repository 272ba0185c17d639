// host/runtime/limits.hpp - the numbers that a running program may not exceed.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rustic::runtime {
inline constexpr std::size_t queued_events_max = 4096;  // of one root call, before it pauses
inline constexpr std::size_t queued_event_bytes_max = 1u << 20;
inline constexpr std::uint32_t stop_grace_ms = 3000;  // for calls in flight when the program ends
inline constexpr std::size_t secret_bytes_max = 64u * 1024;
inline constexpr std::size_t log_file_bytes_max = 10u << 20;  // then it is rotated
inline constexpr std::size_t log_files_max = 3;
}  // namespace rustic::runtime
