// 2020-12 to draft-07, with everything refused that the validator would silently ignore.
#include "translate.hpp"

#include <re2/re2.h>

#include <cmath>
#include <regex>
#include <rustic/status.hpp>
#include <set>

#include "limits.hpp"

namespace rustic::schema {
namespace {
[[noreturn]] void refuse(std::string_view what, const std::string& path, std::string_view reason,
                         std::string hint = "change the schema; draft-07 keywords are understood") {
  throw failure(
      status_code::invalid_argument,
      std::string(what) + ": at \"" + (path.empty() ? "/" : path) + "\": " + std::string(reason),
      std::move(hint));
}

std::string child(const std::string& path, std::string_view token) {
  std::string result = path + '/';
  for (const char c : token) {
    if (c == '~')
      result += "~0";
    else if (c == '/')
      result += "~1";
    else
      result += c;
  }
  return result;
}

// std::regex tracks back, so only what cannot explode is let through to it.
bool is_plain_pattern(std::string_view pattern) {
  std::size_t repeats = 0;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\') {
      ++i;
      if (i < pattern.size() && pattern[i] >= '1' && pattern[i] <= '9') return false;
      continue;
    }
    if (c != '*' && c != '+' && c != '{') continue;
    if (c == '{') {
      std::size_t number = 0;
      for (std::size_t j = i + 1; j < pattern.size() && pattern[j] >= '0' && pattern[j] <= '9'; ++j)
        if ((number = number * 10 + static_cast<std::size_t>(pattern[j] - '0')) > 256) return false;
      for (std::size_t j = pattern.find(',', i); j != std::string_view::npos &&
                                                 ++j < pattern.size() && pattern[j] >= '0' &&
                                                 pattern[j] <= '9';)
        if ((number = number * 10 + static_cast<std::size_t>(pattern[j] - '0')) > 100'000)
          return false;
    }
    if (i > 0 && pattern[i - 1] == ')') return false;
    if (++repeats > property_pattern_repeats_max) return false;
  }
  return pattern.find("(?") == std::string_view::npos;
}

class translator {
 public:
  translator(std::string_view what, translation& out) : what_(what), out_(out) {}

  json::value schema(const json::value& node, const std::string& path, std::size_t depth) {
    if (depth > schema_depth_max)
      refuse(what_, path, "nests deeper than " + std::to_string(schema_depth_max) + " levels");
    if (++nodes_ > schema_nodes_max)
      refuse(what_, path, "has more than " + std::to_string(schema_nodes_max) + " subschemas");
    if (node.is_bool()) return node;
    const auto* object = node.if_object();
    if (!object) refuse(what_, path, "a schema is an object or a boolean");
    json::object out;
    for (const auto& [key, value] : *object) keyword(*object, key, value, out, path, depth);
    nullable(*object, out);
    out[step_keyword] = true;
    return with_reference(*object, std::move(out), path);
  }

