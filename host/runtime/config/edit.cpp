// One change at a time, proven by parsing the result before it replaces the file.
#include "host/runtime/config/edit.hpp"

#include <algorithm>
#include <rustic/status.hpp>
#include <set>

#include "config_texts.hpp"
#include "host/runtime/config/check.hpp"
#include "host/runtime/config/files.hpp"
#include "host/runtime/config/key_path.hpp"
#include "host/runtime/config/layers.hpp"
#include "host/runtime/config/limits.hpp"
#include "host/runtime/config/sha256.hpp"

namespace rustic::config {
namespace {
struct opened {
  format kind;
  std::string text;
  document doc;
};

[[noreturn]] void refuse(status_code code, std::string message, std::string hint = {}) {
  throw failure(code, std::move(message), std::move(hint));
}

opened open(const std::filesystem::path& file, std::string_view expected_hash) {
  const auto kind = format_of(file);
  if (!kind)
    refuse(status_code::invalid_argument,
           "cannot edit " + file.string() + ": expected a name that ends in .toml or .json");
  if (*kind == format::yaml)
    refuse(status_code::failed_precondition,
           "cannot edit " + file.string() + ": YAML files are not edited by this program",
           "edit it by hand, or move to TOML");
  opened result{*kind, {}, {}};
  try {
    result.text = read_file(file, file_bytes_max);
  } catch (const failure& error) {
    if (error.problem().code != status_code::not_found) throw;
  }
  if (!expected_hash.empty() && sha256(result.text) != expected_hash)
    refuse(status_code::aborted, "cannot edit " + file.string() + ": it has changed meanwhile",
           "read it again and repeat the change");
  std::vector<problem> problems;
  result.doc = parse_document(result.text, *kind, file.string(), problems);
  if (has_errors(problems))
    refuse(status_code::failed_precondition, "cannot edit: " + to_text(problems.front()),
           "correct the file by hand first");
  return result;
}

std::vector<std::string> names_of(std::string_view key) {
  std::vector<std::string> names;
  for (const auto& step : split_key(key)) {
    if (step.index)
      refuse(status_code::invalid_argument,
             "key \"" + std::string(key) + "\": items of a list cannot be changed one by one",
             "set the whole list");
    names.push_back(step.name);
  }
  return names;
}

const json::value* at(const json::object& root, const std::vector<std::string>& names) {
  const json::object* table = &root;
  const json::value* found = nullptr;
  for (const auto& name : names) {
    found = table ? table->if_contains(name) : nullptr;
    if (!found) return nullptr;
    table = found->if_object();
  }
  return found;
}

std::vector<problem> check_all(const document& doc, const json::value& schema) {
  std::vector<problem> problems;
  for (auto& finding : check(doc.root, schema))
    problems.push_back(
        {finding.level, doc.where(finding.key), finding.key, std::move(finding.message)});
  return problems;
}

// Errors that were there before may stay: otherwise two could not be mended one after the other.
std::vector<problem> check_change(const document& before, const document& after,
                                  const json::value& schema) {
  std::set<std::string> known;
  for (const auto& entry : check_all(before, schema))
    known.insert(entry.key + '\n' + entry.message);
  std::vector<problem> warnings;
  std::string errors;
  for (auto& entry : check_all(after, schema)) {
    if (known.contains(entry.key + '\n' + entry.message)) continue;
    if (entry.level == severity::error)
      errors += (errors.empty() ? "" : "; ") + entry.key + ": " + entry.message;
    else
      warnings.push_back(std::move(entry));
  }
  if (!errors.empty()) refuse(status_code::invalid_argument, errors);
  return warnings;
}

// The first text that parses to exactly the wanted value.
std::pair<std::string, document> choose(const std::vector<std::string>& candidates,
                                        const json::object& wanted, format kind,
                                        const std::filesystem::path& file) {
  for (const auto& text : candidates) {
    std::vector<problem> problems;
    auto doc = parse_document(text, kind, file.string(), problems);
    if (!has_errors(problems) && doc.root == wanted) return {text, std::move(doc)};
  }
  refuse(status_code::failed_precondition,
         "cannot make this change in " + file.string() + " without disturbing the rest",
         "edit the file by hand");
}

void append_json(std::string& out, const json::value& value, std::size_t indent) {
  const std::string inner(indent + 2, ' '), outer(indent, ' ');
  if (const auto* table = value.if_object(); table && !table->empty()) {
    out += "{\n";
    bool first = true;
    for (const auto& [name, member] : *table) {
      out += (first ? "" : ",\n") + inner + json::serialize(json::string(name)) + ": ";
      append_json(out, member, indent + 2);
      first = false;
    }
    out += '\n' + outer + '}';
  } else if (const auto* list = value.if_array();
             list && std::any_of(list->begin(), list->end(),
                                 [](const auto& item) { return item.is_structured(); })) {
    out += "[\n";
    for (std::size_t i = 0; i < list->size(); ++i) {
      out += (i ? ",\n" : "") + inner;
      append_json(out, (*list)[i], indent + 2);
    }
    out += '\n' + outer + ']';
  } else {
    out += json::serialize(value);
  }
}

std::vector<std::string> as_json(const json::object& root) {
  std::string text;
  append_json(text, root, 0);
  return {text + "\n"};
}
}  // namespace

edit_result set_value(const std::filesystem::path& file, std::string_view key,
                      std::string_view value, std::string_view expected_hash) {
  const auto names = names_of(key);
  const directory_lock lock(file.has_parent_path() ? file.parent_path() : ".");
  auto current = open(file, expected_hash);
  const auto schema = configuration_schema();
  const json::value* inner = &schema;
  for (const auto& name : names) inner = member_schema(schema, inner, name);

  edit_result result;
  result.file = file;
  json::value wanted = json::string(to_utf8(value));
  if (auto parsed = parse_toml_value(value)) wanted = std::move(*parsed);
  adapt(wanted, to_utf8(value), schema, inner);
  if (const auto* before = at(current.doc.root, names)) result.before = *before;
  result.after = wanted;

  json::object root = current.doc.root;
  table_at(root, {names.begin(), names.end() - 1})[names.back()] = wanted;
  const auto candidates = current.kind == format::toml
                              ? detail::toml_candidates(current.text, current.doc, names, wanted)
                              : as_json(root);
  // What is wrong with the value is a better answer than that it cannot be written.
  document target = current.doc;
  target.root = root;
  result.warnings = check_change(current.doc, target, schema);
  const auto [text, doc] = choose(candidates, root, current.kind, file);
  if (text != current.text) write_atomically(file, text);
  for (auto& warning : result.warnings) warning.where = doc.where(warning.key);
  return result;
}

edit_result unset_value(const std::filesystem::path& file, std::string_view key,
                        std::string_view expected_hash) {
  const auto names = names_of(key);
  const directory_lock lock(file.has_parent_path() ? file.parent_path() : ".");
  auto current = open(file, expected_hash);
  const auto* before = at(current.doc.root, names);
  if (!before)
    refuse(status_code::not_found, "the key " + std::string(key) + " is not in " + file.string());
  edit_result result;
  result.file = file;
  result.before = *before;
  json::object root = current.doc.root;
  table_at(root, {names.begin(), names.end() - 1}).erase(names.back());
  const auto candidates = current.kind == format::toml
                              ? detail::toml_removals(current.text, current.doc, names)
                              : as_json(root);
  const auto [text, doc] = choose(candidates, root, current.kind, file);
  result.warnings = check_change(current.doc, doc, configuration_schema());
  write_atomically(file, text);
  return result;
}

void write_starter(const std::filesystem::path& file) {
  write_new(file, embedded::starter_toml);
}
}  // namespace rustic::config
