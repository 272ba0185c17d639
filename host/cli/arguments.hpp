// host/cli/arguments.hpp - the command line, parsed.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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
  tools_list,
  agents_list,
  trust,
  untrust,
  completion,
};

struct arguments {
  command what = command::repl;
  global_options global;
  turn_options turn;
  bool json = false;                // --output json of a list
  std::string subject;              // a session, key, plugin or shell
  std::string value;                // of config set
  std::string scope;                // "user" or "project"
  std::string format = "markdown";  // of session export
  std::string file;                 // of session export; empty: standard output
  std::int64_t limit = 0;           // of lists; 0: the default
  bool all = false;                 // sessions of every workspace
  bool force = false;               // delete without asking
};

// What parsing ends with: arguments, or a text to print (help, version, an error) and an exit
// status.
struct parsed {
  std::optional<arguments> value;
  std::string text;
  int exit_status = 0;
};

parsed parse_arguments(int count, const char* const* words);
std::string version_text();
}  // namespace rustic::cli
