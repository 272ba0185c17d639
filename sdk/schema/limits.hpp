// What a schema and the checking of an instance may cost.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rustic::schema {
inline constexpr std::size_t schema_depth_max = 64;      // levels
inline constexpr std::size_t schema_nodes_max = 20'000;  // subschemas
inline constexpr std::size_t reference_hops_max = 32;    // $ref to $ref to ...
inline constexpr std::size_t pattern_bytes_max = 1'024;  // one regular expression
inline constexpr std::int64_t pattern_memory_bytes_max = 1 << 20;
inline constexpr std::size_t property_name_bytes_max = 256;  // where patternProperties looks at it
inline constexpr std::size_t property_pattern_repeats_max = 2;
inline constexpr std::uint64_t validation_steps_max =
    200'000;                                                   // subschemas applied to one instance
inline constexpr std::uint64_t explaining_steps_max = 10'000;  // the same, to list what is wrong
inline constexpr std::size_t errors_max = 64;                  // entries reported
inline constexpr std::size_t listed_values_max = 12;           // entries of an enum in a message
inline constexpr std::size_t shown_bytes_max = 80;             // of one value in a message
}  // namespace rustic::schema
