// Problems as text.
#include "host/runtime/config/problem.hpp"

#include <algorithm>

namespace rustic::config {
std::string to_text(const location& where) {
  std::string text = where.file;
  if (where.line) text += ':' + std::to_string(where.line);
  if (where.line && where.column) text += ':' + std::to_string(where.column);
  return text;
}

std::string to_text(const problem& entry) {
  std::string text = to_text(entry.where);
  if (!text.empty()) text += ": ";
  text += entry.level == severity::error ? "error: " : "warning: ";
  if (!entry.key.empty()) text += entry.key + ": ";
  return text + entry.message;
}

bool has_errors(const std::vector<problem>& problems) {
  return std::any_of(problems.begin(), problems.end(),
                     [](const problem& entry) { return entry.level == severity::error; });
}
}  // namespace rustic::config
