// Looks at everything that the program needs, and says what to do about what is broken.
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "host/cli/commands.hpp"
#include "host/cli/finding.hpp"
#include "host/cli/limits.hpp"
#include "host/cli/plugin_survey.hpp"
#include "host/cli/provider_asking.hpp"
#include "host/runtime/config/found_providers.hpp"
#include "host/runtime/config/known_services.hpp"
#include "host/runtime/config/redact.hpp"
#include "host/runtime/config/secret.hpp"

namespace rustic::cli {
namespace {
namespace fs = std::filesystem;

// Whether the service has no list of models, and not whether it cannot be asked.
bool lists_nothing(const call_result& told) {
  if (told.status == status_code::unimplemented) return true;
  if (told.status != status_code::not_found) return false;
  const auto problem = told.problem();
  const auto* details = problem.details.if_object();
  return details && !text_or(*details, "kind").empty();
}

class examination {
 public:
  examination(program& with, const arguments& given, signal_watch& signals)
      : with_(with), given_(given), signals_(signals) {
    configuration();
    providers();
    fallbacks();
    plugins();
    directories();
    if (with_.configuration().ok()) running();
    circuits();
    proxy();
    certificates();
    if (given_.try_them) try_providers();
  }
  const std::vector<finding>& findings() const noexcept { return findings_; }
  // A provider that is needed does not answer, and nothing else is wrong.
  bool only_providers() const noexcept { return silent_providers_ > 0 && !other_problem_; }

 private:
  void say(gravity how, std::string subject, std::string text, std::string hint = {}) {
    other_problem_ = other_problem_ || how == gravity::problem;
    findings_.push_back({how, std::move(subject), std::move(text), std::move(hint)});
  }
  const config::settings& view() { return with_.configuration().view(); }
  void configuration();
  void providers();
  void provider(const config::provider_settings& one, const std::set<std::string>& types);
  std::string key_text(const config::provider_settings& one) const;
  void fallbacks();
  void plugins();
  void directory(const char* what, const fs::path& place, const char* variable);
  void directories();
  void running();
  void circuits();
  void proxy();
  void certificates();
  void try_providers();
  bool needed(const std::string& provider);

