// Checks a value against a schema strictly, in words for people: unknown keys, types, durations.
#pragma once
#include <rustic/json.hpp>
#include <string>
#include <vector>

#include "host/runtime/config/problem.hpp"

namespace rustic::config {
// The schema of the whole configuration; owned by the caller, parsed anew on each call.
json::value configuration_schema();

struct finding {
  severity level;
  std::string key;
  std::string message;
};

// Understands type, enum, properties, additionalProperties, items, required (inside lists, or
// everywhere with `whole`), minimum, maximum, `format` duration, secret and url, and references to
// $defs. Everything wrong is listed, up to a limit. `base` is the dotted key of `value`.
std::vector<finding> check(const json::value& value, const json::value& schema,
                           const std::string& base = {}, bool whole = false);

// The subschema for one member of a table, or null; `root` is where references lead.
const json::value* member_schema(const json::value& root, const json::value* schema,
                                 std::string_view name);
// The names of the table's own keys that the schema knows.
std::vector<std::string_view> known_keys(const json::value& root, const json::value* schema);
const json::value* follow(const json::value& root, const json::value* schema);

// Defaults written in the schema, for the tables that have fixed keys.
json::object defaults_of(const json::value& schema);

// A value from the environment or a flag made to fit the type the schema wants, where `raw` is the
// text it was read from.
void adapt(json::value& value, std::string_view raw, const json::value& root,
           const json::value* schema);
}  // namespace rustic::config
