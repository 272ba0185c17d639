// The strict walk along a schema.
#include "host/runtime/config/check.hpp"

#include <algorithm>
#include <cmath>
#include <rustic/schema.hpp>
#include <rustic/status.hpp>

#include "config_texts.hpp"
#include "host/runtime/config/key_path.hpp"
#include "host/runtime/config/limits.hpp"

namespace rustic::config {
namespace {
std::string shown(const json::value& value) {
  auto text = to_utf8(json::serialize(value));
  if (text.size() > shown_bytes_max) text = std::string(cut_utf8(text, shown_bytes_max)) + "...";
  return text;
}

std::string_view type_name(const json::value& value) {
  if (value.is_null()) return "nothing";
  if (value.is_bool()) return "true or false";
  if (value.is_string()) return "a string";
  if (value.is_array()) return "a list";
  if (value.is_object()) return "a table";
  return value.is_double() ? "a number" : "a whole number";
}

std::string_view words_for(std::string_view type) {
  if (type == "boolean") return "true or false";
  if (type == "string") return "a string";
  if (type == "array") return "a list";
  if (type == "object") return "a table";
  if (type == "integer") return "a whole number";
  return type == "number" ? "a number" : "nothing";
}

bool has_type(const json::value& value, std::string_view type) {
  if (type == "boolean") return value.is_bool();
  if (type == "string") return value.is_string();
  if (type == "array") return value.is_array();
  if (type == "object") return value.is_object();
  if (type == "number") return value.is_number();
  if (type == "integer")
    return value.is_int64() || value.is_uint64() ||
           (value.is_double() && std::floor(value.as_double()) == value.as_double());
  return value.is_null();
}

template <class Accept>
bool any_type(const json::value& type, const Accept& accept) {
  if (const auto* name = type.if_string()) return accept(std::string_view(*name));
  const auto* list = type.if_array();
  return list && std::any_of(list->begin(), list->end(), [&](const json::value& name) {
           return name.is_string() && accept(std::string_view(name.as_string()));
         });
}

class walker {
 public:
  walker(const json::value& root, std::vector<finding>& out, bool whole)
      : root_(root), out_(out), whole_(whole) {}

  void value(const json::value& node, const json::value* schema, const std::string& key,
             std::size_t depth) {
    schema = follow(root_, schema);
    const auto* rules = schema ? schema->if_object() : nullptr;
    if (!rules || depth > depth_max * 2 || out_.size() >= problems_max) return;
    if (const auto* type = find(*rules, "type");
        type && !any_type(*type, [&](std::string_view name) { return has_type(node, name); })) {
      std::string expected;
      any_type(*type, [&](std::string_view name) {
        expected += (expected.empty() ? "" : " or ") + std::string(words_for(name));
        return false;
      });
      add(key, "expected " + expected + hint_for(*rules) + ", got " + std::string(type_name(node)) +
                   (node.is_structured() ? "" : " (" + shown(node) + ")"));
      return;
    }
    if (const auto* text = node.if_string()) string(*text, *rules, key);
    if (const auto* allowed = find(*rules, "enum"); allowed && allowed->is_array())
      choice(node, allowed->as_array(), key);
    if (node.is_number()) number(node, *rules, key);
    if (const auto* table = node.if_object()) members(*table, schema, *rules, key, depth);
    if (const auto* list = node.if_array())
      if (const auto* items = find(*rules, "items"))
        for (std::size_t i = 0; i < list->size(); ++i)
          value((*list)[i], items, join(key, i), depth + 1);
  }

 private:
  void add(const std::string& key, std::string message, severity level = severity::error) {
    if (out_.size() < problems_max) out_.push_back({level, key, std::move(message)});
  }

  static std::string hint_for(const json::object& rules) {
    if (text_or(rules, "format") == "duration") return " such as \"10s\"";
    return {};
  }

