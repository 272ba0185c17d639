// The table of well-known variables.
#include "host/runtime/config/found_providers.hpp"

#include <array>

namespace rustic::config {
namespace {
struct known_service {
  const char* name;
  const char* type;
  std::array<const char*, 2> keys;
  const char* base_url_variable;
  const char* model_variable;
  const char* model;
  const char* openai_base_url;
};

// The one place that names default models.
constexpr known_service services[] = {
    {"openai",
     "openai",
     {"OPENAI_API_KEY", nullptr},
     "OPENAI_BASE_URL",
     "OPENAI_MODEL",
     "gpt-4.1-mini",
     ""},
    {"anthropic",
     "anthropic",
     {"ANTHROPIC_API_KEY", nullptr},
     "ANTHROPIC_BASE_URL",
     "ANTHROPIC_MODEL",
     "claude-sonnet-4-6",
     "https://api.anthropic.com/v1"},
    {"gemini",
     "google",
     {"GEMINI_API_KEY", "GOOGLE_API_KEY"},
     "GEMINI_BASE_URL",
     "GEMINI_MODEL",
     "gemini-2.5-flash",
     "https://generativelanguage.googleapis.com/v1beta/openai"},
    {"xai",
     "grok",
     {"XAI_API_KEY", nullptr},
     "XAI_BASE_URL",
     "XAI_MODEL",
     "grok-4.3",
     "https://api.x.ai/v1"},
    {"zai",
     "zai",
     {"ZAI_API_KEY", nullptr},
     "ZAI_BASE_URL",
     "ZAI_MODEL",
     "glm-4.7",
     "https://api.z.ai/api/paas/v4"},
    {"azure",
     "azure",
     {"AZURE_OPENAI_API_KEY", nullptr},
     "AZURE_OPENAI_ENDPOINT",
     "AZURE_OPENAI_MODEL",
     "",
     ""},
    {"openrouter",
     "openrouter",
     {"OPENROUTER_API_KEY", nullptr},
     "OPENROUTER_BASE_URL",
     "OPENROUTER_MODEL",
     "openrouter/auto",
     "https://openrouter.ai/api/v1"},
};
constexpr const char* ollama_model = "qwen3";
constexpr const char* ollama_address = "127.0.0.1";
constexpr const char* ollama_port = "11434";

// OLLAMA_HOST is written for the server: a scheme, a host, a port, each optional, and 0.0.0.0 means
// every address.
std::string ollama_url(std::string host) {
  while (!host.empty() && host.back() == '/') host.pop_back();
  std::string scheme = "http://";
  bool has_scheme = false;
  for (const char* candidate : {"http://", "https://"})
    if (host.starts_with(candidate)) {
      scheme = candidate;
      has_scheme = true;
      host.erase(0, scheme.size());
    }
  std::string name = host, port;
  const auto colon = host.rfind(':');
  const bool bracketed = host.starts_with('[');
  if (colon != std::string::npos &&
      (bracketed ? host.rfind(']') < colon : host.find(':') == colon)) {
    name = host.substr(0, colon);
    port = host.substr(colon + 1);
  } else if (!bracketed && colon != std::string::npos) {
    name = '[' + host + ']';
  }
  if (name.empty() || name == "0.0.0.0" || name == "[::]") name = ollama_address;
  if (port.empty() && !has_scheme) port = ollama_port;
  return scheme + name + (port.empty() ? "" : ":" + port);
}

found_provider ollama_at(const std::string& url, const surroundings& around, std::string because) {
  found_provider entry;
  entry.name = entry.type = "ollama";
  entry.base_url = url;
  entry.model = around.variable("OLLAMA_MODEL").value_or(ollama_model);
  entry.because = std::move(because);
  entry.openai_base_url = url + "/v1";
  return entry;
}
}  // namespace

std::vector<found_provider> find_providers(const surroundings& around) {
  std::vector<found_provider> found;
  for (const auto& service : services) {
    for (const char* key : service.keys) {
      if (!key || !around.variable(key)) continue;
      found_provider entry;
      entry.name = service.name;
      entry.type = service.type;
      entry.base_url = around.variable(service.base_url_variable).value_or("");
      if (entry.type == "azure" && entry.base_url.empty()) break;  // no address, no service
      entry.api_key = std::string("env:") + key;
      entry.model = around.variable(service.model_variable).value_or(service.model);
      if (entry.type == "azure" && entry.model.empty())
        entry.model = around.variable("AZURE_OPENAI_DEPLOYMENT").value_or("");
      entry.because = key;
      entry.openai_base_url = service.openai_base_url;
      found.push_back(std::move(entry));
      break;
    }
  }
  if (const auto host = around.variable("OLLAMA_HOST"))
    found.push_back(ollama_at(ollama_url(*host), around, "OLLAMA_HOST"));
  const auto url = around.variable("OPENAI_BASE_URL");
  if (url && !around.variable("OPENAI_API_KEY")) {
    found_provider entry;
    entry.name = "local";
    entry.type = "openai";
    entry.base_url = *url;
    entry.model = around.variable("OPENAI_MODEL").value_or("");
    entry.because = "OPENAI_BASE_URL";
    found.push_back(std::move(entry));
  }
  return found;
}

found_provider usual_ollama(const surroundings& around) {
  return ollama_at(ollama_url(""), around, "the usual address of Ollama");
}
}  // namespace rustic::config
