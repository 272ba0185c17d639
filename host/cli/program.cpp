#include "host/cli/program.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "host/cli/arguments.hpp"
#include "host/cli/terminal.hpp"
#include "host/runtime/config/secret.hpp"
#include "host/runtime/from_config.hpp"

namespace rustic::cli {

program::program(global_options global) : global_(std::move(global)) {
  if (!global_.directory.empty() && chdir(global_.directory.c_str()) != 0)
    throw failure(status_code::invalid_argument,
                  "changing into " + global_.directory + ": " + strerror(errno),
                  "name a directory that is there");
  std::error_code problem;
  (void)std::filesystem::current_path(problem);
  if (problem)  // tools would work in some other place
    throw failure(status_code::invalid_argument,
                  "finding the working directory: " + problem.message(),
                  "change into a directory that is there, or name one with -C");
  around_ = config::surroundings_of_process();
  config::blank_secrets_of_process();
  executable_ = std::filesystem::read_symlink("/proc/self/exe", problem);
}

program::~program() {
  if (log_) log_->attach(nullptr);
  runtime_.reset();
}

config::configuration& program::configuration() {
  if (configuration_) return *configuration_;
  config::load_request request;
  request.around = around_;
  if (!global_.config_file.empty()) request.config_file = global_.config_file;
  request.flags = global_.set;
  configuration_ = std::make_unique<config::configuration>(config::configuration::load(request));
  return *configuration_;
}

void program::notice(const std::string& text) const {
  if (!quiet_) std::fprintf(stderr, "rustic-ai: %s\n", visible(text).c_str());
}

void program::log(int level, std::string_view text, rai_call call) {
  if (logs(level)) log_->write(level, "program", call, text);
}

void program::require_valid_configuration() {
  std::string errors;
  for (const auto& problem : configuration().problems()) {
    if (problem.level == config::severity::error)
      errors += (errors.empty() ? "" : "\n") + config::to_text(problem);
    else
      notice(config::to_text(problem));
  }
  if (!errors.empty())
    throw failure(status_code::failed_precondition, errors,
                  "rustic-ai config explain KEY tells where a value comes from");
}

runtime::options program::options() {
  const std::vector<std::filesystem::path> directories(global_.plugin_dirs.begin(),
                                                       global_.plugin_dirs.end());
  return runtime::from_config(configuration(), around_, executable_, directories);
}

runtime::runtime& program::runtime(const json::object& recorder) {
  if (runtime_) return *runtime_;
  require_valid_configuration();
  const auto& view = configuration().view();

  auto level_name = global_.log_level.empty() ? view.log.level : global_.log_level;
  if (global_.verbose > 0) level_name = global_.verbose > 1 ? "trace" : "debug";
  std::filesystem::path file = global_.log_file.empty() ? view.log.file : global_.log_file;
  if (file.empty()) file = view.paths.state_dir / "log" / "rustic-ai.log";
  const auto form = (global_.log_format.empty() ? view.log.format : global_.log_format) == "json"
                        ? runtime::program_log::format::json
                        : runtime::program_log::format::pretty;
  log_ = std::make_unique<runtime::program_log>(file, runtime::log_level_from(level_name), form);
  log_->copy_to_terminal(global_.verbose > 0);
  if (!global_.log_file.empty() && !log_->open())
    throw failure(status_code::invalid_argument,
                  "writing the log to " + file.string() + ": " + log_->problem(),
                  "name another --log-file");

  auto options = this->options();
  options.recorder = recorder;
  // A replay brings the recorded ids back, and sessions of those ids may be in the database.
  if (text_or(recorder, "mode") == "replay") options.storage = json::object{{"backend", "memory"}};
  auto* log = log_.get();
  options.log = [log](int level, std::string_view plugin, rai_call call, std::string_view text) {
    log->write(level, plugin, call, text);
  };
  options.resolve_secret = [log, around = around_,
                            literal = options.resolve_secret](const std::string& reference) {
    config::secret found;
    if (reference.starts_with("config:"))
      found.value = literal(reference);
    else
      found = config::resolve_secret(reference, around);
    for (const auto& warning : found.warnings) log->write(RAI_LOG_WARN, "config", 0, warning);
    log->hide(found.value);
    return found.value;
  };
  runtime_ = std::make_unique<runtime::runtime>(std::move(options));
  log_->attach(&runtime_->kernel());
  this->log(RAI_LOG_INFO, version_text() + " in " + workspace().string());
  for (const auto& read : configuration().files()) this->log(RAI_LOG_INFO, "read " + read.string());
  for (const auto& warning : runtime_->warnings()) notice(warning);
  return *runtime_;
}

bool program::color_wanted(int descriptor) {
  if (global_.no_color) return false;
  const auto said = text_or(configuration().view().ui, "color", "auto");
  if (said != "auto") return said == "always";
  return isatty(descriptor) != 0 && !around_.variable("NO_COLOR") &&
         around_.variable("TERM").value_or("dumb") != "dumb";
}

json::object program::context(const turn_options& turn, bool interactive) {
  json::object context{
      {"principal", "user"}, {"workspace", workspace().string()}, {"interactive", interactive}};
  std::string mode = turn.permission_mode;
  const auto& view = configuration().view();
  const auto* agent = view.agent(turn.agent.empty() ? view.default_agent : turn.agent);
  if (mode.empty() && agent) mode = text_or(agent->section, "permission_mode");
  if (!mode.empty()) context["permission_mode"] = mode;
  return context;
}

json::object error_object(const error& problem) {
  json::object out{{"code", status_name(problem.code)}, {"message", to_utf8(problem.message)}};
  out["hint"] = problem.hint.empty() ? json::value(nullptr) : json::value(to_utf8(problem.hint));
  return out;
}

void add_usual_hint(error& problem, exit_code code) {
  if (problem.hint.empty() && code == exit_code::configuration)
    problem.hint = "rustic-ai doctor looks for what is wrong";
}

void print_error(const error& problem) {
  // Messages quote servers, files and plugins.
  std::fprintf(stderr, "rustic-ai: %s\n", visible(problem.message).c_str());
  if (!problem.hint.empty()) std::fprintf(stderr, "  %s\n", visible(problem.hint).c_str());
}
}  // namespace rustic::cli
