// The sources of configuration as layers, and how they combine.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "host/runtime/config/document.hpp"
#include "host/runtime/config/surroundings.hpp"

namespace rustic::config {
struct layer {
  std::string name;  // "built-in", "user", "project", "file", "environment", "flags"
  document doc;
  // For environment and flags: the text each key was read from.
  std::map<std::string, std::string> raw;
  bool active = true;  // false: kept only to explain why it has no effect
};

// Tables merge by key; everything else replaces.
void merge(json::object& base, const json::object& over);

// RUSTIC_AI_A__B=x sets a.b. Names match known and existing keys without regard to case, and "_"
// matches "-". `below` is what the layers below give. RUSTIC_AI_CONFIG is not a key.
layer environment_layer(const surroundings& around, const json::object& below,
                        const json::value& schema, std::vector<problem>& problems);
// Each flag is "key=value" with a dotted key.
layer flags_layer(const std::vector<std::string>& flags, const json::value& schema,
                  std::vector<problem>& problems);

// Splits a project's document into what it may set without being trusted (kept in it) and the rest,
// which is dropped with a warning for each key. `advice` says how to trust it.
void keep_harmless(document& doc, const json::value& schema, const std::string& advice,
                   std::vector<problem>& problems);

// The table at these names, made where it is missing or no table.
json::object& table_at(json::object& root, const std::vector<std::string>& names);
}  // namespace rustic::config
