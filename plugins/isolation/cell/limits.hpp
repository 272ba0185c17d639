// limits.hpp - every bound of the cell, on both ends of its sockets, with its unit and its reason.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rustic::cell {

// Frames.

// One frame with everything in it: a request, a result, a listing. Larger ones are refused with
// RESOURCE_EXHAUSTED.
inline constexpr std::size_t frame_bytes_max = std::size_t{64} << 20;
// What one read takes at most, and the least room that it gets.
inline constexpr std::size_t receive_bytes = 128u * 1024;
// A buffer for a large frame grows by this much at a time, as its bytes come in: a header alone
// makes nobody allocate.
inline constexpr std::size_t receive_growth_bytes = 1u << 20;

// Events under way in one call, not yet taken by their receiver. What is full pauses the emitter.
inline constexpr std::uint32_t window_events = 1'024;
inline constexpr std::size_t window_bytes = 256u * 1024;
// What a call may emit although it was told to pause; then it ends with RESOURCE_EXHAUSTED. The
// same that the kernel grants.
inline constexpr std::uint32_t backlog_events_max = 1'024;
inline constexpr std::size_t backlog_bytes_max = 1u << 20;

// The program's end.

// Frames that wait for a child that does not read. Over the first, events pause, new calls are
// refused and bus events dropped; over the second, the child is killed.
inline constexpr std::size_t send_queue_bytes = 8u << 20;
inline constexpr std::size_t send_queue_low_bytes = 1u << 20;
inline constexpr std::size_t send_queue_bytes_max = 3 * frame_bytes_max;

inline constexpr std::size_t served_calls_max = 4'096;  // in flight in one child
inline constexpr std::size_t parked_calls_max = 256;    // wait for a child to start
inline constexpr std::size_t parked_bytes_max = 64u << 20;
inline constexpr std::size_t made_calls_max = 1'024;   // in flight, made by one child
inline constexpr std::size_t subscriptions_max = 256;  // of one child
inline constexpr std::size_t provided_max = 1'024;     // by one child while it runs

// What a child wants of others and has not got yet: calls, events. Then it is not listened to.
inline constexpr std::size_t tasks_max = 2'048;
inline constexpr std::size_t task_bytes_max = frame_bytes_max;

// Lines that a child logs or writes to its standard output and error.
inline constexpr std::size_t log_text_bytes_max = 16u * 1024;
inline constexpr std::size_t output_line_bytes_max = 2'048;
inline constexpr std::uint32_t log_lines_per_s = 200;
// Output is read up to this rate; above it the child waits in its write.
inline constexpr std::size_t output_bytes_per_s = 4u << 20;

// Times.

// How long a thread that has just been busy looks for more before it sleeps, and how many sleeps
// without looking follow on looks in vain.
inline constexpr std::int64_t look_out_us = 100;
inline constexpr std::uint32_t look_outs_left_out_max = 63;
inline constexpr std::int64_t load_timeout_ms = 10'000;  // dlopen and create; start; save; restore
inline constexpr std::int64_t stop_timeout_ms = 5'000;   // stop and destroy
inline constexpr std::int64_t cancel_grace_ms = 4'000;   // from cancel to the child's end
inline constexpr std::int64_t ping_after_ms = 3'000;     // of silence, while calls are in flight
inline constexpr std::int64_t pong_timeout_ms = 10'000;
inline constexpr std::int64_t report_wait_ms = 500;    // for the exit status after a hang-up
inline constexpr std::int64_t keeper_wait_ms = 2'000;  // for the end of everything below

// Deaths.

inline constexpr std::int64_t death_window_ms = 5 * 60'000;
inline constexpr std::size_t deaths_until_quarantine = 3;  // within that window
inline constexpr std::int64_t back_off_first_ms = 500;
inline constexpr std::int64_t back_off_max_ms = 60'000;

// Confinement, unless the configuration says otherwise.

inline constexpr std::uint64_t memory_bytes_default = std::uint64_t{2} << 30;  // RLIMIT_DATA
inline constexpr std::uint64_t open_files_default = 1'024;
// Processes and threads of the user beside all that run when the plugin starts: where one that
// multiplies ends. Root has no such limit.
inline constexpr std::uint64_t processes_default = 4'096;
inline constexpr std::size_t write_paths_max = 64;
inline constexpr std::size_t environment_entries_max = 256;

// The child's end.

// Threads that take frames and run the plugin's functions.
inline constexpr std::size_t dispatch_threads_max = 8;
// What the child has not yet written; then whoever writes more waits.
inline constexpr std::size_t outbox_bytes_max = 4u << 20;
// Events are collected up to this much before the thread that emits them writes them itself.
inline constexpr std::size_t outbox_batch_bytes = 64u * 1024;
// Bus events that wait for the child's handlers; more are dropped and counted.
inline constexpr std::size_t bus_queue_events_max = 1'024;
inline constexpr std::size_t bus_queue_bytes_max = 4u << 20;
// Rounds in which the keeper ends what is left, 1 ms apart at first.
inline constexpr std::uint32_t kill_rounds_max = 2'000;
inline constexpr std::int64_t kill_pause_ms_max = 50;

}  // namespace rustic::cell
