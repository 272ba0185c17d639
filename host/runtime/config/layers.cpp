// Environment, flags, merging, and what an untrusted project may say.
#include "host/runtime/config/layers.hpp"

#include <algorithm>
#include <cctype>
#include <rustic/schema.hpp>
#include <rustic/status.hpp>

#include "host/runtime/config/check.hpp"
#include "host/runtime/config/key_path.hpp"
#include "host/runtime/config/limits.hpp"

namespace rustic::config {
namespace {
constexpr std::string_view prefix = "RUSTIC_AI_";

std::string folded(std::string_view name) {
  std::string result(name);
  for (char& c : result)
    c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

std::vector<std::string> split_variable(std::string_view name) {
  std::vector<std::string> parts;
  while (true) {
    const auto at = name.find("__");
    parts.push_back(folded(name.substr(0, at)));
    if (at == std::string_view::npos) return parts;
    name.remove_prefix(at + 2);
  }
}

// The name as it is already written somewhere, or `part`.
std::string known_spelling(const std::string& part, const json::object* existing,
                           const json::value& root, const json::value* schema) {
  if (existing)
    for (const auto& entry : *existing)
      if (folded(entry.key()) == part) return entry.key();
  for (const auto name : known_keys(root, schema))
    if (folded(name) == part) return std::string(name);
  return part;
}

void put(layer& into, const std::vector<std::string>& names, const std::string& raw,
         const json::value& root, const json::value* schema, const std::string& label) {
  json::value value = json::string(to_utf8(raw));
  if (auto parsed = parse_toml_value(raw)) value = std::move(*parsed);
  adapt(value, to_utf8(raw), root, schema);
  std::string key;
  for (const auto& name : names) key = join(key, name);
  auto& table = table_at(into.doc.root, {names.begin(), names.end() - 1});
  table[names.back()] = std::move(value);
  into.doc.labels[key] = label;
  into.raw[key] = to_utf8(raw);
}

bool allows_something(const json::value& root, const json::value* schema) {
  schema = follow(root, schema);
  const auto* rules = schema ? schema->if_object() : nullptr;
  if (!rules) return false;
  if (bool_or(*rules, "x-project")) return true;
  const auto& members = object_or_empty(*rules, "properties");
  return std::any_of(members.begin(), members.end(),
                     [&](const auto& member) { return allows_something(root, &member.value()); });
}

void keep(json::object& table, const std::string& base, const json::value& root,
          const json::value* schema, const document& doc, const std::string& advice,
          std::vector<problem>& problems) {
  json::object kept;
  for (auto& [name, member] : table) {
    const std::string key = join(base, name);
    const auto* inner = member_schema(root, schema, name);
    const auto* resolved = follow(root, inner);
    if (resolved && resolved->is_object() && bool_or(resolved->as_object(), "x-project")) {
      kept[name] = std::move(member);
    } else if (inner && allows_something(root, inner) && member.is_object()) {
      keep(member.as_object(), key, root, inner, doc, advice, problems);
      if (!member.as_object().empty()) kept[name] = std::move(member);
    } else if (problems.size() < problems_max) {
      problems.push_back({severity::warning, doc.where(key), key,
                          "ignored, because this project is not trusted; " + advice});
    }
  }
  table = std::move(kept);
}
}  // namespace

json::object& table_at(json::object& root, const std::vector<std::string>& names) {
  auto* table = &root;
  for (const auto& name : names) {
    auto& next = (*table)[name];
    if (!next.is_object()) next = json::object();
    table = &next.as_object();
  }
  return *table;
}

void merge(json::object& base, const json::object& over) {
  for (const auto& [name, value] : over) {
    auto* existing = base.if_contains(name);
    if (existing && existing->is_object() && value.is_object())
      merge(existing->as_object(), value.as_object());
    else
      base[name] = value;
  }
}

layer environment_layer(const surroundings& around, const json::object& below,
                        const json::value& schema, std::vector<problem>& problems) {
  layer result;
  result.name = "environment";
  result.doc.file = "environment";
  const auto sections = known_keys(schema, &schema);
  for (const auto& [variable, raw] : around.env) {
    if (!variable.starts_with(prefix) || variable == "RUSTIC_AI_CONFIG") continue;
    const std::string label = "environment " + variable;
    const auto parts = split_variable(std::string_view(variable).substr(prefix.size()));
    const auto warn = [&](std::string message) {
      if (problems.size() < problems_max)
        problems.push_back({severity::warning, {label, 0, 0}, {}, std::move(message)});
    };
    if (parts.size() > depth_max || std::find(parts.begin(), parts.end(), "") != parts.end()) {
      warn("ignored: the name is no key; write RUSTIC_AI_SECTION__KEY");
      continue;
    }
    if (std::find(sections.begin(), sections.end(), std::string_view(parts[0])) == sections.end()) {
      const auto near = nearest_word(parts[0], sections);
      warn("ignored: there is no section `" + parts[0] + "`" +
           (near.empty() ? std::string() : "; did you mean `" + std::string(near) + "`?"));
      continue;
    }
    std::vector<std::string> names;
    const json::object* existing = &below;
    const json::value* inner = &schema;
    for (const auto& part : parts) {
      names.push_back(known_spelling(part, existing, schema, inner));
      inner = member_schema(schema, inner, names.back());
      const auto* next = existing ? existing->if_contains(names.back()) : nullptr;
      existing = next ? next->if_object() : nullptr;
    }
    put(result, names, raw, schema, inner, label);
  }
  return result;
}

layer flags_layer(const std::vector<std::string>& flags, const json::value& schema,
                  std::vector<problem>& problems) {
  layer result;
  result.name = "flags";
  result.doc.file = "flags";
  for (const auto& flag : flags) {
    // A quoted name may hold an equals sign, so the split is at the first one outside quotes.
    std::size_t at = 0;
    for (char quote = '\0'; at < flag.size() && (quote || flag[at] != '='); ++at) {
      if (quote && flag[at] == quote)
        quote = '\0';
      else if (!quote && (flag[at] == '"' || flag[at] == '\''))
        quote = flag[at];
    }
    const std::string label =
        "flag " + to_utf8(cut_utf8(std::string_view(flag).substr(0, at), 100));
    try {
      if (at >= flag.size())
        throw failure(status_code::invalid_argument, "expected KEY=VALUE, such as log.level=debug");
      std::vector<std::string> names;
      const json::value* inner = &schema;
      for (const auto& step : split_key(std::string_view(flag).substr(0, at))) {
        if (step.index)
          throw failure(status_code::invalid_argument, "items of a list cannot be set one by one");
        names.push_back(step.name);
        inner = member_schema(schema, inner, step.name);
      }
      put(result, names, flag.substr(at + 1), schema, inner, label);
    } catch (const failure& error) {
      problems.push_back({severity::error, {label, 0, 0}, {}, error.what()});
    }
  }
  return result;
}

void keep_harmless(document& doc, const json::value& schema, const std::string& advice,
                   std::vector<problem>& problems) {
  keep(doc.root, "", schema, &schema, doc, advice, problems);
}
}  // namespace rustic::config
