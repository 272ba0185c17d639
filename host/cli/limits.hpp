// host/cli/limits.hpp - the numbers of the command line program.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rustic::cli {
inline constexpr std::size_t standard_input_bytes_max = 64u << 20;
inline constexpr int standard_input_notice_ms = 1000;  // then it says what it waits for
inline constexpr std::size_t shown_argument_columns_max = 200;
inline constexpr std::size_t shown_notice_columns_max = 500;
inline constexpr std::size_t unknown_word_columns_max = 60;  // of the command line
inline constexpr std::size_t answer_schema_bytes_max = 1u << 20;
inline constexpr std::size_t attachment_bytes_max = 10u << 20;  // one @path
inline constexpr std::size_t attachments_max = 20;              // of one message
inline constexpr std::size_t directory_entries_max = 20'000;    // looked at for a completion
inline constexpr std::size_t completions_max = 200;
inline constexpr std::size_t completions_shown_max = 60;
inline constexpr std::size_t offered_keys_max = 500;  // of the configuration, to a shell
inline constexpr std::size_t offer_about_columns_max = 80;
inline constexpr std::size_t history_file_bytes_max = 2u << 20;  // then it is written anew
inline constexpr std::size_t tool_output_lines_shown_max = 10;   // of one call
inline constexpr std::size_t tool_output_line_bytes_max = 4096;
inline constexpr std::size_t sessions_listed_max = 30;
inline constexpr std::size_t plugin_name_bytes_max = 48;         // also a tool's, that may have 64
inline constexpr std::uint32_t provider_answer_ms_max = 15'000;  // of models and doctor
inline constexpr std::size_t models_shown_max = 5000;            // of one provider
inline constexpr std::uint64_t disk_free_bytes_min = 64u << 20;  // below it doctor warns
inline constexpr std::int64_t rounds_max = 10'000;
}  // namespace rustic::cli
