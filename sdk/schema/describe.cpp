// Errors a person or a model can act on.
#include "describe.hpp"

#include <algorithm>
#include <cstdlib>
#include <rustic/schema.hpp>

#include "limits.hpp"
#include "translate.hpp"

namespace rustic::schema {
namespace {
std::vector<std::string> tokens_of(std::string_view pointer) {
  std::vector<std::string> tokens;
  for (std::size_t i = 0; i < pointer.size(); ++i) {
    if (pointer[i] == '/') {
      tokens.emplace_back();
    } else if (tokens.empty()) {
      continue;
    } else if (pointer[i] == '~' && i + 1 < pointer.size()) {
      tokens.back() += pointer[++i] == '1' ? '/' : '~';
    } else {
      tokens.back() += pointer[i];
    }
  }
  return tokens;
}

const json::value* follow(const json::value& root, const json::value* node) {
  for (std::size_t hop = 0; node && hop < reference_hops_max; ++hop) {
    const auto* object = node->if_object();
    const auto* reference = object ? find(*object, "$ref") : nullptr;
    if (!reference || !reference->is_string()) return node;
    node = resolve(root, reference->as_string());
  }
  return nullptr;
}

const json::value* step_into(const json::value& root, const json::value* node,
                             const std::string& token, std::size_t depth) {
  node = follow(root, node);
  const auto* object = node ? node->if_object() : nullptr;
  if (!object || depth > reference_hops_max) return nullptr;
  if (const auto* found = find(object_or_empty(*object, "properties"), token)) return found;
  if (const auto* items = find(*object, "items")) {
    if (items->is_object()) return items;
    const auto index = std::strtoull(token.c_str(), nullptr, 10);
    if (items->is_array() && index < items->as_array().size()) return &items->as_array()[index];
    if (const auto* rest = find(*object, "additionalItems")) return rest;
  }
  for (const auto& part : array_or_empty(*object, "allOf"))
    if (const auto* found = step_into(root, &part, token, depth + 1)) return found;
  if (const auto* rest = find(*object, "additionalProperties"); rest && rest->is_object())
    return rest;
  return nullptr;
}

std::string shown(const json::value& value) {
  std::string text = json::serialize(value);
  if (text.size() > shown_bytes_max) text = std::string(cut_utf8(text, shown_bytes_max)) + "...";
  return text;
}

std::string with_article(std::string_view type) {
  if (type == "null") return "null";
  return (type == "array" || type == "object" || type == "integer" ? "an " : "a ") +
         std::string(type);
}

std::string_view type_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "boolean";
    case json::kind::int64:
    case json::kind::uint64:
      return "integer";
    case json::kind::double_:
      return "number";
    case json::kind::string:
      return "string";
    case json::kind::array:
      return "array";
    default:
      return "object";
  }
}

const json::value* keyword_of(const json::value& root, const json::value* node,
                              std::string_view keyword, std::size_t depth = 0) {
  node = follow(root, node);
  const auto* object = node ? node->if_object() : nullptr;
  if (!object || depth > reference_hops_max) return nullptr;
  if (const auto* found = find(*object, keyword)) return found;
  for (const auto& part : array_or_empty(*object, "allOf"))
    if (const auto* found = keyword_of(root, &part, keyword, depth + 1)) return found;
  return nullptr;
}

std::string expected_type(const json::value& type) {
  if (type.is_string()) return with_article(type.as_string());
  std::string text;
  for (const auto& name : type.as_array()) {
    if (!text.empty()) text += " or ";
    text += with_article(name.as_string());
  }
  return text;
}

std::string type_mismatch(const json::value& root, const json::value* node,
                          const json::value* value) {
  const auto* type = keyword_of(root, node, type_keyword);
  std::string text = type ? "expected " + expected_type(*type) : "has a type that is not allowed";
  if (value) text += (type ? ", got " : ": ") + with_article(type_of(*value));
  return text;
}

std::string not_among(const json::value& root, const json::value* node, const json::value* value) {
  const auto* allowed = keyword_of(root, node, "enum");
  if (!allowed || !allowed->is_array()) return "is not one of the allowed values";
  std::string text = "expected one of ";
  std::vector<std::string_view> words;
  std::size_t count = 0;
  for (const auto& entry : allowed->as_array()) {
    if (entry.is_string()) words.emplace_back(entry.as_string());
    if (++count > listed_values_max) continue;
    if (count > 1) text += ", ";
    text += shown(entry);
  }
  if (count > listed_values_max)
    text += " and " + std::to_string(count - listed_values_max) + " more";
  if (!value) return text;
  text += ", got " + shown(*value);
  if (const auto* word = value->if_string())
    if (const auto near = nearest_word(*word, words); !near.empty())
      text += "; did you mean \"" + std::string(near) + "\"?";
  return text;
}

