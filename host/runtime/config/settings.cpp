// From the checked value to what the runtime uses, and the references between its parts.
#include "host/runtime/config/settings.hpp"

#include <algorithm>
#include <rustic/schema.hpp>
#include <rustic/status.hpp>

#include "config_texts.hpp"
#include "host/runtime/config/configuration.hpp"
#include "host/runtime/config/files.hpp"
#include "host/runtime/config/found_providers.hpp"
#include "host/runtime/config/key_path.hpp"
#include "host/runtime/config/known_services.hpp"
#include "host/runtime/config/limits.hpp"

namespace rustic::config {
namespace {
// A file with errors still has a view, so nothing here relies on types.
std::string text(const json::object& table, std::string_view key) {
  return std::string(text_or(table, key));
}

std::vector<std::string> texts(const json::object& table, std::string_view key) {
  std::vector<std::string> result;
  for (const auto& item : array_or_empty(table, key))
    if (item.is_string()) result.emplace_back(item.as_string());
  return result;
}

template <class Entry>
std::string name_hint(const std::string& wanted, const std::vector<Entry>& entries,
                      std::string_view what) {
  std::vector<std::string_view> known;
  for (const auto& entry : entries) known.emplace_back(entry.name);
  if (const auto near = nearest_word(wanted, known); !near.empty())
    return "; did you mean `" + std::string(near) + "`?";
  if (known.empty()) return "; none is configured, add [" + std::string(what) + ".NAME]";
  std::string list = "; there is ";
  for (std::size_t i = 0; i < std::min(known.size(), listed_keys_max); ++i)
    list += (i ? ", " : "") + std::string(known[i]);
  return list;
}
}  // namespace

const provider_settings* settings::provider(std::string_view name) const {
  for (const auto& entry : providers)
    if (entry.name == name) return &entry;
  return nullptr;
}

const agent_settings* settings::agent(std::string_view name) const {
  for (const auto& entry : agents)
    if (entry.name == name) return &entry;
  return nullptr;
}

bool settings::is_plugin_enabled(std::string_view name) const {
  return bool_or(object_or_empty(plugins, name), "enabled", true);
}

void configuration::build_view() {
  const bool again = !view_.agents.empty();
  const auto paths = view_.paths;
  view_ = {};
  view_.paths = paths;
  const std::size_t before = problems_.size();
  const auto& defaults = object_or_empty(value_, "defaults");
  view_.default_model = text(defaults, "model");
  view_.default_output = text(defaults, "output");
  view_.permissions = object_or_empty(value_, "permissions");
  view_.limits = object_or_empty(value_, "limits");
  view_.ui = object_or_empty(value_, "ui");
  view_.plugins = object_or_empty(value_, "plugin");
  view_.resilience = object_or_empty(value_, "resilience");

  const auto& storage = object_or_empty(value_, "storage");
  view_.storage.backend = text(storage, "backend");
  view_.storage.connection_string = text(storage, "connection_string");
  if (const auto* size = find(storage, "max_history_size"); size && size->is_int64())
    view_.storage.max_history_size = size->as_int64();

  // A relative path means the directory of the file that says it, not the one we run in.
  const auto base = [&](std::string_view key) {
    const std::filesystem::path file = where(key).file;
    return file.is_absolute() ? file.parent_path() : around_.cwd;
  };
  const auto& log = object_or_empty(value_, "log");
  view_.log.level = text(log, "level");
  view_.log.format = text(log, "format");
  if (const auto file = text(log, "file"); !file.empty())
    view_.log.file = expand_path(file, around_, base("log.file")).string();

  const auto& plugins = object_or_empty(value_, "plugins");
  for (const auto& item : array_or_empty(plugins, "paths")) {
    const auto written = item.is_object() ? item.get_object() : json::object{{"path", item}};
    const auto path = text(written, "path");
    if (!path.empty())
      view_.plugin_paths.push_back({expand_path(path, around_, base("plugins.paths")),
                                    bool_or(written, "dev"), text(written, "isolation")});
  }
  view_.trusted_plugins = texts(plugins, "trusted");

  build_providers();
  build_agents();
  check_references();
  check_prices();
  if (again) problems_.resize(before);  // they have been reported
}

namespace {
// What is known of a service and not written. The key of the environment is for the service's own
// address alone.
void complete(provider_settings& entry, const known_service& service, const surroundings& around) {
  if (entry.base_url.empty()) {
    const auto variable = base_url_variable_of(service, around);
    entry.base_url = around.variable(variable).value_or(std::string(service.base_url));
    if (const auto key = key_of(service, around); entry.api_key.empty() && !key.empty())
      entry.api_key = "env:" + key;
  }
  if (!service.is_preset()) return;
  entry.preset = entry.type;
  entry.type = service.type;
  if (entry.model.empty()) entry.model = service.model;
  const json::value members = json::parse(service.members);
  for (const auto& [key, value] : members.as_object())
    if (!entry.section.contains(key)) entry.section[key] = value;
}
}  // namespace

void configuration::build_providers() {
  for (const auto& [name, value] : object_or_empty(value_, "providers")) {
    const auto* section = value.if_object();
    if (!section) continue;
    const auto key = join("providers", name);
    provider_settings entry;
    entry.name = name;
    entry.type = text(*section, "type");
    entry.base_url = text(*section, "base_url");
    entry.api_key = text(*section, "api_key");
    entry.model = text(*section, "model");
    entry.models = texts(*section, "models");
    entry.section = *section;
    entry.origin = to_text(where(key));
    if (entry.type.empty())
      report(severity::error, key, "lacks the key `type`, such as type = \"openai\"");
    if (const auto* service = find_service(entry.type)) complete(entry, *service, around_);
    if (entry.type == "ollama" && entry.base_url.empty()) entry.base_url = ollama_base_url(around_);
    view_.providers.push_back(std::move(entry));
  }
  if (!view_.providers.empty()) return;
  for (auto& found : find_providers(around_)) {
    provider_settings entry;
    entry.name = found.name;
    entry.type = found.type;
    entry.base_url = found.base_url;
    entry.api_key = found.api_key;
    entry.model = found.model;
    entry.section = found.members;
    entry.section["type"] = found.type;
    if (!found.base_url.empty()) entry.section["base_url"] = found.base_url;
    if (!found.api_key.empty()) entry.section["api_key"] = found.api_key;
    if (!found.model.empty()) entry.section["model"] = found.model;
    entry.origin = "environment " + found.because;
    entry.openai_base_url = found.openai_base_url;
    entry.from_environment = true;
    view_.providers.push_back(std::move(entry));
  }
}

void configuration::build_agents() {
  for (const auto& [name, value] : object_or_empty(value_, "agents")) {
    const auto* section = value.if_object();
    if (!section) continue;
    const auto key = join("agents", name);
    agent_settings entry;
    entry.name = name;
    entry.provider = text(*section, "provider");
    entry.model = text(*section, "model");
    entry.description = text(*section, "description");
    entry.system_prompt = text(*section, "system_prompt");
    entry.section = *section;
    entry.origin = to_text(where(key));
    if (const auto file = text(*section, "system_prompt_file"); !file.empty()) {
      const auto file_key = join(key, "system_prompt_file");
      const std::filesystem::path source = where(file_key).file;
      const auto path =
          expand_path(file, around_, source.is_absolute() ? source.parent_path() : around_.cwd);
      try {
        if (!entry.system_prompt.empty())
          report(severity::error, file_key, "stands beside system_prompt; keep one of them");
        else
          entry.system_prompt = to_utf8(read_file(path, prompt_file_bytes_max));
      } catch (const failure& error) {
        report(severity::error, file_key, error.what());
      }
      entry.section.erase("system_prompt_file");
    }
    // An agent without a list of tools has them all; one with an empty list has none.
    entry.tools =
        section->contains("tools") ? texts(*section, "tools") : std::vector<std::string>{"*"};
    // The usual words speak of tools, which another engine may not have.
    if (entry.system_prompt.empty() && text(*section, "engine").empty())
      entry.system_prompt = std::string(embedded::assistant_md);
    entry.section["system_prompt"] = entry.system_prompt;
    entry.section["tools"] = json::array(entry.tools.begin(), entry.tools.end());
    view_.agents.push_back(std::move(entry));
  }
  if (!view_.agents.empty()) return;
  agent_settings entry;
  entry.name = "assistant";
  entry.description = "Works on the computer with every tool there is";
  entry.system_prompt = std::string(embedded::assistant_md);
  entry.tools = {"*"};
  entry.section = {{"description", entry.description},
                   {"system_prompt", entry.system_prompt},
                   {"tools", json::array{"*"}}};
  entry.origin = "built-in default";
  view_.agents.push_back(std::move(entry));
}

void configuration::check_references() {
  const auto& defaults = object_or_empty(value_, "defaults");
  view_.default_agent = text(defaults, "agent");
  if (view_.default_agent.empty()) {
    view_.default_agent = view_.agents.front().name;
  } else if (!view_.agent(view_.default_agent)) {
    report(severity::error, "defaults.agent",
           "there is no agent `" + view_.default_agent + "`" +
               name_hint(view_.default_agent, view_.agents, "agents"));
  }
  view_.default_provider = text(defaults, "provider");
  if (view_.default_provider.empty()) {
    if (!view_.providers.empty()) view_.default_provider = view_.providers.front().name;
  } else if (!view_.provider(view_.default_provider)) {
    report(severity::error, "defaults.provider",
           "there is no provider `" + view_.default_provider + "`" +
               name_hint(view_.default_provider, view_.providers, "providers"));
  }
  for (const auto& agent : view_.agents) {
    const auto key = join("agents", agent.name);
    if (!agent.provider.empty() && !view_.provider(agent.provider))
      report(severity::error, join(key, "provider"),
             "there is no provider `" + agent.provider + "`" +
                 name_hint(agent.provider, view_.providers, "providers"));
    check_fallback(key, agent.section);
  }
  for (const auto& provider : view_.providers)
    check_fallback(join("providers", provider.name), provider.section);
  check_fallback({}, value_);
  check_fallback("resilience", view_.resilience);
  const bool in_both = value_.contains("fallback") && view_.resilience.contains("fallback");
  if (in_both)
    report(severity::error, "resilience.fallback",
           "stands at the top of a file too, as `fallback`; keep one of them");
  view_.fallback = texts(value_.contains("fallback") ? value_ : view_.resilience, "fallback");
}

// A stand-in that does not exist would be missed when it is needed.
void configuration::check_fallback(const std::string& section_key, const json::object& section) {
  const auto key = section_key.empty() ? std::string("fallback") : join(section_key, "fallback");
  const auto targets = texts(section, "fallback");
  if (targets.size() > fallback_targets_max)
    report(severity::error, key,
           "names " + std::to_string(targets.size()) + " targets; at most " +
               std::to_string(fallback_targets_max) + " are tried");
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const auto slash = targets[i].find('/');
    const auto name = targets[i].substr(0, slash);
    if (slash != std::string::npos && slash + 1 == targets[i].size())
      report(severity::error, join(key, i),
             "names no model behind the slash; write PROVIDER or PROVIDER/MODEL");
    else if (!view_.provider(name))
      report(severity::error, join(key, i),
             "there is no provider `" + name + "`" + name_hint(name, view_.providers, "providers") +
                 "; write PROVIDER or PROVIDER/MODEL");
  }
}

// A price that cannot be used would silently be none.
void configuration::check_prices() {
  for (const auto& [name, value] : object_or_empty(value_, "prices")) {
    const auto* section = value.if_object();
    if (!section) continue;
    const auto key = join("prices", name);
    const std::string_view model(name);
    const auto slash = model.find('/');
    if (slash == 0 || slash == std::string_view::npos || slash + 1 == model.size())
      report(severity::error, key,
             "is no NAME/MODEL; write [prices.\"PROVIDER/" + std::string(model) + "\"]");
    for (const auto* rate : {"input", "output"})
      if (!section->contains(rate))
        report(severity::error, key,
               "lacks the key `" + std::string(rate) + "`, in USD for a million tokens");
    std::int64_t last = 0;
    for (const auto& tier : array_or_empty(*section, "tiers")) {
      const auto* object = tier.if_object();
      const auto from = object ? int_or(*object, "from_input_tokens", last + 1) : last + 1;
      if (from <= last)
        report(severity::error, join(key, "tiers"),
               "is not in ascending order of from_input_tokens");
      last = from;
    }
  }
}
}  // namespace rustic::config
