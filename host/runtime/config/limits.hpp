// What configuration may cost.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rustic::config {
inline constexpr std::size_t file_bytes_max = 1 << 20;          // one configuration file
inline constexpr std::size_t depth_max = 32;                    // levels of tables and lists
inline constexpr std::size_t values_max = 20'000;               // values in one file
inline constexpr std::size_t key_bytes_max = 512;               // one key
inline constexpr std::size_t problems_max = 100;                // reported for one source
inline constexpr std::size_t project_levels_max = 64;           // directories looked at upward
inline constexpr std::size_t shown_bytes_max = 80;              // of one value in a message
inline constexpr std::size_t listed_keys_max = 20;              // known keys in a message
inline constexpr std::size_t secret_bytes_max = 64 * 1024;      // of one resolved secret
inline constexpr std::size_t secret_complaint_bytes_max = 400;  // of a command's stderr
inline constexpr std::int64_t secret_command_timeout_ms = 10'000;
inline constexpr std::size_t trusted_projects_max = 10'000;
inline constexpr std::size_t trust_file_bytes_max = 4 << 20;
inline constexpr std::size_t fallback_targets_max = 7;  // beside the one that was asked
inline constexpr std::size_t prompt_file_bytes_max = 256 * 1024;
}  // namespace rustic::config
