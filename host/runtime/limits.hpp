// host/runtime/limits.hpp - the numbers that a running program may not exceed.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rustic::runtime {
inline constexpr std::size_t queued_events_max = 4096;  // of one root call, before it pauses
inline constexpr std::size_t queued_event_bytes_max = 1u << 20;
inline constexpr std::uint32_t stop_grace_ms = 3000;  // for calls in flight when the program ends
inline constexpr std::int64_t held_up_ms = 1000;        // a deadline that is noticed so late
inline constexpr std::int64_t held_up_grace_ms = 1000;  // gives its call that much more
inline constexpr std::int64_t timer_wait_ms_max = 86'400'000;  // of one rustic.timer wait
inline constexpr std::size_t secret_bytes_max = 64u * 1024;
inline constexpr std::size_t hidden_secrets_max = 256;      // then the oldest is forgotten
inline constexpr std::size_t hidden_secret_bytes_min = 8;   // hiding less would garble texts
inline constexpr std::size_t unused_secret_bytes_min = 16;  // of a variable that nothing refers to
inline constexpr std::size_t log_file_bytes_max = 10u << 20;  // then it is rotated
inline constexpr std::size_t log_files_max = 3;
inline constexpr std::size_t log_secrets_max = 256;  // hidden in it; then the oldest is forgotten
inline constexpr std::size_t ledger_bytes_max = 4u << 20;
inline constexpr std::size_t ledger_deaths_max = 16;              // remembered of one plugin
inline constexpr std::size_t trusted_files_max = 1000;            // then the oldest is forgotten
inline constexpr std::size_t plugin_file_bytes_max = 512u << 20;  // that is hashed or installed
inline constexpr std::size_t sidecar_bytes_max = 64u * 1024;
inline constexpr std::size_t deaths_waiting_max = 256;  // to be written to the ledger
inline constexpr std::size_t plugin_notices_max = 100;  // waiting to be shown
inline constexpr std::size_t watched_directories_max = 64;
inline constexpr std::size_t watched_links_max = 64;     // of one directory
inline constexpr std::uint32_t removal_grace_ms = 1000;  // linkers remove a file to write it anew
inline constexpr std::uint32_t reload_again_ms = 200;    // when too many generations are draining
inline constexpr std::uint32_t unload_drain_ms = 5000;   // for the calls of a plugin that goes
inline constexpr std::size_t generations_noted_max = 1000;  // plugins, of one process
inline constexpr std::size_t generation_notes_max = 256;    // processes that are told of
inline constexpr std::size_t generation_note_bytes_max = 8u << 20;
inline constexpr std::size_t circuits_noted_max = 256;
inline constexpr std::size_t circuit_files_max = 64;  // of processes; then the oldest goes
inline constexpr std::size_t circuit_file_bytes_max = 256u * 1024;
inline constexpr std::size_t price_file_bytes_max = 1u << 20;
inline constexpr std::size_t prices_max = 2000;    // of one service, and of the configuration
inline constexpr double rate_usd_max = 1'000'000;  // for a million tokens: more is a mistake
}  // namespace rustic::runtime
