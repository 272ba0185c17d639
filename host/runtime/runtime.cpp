#include "host/runtime/runtime.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "host/runtime/config/settings.hpp"
#include "host/runtime/limits.hpp"
#include "host/runtime/price_list.hpp"

namespace rustic::runtime {
namespace {

// Further out first. A recording holds what the agent saw, whatever it took to get it. A tool is
// tried again behind the permission: nobody is asked twice.
constexpr std::int32_t recorder_order = 100;
constexpr std::int32_t provider_resilience_order = 200;
constexpr std::int32_t policy_order_default = 250;
constexpr std::int32_t permission_order = 300;
constexpr std::int32_t tool_resilience_order = 400;

kernel::kernel_options kernel_options_for(const options& with, timer_thread& timer) {
  kernel::kernel_options out;
  out.told.on_deadline_changed = [&timer] { timer.wake(); };
  if (with.log) {
    out.told.on_violation = [log = with.log](std::string_view owner, std::string_view what) {
      log(RAI_LOG_ERROR, owner, 0, "broke the contract: " + std::string(what));
    };
    out.told.on_warning = [log = with.log](std::string_view text) {
      log(RAI_LOG_WARN, {}, 0, text);
    };
  }
  return out;
}

bool provides(const kernel::abi::manifest& about, std::string_view interface) {
  return std::any_of(about.provides.begin(), about.provides.end(),
                     [&](const auto& entry) { return entry.interface == interface; });
}

void merge(json::object& into, const json::object& from) {
  for (const auto& [key, value] : from) into[key] = value;
}

// Whether a manifest's configuration schema names this member.
bool wants_member(const kernel::abi::manifest& about, std::string_view member) {
  if (about.config_schema.empty()) return false;
  try {
    return object_or_empty(parse_object(about.config_schema), "properties").contains(member);
  } catch (const failure&) {
    return false;
  }
}
}  // namespace

runtime::runtime(options with)
    : options_(std::move(with)),
      housekeeping_([this] {
        loader_.reap();
        keeper_.write_deaths();
        circuits_.write();
      }),
      kernel_(kernel_options_for(options_, timer_)),
      keeper_(options_, kernel_, [this] { housekeeping_.wake(); }),
      loader_(kernel_, loader_settings()),
      services_(kernel_),
      circuits_(circuit_directory(options_), [this] { housekeeping_.wake(); }) {
  timer_.serve(kernel_);
  const auto told = kernel_.events().subscribe(
      "rustic.resilience.circuit",
      [](void* self, rai_str, rai_str body) {
        static_cast<circuit_notes*>(self)->take(to_view(body));
      },
      &circuits_);
  circuit_events_ = kernel::subscription(kernel_.events(), told);
  provide_timer(services_, timer_);
  provide_basics(services_, options_.resolve_secret, {"http"}, options_.environment);
  add_plugins();
  provide_prices(services_, options_);
  check_providers();
  wire_storage();
  wire_policies();
}

kernel::abi::loader::settings runtime::loader_settings() {
  kernel::abi::loader::settings out;
  out.configuration = [this](const kernel::abi::manifest& about) {
    return configuration_of(about);
  };
  out.instance_names = [this](const kernel::abi::provided& entry) { return instances_of(entry); };
  out.log = options_.log;
  out.generation_directory = options_.cache_directory / "generations";
  if (options_.cache_directory.empty())
    out.generation_directory = std::filesystem::temp_directory_path() /
                               ("rustic-ai-" + std::to_string(geteuid())) / "generations";
  out.on_drained = [this] { housekeeping_.wake(); };
  out.in_place = [this](const kernel::abi::plugin_file& file) { return keeper_.in_place(file); };
  out.isolate = [this](const kernel::abi::plugin_file& file, const std::filesystem::path& image,
                       const std::string& config) { return keeper_.isolate(file, image, config); };
  return out;
}

std::vector<std::string> runtime::targets_of(const kernel::abi::manifest& about) const {
  std::vector<std::string> out;
  for (const auto& entry : about.provides) {
    if (entry.instances.empty()) out.push_back(entry.target());
    for (const auto& name : instances_of(entry)) out.push_back(entry.interface + "/" + name);
  }
  return out;
}

runtime::~runtime() {
  keeper_.stop_watching();
  kernel_.shut_down();
  for (const auto& left : loader_.stop(stop_grace_ms))
    if (options_.log)
      options_.log(RAI_LOG_WARN, left, 0, "calls were still running when the program ended");
  housekeeping_.stop();
  timer_.stop();
  circuits_.write();
}

std::filesystem::path circuit_directory(const options& with) {
  if (with.state_directory.empty()) return {};
  return with.state_directory / "circuits";
}

// Providers that the environment offers, made to fit the plugins that are there.
void runtime::settle_found_providers(const std::vector<kernel::abi::plugin_file>& files) {
  std::set<std::string, std::less<>> types;
  for (const auto& file : files)
    if (file.usable())
      for (const auto& entry : file.about.provides)
        if (entry.interface == "rustic.provider") types.insert(entry.type);
  json::object kept;
  for (const auto& [name, value] : options_.providers) {
    json::object section = value.is_object() ? value.get_object() : json::object();
    const bool found = bool_or(section, "found");
    const std::string dialect(text_or(section, "openai_base_url"));
    const std::string preset(text_or(section, "preset"));
    section.erase("found");
    section.erase("openai_base_url");
    section.erase("preset");
    // A plugin of one's own knows more of a service than what is known here.
    if (!preset.empty() && types.contains(preset)) section["type"] = preset;
    if (found && !types.contains(text_or(section, "type"))) {
      if (dialect.empty() || !types.contains("openai")) continue;
      section["type"] = "openai";
      section["base_url"] = dialect;
    }
    kept[name] = std::move(section);
  }
  options_.providers = std::move(kept);
}

void runtime::add_plugins() {
  const auto files = kernel::abi::find_plugins(paths_of(options_.plugin_directories));
  settle_found_providers(files);
  keeper_.begin(loader_, files,
                [this](const kernel::abi::manifest& about) { return targets_of(about); });
}

bool runtime::offers(std::string_view target) {
  return kernel_.names().find(target).has_value();
}

std::vector<std::string> runtime::instances_of(const kernel::abi::provided& entry) const {
  std::vector<std::string> out;
  if (entry.instances != "providers") return out;
  for (const auto& [name, section] : options_.providers)
    if (section.is_object() && text_or(section.get_object(), "type") == entry.type)
      out.emplace_back(name);
  return out;
}

void runtime::check_providers() const {
  std::set<std::string> types;
  for (const auto& plugin : loader_.list())
    for (const auto& entry : plugin.file.about.provides)
      if (entry.interface == "rustic.provider" &&
          plugin.state != kernel::abi::plugin_state::disabled && plugin.file.usable())
        types.insert(entry.type);
  std::string known;
  for (const auto& type : types) known += (known.empty() ? "" : ", ") + type;
  for (const auto& [name, section] : options_.providers) {
    const auto type = section.is_object() ? text_or(section.get_object(), "type") : "";
    if (!types.contains(std::string(type)))
      throw failure(status_code::failed_precondition,
                    "configuring provider \"" + std::string(name) +
                        "\": no plugin has the type \"" + std::string(type) + "\"",
                    known.empty() ? "no provider plugin was found; see: rustic-ai plugin list"
                                  : "the types are: " + known);
  }
}

// Sessions in memory when the disk cannot hold them: said once, and the program works.
void runtime::wire_storage() {
  std::string backend(text_or(options_.storage, "backend", "sqlite"));
  if (!offers("rustic.storage/" + backend)) {
    std::string known;
    kernel_.names().list("rustic.storage/*", [&](const kernel::listed& one) {
      known += (known.empty() ? "" : ", ") + one.target.substr(one.target.find('/') + 1);
    });
    throw failure(status_code::failed_precondition,
                  "opening the storage: no plugin offers the backend \"" + backend + "\"",
                  known.empty() ? "no storage plugin was found; see: rustic-ai plugin list"
                                : "the backends are: " + known);
  }
  // A replay makes the recorded session again, under its own id: beside the real one it has no
  // place.
  if (text_or(options_.recorder, "mode") == "replay" && offers("rustic.storage/memory"))
    backend = "memory";
  if (backend != "memory") {
    // Made here, because a backend in a cell may write into this directory but not make it.
    const std::filesystem::path file(std::string(text_or(options_.storage, "connection_string")));
    const auto directory = file.empty() ? options_.data_directory : file.parent_path();
    std::error_code problem;
    std::filesystem::create_directories(directory, problem);
    if (backend == "sqlite" && offers("rustic.storage/memory") && !directory.empty() &&
        access(directory.c_str(), W_OK | X_OK) != 0) {
      warnings_.push_back("sessions are not kept: " + directory.string() +
                          " cannot be written; set [storage] connection_string to another place");
      backend = "memory";
    }
  }
  (void)kernel_.names().alias("rustic.storage/default", "rustic.storage/" + backend);
}

void runtime::wire_policies() {
  auto& names = kernel_.names();
  if (!options_.recorder.empty()) {
    for (const auto* pattern :
         {"rustic.provider/*", "rustic.tool/*", "rustic.clock/*", "rustic.id/*"}) {
      const auto done = names.intercept(pattern, recorder_order, "recorder", true);
      if (!done.ok()) throw failure(static_cast<status_code>(done.status), done.message);
    }
  }
  // Not required: a program without it works, only less patiently.
  if (offers("rustic.interceptor/resilience")) {
    const auto before_providers =
        names.intercept("rustic.provider/*", provider_resilience_order, "resilience", false);
    const auto before_tools =
        names.intercept("rustic.tool/*", tool_resilience_order, "resilience", false);
    for (const auto& done : {before_providers, before_tools})
      if (!done.ok()) throw failure(static_cast<status_code>(done.status), done.message);
  }
  place_policies();
  const auto guarded = names.guard("rustic.tool/*", "permission");
  const auto placed = names.intercept("rustic.tool/*", permission_order, "permission", true);
  for (const auto& done : {guarded, placed})
    if (!done.ok()) throw failure(static_cast<status_code>(done.status), done.message);
}

// Policies that the configuration puts in front of others. They are required: one that is missing
// or broken refuses the calls that it was to look at.
void runtime::place_policies() {
  auto& names = kernel_.names();
  std::optional<ledger_state> known;
  for (const auto& named : options_.plugin_sections) {
    const std::string_view id = named.key();
    const auto* section = named.value().if_object();
    if (!section || array_or_empty(*section, "before").empty()) continue;
    if (!known) known = plugin_ledger(ledger_file(options_)).read();
    if (!disabled_because(id, options_, *known).empty()) continue;
    std::vector<std::string> interceptors;
    names.list("rustic.interceptor/*", [&](const kernel::listed& one) {
      if (id == one.owner) interceptors.push_back(one.target);
    });
    if (interceptors.empty()) interceptors.push_back("rustic.interceptor/" + std::string(id));
    const auto order = static_cast<std::int32_t>(int_or(*section, "order", policy_order_default));
    for (const auto& entry : array_or_empty(*section, "before")) {
      std::string pattern;
      if (entry.is_string()) pattern = entry.get_string().c_str();
      const auto refuse = [&](const std::string& why) {
        throw failure(
            status_code::failed_precondition, "placing the policy " + std::string(id) + ": " + why,
            "[plugin." + std::string(id) + "] before lists services such as \"rustic.tool/*\"");
      };
      // One that matches nothing would leave everything unguarded without a word.
      const auto slash = pattern.find('/');
      if (slash == std::string::npos || slash == 0 || slash + 1 == pattern.size() ||
          pattern.find(' ') != std::string::npos)
        refuse("\"" + pattern + "\" names no services");
      for (const auto& interceptor : interceptors)
        if (const auto placed = names.intercept(pattern, order, interceptor, true); !placed.ok())
          refuse(placed.message);
    }
  }
}

json::object runtime::members_of_providers(std::initializer_list<const char*> keys) const {
  json::object out;
  for (const auto& [name, section] : options_.providers) {
    json::object known;
    for (const auto* key : keys)
      if (const auto* value = find(section.as_object(), key)) known[key] = *value;
    out[name] = std::move(known);
  }
  return out;
}

std::string runtime::configuration_of(const kernel::abi::manifest& about) const {
  json::object out = object_or_empty(options_.plugin_sections, about.id);
  for (const auto key : config::program_keys_of_plugin) out.erase(key);
  for (const auto& variable : about.environment) {
    const auto value = options_.environment.find(variable.name);
    if (value != options_.environment.end() && !value->second.empty() &&
        !out.contains(variable.member))
      out[variable.member] = value->second;
  }
  if (provides(about, "rustic.storage")) {
    merge(out, options_.storage);
    out.erase("backend");
    // Each backend has a file of its own.
    const auto file = about.id == "sqlite" ? "sessions.db" : "sessions." + about.id;
    if (!out.contains("connection_string"))
      out["connection_string"] = (options_.data_directory / file).string();
  }
  if (provides(about, "rustic.agent")) {
    out["agents"] = options_.agents;
    out["providers"] = members_of_providers({"model", "context_window"});
  }
  if (about.id == "permission") merge(out, options_.permissions);
  if (about.id == "resilience") {
    merge(out, options_.resilience);
    json::object agents;
    for (const auto& one : options_.agents)
      if (const auto* list = find(one.as_object(), "fallback"))
        agents[text_or(one.as_object(), "name")] = json::object{{"fallback", *list}};
    out["providers"] = members_of_providers({"model", "context_window", "fallback"});
    out["agents"] = std::move(agents);
  }
  if (about.id == "recorder") merge(out, options_.recorder);
  for (const auto& entry : about.provides) {
    if (entry.instances != "providers") continue;
    json::object instances;
    for (const auto& name : instances_of(entry))
      instances[name] = *options_.providers.if_contains(name);
    out["instances"] = std::move(instances);
  }
  if (wants_member(about, "spill_dir") && !out.contains("spill_dir"))
    out["spill_dir"] = (options_.state_directory / "output").string();
  if (wants_member(about, "state_dir") && !out.contains("state_dir"))
    out["state_dir"] = (options_.state_directory / about.id).string();
  if (about.id == "shell" && !out.contains("environment")) {
    json::object passed;
    for (const auto& [name, value] : options_.environment) {
      static constexpr std::string_view allowed[] = {"PATH",
                                                     "HOME",
                                                     "USER",
                                                     "LOGNAME",
                                                     "SHELL",
                                                     "LANG",
                                                     "TZ",
                                                     "TMPDIR",
                                                     "XDG_RUNTIME_DIR",
                                                     "SSH_AUTH_SOCK",
                                                     "EDITOR",
                                                     "PAGER",
                                                     "JAVA_HOME",
                                                     "GOPATH",
                                                     "GOROOT",
                                                     "CARGO_HOME",
                                                     "RUSTUP_HOME",
                                                     "VIRTUAL_ENV",
                                                     "NVM_DIR",
                                                     "PYENV_ROOT",
                                                     "CC",
                                                     "CXX",
                                                     "CFLAGS",
                                                     "CXXFLAGS",
                                                     "LDFLAGS",
                                                     "PKG_CONFIG_PATH",
                                                     "LD_LIBRARY_PATH",
                                                     "HTTP_PROXY",
                                                     "HTTPS_PROXY",
                                                     "NO_PROXY",
                                                     "http_proxy",
                                                     "https_proxy",
                                                     "no_proxy"};
      if (name.starts_with("LC_") ||
          std::find(std::begin(allowed), std::end(allowed), name) != std::end(allowed))
        passed[name] = value;
    }
    out["environment"] = std::move(passed);
  }
  return json::serialize(out);
}

std::unique_ptr<root_call> runtime::start(std::string_view target, std::string_view method,
                                          const json::object& body, const json::object& context,
                                          std::uint32_t timeout_ms) {
  json::object own = context;
  if (!own.contains("principal")) own["principal"] = "user";
  return std::make_unique<root_call>(kernel_, target, method, json::serialize(body),
                                     json::serialize(own), timeout_ms);
}

json::object runtime::call(std::string_view target, std::string_view method,
                           const json::object& body, const json::object& context) {
  return start(target, method, body, context)->result().object();
}
}  // namespace rustic::runtime
