// host/cli/arguments.hpp - the command line, parsed.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/cli/argument_offers.hpp"
#include "host/cli/turn_options.hpp"

namespace rustic::cli {

enum class command {
  repl,
  chat,
  demo,
  session_list,
  session_show,
  session_resume,
  session_export,
  session_delete,
  config_init,
  config_show,
  config_get,
  config_set,
  config_explain,
  config_validate,
  config_path,
  plugin_list,
  plugin_info,
  plugin_install,
  plugin_remove,
  plugin_enable,
  plugin_disable,
  plugin_reload,
  plugin_validate,
  plugin_new,
  plugin_doctor,
  tools_list,
  agents_list,
  models,
  doctor,
  trust,
  untrust,
  completion,
};

// Of `plugin validate FILE`; the file is arguments::subject.
struct validate_options {
  std::vector<std::string> only;  // names of checks or groups; empty: all
  std::int64_t strictness = 5;    // 1 to 10
  std::string output = "text";    // "json", "junit"
  bool in_process = false;        // checks without a process each
  std::optional<std::uint64_t> seed;
};

// Of `plugin new NAME`; the name is arguments::subject.
struct new_plugin_options {
  std::string kind = "tool";  // "provider", "storage", "policy", "engine"
  std::string lang = "cpp";   // "c"
  std::string to;             // the directory to make; empty: NAME in the current one
};

struct arguments {
  command what = command::repl;
  global_options global;
  turn_options turn;
  bool json = false;                // --output json of a list
  std::string subject;              // a session, key, plugin, file or shell
  std::string value;                // of config set
  std::string scope;                // "user" or "project"
  std::string format = "markdown";  // of session export
  std::string file;                 // of session export; empty: standard output
  std::int64_t limit = 0;           // of lists; 0: the default
  bool all = false;                 // sessions of every workspace
  bool try_them = false;            // of doctor: ask the providers
  bool force = false;               // delete without asking; replace another plugin
  validate_options validate;
  new_plugin_options new_plugin;
};

// What parsing ends with: arguments, or a text to print (help, version, an error) and an exit
// status.
struct parsed {
  std::optional<arguments> value;
  std::string text;
  std::string hint;  // of an error, also part of the text: which help to see
  int exit_status = 0;
};

parsed parse_arguments(int count, const char* const* words);
// What could stand at the last of these words, the program's own name left out.
argument_offers offers_for(const std::vector<std::string>& words);
std::string version_text();
}  // namespace rustic::cli
