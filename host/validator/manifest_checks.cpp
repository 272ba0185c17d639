// manifest_checks.cpp - the manifest: grammar, descriptions, schemas.
#include <algorithm>
#include <rustic/schema.hpp>
#include <set>

#include "host/validator/samples.hpp"
#include "host/validator/trial.hpp"

namespace rustic::validator {
namespace {

template <class Use>
void each_provided(trial& t, Use use) {
  for (const auto& one : array_or_empty(t.manifest(), "provides"))
    if (one.is_object()) use(one.get_object());
}
template <class Use>
void each_tool(trial& t, Use use) {
  each_provided(t, [&](const json::object& one) {
    if (text_or(one, "interface").starts_with("rustic.tool"))
      use(std::string(text_or(one, "name")), object_or_empty(one, "attributes"));
  });
}

void grammar(trial& t) {
  const auto read = kernel::abi::parse_manifest(t.elf().manifest_notes().front());
  t.expect(read.value.has_value(), "a manifest that the loader reads", read.problem);
}

void contract(trial& t) {
  const auto problem = kernel::abi::abi_problem(t.about());
  t.expect(problem.empty(), "a contract that this program speaks", problem);
}

void id(trial& t) {
  const auto& id = t.about().id;
  const bool ok = !id.empty() &&
                  std::all_of(id.begin(), id.end(),
                              [](char c) {
                                return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                                       c == '.' || c == '-' || c == '_';
                              }) &&
                  id.front() != '.' && id.front() != '-';
  t.expect(ok, "an id of lower-case letters, digits, '.', '-' and '_'", "\"" + id + "\"");
}

void version(trial& t) {
  const std::string_view text = t.about().version;
  int dots = 0;
  bool ok = !text.empty() && text.front() != '.';
  const auto core = text.substr(0, text.find_first_of("-+"));
  for (std::size_t i = 0; i < core.size(); ++i) {
    if (core[i] == '.') {
      ++dots;
      ok = ok && i + 1 < core.size() && core[i + 1] != '.';
    } else {
      ok = ok && core[i] >= '0' && core[i] <= '9';
    }
  }
  t.expect(ok && dots == 2, "a version such as 1.4.2 or 1.4.2-beta.1",
           "\"" + std::string(text) + "\"");
}

void description(trial& t) {
  t.expect(t.about().description.size() >= 5, "\"description\": what it does, in a sentence",
           "\"" + t.about().description + "\"");
  t.expect(t.about().description.size() <= 400, "a description of at most 400 bytes",
           std::to_string(t.about().description.size()));
}

void license(trial& t) {
  t.expect(!t.about().license.empty(), "\"license\": such as MIT", "none");
}

void provides(trial& t) {
  const auto all = targets_of(t);
  t.expect(!all.empty(), "at least one service in \"provides\"", "none");
  std::set<std::string> known;
  for (const auto& one : all)
    t.expect(known.insert(one).second, "each target once", one + " twice");
}

void revision(trial& t) {
  each_provided(t, [&](const json::object& one) {
    const std::string name(text_or(one, "interface"));
    const auto slash = name.find('/');
    t.expect(slash != std::string::npos && name.find_first_not_of('0', slash + 1) != name.npos,
             "interfaces with a revision, such as rustic.tool/1", name);
  });
}

void requires_known(trial& t) {
  auto all = t.about().requires_targets;
  all.insert(all.end(), t.about().wants_targets.begin(), t.about().wants_targets.end());
  const auto own = targets_of(t);
  for (const auto& one : all) {
    const auto slash = one.find('/');
    t.expect(slash != std::string::npos && slash != 0 && slash + 1 < one.size() &&
                 one.find_first_of(" \t\n") == std::string::npos,
             "requirements such as rustic.http/default", "\"" + one + "\"");
  }
  for (const auto& one : t.about().requires_targets)
    t.expect(std::find(own.begin(), own.end(), one) == own.end(),
             "a plugin that does not wait for itself", "it requires its own " + one);
}

void isolation(trial& t) {
  const auto& value = t.about().isolation;
  t.expect(value.empty() || value == "any" || value == "process",
           "\"isolation\": \"any\" or \"process\"", "\"" + value + "\"");
}

void members(trial& t) {
  static constexpr std::string_view known[] = {
      "id",       "version", "description", "license",     "abi",         "provides",
      "requires", "wants",   "config",      "permissions", "environment", "isolation",
      "homepage", "authors", "$schema",     "unstable"};
  for (const auto& [key, value] : t.manifest())
    t.expect(std::find(std::begin(known), std::end(known), key) != std::end(known),
             "members that mean something", "\"" + std::string(key) + "\"");
}

// Strings and brackets are enough to tell the members of an object apart: the text has been parsed.
void duplicates(trial& t) {
  const auto& text = t.elf().manifest_notes().front();
  std::vector<std::set<std::string>> open;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '{' || c == '[') open.emplace_back();
    if ((c == '}' || c == ']') && !open.empty()) open.pop_back();
    if (c != '"') continue;
    const auto begin = at + 1;
    for (++at; at < text.size() && text[at] != '"'; ++at)
      if (text[at] == '\\') ++at;
    const auto word = text.substr(begin, at - begin);
    const auto next = text.find_first_not_of(" \t\r\n", at + 1);
    if (next != std::string::npos && text[next] == ':' && !open.empty())
      t.expect(open.back().insert(word).second, "each member of an object once",
               "\"" + word + "\" twice");
  }
}

