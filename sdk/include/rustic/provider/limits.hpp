// limits.hpp - what one call to a model's server may cost.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rustic::provider::limits {

// Text, reasoning and arguments: several times what the longest answers have. An answer is copied a
// few times on its way, so this also bounds what a server that never stops can take of the memory.
inline constexpr std::size_t answer_bytes_max = std::size_t{16} << 20;
inline constexpr std::size_t whole_body_bytes_max = std::size_t{64}
                                                    << 20;  // an answer in one piece
inline constexpr std::size_t error_body_bytes_max = std::size_t{256} << 10;
inline constexpr std::size_t error_message_bytes_max = 2'000;
inline constexpr std::int64_t tokens_max = 1'000'000'000'000;  // beyond it a number is no count
inline constexpr std::size_t tool_calls_max = 256;             // in one answer
inline constexpr std::size_t answer_parts_max = 10'000;        // in one answer
inline constexpr std::size_t json_depth_max = 64;              // of one event
inline constexpr std::size_t event_arena_bytes = 32
                                                 << 10;  // beyond it an event's JSON uses the heap
inline constexpr std::size_t reasoning_details_max = 10'000;
inline constexpr std::size_t malformed_arguments_bytes_max = 2'000;
inline constexpr std::size_t remembered_models_max = 256;
inline constexpr std::size_t instances_max = 256;
inline constexpr std::size_t told_warnings_max = 1'024;  // remembered so as not to tell them again
inline constexpr int attempts_max = 4;  // of one generate, each because a member was refused
inline constexpr std::size_t model_pages_max = 100;
inline constexpr std::int64_t retry_after_ms_max = std::int64_t{24} * 3'600'000;

// What count_tokens assumes.
inline constexpr std::size_t bytes_per_token = 4;
inline constexpr std::size_t tokens_per_message = 4;
inline constexpr std::size_t tokens_per_image = 800;

}  // namespace rustic::provider::limits
