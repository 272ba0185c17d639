// limits.hpp - what the backend may use: memory, the file, waiting.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace file_store_plugin {
inline constexpr std::int64_t live_bytes_max_default = std::int64_t{512} << 20;
// Keys, values and this much for each of them count.
inline constexpr std::int64_t entry_bytes = 64;
// One transaction in the file. A request has half of it at most.
inline constexpr std::size_t record_bytes_max = std::size_t{512} << 20;
// The file is written anew when it holds more than twice what counts, and this.
inline constexpr std::int64_t outdated_bytes_kept = std::int64_t{1} << 20;
inline constexpr std::size_t rewrite_step_bytes = std::size_t{4} << 20;

// Waiting for another process that writes.
inline constexpr std::chrono::milliseconds lock_wait_max{30'000};
inline constexpr std::chrono::milliseconds lock_nap{2};
}  // namespace file_store_plugin
