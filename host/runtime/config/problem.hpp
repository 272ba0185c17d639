// What is wrong with a configuration, and where.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace rustic::config {
// A place a value came from. `file` is a path, or words such as "environment RUSTIC_AI_X" or
// "flag log.level"; lines and columns count from 1, and 0 means unknown.
struct location {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

enum class severity { warning, error };

struct problem {
  severity level = severity::error;
  location where;
  std::string key;      // dotted, may be empty
  std::string message;  // what was expected, what was found, what to do
};

// "FILE:LINE:COLUMN", as much of it as is known.
std::string to_text(const location& where);
// "FILE:3:5: error: providers.local.modle: unknown key; did you mean `model`?"
std::string to_text(const problem& entry);
bool has_errors(const std::vector<problem>& problems);
}  // namespace rustic::config