 private:
  void keyword(const json::object& all, std::string_view key, const json::value& value,
               json::object& out, const std::string& path, std::size_t depth) {
    const std::string here = child(path, key);
    if (key == "$ref" || key == "nullable") return;  // after the loop
    if (key == "properties" || key == "patternProperties" || key == "definitions" ||
        key == "$defs" || key == "dependentSchemas") {
      map_of_schemas(key, value, out, here, depth);
    } else if (key == "dependencies" || key == "dependentRequired") {
      dependencies(value, out, here, depth);
    } else if (key == "allOf" || key == "anyOf" || key == "oneOf") {
      const auto* list = value.if_array();
      if (!list || list->empty()) refuse(what_, here, "must be a list of schemas, not empty");
      out[key] = schemas(*list, here, depth);
    } else if (key == "prefixItems") {
      const auto* list = value.if_array();
      if (!list) refuse(what_, here, "must be a list of schemas");
      out["items"] = schemas(*list, here, depth);
      if (const auto* rest = find(all, "items"))
        out["additionalItems"] = schema(*rest, child(path, "items"), depth + 1);
    } else if (key == "items") {
      if (find(all, "prefixItems")) return;
      if (const auto* list = value.if_array())
        out["items"] = schemas(*list, here, depth);
      else
        out["items"] = schema(value, here, depth + 1);
    } else if (key == "additionalProperties" || key == "additionalItems" || key == "contains" ||
               key == "not" || key == "if" || key == "then" || key == "else" ||
               key == "propertyNames") {
      if (key == "additionalItems") {
        const auto* items = find(all, "items");
        if (find(all, "prefixItems") || !items || !items->is_array()) return;
      }
      if ((key == "then" || key == "else") && !find(all, "if")) return;
      out[key] = schema(value, here, depth + 1);
    } else if (key == "pattern") {
      pattern(value, out, here);
    } else if (key == "format") {
      format(value, out, here);
    } else if (key == "uniqueItems") {
      if (!value.is_bool()) refuse(what_, here, "must be true or false");
      if (value.as_bool()) out[unique_keyword] = true;
    } else if (key == "type") {
      type(value, here);
      out[type_keyword] = value;
    } else if (key == "enum" || key == "required") {
      if (!value.is_array()) refuse(what_, here, "must be a list");
      if (key == "required")
        for (const auto& name : value.as_array())
          if (!name.is_string()) refuse(what_, here, "must be a list of names");
      if (!value.as_array().empty() || key == "enum") out[key] = value;
    } else if (key == "const") {
      out[key] = value;
    } else if (key == "minimum" || key == "maximum" || key == "exclusiveMinimum" ||
               key == "exclusiveMaximum" || key == "multipleOf") {
      number(all, key, value, out, here);
    } else if (key == "minLength" || key == "maxLength" || key == "minItems" || key == "maxItems" ||
               key == "minProperties" || key == "maxProperties") {
      out[key] = count(value, here);
    } else if (key == "minContains" || key == "maxContains") {
      if (key == "maxContains" || !value.is_int64() || value.as_int64() != 1)
        refuse(what_, here, "counting with contains is not supported");
    } else if (key == "unevaluatedProperties" || key == "unevaluatedItems") {
      if (value != json::value(true))
        refuse(what_, here, "is not supported",
               "list the properties in one place and use additionalProperties");
    } else if (key == "$dynamicRef" || key == "$recursiveRef") {
      refuse(what_, here, "dynamic references are not supported", "use $ref");
    } else if (key == "extends" || key == "disallow") {
      refuse(what_, here, "is a keyword of draft-03", "use allOf or not");
    }
    // Anything else is an annotation.
  }

  json::array schemas(const json::array& list, const std::string& path, std::size_t depth) {
    json::array out;
    for (const auto& entry : list)
      out.push_back(schema(entry, child(path, std::to_string(out.size())), depth + 1));
    return out;
  }

  void map_of_schemas(std::string_view key, const json::value& value, json::object& out,
                      const std::string& path, std::size_t depth) {
    const auto* map = value.if_object();
    if (!map) refuse(what_, path, "must be an object of schemas");
    const std::string_view target = key == "$defs"              ? "definitions"
                                    : key == "dependentSchemas" ? "dependencies"
                                                                : key;
    if (!out.contains(target)) out[target] = json::object();
    for (const auto& [name, entry] : *map) {
      const std::string here = child(path, name);
      if (key == "patternProperties") property_pattern(name, here);
      if (out[target].as_object().contains(name))
        refuse(what_, here, "is defined twice", "keep one of $defs and definitions");
      auto translated = schema(entry, here, depth + 1);
      out[target].as_object()[name] = std::move(translated);
    }
  }

  void dependencies(const json::value& value, json::object& out, const std::string& path,
                    std::size_t depth) {
    const auto* map = value.if_object();
    if (!map) refuse(what_, path, "must be an object");
    if (!out.contains("dependencies")) out["dependencies"] = json::object();
    for (const auto& [name, entry] : *map) {
      const std::string here = child(path, name);
      if (out["dependencies"].as_object().contains(name))
        refuse(what_, here, "has two kinds of dependency, which is not supported");
      json::value translated = entry;
      if (!entry.is_array()) translated = schema(entry, here, depth + 1);
      out["dependencies"].as_object()[name] = std::move(translated);
    }
  }

