// Words for what a schema expects and what an instance has.
#pragma once
#include <rustic/json.hpp>
#include <string>
#include <string_view>

namespace rustic::schema {
// What a type constraint says; describe() replaces it.
inline constexpr std::string_view type_sentence = "Value type not permitted.";

// The subschema of a translated schema that governs the place `pointer`; null when that is unclear.
const json::value* schema_at(const json::value& root, std::string_view pointer);
const json::value* value_at(const json::value& instance, std::string_view pointer);

// The validator's sentence made into one that says what was expected and what was found.
std::string describe(const json::value& root, const json::value& instance, std::string_view pointer,
                     std::string_view sentence);
}  // namespace rustic::schema
