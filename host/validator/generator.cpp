#include "host/validator/generator.hpp"

#include <algorithm>
#include <rustic/schema.hpp>

#include "host/validator/limits.hpp"

namespace rustic::validator {
namespace {

// The subschema that a reference inside the same document names.
const json::value* look_up(const json::object& root, std::string_view reference) {
  if (!reference.starts_with("#/")) return nullptr;
  const json::value* at = nullptr;
  const json::object* object = &root;
  auto rest = reference.substr(2);
  while (object && !rest.empty()) {
    const auto slash = rest.find('/');
    at = find(*object, rest.substr(0, slash));
    rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
    object = at ? at->if_object() : nullptr;
  }
  return rest.empty() ? at : nullptr;
}

class maker {
 public:
  maker(const json::object& root, fullness how, std::mt19937_64& random)
      : root_(root), how_(how), random_(random) {}

  json::value make(const json::value& schema, std::size_t depth) {
    const auto* object = schema.if_object();
    if (!object || depth > generated_depth_max) return nullptr;
    if (const auto* reference = find(*object, "$ref"); reference && reference->is_string()) {
      const auto* target = look_up(root_, std::string_view(reference->get_string()));
      return target ? make(*target, depth + 1) : json::value(nullptr);
    }
    if (const auto* fixed = object->if_contains("const")) return *fixed;
    if (const auto& values = array_or_empty(*object, "enum"); !values.empty())
      return values[how_ == fullness::required_only ? 0 : random_() % values.size()];
    for (const auto* key : {"anyOf", "oneOf"})
      if (const auto& choices = array_or_empty(*object, key); !choices.empty())
        return merge(*object, make(choices[0], depth + 1), depth);
    return by_type(*object, type_of(*object), depth);
  }

 private:
  static std::string type_of(const json::object& schema) {
    if (const auto* type = find(schema, "type")) {
      if (type->is_string()) return std::string(type->get_string());
      if (type->is_array() && !type->get_array().empty() && type->get_array()[0].is_string())
        return std::string(type->get_array()[0].get_string());
    }
    if (schema.contains("properties") || schema.contains("required")) return "object";
    if (schema.contains("items")) return "array";
    if (schema.contains("minimum") || schema.contains("maximum")) return "integer";
    return "string";
  }

  // A choice, with what stands beside it.
  json::value merge(const json::object& schema, json::value chosen, std::size_t depth) {
    if (!chosen.is_object() || !schema.contains("properties")) return chosen;
    auto all = by_type(schema, "object", depth).get_object();
    for (auto& [key, value] : chosen.get_object()) all[key] = value;
    return all;
  }

  json::value by_type(const json::object& schema, const std::string& type, std::size_t depth) {
    if (type == "object") return object_of(schema, depth);
    if (type == "array") return array_of(schema, depth);
    if (type == "string") return text_of(schema);
    if (type == "boolean") return how_ == fullness::everything && random_() % 2 == 0;
    if (type == "integer" || type == "number") return number_of(schema, type == "integer");
    return nullptr;
  }

  json::value object_of(const json::object& schema, std::size_t depth) {
    json::object out;
    const auto& properties = object_or_empty(schema, "properties");
    const auto& required = array_or_empty(schema, "required");
    for (const auto& [key, value] : properties) {
      const std::string_view name = key;
      const bool must = std::any_of(required.begin(), required.end(), [&](const json::value& one) {
        return one.is_string() && std::string_view(one.get_string()) == name;
      });
      if (must || (how_ == fullness::everything && depth < generated_depth_max / 2))
        out[key] = make(value, depth + 1);
    }
    return out;
  }

  json::value array_of(const json::object& schema, std::size_t depth) {
    json::array out;
    auto count = static_cast<std::size_t>(std::max<std::int64_t>(0, int_or(schema, "minItems")));
    if (how_ == fullness::everything && count == 0) count = 1;
    const auto* items = find(schema, "items");
    for (std::size_t i = 0; i < std::min<std::size_t>(count, 64); ++i)
      out.push_back(items ? make(*items, depth + 1) : json::value("item"));
    return out;
  }

