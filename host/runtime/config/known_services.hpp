// host/runtime/config/known_services.hpp - model services that are known by name: which plugin
// speaks to them, where they are, which variable holds the key.
#pragma once
#include <array>
#include <span>
#include <string_view>

namespace rustic::config {
struct known_service {
  std::string_view name;                 // what `type` may say, and what it is found as
  std::string_view type;                 // the provider plugin that speaks to it
  std::array<std::string_view, 2> keys;  // variables; without any it needs no key
  std::array<std::string_view, 3> base_url_variables;  // the first that is set holds
  std::string_view model_variable;
  std::string_view model;            // the default; empty: the first that the server lists
  std::string_view base_url;         // empty: the plugin's own
  std::string_view openai_base_url;  // where it speaks Chat Completions, without its plugin
  std::string_view members;          // JSON: what else its section holds

  bool is_preset() const { return name != type; }
  bool needs_key() const { return !keys[0].empty(); }
};

// In the order in which they are looked for.
std::span<const known_service> known_services();
// Null: none has this name.
const known_service* find_service(std::string_view name);
}  // namespace rustic::config
