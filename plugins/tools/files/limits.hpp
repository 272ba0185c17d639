// What the file tools may not exceed: every number with its unit and its reason.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace rustic::files {

inline constexpr std::size_t path_bytes_max = 4096;  // PATH_MAX: longer ones cannot be opened
inline constexpr int links_max = 40;                 // symbolic links followed for one path
inline constexpr std::size_t roots_max = 64;         // directories one call may name

inline constexpr std::size_t sniff_bytes = 8192;         // looked at to tell text from binary
inline constexpr std::size_t chunk_bytes = 256 * 1024;   // one read() of a large file
inline constexpr std::size_t slice_bytes = 1024 * 1024;  // matched between two looks at cancelled()

inline constexpr std::size_t read_lines_default = 2000;
inline constexpr std::size_t read_lines_max = 20000;
inline constexpr std::size_t line_bytes_max = 2000;  // shown of one line when a file is read

inline constexpr std::size_t diff_bytes_max = 16 * 1024;      // of one unified diff
inline constexpr std::size_t diff_line_bytes_max = 400;       // of one line in it
inline constexpr std::size_t diff_lines_max = 200000;         // larger texts are not compared
inline constexpr int diff_changes_max = 1000;                 // then a hunk is shown as replaced
inline constexpr std::size_t edits_max = 100;                 // of one files_edit call
inline constexpr std::size_t replacements_max = 100000;       // of one edit with replace_all
inline constexpr std::size_t listed_lines_max = 10;           // line numbers named in a message
inline constexpr std::size_t similar_scan_lines_max = 50000;  // searched for similar lines

inline constexpr std::size_t list_depth_default = 2;
inline constexpr std::size_t list_depth_max = 20;
inline constexpr std::size_t list_entries_max = 1000;
inline constexpr std::size_t glob_results_default = 200;
inline constexpr std::size_t glob_results_max = 2000;
inline constexpr std::size_t glob_bytes_max = 2048;  // of one pattern
inline constexpr std::size_t glob_braces_max = 256;  // alternatives that {a,b} expands to

inline constexpr std::size_t grep_results_default = 200;
inline constexpr std::size_t grep_results_max = 2000;
inline constexpr std::size_t grep_context_max = 20;          // lines before and after
inline constexpr std::size_t grep_line_bytes_max = 500;      // shown of one line
inline constexpr std::size_t grep_pattern_bytes_max = 4096;  // of the expression
inline constexpr long long grep_memory_bytes = 16 << 20;     // of the compiled expression

inline constexpr long long withheld_memory_bytes = 16 << 20;  // of the compiled expressions
inline constexpr std::size_t withheld_max = 4096;             // expressions of one call

inline constexpr std::size_t walk_depth_max = 256;             // directories below one another
inline constexpr std::size_t walk_entries_max = 2'000'000;     // looked at by one call
inline constexpr std::size_t directory_entries_max = 200'000;  // of one directory
inline constexpr std::size_t ignore_file_bytes_max = 1 << 20;  // of one .gitignore
inline constexpr std::size_t ignore_rules_max = 20'000;        // of one .gitignore
inline constexpr std::size_t suggestions_max = 5;              // names offered for a missing file
inline constexpr std::size_t suggestion_entries_max = 5000;    // directory entries compared
inline constexpr std::size_t name_bytes_compared_max = 64;     // of a name, for its similarity
inline constexpr std::size_t attribute_bytes_max = 64 * 1024;  // of a file's extended attributes

// What configuration may change.
struct limits {
  std::size_t output_bytes_max = 64 * 1024;             // of one result's output
  std::size_t whole_file_bytes_max = 16 * 1024 * 1024;  // held in memory: edited, compared, hashed
  std::size_t grep_file_bytes_max = 64 * 1024 * 1024;   // larger files are not searched
  std::size_t scan_bytes_max = std::size_t{4} << 30;    // passed over to reach an offset
  std::size_t count_bytes_max = 64 * 1024 * 1024;       // read on only to count lines
  std::size_t seen_files_max = 4096;                    // remembered as read, all sessions together
  int walk_time_max_ms = 30'000;                        // of one list, glob or grep
  bool sync = true;                                     // fsync before a write is reported
  std::vector<std::string> protected_names = {".git", ".rustic-ai"};  // never written below
};

}  // namespace rustic::files