  void property_pattern(std::string_view text, const std::string& path) {
    if (text.size() > pattern_bytes_max || !is_plain_pattern(text))
      refuse(what_, path, "the pattern of property names is too complex",
             "use at most two repetitions, no repeated groups, look-around or back-references");
    try {
      const std::regex check{std::string(text)};
    } catch (const std::regex_error& problem) {
      refuse(what_, path, std::string("is not a regular expression: ") + problem.what());
    }
    out_.names_matter = true;
  }

  void pattern(const json::value& value, json::object& out, const std::string& path) {
    const auto* text = value.if_string();
    if (!text) refuse(what_, path, "must be a string");
    if (text->size() > pattern_bytes_max)
      refuse(what_, path, "is longer than " + std::to_string(pattern_bytes_max) + " bytes");
    RE2::Options options(RE2::Quiet);
    options.set_max_mem(pattern_memory_bytes_max);
    const RE2 compiled(to_re2(*text), options);
    if (compiled.ok())
      out[pattern_keyword] = value;
    else
      out_.unchecked.push_back(path + ": the pattern is not checked: " + compiled.error());
  }

  void format(const json::value& value, json::object& out, const std::string& path) {
    const auto* text = value.if_string();
    if (!text) refuse(what_, path, "must be a string");
    if (*text == "date" || *text == "time" || *text == "date-time")
      out[format_keyword] = value;
    else
      out_.unchecked.push_back(path + ": the format is not checked: " + std::string(*text));
  }

  void type(const json::value& value, const std::string& path) {
    static constexpr std::string_view known[] = {"null",   "boolean", "integer", "number",
                                                 "string", "array",   "object"};
    const auto check = [&](const json::value& name) {
      const auto* text = name.if_string();
      for (const auto candidate : known)
        if (text && *text == candidate) return;
      refuse(what_, path, "is no type: " + json::serialize(name));
    };
    if (const auto* list = value.if_array()) {
      if (list->empty()) refuse(what_, path, "must not be an empty list");
      for (const auto& name : *list) check(name);
    } else {
      check(value);
    }
  }

  void number(const json::object& all, std::string_view key, const json::value& value,
              json::object& out, const std::string& path) {
    const bool exclusive = key.starts_with("exclusive");
    const std::string_view plain = key == "exclusiveMinimum" ? "minimum" : "maximum";
    if (exclusive && value.is_bool()) {  // draft-04
      const auto* bound = find(all, plain);
      if (value.as_bool() && bound && bound->is_number()) out[key] = *bound;
      return;
    }
    if (!value.is_number()) refuse(what_, path, "must be a number");
    if (key == "multipleOf" && !(value.to_number<double>() > 0))
      refuse(what_, path, "must be greater than 0");
    out[key] = value;
  }

  json::value count(const json::value& value, const std::string& path) {
    if (value.is_int64() && value.as_int64() >= 0) return value;
    if (value.is_double() && value.as_double() >= 0 && value.as_double() < 1e15 &&
        std::floor(value.as_double()) == value.as_double())
      return static_cast<std::int64_t>(value.as_double());
    refuse(what_, path, "must be a whole number, 0 or greater");
  }

  static void nullable(const json::object& in, json::object& out) {
    const auto* flag = find(in, "nullable");
    auto* type = out.if_contains(type_keyword);
    if (!flag || *flag != json::value(true) || !type) return;
    if (type->is_string())
      *type = json::array{*type, "null"};
    else
      type->as_array().push_back("null");
    if (auto* values = out.if_contains("enum")) values->as_array().push_back(nullptr);
  }

