// Changing configuration files for the user: comments and layout stay as they are.
#pragma once
#include <filesystem>
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "host/runtime/config/document.hpp"
#include "host/runtime/config/problem.hpp"

namespace rustic::config {
struct edit_result {
  std::filesystem::path file;
  json::value before;  // null when the key was not there
  json::value after;   // null when it was removed
  std::vector<problem> warnings;
};

// Sets one key. The value is read as TOML where that is possible, else as text, and fitted to the
// schema. A file that is missing is created (0600). The new text must parse, hold exactly this
// change and bring no new error, else the file stays as it was. TOML keeps comments and layout;
// JSON is written anew; YAML is not edited. `expected_hash`, when not empty, is the sha256() the
// file must still have. Throws failure: INVALID_ARGUMENT for the key or value, ABORTED when the
// file has changed, FAILED_PRECONDITION when it cannot be edited, UNAVAILABLE when it cannot be
// written.
edit_result set_value(const std::filesystem::path& file, std::string_view key,
                      std::string_view value, std::string_view expected_hash = {});
// Removes one key or table in the same way. Throws failure(NOT_FOUND) when it is not in the file.
edit_result unset_value(const std::filesystem::path& file, std::string_view key,
                        std::string_view expected_hash = {});

// Writes a commented starter file (0600, directories 0700). Throws failure(ALREADY_EXISTS).
void write_starter(const std::filesystem::path& file);

namespace detail {
// Texts in which `key` might have that value; the caller finds the first one that is right.
std::vector<std::string> toml_candidates(std::string_view text, const document& doc,
                                         const std::vector<std::string>& key,
                                         const json::value& value);
std::vector<std::string> toml_removals(std::string_view text, const document& doc,
                                       const std::vector<std::string>& key);
}  // namespace detail
}  // namespace rustic::config
