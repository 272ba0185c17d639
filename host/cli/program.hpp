// host/cli/program.hpp - configuration, log and runtime of one run of the program, made when they
// are first needed.
#pragma once
#include <filesystem>
#include <memory>
#include <rustic/json.hpp>
#include <string>

#include "host/cli/exit_code.hpp"
#include "host/cli/turn_options.hpp"
#include "host/runtime/config/configuration.hpp"
#include "host/runtime/program_log.hpp"
#include "host/runtime/runtime.hpp"

namespace rustic::cli {

// Threads: the main thread.
class program {
 public:
  // Changes into -C. Throws failure(INVALID_ARGUMENT) when that cannot be done.
  explicit program(global_options global);
  ~program();

  const global_options& global() const noexcept { return global_; }
  const config::surroundings& around() const noexcept { return around_; }
  // The loaded configuration, whatever is wrong with it.
  config::configuration& configuration();
  // Throws failure(FAILED_PRECONDITION) that lists every error; says the warnings on standard
  // error.
  void require_valid_configuration();
  // Boots on first use. `recorder` is the recorder's section and counts at the boot only.
  runtime::runtime& runtime(const json::object& recorder = {});
  // What the runtime is made of, as far as the configuration says it, whatever is wrong with it.
  runtime::options options();
  bool booted() const noexcept { return runtime_ != nullptr; }

  std::filesystem::path workspace() const { return around_.cwd; }
  // Whether escape sequences may be written there: the command line says, else the configuration,
  // else the environment and the descriptor.
  bool color_wanted(int descriptor);
  // The root context of a turn.
  json::object context(const turn_options& turn, bool interactive);
  // For a line on standard error that is no error.
  void notice(const std::string& text) const;
  // For the log, once the runtime is there. Never what was said or what a tool was given.
  bool logs(int level) const noexcept { return log_ && log_->wants(level); }
  void log(int level, std::string_view text, rai_call call = 0);
  void set_quiet(bool quiet) noexcept { quiet_ = quiet; }

 private:
  global_options global_;
  config::surroundings around_;
  std::filesystem::path executable_;
  std::unique_ptr<config::configuration> configuration_;
  std::unique_ptr<runtime::program_log> log_;
  std::unique_ptr<runtime::runtime> runtime_;
  bool quiet_ = false;
};

// {"code", "message", "hint"} for those who read JSON.
json::object error_object(const error& problem);
// What to do about a configuration that does not work, for an error that does not say it itself.
void add_usual_hint(error& problem, exit_code code);
// "rustic-ai: MESSAGE" and "  HINT" on standard error.
void print_error(const error& problem);
}  // namespace rustic::cli
