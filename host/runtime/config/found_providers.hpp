// Providers that the environment offers when none is configured.
#pragma once
#include <rustic/json.hpp>
#include <string>
#include <vector>

#include "host/runtime/config/surroundings.hpp"

namespace rustic::config {
struct found_provider {
  std::string name;      // also the name it is known under
  std::string type;      // the provider plugin that speaks to it
  std::string base_url;  // empty: the plugin's own
  std::string api_key;   // a reference such as "env:OPENAI_API_KEY"; empty: none needed
  std::string model;     // may be empty
  std::string because;   // the variable that led here
  // Where the same service speaks the OpenAI dialect, for when there is no plugin of that type.
  std::string openai_base_url;
  json::object members;  // more of its section
};

// Those of known_services() whose key, or whose address when they need none, is in the environment;
// then OLLAMA_HOST (or OLLAMA_BASE_URL), and OPENAI_BASE_URL without a key (a local server).
// OPENAI_MODEL and its like set the model.
std::vector<found_provider> find_providers(const surroundings& around);

struct known_service;
// The variable with its key, and the one with its address, that is set; empty: none.
std::string key_of(const known_service& service, const surroundings& around);
std::string base_url_variable_of(const known_service& service, const surroundings& around);
// Where the environment says that Ollama is; empty: nowhere.
std::string ollama_base_url(const surroundings& around);
}  // namespace rustic::config
