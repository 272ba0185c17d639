// limits.hpp - what the SQLite backend may use: queue, batches, waiting, files.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace rustic::storage {
// Calls that wait for the writer thread; more are refused, so that a stuck disk cannot fill memory.
inline constexpr std::size_t queued_calls_max = 4'096;
inline constexpr std::size_t queued_bytes_max = std::size_t{512} << 20;
// Calls that share one commit. Small enough that a batch takes a few milliseconds.
inline constexpr std::size_t group_calls_max = 256;
inline constexpr std::size_t group_bytes_max = std::size_t{8} << 20;

inline constexpr std::int64_t busy_timeout_ms_default = 30'000;
inline constexpr std::int64_t busy_timeout_ms_max = 600'000;
// Waiting for another process: the first nap and the longest one.
inline constexpr std::chrono::microseconds lock_nap_first{100};
inline constexpr std::chrono::microseconds lock_nap_longest{4'000};
// A nap that lasted longer was none: the program stood still, and the holder too perhaps.
inline constexpr std::chrono::milliseconds lock_nap_counted_max{1'000};
// How long a stop still waits for another process before it gives up.
inline constexpr std::chrono::milliseconds stop_grace{1'000};

inline constexpr int wal_pages_before_checkpoint = 1'000;  // 4 MB
// Beyond this the writer itself writes the log back, before it answers.
inline constexpr int wal_pages_before_backpressure = 4'000;
inline constexpr std::int64_t wal_bytes_kept = std::int64_t{16} << 20;
// Free pages stay below this; more go back to the file system in steps.
inline constexpr std::int64_t free_pages_kept = 256;
inline constexpr std::int64_t free_pages_step = 512;

// Housekeeping steps back for other processes.
inline constexpr std::chrono::milliseconds housekeeping_wait{20};

// One step of a search; other calls run between steps.
inline constexpr std::int64_t search_step_bytes = std::int64_t{8} << 20;
inline constexpr std::int64_t search_bytes_max = std::int64_t{4} << 30;

// What a suspicious database is examined with.
inline constexpr std::chrono::milliseconds examination_time_max{2'000};
}  // namespace rustic::storage