  program& with_;
  const arguments& given_;
  signal_watch& signals_;
  std::vector<finding> findings_;
  std::size_t silent_providers_ = 0;
  bool other_problem_ = false;
};

void examination::configuration() {
  const auto& configuration = with_.configuration();
  for (const auto& file : configuration.files()) say(gravity::good, "configuration", file.string());
  if (configuration.files().empty())
    say(gravity::good, "configuration",
        "no file is read; " + (view().paths.config_dir / "config.toml").string() + " would be one");
  for (const auto& problem : configuration.problems())
    say(problem.level == config::severity::error ? gravity::problem : gravity::note,
        "configuration", config::to_text(problem),
        problem.key.empty() ? "" : "rustic-ai config explain " + problem.key);
  if (const auto& project = configuration.project(); project && !project->trusted)
    say(gravity::note, "configuration",
        project->file.string() + " is not trusted and has no effect",
        "read it, then: rustic-ai trust");
}

// Where the key comes from. Never the key.
std::string examination::key_text(const config::provider_settings& one) const {
  if (one.api_key.empty()) return "no key";
  if (one.api_key.starts_with("env:")) return "key from " + one.api_key.substr(4);
  if (one.api_key.starts_with("file:")) return "key from the file " + one.api_key.substr(5);
  if (one.api_key.starts_with("cmd:")) return "key from a command";
  return "key written into the configuration";
}

void examination::provider(const config::provider_settings& one,
                           const std::set<std::string>& types) {
  const auto subject = "provider " + one.name;
  const bool known =
      types.contains(one.type) || (one.from_environment && !one.openai_base_url.empty());
  if (!known) {
    std::string list;
    for (const auto& type : types) list += (list.empty() ? "" : ", ") + type;
    return say(gravity::problem, subject, "no plugin has the type \"" + one.type + "\"",
               list.empty() ? "rustic-ai plugin list shows the plugins" : "the types are: " + list);
  }
  const bool first = one.name == view().default_provider;
  if (!one.api_key.empty())
    if (const auto missing = config::missing_secret(one.api_key, with_.around()); !missing.empty())
      return say(needed(one.name) ? gravity::problem : gravity::note, subject,
                 "its key cannot be had: " + missing);
  std::string text =
      one.type + ", " + (one.model.empty() ? "no model named" : one.model) + ", " + key_text(one);
  if (!one.base_url.empty())
    text += ", at " + std::string(config::redact(json::value(one.base_url)).as_string());
  if (first) text += "; the default";
  say(gravity::good, subject, text + " (" + one.origin + ")");
}

void examination::providers() {
  std::set<std::string> types;
  const plugin_survey survey(with_);
  for (const auto& one : survey.plugins)
    if (one.state() == "ready")
      for (const auto& entry : one.file.about.provides)
        if (entry.interface == "rustic.provider") types.insert(entry.type);
  for (const auto& one : view().providers) provider(one, types);
  const auto* azure = config::find_service("azure");
  const bool looked = view().providers.empty() || view().providers.front().from_environment;
  if (const auto key = config::key_of(*azure, with_.around());
      looked && !key.empty() && config::base_url_variable_of(*azure, with_.around()).empty())
    say(gravity::note, "provider azure", key + " is set, but not where the service is",
        "set AZURE_OPENAI_ENDPOINT to https://NAME.openai.azure.com");
  if (view().providers.empty())
    say(gravity::problem, "providers", "none is configured, and the environment offers none",
        "set OPENAI_API_KEY or another key, or: rustic-ai config init");
}

// The default one, and what stands in for it.
bool examination::needed(const std::string& provider) {
  const auto names = [&](const std::string& target) {
    return target.substr(0, target.find('/')) == provider;
  };
  return provider == view().default_provider ||
         std::any_of(view().fallback.begin(), view().fallback.end(), names);
}

void examination::fallbacks() {
  if (view().fallback.empty()) return;
  std::string list;
  for (const auto& one : view().fallback) list += (list.empty() ? "" : ", then ") + one;
  say(gravity::good, "fallback", list);
}

void examination::plugins() {
  std::size_t good = 0;
  for (auto& one : plugin_findings(with_)) {
    if (one.subject == "configuration") continue;  // told above, in full
    if (one.how == gravity::good)
      ++good;
    else
      say(one.how, "plugins: " + one.subject, one.text, one.hint);
  }
  if (good > 0) {
    const plugin_survey survey(with_);
    const auto ready = std::count_if(survey.plugins.begin(), survey.plugins.end(),
                                     [](const auto& one) { return one.state() == "ready"; });
    say(gravity::good, "plugins", std::to_string(ready) + " are ready");
  }
}

void examination::directory(const char* what, const fs::path& place, const char* variable) {
  auto there = place;
  std::error_code ignored;
  while (!fs::exists(there, ignored) && there.has_relative_path()) there = there.parent_path();
  struct statvfs info {};
  const auto hint = std::string("set ") + variable + " to a directory of yours";
  if (!fs::is_directory(there, ignored))
    return say(gravity::problem, what, there.string() + " is no directory", hint);
  if (access(there.c_str(), W_OK | X_OK) != 0 || statvfs(there.c_str(), &info) != 0)
    return say(gravity::problem, what, place.string() + " cannot be written: " + strerror(errno),
               hint);
  const std::uint64_t free = std::uint64_t{info.f_bavail} * info.f_frsize;
  if (free < disk_free_bytes_min)
    return say(gravity::problem, what,
               place.string() + " has only " + std::to_string(free >> 20) + " MiB left on its disk",
               "make room, or " + hint);
  say(gravity::good, what, place.string() + ", " + std::to_string(free >> 20) + " MiB free");
}

void examination::directories() {
  const auto& paths = view().paths;
  directory("data", paths.data_dir, "XDG_DATA_HOME");
  directory("state", paths.state_dir, "XDG_STATE_HOME");
  directory("cache", paths.cache_dir, "XDG_CACHE_HOME");
}

// What only the runtime knows: whether it can be made, the sessions, the prices.
void examination::running() {
  try {
    auto& runtime = with_.runtime();
    for (const auto& warning : runtime.warnings()) say(gravity::note, "start", warning);
    const auto prices = runtime.call("rustic.price/default", "describe", {});
    if (const auto wrong = text_or(prices, "problem"); !wrong.empty())
      say(gravity::note, "prices", std::string(wrong), "costs are then shown as unknown");
    else
      say(gravity::good, "prices",
          std::to_string(int_or(prices, "models")) + " models, as of " +
              std::string(text_or(prices, "as_of", "no day")));
  } catch (const failure& problem) {
    return say(gravity::problem, "start", problem.problem().message, problem.problem().hint);
  }
  const std::string backend(view().storage.backend.empty() ? "sqlite" : view().storage.backend);
  const auto& written = view().storage.connection_string;
  const auto file = written.empty()
                        ? view().paths.data_dir / "sessions.db"
                        : config::expand_path(written, with_.around(), with_.workspace());
  std::error_code ignored;
  if (backend == "sqlite" && !fs::exists(file, ignored))
    return say(gravity::good, "storage", file.string() + ", with the first session");
  try {
    const auto stats = with_.runtime().call("rustic.storage/default", "stats", {});
    say(gravity::good, "storage",
        std::string(text_or(stats, "backend", backend)) + ", " +
            std::to_string(int_or(stats, "sessions")) + " sessions, " +
            std::to_string(int_or(stats, "bytes") >> 10) + " KiB" +
            (backend == "sqlite" ? ", " + file.string() : ""));
  } catch (const failure& problem) {
    say(gravity::problem, "storage", problem.problem().message, problem.problem().hint);
  }
}

void examination::circuits() {
  const auto found = runtime::circuit_notes::read(runtime::circuit_directory(with_.options()));
  const auto now_ms = runtime::unix_now_ms();
  for (const auto& one : found) {
    const auto failed = one.target + ": " + std::to_string(one.failures) + " failures in a row, " +
                        std::to_string((now_ms - one.since_unix_ms) / 1000) + " s ago";
    if (!one.running)
      say(gravity::note, "circuit", failed + ", in a run that has ended",
          "rustic-ai doctor --try asks it");
    else if (one.until_unix_ms > now_ms)
      say(gravity::note, "circuit",
          failed + "; process " + std::to_string(one.process) + " leaves it alone for another " +
              std::to_string((one.until_unix_ms - now_ms + 999) / 1000) + " s");
    else
      say(gravity::note, "circuit",
          failed + "; process " + std::to_string(one.process) + " tries it with the next request");
  }
  if (found.empty()) say(gravity::good, "circuits", "all are closed");
}

void examination::proxy() {
  for (const auto* name : {"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"})
    if (const auto proxy = with_.around().variable(name)) {
      const auto shown = config::redact(json::value(*proxy));
      return say(gravity::good, "proxy", std::string(shown.as_string()) + " (" + name + ")");
    }
}

// Where TLS finds its authorities, as OpenSSL looks for them.
void examination::certificates() {
  const auto& http = object_or_empty(view().plugins, "http");
  const auto exists = [](const std::string& path) {
    return !path.empty() && access(path.c_str(), R_OK) == 0;
  };
  for (const auto* key : {"ca_file", "ca_path"}) {
    const std::string path(text_or(http, key));
    if (path.empty()) continue;
    if (!exists(path))
      return say(gravity::problem, "TLS", path + " cannot be read: " + strerror(errno),
                 std::string("it is ") + key + " of [plugin.http]");
    return say(gravity::good, "TLS", "authorities in " + path + ", beside the system's");
  }
  const std::string places[] = {with_.around().variable("SSL_CERT_FILE").value_or(""),
                                with_.around().variable("SSL_CERT_DIR").value_or(""),
                                "/etc/ssl/certs/ca-certificates.crt",
                                "/usr/lib/ssl/cert.pem",
                                "/etc/pki/tls/certs/ca-bundle.crt",
                                "/etc/ssl/cert.pem"};
  for (const auto& place : places)
    if (exists(place)) return say(gravity::good, "TLS", "authorities in " + place);
  say(gravity::problem, "TLS", "no certificate authorities are found: no https:// can be trusted",
      "install ca-certificates, or set [plugin.http] ca_file");
}

void examination::try_providers() {
  if (!with_.booted()) return;
  std::vector<provider_question> questions;
  for (const auto& [name, section] : with_.runtime().settings().providers)
    questions.push_back({name, "models", {}});
  auto answers = ask_providers(with_, signals_, questions);
  // Not every service lists its models: then one token is asked for.
  for (std::size_t i = 0; i < questions.size(); ++i) {
    if (!lists_nothing(answers[i].result)) continue;
    json::object part{{"type", "text"}, {"text", "Hi"}};
    json::object message{{"role", "user"}, {"parts", json::array{std::move(part)}}};
    json::object body{{"messages", json::array{std::move(message)}},
                      {"options", {{"max_tokens", 1}}}};
    answers[i] = ask_providers(with_, signals_, {{questions[i].provider, "generate", body}})[0];
  }
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const auto& name = questions[i].provider;
    const auto took = std::to_string(answers[i].latency_ms) + " ms";
    if (!answers[i].result.ok()) {
      const auto problem = answers[i].result.problem();
      const bool is_needed = needed(name);
      silent_providers_ += is_needed ? 1 : 0;
      findings_.push_back(
          {is_needed ? gravity::problem : gravity::note, "trying " + name,
           std::string(status_name(problem.code)) + " after " + took + ": " + problem.message,
           problem.hint});
      continue;
    }
    const auto body = parse_object(answers[i].result.body);
    const auto& models = array_or_empty(body, "models");
    if (!body.contains("models")) {
      say(gravity::good, "trying " + name, "it answers, in " + took);
      continue;
    }
    say(gravity::good, "trying " + name,
        "it answers, in " + took + ", and lists " + std::to_string(models.size()) + " models");
    const auto* known = view().provider(name);
    const bool listed =
        !known || known->model.empty() || models.empty() ||
        std::any_of(models.begin(), models.end(), [&](const json::value& value) {
          return value.is_object() && text_or(value.get_object(), "id") == known->model;
        });
    if (!listed)
      say(gravity::note, "trying " + name, "it does not list its configured model " + known->model,
          "rustic-ai models --provider " + name);
  }
}
}  // namespace

exit_code doctor_command(program& with, const arguments& given, signal_watch& signals) {
  with.set_quiet(true);  // warnings are findings here
  const examination done(with, given, signals);
  const bool good = print_findings(done.findings(), given.json, "Nothing that is needed is broken.",
                                   "There are problems.");
  if (good) return exit_code::done;
  return done.only_providers() ? exit_code::provider : exit_code::configuration;
}
}  // namespace rustic::cli