  // In draft-07 $ref hides its siblings; since then they hold as well, and that is what authors
  // mean.
  json::value with_reference(const json::object& in, json::object out, const std::string& path) {
    const auto* reference = find(in, "$ref");
    if (!reference) return out;
    const std::string here = child(path, "$ref");
    const auto* text = reference->if_string();
    if (!text) refuse(what_, here, "must be a string");
    if (*text != "#" && !text->starts_with("#/"))
      refuse(what_, here, "only references inside the schema are followed: " + std::string(*text),
             "put the definition under $defs and refer to it as #/$defs/NAME");
    std::string target(*text);
    for (auto at = target.find("/$defs/"); at != std::string::npos; at = target.find("/$defs/", at))
      target.replace(at, 7, "/definitions/");
    json::object leaf{{"$ref", target}};
    if (out.size() == 1) return leaf;  // the step keyword alone
    auto& all = out["allOf"];
    if (!all.is_array()) all = json::array();
    all.as_array().push_back(std::move(leaf));
    return out;
  }

  std::string_view what_;
  translation& out_;
  std::size_t nodes_ = 0;
};

// A schema that applies itself to the same place again would never come to an end.
class loop_finder {
 public:
  loop_finder(std::string_view what, const json::value& root) : what_(what), root_(root) {}

  void everywhere(const json::value& node) {
    if (const auto* object = node.if_object()) {
      if (object->contains(step_keyword) || object->contains("$ref")) visit(node);
      for (const auto& [key, value] : *object)
        if (key != "const" && key != "enum") everywhere(value);
    } else if (const auto* list = node.if_array()) {
      for (const auto& entry : *list) everywhere(entry);
    }
  }

 private:
  void visit(const json::value& node) {
    const auto* object = node.if_object();
    if (!object || done_.contains(&node)) return;
    if (!open_.insert(&node).second)
      refuse(what_, "", "a reference leads back to itself without going into the value",
             "a recursive definition must pass through properties or items");
    if (open_.size() > schema_depth_max * 4) refuse(what_, "", "references form too long a chain");
    if (const auto* reference = find(*object, "$ref"); reference && reference->is_string()) {
      const auto* target = resolve(root_, reference->as_string());
      if (!target || !(target->is_object() || target->is_bool()))
        refuse(what_, "", "reference to nothing: " + std::string(reference->as_string()),
               "define it under $defs");
      visit(*target);
    }
    for (const char* key : {"allOf", "anyOf", "oneOf"})
      for (const auto& entry : array_or_empty(*object, key)) visit(entry);
    for (const char* key : {"not", "if", "then", "else"})
      if (const auto* entry = find(*object, key)) visit(*entry);
    for (const auto& [name, entry] : object_or_empty(*object, "dependencies")) visit(entry);
    open_.erase(&node);
    done_.insert(&node);
  }

  std::string_view what_;
  const json::value& root_;
  std::set<const json::value*> open_, done_;
};
}  // namespace

std::string to_re2(std::string_view pattern) {
  std::string result;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '\\' || i + 1 >= pattern.size()) {
      result += pattern[i];
      continue;
    }
    if (pattern[i + 1] == 'u' && i + 5 < pattern.size()) {
      result += "\\x{" + std::string(pattern.substr(i + 2, 4)) + "}";
      i += 5;
      continue;
    }
    result += pattern[i];
    result += pattern[++i];
  }
  return result;
}

const json::value* resolve(const json::value& root, std::string_view reference) {
  if (reference == "#") return &root;
  if (!reference.starts_with("#/")) return nullptr;
  boost::system::error_code problem;
  std::string pointer;
  for (std::size_t i = 1; i < reference.size(); ++i) {
    if (reference[i] == '%' && i + 2 < reference.size()) {
      const std::string hex(reference.substr(i + 1, 2));
      char* end = nullptr;
      const long byte = std::strtol(hex.c_str(), &end, 16);
      if (end != hex.c_str() + 2) return nullptr;
      pointer += static_cast<char>(byte);
      i += 2;
    } else {
      pointer += reference[i];
    }
  }
  return root.find_pointer(pointer, problem);
}

translation translate(const json::value& schema, std::string_view what) {
  translation out;
  out.schema = translator(what, out).schema(schema, "", 0);
  loop_finder(what, out.schema).everywhere(out.schema);
  return out;
}
}  // namespace rustic::schema
