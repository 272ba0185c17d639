// limits.hpp - every number that the shell tool may not exceed, with its unit and its reason.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rustic::shell {

// One argument of execve holds 128 KiB with its NUL (MAX_ARG_STRLEN of the kernel).
inline constexpr std::size_t command_bytes_max = 128 * 1024 - 1;
inline constexpr std::size_t workdir_bytes_max = 4095;
inline constexpr std::size_t environment_entries_max = 256;
inline constexpr std::size_t environment_bytes_max = 32 * 1024;
// A request travels in one packet; the smallest usual socket buffer holds 208 KiB.
inline constexpr std::size_t request_bytes_max =
    command_bytes_max + environment_bytes_max + 2 * (workdir_bytes_max + 1) + 1024;
static_assert(request_bytes_max < 200 * 1024);

// Commands that run, and those whose background processes still do.
inline constexpr std::size_t commands_max = 64;

inline constexpr std::uint32_t timeout_ms_default = 120'000;
inline constexpr std::uint32_t timeout_ms_cap_default = 1'800'000;
inline constexpr std::uint32_t timeout_ms_cap_max = 24U * 3600 * 1000;
// From SIGTERM to SIGKILL: at the deadline, on cancel (which must be over within one second), and
// when the plugin stops or the program dies (stopping must be over within 50 ms).
inline constexpr std::uint32_t deadline_grace_ms = 2000;
inline constexpr std::uint32_t cancel_grace_ms = 800;
inline constexpr std::uint32_t stop_grace_ms = 25;
// How long the caller waits beyond those before it reports without the supervisor's word.
inline constexpr std::uint32_t overdue_ms = 500;
inline constexpr std::uint32_t stop_wait_ms_max = 1500;
inline constexpr std::uint32_t stop_wait_ms_min = 100;

// After the shell's exit, output of processes that it left behind is awaited this long.
inline constexpr std::uint32_t drain_quiet_ms = 50;
inline constexpr std::uint32_t drain_ms_max = 100;
inline constexpr std::size_t drain_bytes_max = 1024 * 1024;  // the largest usual pipe buffer

inline constexpr std::size_t read_bytes_max = 64 * 1024;
inline constexpr std::size_t output_bytes_default = 32 * 1024;
inline constexpr std::size_t output_bytes_min = 1024;
inline constexpr std::size_t output_bytes_max = 1024 * 1024;

inline constexpr std::uint64_t spill_file_bytes_default = 32ULL << 20;
inline constexpr std::uint64_t spill_directory_bytes_default = 256ULL << 20;
inline constexpr std::uint64_t spill_step_bytes = 1ULL << 20;  // room is made in such steps
inline constexpr std::size_t spill_files_max = 1024;

inline constexpr std::size_t listed_processes_max = 16;
inline constexpr std::size_t process_name_bytes = 16;  // TASK_COMM_LEN

// Inside the supervisor.
inline constexpr std::size_t scanned_processes_max = 32768;
inline constexpr std::uint32_t kill_rounds_max = 200;
inline constexpr std::uint32_t kill_rounds_listed = 8;  // 0.2 s after the first
inline constexpr std::uint32_t kill_pause_ms_max = 100;

}  // namespace rustic::shell
