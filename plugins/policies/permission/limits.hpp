// The bounds of the permission policy, each with its unit.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rustic::permission {

// Longer command lines are not parsed; they count as not understood.
inline constexpr std::size_t max_command_bytes = 64 * 1024;
// Longer ones are refused: no kernel passes them to a shell anyway (MAX_ARG_STRLEN is 128 KiB).
inline constexpr std::size_t max_checked_bytes = 1024 * 1024;
inline constexpr std::size_t max_commands = 1024;
inline constexpr std::size_t max_words = 16 * 1024;
inline constexpr int max_nesting_levels = 12;
inline constexpr std::size_t max_wrappers = 16;  // of one command, each around the next
// How far after a program's name its options are looked for when a line is searched as bare words.
inline constexpr std::size_t max_search_words = 1024;
// Words looked at for one rule in one reading; a line that needs more counts as holding the rule's
// words, so that neither time nor a denial runs out.
inline constexpr std::size_t max_search_steps = 2 * 1024 * 1024;

inline constexpr std::size_t max_rules = 1024;
inline constexpr std::size_t max_pattern_bytes = 4096;
inline constexpr std::size_t max_rule_words = 64;

inline constexpr std::size_t max_sessions = 256;
inline constexpr std::size_t max_grants_per_scope = 256;
// Longer commands are answered once, so that a grant stays something a person has read.
inline constexpr std::size_t max_grant_bytes = 4096;
inline constexpr std::size_t max_asked_bytes = 512;

inline constexpr std::size_t max_waiting_questions = 256;
inline constexpr std::size_t max_question_bytes = 16 * 1024;
inline constexpr std::size_t max_reason_bytes = 2048;

inline constexpr std::uint32_t default_ask_timeout_ms = 10 * 60 * 1000;
inline constexpr std::uint32_t storage_timeout_ms = 10 * 1000;
inline constexpr std::uint32_t clock_timeout_ms = 2 * 1000;
inline constexpr int max_put_attempts = 8;

}  // namespace rustic::permission
