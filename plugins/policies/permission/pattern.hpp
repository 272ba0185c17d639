// Patterns over names, values and paths, and where a path really leads.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::permission {

// '*' any text, '?' one byte, '\' takes the next one literally. Time is bounded by the product of
// the lengths.
[[nodiscard]] bool matches_glob(std::string_view pattern, std::string_view text);

// The same for paths: '*' and '?' stay inside one part, "**" spans parts ("src/**" is all below
// src). Both are absolute and normal.
[[nodiscard]] bool matches_path(std::string_view pattern, std::string_view path);

// Absolute and without "." and "..", by text alone. workspace: absolute, or empty (then a relative
// path gives nothing).
[[nodiscard]] std::optional<std::string> normal_path(std::string_view path,
                                                     std::string_view workspace);

// All names of one place: the normal path and, where links lead elsewhere, the real one. Reads the
// file system. Empty when the path cannot be resolved: then nothing may be allowed because of it.
[[nodiscard]] std::vector<std::string> names_of_path(std::string_view path,
                                                     std::string_view workspace);

// The pattern as an RE2 expression over absolute paths: of a path and all below it when it holds a
// '/' (then it is absolute), else of any name on the way.
[[nodiscard]] std::string path_expression(std::string_view pattern);

// path equals directory or is below it. Both normal.
[[nodiscard]] bool inside(std::string_view path, std::string_view directory);

}  // namespace rustic::permission
