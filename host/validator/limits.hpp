// host/validator/limits.hpp - the numbers that validating a plugin may not exceed.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rustic::validator {
inline constexpr std::uint32_t check_time_max_ms = 20'000;    // one check, its process included
inline constexpr std::uint32_t answer_time_max_ms = 5'000;    // one call of the plugin
inline constexpr std::uint32_t many_time_max_ms = 8'000;      // calls in a row, to see what is lost
inline constexpr std::uint32_t cancel_grace_ms = 2'000;       // from a cancel to the finish
inline constexpr std::uint32_t control_time_max_ms = 50;      // what the contract gives to RAI_CTL
inline constexpr std::size_t output_bytes_max = 16u * 1024;   // of what a check's process prints
inline constexpr std::size_t report_bytes_max = 256u * 1024;  // of what a check's process reports
inline constexpr std::size_t shown_bytes_max = 300;           // of one value in a report
inline constexpr std::size_t breaches_max = 64;               // that one host remembers
inline constexpr std::size_t events_max = 100'000;            // that one call may emit
inline constexpr std::size_t revoked_answers_max = 4096;      // kept inaccessible
inline constexpr std::size_t file_bytes_max = 512u << 20;     // of a plugin
inline constexpr std::size_t elf_headers_max = 1024;          // program or section headers
inline constexpr std::size_t elf_symbols_max = 1u << 20;
inline constexpr std::size_t elf_versions_max = 4096;
inline constexpr std::uint64_t memory_bytes_max = 4ull << 30;  // address space of a check
inline constexpr std::size_t generated_depth_max = 12;         // levels of a generated value
inline constexpr std::size_t generated_items_max = 3;          // of a generated list
inline constexpr std::size_t report_columns = 60;              // of the text report
inline constexpr std::size_t name_columns = 25;                // of a check's name
}  // namespace rustic::validator
