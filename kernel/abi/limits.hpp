// kernel/abi/limits.hpp - the numbers that reading and loading plugins may not exceed.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rustic::kernel::abi {
inline constexpr std::size_t elf_program_headers_max = 256;
inline constexpr std::size_t elf_note_segment_bytes_max = std::size_t{1} << 20;
inline constexpr std::size_t elf_head_bytes = 4096;              // are read at once
inline constexpr std::size_t manifest_parse_bytes = 16u * 1024;  // before parsing one allocates
// Tool descriptions and schemas.
inline constexpr std::size_t manifest_bytes_max = std::size_t{512} << 10;
inline constexpr std::size_t plugin_files_per_directory_max = 4096;
inline constexpr std::size_t provides_max = 1024;  // entries of one manifest
inline constexpr std::size_t lifecycle_error_bytes_max = 4096;
// One line that a plugin logs.
inline constexpr std::size_t log_line_bytes_max = std::size_t{16} << 10;
inline constexpr std::uint32_t generations_draining_max = 8;  // of one plugin, beside the live one
inline constexpr std::size_t taken_back_kept_max = 256;  // before those without calls are forgotten
// What one generation hands to the next.
inline constexpr std::size_t saved_state_bytes_max = std::size_t{16} << 20;
inline constexpr std::int64_t private_copy_age_min_s = 60;  // before another process sweeps it
static_assert(manifest_bytes_max < elf_note_segment_bytes_max);
}  // namespace rustic::kernel::abi