  json::value text_of(const json::object& schema) {
    if (const auto& examples = array_or_empty(schema, "examples"); !examples.empty())
      return examples[0];
    if (const auto* usual = find(schema, "default")) return *usual;
    const auto format = text_or(schema, "format");
    if (format == "date") return "2026-01-31";
    if (format == "time") return "12:00:00Z";
    if (format == "date-time") return "2026-01-31T12:00:00Z";
    std::string out = how_ == fullness::everything ? "a \"b\" \xc3\xa9" : "sample";
    const auto least =
        static_cast<std::size_t>(std::max<std::int64_t>(0, int_or(schema, "minLength")));
    if (out.size() < least) out.append(std::min<std::size_t>(least - out.size(), 4096), 'x');
    if (const auto most = int_or(schema, "maxLength", -1); most >= 0)
      out = std::string(cut_utf8(out, static_cast<std::size_t>(most)));
    return json::string(out);
  }

  json::value number_of(const json::object& schema, bool is_integer) {
    double least = number_or(schema, "minimum", -1e300);
    double most = number_or(schema, "maximum", 1e300);
    if (const auto* above = find(schema, "exclusiveMinimum"); above && above->is_number())
      least = std::max(least, number_or(schema, "exclusiveMinimum") + 1);
    if (const auto* below = find(schema, "exclusiveMaximum"); below && below->is_number())
      most = std::min(most, number_or(schema, "exclusiveMaximum") - 1);
    double value = least <= 1 && most >= 1 ? 1 : (least > 1 ? least : most);
    if (how_ == fullness::everything && random_() % 2 == 0 && least > -1e9) value = least;
    if (const auto step = number_or(schema, "multipleOf"); step > 0) {
      value = step;
      while (value < least && value < 1e9) value += step;
    }
    if (is_integer) return static_cast<std::int64_t>(value);
    return value;
  }

  const json::object& root_;
  const fullness how_;
  std::mt19937_64& random_;
};

bool admits(const json::object& schema, const json::value& value) {
  try {
    return json_schema::parse(schema).validate(value).empty();
  } catch (const std::exception&) {
    return false;
  }
}

json::value of_another_type(const json::object& property) {
  const auto type = text_or(property, "type");
  if (type == "string") return 12345;
  if (type == "object") return json::array{1, 2};
  if (type == "array") return json::object{{"a", 1}};
  return "neither";
}
}  // namespace

std::optional<json::value> generate(const json::object& schema, fullness how,
                                    std::mt19937_64& random) {
  auto out = maker(schema, how, random).make(schema, 0);
  if (!admits(schema, out)) return std::nullopt;
  return out;
}

std::vector<refused_value> generate_refused(const json::object& schema, std::mt19937_64& random) {
  std::vector<refused_value> out;
  const auto whole = maker(schema, fullness::everything, random).make(schema, 0);
  const auto& required = array_or_empty(schema, "required");
  const auto is_required = [&](std::string_view key) {
    return std::any_of(required.begin(), required.end(), [&](const json::value& one) {
      return one.is_string() && std::string_view(one.get_string()) == key;
    });
  };
  const auto add = [&](std::string how, json::value value, bool lacks_required = false) {
    if (!admits(schema, value)) out.push_back({std::move(how), std::move(value), lacks_required});
  };
  if (whole.is_object()) {
    for (const auto& one : required) {
      if (!one.is_string()) continue;
      auto less = whole.get_object();
      less.erase(one.get_string());
      add("without \"" + std::string(one.get_string()) + "\"", less, true);
    }
    for (const auto& [key, property] : object_or_empty(schema, "properties")) {
      auto other = whole.get_object();
      if (property.is_object()) other[key] = of_another_type(property.get_object());
      add("\"" + std::string(key) + "\" of another type", other, is_required(key));
      other[key] = nullptr;
      add("\"" + std::string(key) + "\" null", other, is_required(key));
      if (property.is_object() && text_or(property.get_object(), "type") == "integer") {
        other[key] = std::int64_t{-9223372036854775807};
        add("\"" + std::string(key) + "\" out of bounds", other);
      }
    }
    auto more = whole.get_object();
    more["no_such_member"] = json::object{{"x", json::array{nullptr}}};
    add("with a member that the schema does not know", more);
  }
  add("a list instead of an object", json::array{}, !required.empty());
  add("a text instead of an object", "text", !required.empty());
  add("null", nullptr, !required.empty());
  return out;
}
}  // namespace rustic::validator
