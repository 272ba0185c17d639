// plugins/engines/agent/limits.hpp - the numbers a turn may not exceed.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rustic::agent {
inline constexpr int rounds_default = 100;        // requests to the model in one turn
inline constexpr int tool_calls_default = 500;    // in one turn
inline constexpr int parallel_calls_default = 8;  // read-only calls at once
inline constexpr int parallel_calls_max = 64;
inline constexpr std::size_t calls_per_answer_max = 64;
inline constexpr std::size_t tool_output_bytes_max = 64u * 1024;  // of one result, for the model
inline constexpr std::size_t shown_output_bytes_max = 1u << 20;   // of one call, while it runs
inline constexpr std::size_t arguments_bytes_max = 4u << 20;      // of one call
inline constexpr std::size_t arguments_preview_bytes = 2000;      // shown back when malformed
inline constexpr std::size_t partial_text_bytes_max = 4u << 20;
inline constexpr std::size_t project_notes_bytes_max = 64u * 1024;  // AGENTS.md
inline constexpr int project_notes_levels_max = 32;                 // directories upwards
inline constexpr std::int64_t window_tokens_default = 128'000;
inline constexpr std::int64_t bytes_per_token =
    3;  // deliberately low: an estimate must not overflow
inline constexpr std::int64_t answer_tokens_default = 8'192;  // kept free for the answer
inline constexpr int window_retries_max = 8;                  // halvings after "context too long"
inline constexpr std::size_t window_bytes_min = 4096;
inline constexpr int repeats_default = 6;  // same call, same result; half of them bring a warning
inline constexpr int repeats_max = 1000;
inline constexpr std::size_t models_counted_max = 64;  // of one session, apart
inline constexpr std::size_t call_id_bytes_max = 64;   // a longer one is replaced
inline constexpr std::size_t tool_name_bytes_max = 64;
inline constexpr int lease_takeovers_max = 3;
inline constexpr std::int64_t tool_timeout_ms_default =
    3'600'000;  // of a call with nobody there to stop it
inline constexpr std::int64_t tool_timeout_ms_max = 7LL * 24 * 3'600'000;
inline constexpr std::uint32_t store_timeout_ms = 60'000;  // longer than storage waits for its lock
inline constexpr std::uint32_t save_timeout_ms = 1500;     // to store what a cancelled turn leaves
inline constexpr std::int64_t lease_ttl_ms = 3'600'000;    // a dead owner is recognised long before
inline constexpr std::int64_t lease_renewal_ms = lease_ttl_ms / 6;
inline constexpr std::size_t request_frame_bytes = 16u * 1024;  // set aside for what is small
static_assert(tool_output_bytes_max * 4 <
              static_cast<std::size_t>(window_tokens_default * bytes_per_token));
}  // namespace rustic::agent