  void string(std::string_view text, const json::object& rules, const std::string& key) {
    const auto format = text_or(rules, "format");
    if (format == "duration") {
      try {
        (void)parse_duration_ms(text);
      } catch (const failure&) {
        add(key,
            "expected a duration with a unit, such as \"500ms\", \"10s\", \"2m\", \"1h\" or "
            "\"1d\", got " +
                shown(json::value(text)));
      }
    } else if (format == "url") {
      if (!text.starts_with("http://") && !text.starts_with("https://") &&
          !text.starts_with("unix:"))
        add(key,
            "expected a URL that begins with https:// or http://, got " + shown(json::value(text)));
    } else if (format == "secret") {
      if (!text.starts_with("env:") && !text.starts_with("file:") && !text.starts_with("cmd:") &&
          !text.empty())
        add(key,
            "holds the key itself; write a reference instead: \"env:NAME\", \"file:PATH\" or "
            "\"cmd:COMMAND\"",
            severity::warning);
    }
  }

  void choice(const json::value& node, const json::array& allowed, const std::string& key) {
    if (std::find(allowed.begin(), allowed.end(), node) != allowed.end()) return;
    std::string text = "expected one of ";
    std::vector<std::string_view> words;
    for (const auto& entry : allowed) {
      if (&entry != &allowed.front()) text += ", ";
      text += shown(entry);
      if (entry.is_string()) words.emplace_back(entry.as_string());
    }
    text += ", got " + shown(node);
    if (node.is_string())
      if (const auto near = nearest_word(node.as_string(), words); !near.empty())
        text += "; did you mean \"" + std::string(near) + "\"?";
    add(key, std::move(text));
  }

  void number(const json::value& node, const json::object& rules, const std::string& key) {
    const double number = node.to_number<double>();
    if (const auto* low = find(rules, "minimum");
        low && low->is_number() && number < low->to_number<double>())
      add(key, "expected at least " + shown(*low) + ", got " + shown(node));
    if (const auto* high = find(rules, "maximum");
        high && high->is_number() && number > high->to_number<double>())
      add(key, "expected at most " + shown(*high) + ", got " + shown(node));
  }

  void members(const json::object& table, const json::value* schema, const json::object& rules,
               const std::string& key, std::size_t depth) {
    const auto known = known_keys(root_, schema);
    const auto* rest = find(rules, "additionalProperties");
    const bool closed = rest && rest->is_bool() && !rest->as_bool();
    const bool named = rest && rest->is_object();  // free names, such as those of agents
    for (const auto& [name, member] : table) {
      const std::string path = join(key, name);
      if (std::find(known.begin(), known.end(), std::string_view(name)) != known.end()) {
        value(member, member_schema(root_, schema, name), path, depth + 1);
        continue;
      }
      if (named) {
        value(member, rest, path, depth + 1);
        continue;
      }
      const auto near = nearest_word(name, known);
      if (closed)
        add(path, "unknown key" + suggestion(near, known));
      else if (near == "base_url" || near == "api_key")
        // Passed on, it would send a key to another place than was meant.
        add(path, "unknown key" + suggestion(near, known));
      else if (!near.empty())
        add(path, "unknown key; did you mean `" + std::string(near) + "`? It is passed on as it is",
            severity::warning);
    }
    if (key.find('[') == std::string::npos && !whole_) return;
    for (const auto& name : array_or_empty(rules, "required"))
      if (name.is_string() && !table.contains(name.as_string()))
        add(key, "lacks the key `" + std::string(name.as_string()) + "`");
  }

  static std::string suggestion(std::string_view near, const std::vector<std::string_view>& known) {
    if (!near.empty()) return "; did you mean `" + std::string(near) + "`?";
    std::string text = "; expected ";
    if (known.empty()) return text + "none here";
    if (known.size() > 1) text += "one of ";
    for (std::size_t i = 0; i < std::min(known.size(), listed_keys_max); ++i)
      text += (i ? ", " : "") + std::string(known[i]);
    return text + (known.size() > listed_keys_max ? ", ..." : "");
  }