void config_schema(trial& t) {
  const auto* schema = find(t.manifest(), "config");
  if (!schema) return;
  t.expect(schema->is_object(), "\"config\": a JSON Schema", json::serialize(*schema));
  try {
    (void)json_schema::parse(*schema, "config");
  } catch (const std::exception& problem) {
    t.fail("a JSON Schema that can be used", problem.what());
  }
  const auto type = text_or(schema->get_object(), "type");
  t.expect(type == "object", "\"type\": \"object\", because the configuration is one",
           "\"" + std::string(type) + "\"");
}

void config_examples(trial& t) {
  const auto& schema = object_or_empty(t.manifest(), "config");
  if (schema.empty()) return;
  const auto compiled = json_schema::parse(json::value(schema), "config");
  for (const auto& one : array_or_empty(schema, "examples"))
    if (const auto errors = compiled.validate(one); !errors.empty())
      t.fail("examples that the schema admits", to_text(errors));
}

void tool_description(trial& t) {
  each_tool(t, [&](const std::string& name, const json::object& attributes) {
    const auto text = text_or(attributes, "description");
    t.expect(text.size() >= 5, "a description that a model can choose by",
             name + ": \"" + std::string(text) + "\"");
    t.expect(text.size() <= 8192, "a description of at most 8 KiB",
             name + ": " + std::to_string(text.size()) + " bytes");
  });
}

void tool_schema(trial& t) {
  each_tool(t, [&](const std::string& name, const json::object& attributes) {
    const auto* schema = find(attributes, "parameters");
    t.expect(schema && schema->is_object(), "\"parameters\": a JSON Schema", name + " has none");
    try {
      (void)json_schema::parse(*schema, name);
    } catch (const std::exception& problem) {
      t.fail("a JSON Schema that can be used", problem.what());
    }
    const auto type = text_or(schema->get_object(), "type");
    t.expect(type == "object", "\"type\": \"object\"", name + ": \"" + std::string(type) + "\"");
    for (const auto& one : array_or_empty(schema->get_object(), "required"))
      t.expect(one.is_string() &&
                   object_or_empty(schema->get_object(), "properties").contains(one.get_string()),
               "required members that are among the properties",
               name + ": " + json::serialize(one));
  });
}

