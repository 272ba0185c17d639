// A schema as its author wrote it, turned into the draft-07 subset that the validator honours.
#pragma once
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::schema {
// Keywords of the translated schema that this library checks itself.
inline constexpr std::string_view step_keyword = "x-rustic-step";  // in every subschema
inline constexpr std::string_view type_keyword = "x-rustic-type";
inline constexpr std::string_view pattern_keyword = "x-rustic-pattern";
inline constexpr std::string_view format_keyword = "x-rustic-format";
inline constexpr std::string_view unique_keyword = "x-rustic-unique";

struct translation {
  json::value schema;
  std::vector<std::string> unchecked;
  bool names_matter = false;  // patternProperties is used
};

// Throws failure(INVALID_ARGUMENT) naming `what`, the place in the schema and the reason.
translation translate(const json::value& schema, std::string_view what);

// The regular expression in RE2's spelling.
std::string to_re2(std::string_view pattern);

// The node that a "#/..." reference of a translated schema points at, or null.
const json::value* resolve(const json::value& root, std::string_view reference);
}  // namespace rustic::schema
