// The bounds of the resilience policy, each with its unit.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rustic::resilience {
// What configuration may ask for at most.
inline constexpr std::int64_t retries_max = 20;         // of one request with one target
inline constexpr std::int64_t turn_retries_max = 1000;  // of one turn
inline constexpr std::int64_t wait_ms_max = 3'600'000;  // of one wait, and of all waits of a turn
inline constexpr std::int64_t circuit_failures_max = 1000;

inline constexpr std::size_t chain_targets_max = 8;  // the first one included
inline constexpr std::size_t target_bytes_max = 512;
// Circuits and turns that are remembered; beyond it the one that rested longest is forgotten.
inline constexpr std::size_t circuits_max = 256;
inline constexpr std::size_t turns_max = 256;
inline constexpr std::size_t attempts_told_max = 32;  // in an error's details

// A server that names a day is asked again sooner: it may have been wrong.
inline constexpr std::int64_t blocked_ms_max = 600'000;
inline constexpr std::int64_t probe_wait_ms = 500;    // while another call tries the server
inline constexpr std::int64_t wait_spread_ms = 1000;  // added at most to what a server asks for
inline constexpr std::int64_t bytes_per_token = 4;    // high: what is refused surely does not fit
static_assert(chain_targets_max <= 32);               // course keeps them in a set of bits
}  // namespace rustic::resilience
