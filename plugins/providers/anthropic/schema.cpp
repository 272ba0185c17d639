#include <algorithm>
#include <array>

#include "request.hpp"

namespace rustic::anthropic {
namespace {

template <std::size_t n>
bool among(std::string_view word, const std::array<std::string_view, n>& list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

constexpr std::array<std::string_view, 8> as_they_are{"type",  "enum",    "const",    "description",
                                                      "title", "default", "required", "$ref"};
constexpr std::array<std::string_view, 10> known_formats{
    "date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"};

std::optional<json::value> close_each(const json::value& list) {
  if (!list.is_array()) return std::nullopt;
  json::array out;
  for (const json::value& one : list.as_array()) {
    std::optional<json::value> closed = closed_schema(one);
    if (!closed) return std::nullopt;
    out.push_back(std::move(*closed));
  }
  return out;
}

std::optional<json::value> close_members(const json::value& map) {
  if (!map.is_object()) return std::nullopt;
  json::object out;
  for (const auto& [name, one] : map.as_object()) {
    std::optional<json::value> closed = closed_schema(one);
    if (!closed) return std::nullopt;
    out[name] = std::move(*closed);
  }
  return out;
}

bool is_small(const json::value& number) {
  return number.is_int64() && (number.as_int64() == 0 || number.as_int64() == 1);
}

}  // namespace

std::optional<json::value> closed_schema(const json::value& schema) {
  if (!schema.is_object()) return std::nullopt;
  json::object out;
  for (const auto& [key, value] : schema.as_object()) {
    std::optional<json::value> made;
    std::string_view name = key;
    if (among(name, as_they_are)) {
      made = value;
    } else if (name == "properties" || name == "$defs" || name == "definitions") {
      made = close_members(value);
    } else if (name == "items") {
      made = closed_schema(value);
    } else if (name == "anyOf" || name == "allOf" || name == "oneOf") {
      made = close_each(value);
      if (name == "oneOf") name = "anyOf";
    } else if (name == "additionalProperties") {
      if (value != json::value(false)) return std::nullopt;
      continue;
    } else if (name == "format" && value.is_string() &&
               among(std::string_view(value.as_string()), known_formats)) {
      made = value;
    } else if (name == "minItems" && is_small(value)) {
      made = value;
    } else if (name == "patternProperties" || name == "not" || name == "if") {
      return std::nullopt;
    } else {
      continue;
    }
    if (!made) return std::nullopt;
    out[name] = std::move(*made);
  }
  if (text_or(out, "type") == "object") {
    // Without properties it is a map, which a closed object cannot be.
    if (!out.contains("properties")) return std::nullopt;
    out["additionalProperties"] = false;
  }
  return out;
}

}  // namespace rustic::anthropic