  const json::value& root_;
  std::vector<finding>& out_;
  bool whole_;
};

void collect_defaults(const json::value& root, const json::value* schema, json::object& out) {
  const auto* rules = schema ? schema->if_object() : nullptr;
  if (!rules) return;
  for (const auto& [name, member] : object_or_empty(*rules, "properties")) {
    const auto* object = member.if_object();
    if (!object) continue;
    if (const auto* value = object->if_contains("default")) {
      out[name] = *value;
    } else if (object->contains("properties")) {
      json::object inner;
      collect_defaults(root, &member, inner);
      if (!inner.empty()) out[name] = std::move(inner);
    }
  }
}
}  // namespace

json::value configuration_schema() {
  return json::parse(embedded::config_schema_json);
}

const json::value* follow(const json::value& root, const json::value* schema) {
  for (int hop = 0; schema && hop < 8; ++hop) {
    const auto* object = schema->if_object();
    const auto* reference = object ? object->if_contains("$ref") : nullptr;
    if (!reference || !reference->is_string()) return schema;
    const std::string_view text = reference->as_string();
    if (!text.starts_with('#')) return nullptr;
    boost::system::error_code problem;
    schema = root.find_pointer(text.substr(1), problem);
  }
  return nullptr;
}

const json::value* member_schema(const json::value& root, const json::value* schema,
                                 std::string_view name) {
  schema = follow(root, schema);
  const auto* rules = schema ? schema->if_object() : nullptr;
  if (!rules) return nullptr;
  if (const auto* found = find(object_or_empty(*rules, "properties"), name)) return found;
  const auto* rest = find(*rules, "additionalProperties");
  return rest && rest->is_object() ? rest : nullptr;
}

std::vector<std::string_view> known_keys(const json::value& root, const json::value* schema) {
  std::vector<std::string_view> names;
  schema = follow(root, schema);
  if (const auto* rules = schema ? schema->if_object() : nullptr)
    for (const auto& entry : object_or_empty(*rules, "properties")) names.emplace_back(entry.key());
  return names;
}

std::vector<finding> check(const json::value& value, const json::value& schema,
                           const std::string& base, bool whole) {
  std::vector<finding> out;
  walker(schema, out, whole).value(value, &schema, base, 0);
  return out;
}

json::object defaults_of(const json::value& schema) {
  json::object out;
  collect_defaults(schema, &schema, out);
  return out;
}

void adapt(json::value& value, std::string_view raw, const json::value& root,
           const json::value* schema) {
  schema = follow(root, schema);
  const auto* rules = schema ? schema->if_object() : nullptr;
  const auto* type = rules ? find(*rules, "type") : nullptr;
  if (!type) return;
  const auto wants = [&](std::string_view name) {
    return any_type(*type, [&](std::string_view entry) { return entry == name; });
  };
  if (any_type(*type, [&](std::string_view name) { return has_type(value, name); })) return;
  if (wants("boolean")) {
    for (const char* word : {"1", "yes", "on", "True", "TRUE"})
      if (raw == word) value = true;
    for (const char* word : {"0", "no", "off", "False", "FALSE"})
      if (raw == word) value = false;
    if (value.is_bool()) return;
  }
  if (wants("string") && !value.is_structured()) {
    value = json::string(raw);
  } else if (wants("array")) {
    const auto* items = follow(root, find(*rules, "items"));
    json::array list;
    if (items && items->is_object() && text_or(items->as_object(), "type") == "string") {
      for (std::size_t at = 0; at <= raw.size();) {
        const auto end = std::min(raw.find(',', at), raw.size());
        auto part = raw.substr(at, end - at);
        while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
        while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
        if (!part.empty()) list.emplace_back(json::string(part));
        at = end + 1;
      }
    } else {
      list.push_back(value);
    }
    value = std::move(list);
  }
}
}  // namespace rustic::config
