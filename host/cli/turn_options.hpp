// host/cli/turn_options.hpp - what a command line says about the turns to come.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::cli {

enum class output_form { text, json, stream_json };

// Anything else is text.
inline output_form output_form_from(std::string_view name) noexcept {
  if (name == "json") return output_form::json;
  return name == "stream-json" ? output_form::stream_json : output_form::text;
}

// Of the whole program.
struct global_options {
  std::string config_file;
  std::vector<std::string> set;  // "key=value"
  std::vector<std::string> plugin_dirs;
  std::string directory;  // -C
  std::string log_level, log_file, log_format;
  int verbose = 0;
  bool no_color = false;
};

// Of a chat or a REPL.
struct turn_options {
  std::string prompt;
  bool has_prompt = false;
  std::string agent, provider, model;
  std::string session;  // an id or the beginning of one
  bool continue_latest = false;
  std::string system;
  bool has_system = false;
  std::string output_schema;    // a file: the answer is JSON of this schema
  std::int64_t max_rounds = 0;  // 0: as configured
  std::string permission_mode;
  std::optional<output_form> output;  // none: [defaults] output
  bool quiet = false;
  std::string record_file, replay_file;
  std::string replay_tools = "recorded";  // or "live"
};
}  // namespace rustic::cli