// What the common providers refuse or pass over.
void tool_portable(trial& t) {
  each_tool(t, [&](const std::string& name, const json::object& attributes) {
    const auto& schema = object_or_empty(attributes, "parameters");
    for (const auto* key : {"oneOf", "anyOf", "allOf", "not", "enum", "$ref", "if"})
      t.expect(!schema.contains(key), "no choice at the top of the parameters",
               name + ": \"" + key + "\"");
    for (const auto& [key, value] : object_or_empty(schema, "properties")) {
      const std::string_view text(key);
      t.expect(!text.empty() && text.size() <= 64 &&
                   std::all_of(text.begin(), text.end(),
                               [](char c) {
                                 return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                        (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
                               }),
               "names of parameters of letters, digits, '_', '-' and '.'",
               name + ": \"" + std::string(text) + "\"");
    }
  });
}

void tool_parameters_described(trial& t) {
  each_tool(t, [&](const std::string& name, const json::object& attributes) {
    const auto& schema = object_or_empty(attributes, "parameters");
    for (const auto& [key, value] : object_or_empty(schema, "properties"))
      t.expect(value.is_object() && (value.get_object().contains("description") ||
                                     value.get_object().contains("$ref")),
               "a description for each parameter", name + ": " + std::string(key) + " has none");
  });
}

void tool_annotations(trial& t) {
  constexpr std::string_view known[] = {"read_only", "destructive", "idempotent", "open_world"};
  each_tool(t, [&](const std::string& name, const json::object& attributes) {
    const auto& all = object_or_empty(attributes, "annotations");
    for (const auto& [key, value] : all) {
      t.expect(std::find(std::begin(known), std::end(known), key) != std::end(known),
               "annotations read_only, destructive, idempotent, open_world",
               name + ": " + std::string(key));
      t.expect(value.is_bool(), "annotations that are true or false",
               name + ": " + std::string(key) + " is " + json::serialize(value));
    }
    t.expect(!(bool_or(all, "read_only") && bool_or(all, "destructive")),
             "a tool that reads or destroys, not both", name);
  });
}

void tool_annotated(trial& t) {
  each_tool(t, [&](const std::string& name, const json::object& attributes) {
    const auto& all = object_or_empty(attributes, "annotations");
    t.expect(all.contains("read_only"), "\"read_only\" among the annotations",
             name + " leaves open whether it changes anything");
  });
}

void tool_examples(trial& t) {
  each_tool(t, [&](const std::string& name, const json::object& attributes) {
    const auto& schema = object_or_empty(attributes, "parameters");
    const auto compiled = json_schema::parse(json::value(schema), name);
    for (const auto& one : array_or_empty(attributes, "examples"))
      if (const auto errors = compiled.validate(one); !errors.empty())
        t.fail("examples that the parameters admit", name + ": " + to_text(errors));
  });
}

constexpr check table[] = {
    {"manifest.grammar", 1, stage::manifest, "the loader reads it",
     "Compare it with the manifest of a project made by `rustic-ai plugin new`.", grammar,
     stage::manifest},
    {"manifest.contract", 1, stage::manifest, "fits this program",
     "Write \"abi\": {\"major\": 1, \"min_minor\": 0}; raise min_minor only for what you need.",
     contract, stage::manifest},
    {"manifest.provides", 2, stage::manifest, "each target once",
     "Give every service another name.", provides},
    {"manifest.id", 3, stage::manifest, "a plain id",
     "Use something like weather or org.example.weather.", id},
    {"manifest.version", 3, stage::manifest, "a version of three numbers", "Follow semver.org.",
     version},
    {"manifest.description", 4, stage::manifest, "says what it does",
     "Write a sentence for `rustic-ai plugin list`.", description},
    {"manifest.license", 5, stage::manifest, "names its licence",
     "Name the licence by its SPDX identifier.", license},
    {"manifest.revision", 4, stage::manifest, "interfaces have revisions",
     "Write \"interface\": \"rustic.tool/1\".", revision},
    {"manifest.requires", 3, stage::manifest, "requirements are targets",
     "List targets, such as rustic.http/default, in \"requires\" and \"wants\".", requires_known},
    {"manifest.isolation", 3, stage::manifest, "a known isolation",
     "Leave it out, or ask for \"process\".", isolation},
    {"manifest.members", 6, stage::manifest, "no unknown members",
     "Look for a slip of the hand; docs/interfaces tells the members.", members},
    {"manifest.duplicates", 4, stage::manifest, "no member twice",
     "Remove one of the two; readers disagree about which one counts.", duplicates},
    {"manifest.config", 3, stage::manifest, "a usable config schema",
     "Describe [plugin.NAME] as JSON Schema; `rustic-ai config validate` uses it.", config_schema},
    {"manifest.examples", 5, stage::manifest, "config examples fit",
     "Correct the example or the schema.", config_examples},
    {"manifest.tool_text", 3, stage::manifest, "tools are described",
     "Say what it does and when to use it; \"@file.md\" takes a document.", tool_description},
    {"manifest.tool_schema", 2, stage::manifest, "tools have a schema",
     "Put the JSON Schema of the arguments into attributes.parameters.", tool_schema},
    {"manifest.tool_portable", 6, stage::manifest, "providers take the schema",
     "Choose by a parameter instead of by the shape of the arguments.", tool_portable},
    {"manifest.tool_params", 7, stage::manifest, "parameters are described",
     "Give each property a \"description\"; models read them.", tool_parameters_described},
    {"manifest.tool_notes", 3, stage::manifest, "sound annotations",
     "Write \"annotations\": {\"read_only\": true} and the like.", tool_annotations},
    {"manifest.tool_effect", 5, stage::manifest, "tools tell their effect",
     "Say \"read_only\": true or false; permission rules build on it.", tool_annotated},
    {"manifest.tool_examples", 5, stage::manifest, "tool examples fit",
     "Correct the example or the parameters.", tool_examples},
};
}  // namespace

std::span<const check> manifest_checks() {
  return table;
}
}  // namespace rustic::validator
