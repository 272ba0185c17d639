// One source of configuration, parsed: a value, and for each key the place where it stands.
#pragma once
#include <filesystem>
#include <optional>
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "host/runtime/config/problem.hpp"

namespace rustic::config {
enum class format { toml, json, yaml };
// By extension (.toml .json .yaml .yml); nullopt for any other.
std::optional<format> format_of(const std::filesystem::path& file);

// Where a value stands. Lines and columns count from 1, columns in code points. The end is one
// column past the last; the value's begin and end are known for TOML only.
struct mark {
  std::uint32_t line = 0, column = 0;              // of the key
  std::uint32_t value_line = 0, value_column = 0;  // TOML only
  std::uint32_t end_line = 0, end_column = 0;
  bool inline_table = false;
};

struct document {
  std::string file;  // as in location::file
  json::object root;
  // By dotted key. Members keep the order in which they appear in the text.
  std::unordered_map<std::string, mark> marks;
  // For sources without lines: the words that name the source of a key.
  std::unordered_map<std::string, std::string> labels;

  // The place of the key, or of the nearest table around it that has one.
  location where(std::string_view key) const;
};

// Parses text of any content: whatever is wrong with it becomes a problem, and then the document is
// empty. Never throws but std::bad_alloc. `text` may begin with a byte order mark.
document parse_document(std::string_view text, format kind, std::string file,
                        std::vector<problem>& problems);

// The text as a TOML value (`5`, `"x"`, `[1, 2]`, `{a = 1}`); nullopt when it is none.
std::optional<json::value> parse_toml_value(std::string_view text);
// A value in TOML's spelling on one line. Null has none and becomes an empty string.
std::string to_toml(const json::value& value);

namespace detail {
// One parser each; `text` is valid UTF-8 without NUL bytes. A problem's text is thrown.
struct syntax_error {
  std::uint32_t line, column;
  std::string message;
};
void parse_toml(std::string_view text, document& out);
void parse_json(std::string_view text, document& out);
void parse_yaml(std::string_view text, document& out);
// Line and column of a byte.
std::pair<std::uint32_t, std::uint32_t> position_of(std::string_view text, std::size_t byte);
}  // namespace detail
}  // namespace rustic::config
