// Which of the known services the environment names.
#include "host/runtime/config/found_providers.hpp"

#include <array>

#include "host/runtime/config/known_services.hpp"

namespace rustic::config {
namespace {
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

template <std::size_t N>
std::string first_set(const std::array<std::string_view, N>& names, const surroundings& around) {
  for (const auto name : names)
    if (!name.empty() && around.variable(std::string(name))) return std::string(name);
  return {};
}

constexpr std::array<std::string_view, 2> ollama_variables{"OLLAMA_HOST", "OLLAMA_BASE_URL"};
}  // namespace

std::string key_of(const known_service& service, const surroundings& around) {
  return first_set(service.keys, around);
}

std::string base_url_variable_of(const known_service& service, const surroundings& around) {
  return first_set(service.base_url_variables, around);
}

std::string ollama_base_url(const surroundings& around) {
  const auto name = first_set(ollama_variables, around);
  return name.empty() ? std::string() : ollama_url(*around.variable(name));
}

std::vector<found_provider> find_providers(const surroundings& around) {
  std::vector<found_provider> found;
  for (const auto& service : known_services()) {
    const auto variable = [&](std::string_view name) {
      return around.variable(std::string(name)).value_or("");
    };
    const auto key = key_of(service, around);
    const auto base_url_variable = base_url_variable_of(service, around);
    const auto base_url = variable(base_url_variable);
    // One that needs no key is meant when its address is told.
    if (service.needs_key() ? key.empty() : base_url.empty()) continue;
    if (service.name == "azure" && base_url.empty()) continue;  // no address, no service
    found_provider entry;
    entry.name = service.name;
    entry.type = service.type;
    entry.base_url = base_url.empty() ? std::string(service.base_url) : base_url;
    if (!key.empty()) entry.api_key = "env:" + key;
    entry.model = variable(service.model_variable);
    if (service.name == "azure" && entry.model.empty())
      entry.model = variable("AZURE_OPENAI_DEPLOYMENT");
    if (entry.model.empty()) entry.model = service.model;
    entry.because = key.empty() ? base_url_variable : key;
    entry.openai_base_url = service.openai_base_url;
    entry.members = json::parse(service.members).as_object();
    found.push_back(std::move(entry));
  }
  if (const auto there = ollama_base_url(around); !there.empty())
    found.push_back(ollama_at(there, around, first_set(ollama_variables, around)));
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
}  // namespace rustic::config
