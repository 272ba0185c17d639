#include <algorithm>
#include <array>
#include <rustic/provider/limits.hpp>

#include "request.hpp"

namespace rustic::google {
namespace {

using provider::limits::json_depth_max;

template <std::size_t n>
bool among(std::string_view word, const std::array<std::string_view, n>& list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// They say nothing about what is valid.
constexpr std::array<std::string_view, 9> remarks{"$schema",  "$comment",  "examples",
                                                  "example",  "default",   "deprecated",
                                                  "readOnly", "writeOnly", "title"};

// Limits of values. Arguments are checked against the whole schema when a call comes; so that the
// model knows of them, they become a part of the description.
constexpr std::array<std::string_view, 11> value_limits{
    "pattern",          "minLength",  "maxLength",   "exclusiveMinimum",
    "exclusiveMaximum", "multipleOf", "uniqueItems", "minProperties",
    "maxProperties",    "format",     "minContains"};

constexpr std::array<std::string_view, 13> json_members{
    "$id",     "$anchor", "type",     "format",   "description",     "enum", "minItems", "maxItems",
    "minimum", "maximum", "required", "nullable", "propertyOrdering"};

constexpr std::array<std::string_view, 12> openapi_members{
    "description", "minItems",  "maxItems",  "minimum",       "maximum",       "required",
    "nullable",    "minLength", "maxLength", "minProperties", "maxProperties", "pattern"};

class translation {
 public:
  explicit translation(const json::value& root) : root_(root) {}

  json::value as_json(const json::value& schema) {
    if (!schema.is_object()) return schema;
    json::object out;
    std::string notes;
    if (const json::value* ref = find(schema.as_object(), "$ref"); ref && ref->is_string()) {
      // Nothing may stand beside a reference.
      std::string target(ref->as_string());
      if (target.starts_with("#/definitions/")) target.replace(0, 14, "#/$defs/");
      out["$ref"] = json::string(target);
      return out;
    }
    for (const auto& [key, value] : schema.as_object()) {
      const std::string_view name = key;
      if (among(name, json_members)) {
        out[name] = value;
      } else if (name == "const") {
        out["enum"] = json::array{value};
      } else if (name == "items" || name == "additionalProperties") {
        out[name] = as_json(value);
      } else if (name == "anyOf" || name == "oneOf" || name == "prefixItems") {
        out[name] = each(value, &translation::as_json);
      } else if (name == "properties" || name == "$defs" || name == "definitions") {
        out[name == "definitions" ? "$defs" : name] = members(value, &translation::as_json);
      } else if (name == "allOf" && is_single(value)) {
        merge(as_json(value.as_array().front()), out);
      } else {
        lose(name, value, notes);
      }
    }
    describe(notes, out);
    return out;
  }

  json::value as_openapi(const json::value& schema) {
    if (depth_ > json_depth_max || !schema.is_object()) {
      if (depth_ > json_depth_max) lose("$ref");
      return json::object{};
    }
    ++depth_;
    json::value out = openapi_object(schema.as_object());
    --depth_;
    return out;
  }

  std::vector<std::string> lost() && { return std::move(lost_); }

 private:
  using step = json::value (translation::*)(const json::value&);

  static bool is_single(const json::value& list) {
    return list.is_array() && list.as_array().size() == 1 && list.as_array().front().is_object();
  }

  static void merge(const json::value& from, json::object& into) {
    for (const auto& [key, value] : from.as_object()) {
      if (!into.contains(key)) into[key] = value;
    }
  }

  void lose(std::string_view name) {
    if (among(name, remarks)) return;
    if (std::find(lost_.begin(), lost_.end(), name) == lost_.end()) lost_.emplace_back(name);
  }

  void lose(std::string_view name, const json::value& value, std::string& notes) {
    if (!among(name, value_limits)) {
      lose(name);
      return;
    }
    notes.append(notes.empty() ? "" : ", ").append(name).append(": ");
    notes += json::serialize(value);
  }

  static void describe(const std::string& notes, json::object& out) {
    if (notes.empty()) return;
    std::string text(text_or(out, "description"));
    text.append(text.empty() ? "[" : " [").append(notes).append("]");
    out["description"] = std::move(text);
  }

  json::value each(const json::value& list, step how) {
    json::array out;
    if (!list.is_array()) return out;
    for (const json::value& one : list.as_array()) out.push_back((this->*how)(one));
    return out;
  }

  json::value members(const json::value& map, step how) {
    json::object out;
    if (!map.is_object()) return out;
    for (const auto& [name, one] : map.as_object()) out[name] = (this->*how)(one);
    return out;
  }

  const json::value* target(std::string_view reference) const {
    if (!reference.starts_with("#/")) return nullptr;
    boost::system::error_code problem;
    return root_.find_pointer(reference.substr(1), problem);
  }

  json::value openapi_object(const json::object& schema) {
    json::object out;
    std::string notes;
    if (const std::string_view reference = text_or(schema, "$ref"); !reference.empty()) {
      const json::value* found = target(reference);
      // A schema that refers to itself has no end here: the inner ones become free.
      if (found == nullptr || ++references_ > references_max) {
        lose("$ref");
        return json::object{{"type", "OBJECT"}};
      }
      return as_openapi(*found);
    }
    for (const auto& [key, value] : schema) {
      const std::string_view name = key;
      if (among(name, openapi_members)) {
        out[name] = value;
      } else if (name == "type") {
        type(value, out);
      } else if (name == "enum" || name == "const") {
        options(value, out);
      } else if (name == "format") {
        format(value, out, notes);
      } else if (name == "items") {
        out[name] = as_openapi(value);
      } else if (name == "anyOf" || name == "oneOf") {
        alternatives(value, out);
      } else if (name == "properties") {
        out[name] = members(value, &translation::as_openapi);
      } else if (name == "allOf" && is_single(value)) {
        merge(as_openapi(value.as_array().front()), out);
      } else if (name != "$defs" && name != "definitions" &&
                 !(name == "additionalProperties" && value.is_bool())) {
        lose(name, value, notes);
      }
    }
    describe(notes, out);
    return out;
  }

  static json::string upper(std::string_view text) {
    json::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), [](char c) {
      return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    return out;
  }

  void type(const json::value& value, json::object& out) {
    if (value.is_string()) {
      out["type"] = upper(value.as_string());
      return;
    }
    if (!value.is_array()) return;
    for (const json::value& one : value.as_array()) {
      if (!one.is_string()) continue;
      if (one == "null") {
        out["nullable"] = true;
      } else if (!out.contains("type")) {
        out["type"] = upper(one.as_string());
      } else {
        lose("type");
      }
    }
  }

  // Only texts may be listed.
  void options(const json::value& value, json::object& out) {
    const json::array list = value.is_array() ? value.as_array() : json::array{value};
    const bool texts = std::all_of(list.begin(), list.end(),
                                   [](const json::value& one) { return one.is_string(); });
    if (!texts) {
      lose("enum");
      return;
    }
    out["enum"] = list;
    if (!out.contains("type")) out["type"] = "STRING";
  }

  void format(const json::value& value, json::object& out, std::string& notes) {
    constexpr std::array<std::string_view, 5> known{"date-time", "float", "double", "int32",
                                                    "int64"};
    if (value.is_string() && among(std::string_view(value.as_string()), known)) {
      out["format"] = value;
    } else {
      lose("format", value, notes);
    }
  }

  void alternatives(const json::value& value, json::object& out) {
    json::array list;
    if (!value.is_array()) return;
    for (const json::value& one : value.as_array()) {
      if (one.is_object() && text_or(one.as_object(), "type") == "null") {
        out["nullable"] = true;
      } else {
        list.push_back(as_openapi(one));
      }
    }
    if (list.size() == 1) {
      merge(list.front(), out);
    } else if (!list.empty()) {
      out["anyOf"] = std::move(list);
    }
  }

  static constexpr std::size_t references_max = 200;  // followed, in one schema

  const json::value& root_;
  std::vector<std::string> lost_;
  std::size_t depth_ = 0;
  std::size_t references_ = 0;
};

}  // namespace

translated_schema known_schema(const json::value& schema) {
  translation work(schema);
  translated_schema out;
  out.schema = work.as_json(schema);
  out.lost = std::move(work).lost();
  return out;
}

translated_schema openapi_schema(const json::value& schema) {
  translation work(schema);
  translated_schema out;
  out.schema = work.as_openapi(schema);
  out.lost = std::move(work).lost();
  return out;
}

}  // namespace rustic::google