std::string unknown_properties(const json::value& root, const json::value* node,
                               const json::value* value, std::string_view sentence) {
  std::vector<std::string_view> known;
  if (const auto* names = keyword_of(root, node, "properties"); names && names->is_object())
    for (const auto& entry : names->as_object()) known.emplace_back(entry.key());
  const auto* patterns = keyword_of(root, node, "patternProperties");
  std::string text;
  if (value && value->is_object() && !patterns) {
    for (const auto& member : value->as_object()) {
      if (std::find(known.begin(), known.end(), std::string_view(member.key())) != known.end())
        continue;
      if (!text.empty()) text += "; ";
      text += "unknown property \"" + std::string(cut_utf8(member.key(), shown_bytes_max)) + "\"";
      if (const auto near = nearest_word(member.key(), known); !near.empty())
        text += ", did you mean \"" + std::string(near) + "\"?";
      if (text.size() > 4 * shown_bytes_max) break;
    }
  }
  if (text.empty()) {
    const auto at = sentence.find(": '");
    text = "unknown property" +
           (at == std::string_view::npos ? std::string() : std::string(sentence.substr(at + 1)));
  }
  return text;
}

std::string bound(const json::value& root, const json::value* node, std::string_view inclusive,
                  std::string_view exclusive, std::string_view words, const json::value* value) {
  std::string text;
  if (const auto* limit = keyword_of(root, node, exclusive))
    text = "expected a number " + std::string(words) + " than " + shown(*limit);
  if (const auto* limit = keyword_of(root, node, inclusive)) {
    if (!text.empty())
      text += ", and ";
    else
      text = "expected ";
    text += std::string(words == "greater" ? "at least " : "at most ") + shown(*limit);
  }
  if (value) text += ", got " + shown(*value);
  return text;
}
}  // namespace

const json::value* schema_at(const json::value& root, std::string_view pointer) {
  const json::value* node = &root;
  for (const auto& token : tokens_of(pointer)) {
    node = step_into(root, node, token, 0);
    if (!node) return nullptr;
  }
  return follow(root, node);
}

const json::value* value_at(const json::value& instance, std::string_view pointer) {
  boost::system::error_code problem;
  return instance.find_pointer(pointer, problem);
}

std::string describe(const json::value& root, const json::value& instance, std::string_view pointer,
                     std::string_view sentence) {
  const auto* node = schema_at(root, pointer);
  const auto* value = value_at(instance, pointer);
  if (sentence.starts_with("Value type not permitted")) return type_mismatch(root, node, value);
  if (sentence.starts_with("Failed to match against any enum")) return not_among(root, node, value);
  if (sentence.starts_with("Object contains a property"))
    return unknown_properties(root, node, value, sentence);
  if (sentence.starts_with("Expected number greater") && node)
    return bound(root, node, "minimum", "exclusiveMinimum", "greater", value);
  if (sentence.starts_with("Expected number less") && node)
    return bound(root, node, "maximum", "exclusiveMaximum", "less", value);
  if (sentence.starts_with("Failed to match expected value set by 'const'")) {
    const auto* wanted = keyword_of(root, node, "const");
    return wanted ? "expected " + shown(*wanted) : "is not the one allowed value";
  }
  if (sentence.starts_with("Missing required property '")) {
    const auto end = sentence.rfind('\'');
    return "required property \"" + std::string(sentence.substr(27, end - 27)) + "\" is missing";
  }
  if (sentence.find("anyOf") != std::string_view::npos) return "fits none of the alternatives";
  if (sentence.find("oneOf") != std::string_view::npos) return "fits none of the alternatives";
  if (sentence.starts_with("Failed to validate against exactly one"))
    return "fits more than one of the alternatives, expected exactly one";
  if (sentence.find("if-then-else") != std::string_view::npos)
    return "does not fit what the schema demands in this case";
  if (sentence.find("'not'") != std::string_view::npos) return "is a value that is ruled out";
  if (sentence.find("'contains'") != std::string_view::npos)
    return "lacks an item that must be there";
  return std::string(sentence);
}
}  // namespace rustic::schema
