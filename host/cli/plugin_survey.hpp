// host/cli/plugin_survey.hpp - all plugin files with what configuration and ledger say about them.
// Opens none, and works with a configuration that is broken.
#pragma once
#include <string>
#include <vector>

#include "host/cli/program.hpp"
#include "host/runtime/generation_notes.hpp"
#include "host/runtime/options.hpp"
#include "host/runtime/plugin_ledger.hpp"
#include "host/runtime/plugin_placement.hpp"

namespace rustic::cli {

struct surveyed_plugin {
  kernel::abi::plugin_file file;
  runtime::placement where;
  runtime::ledger_plugin known;
  std::string disabled;              // why; empty: it is not
  std::vector<std::string> missing;  // what it requires and nothing offers
  std::string from;                  // "program", "user", "paths" or "option"
  // By programs that run and have exchanged it, the highest generation first.
  std::vector<runtime::served_generation> served;

  // "ready", "disabled", "quarantined", "shadowed", "unusable" or "incomplete".
  std::string_view state() const;
  // Of every state but ready.
  std::string reason() const;
  // Its id, or the name of a file that says none.
  std::string name() const;
};

struct plugin_survey {
  explicit plugin_survey(program& with);

  runtime::options settings;
  runtime::plugin_ledger ledger;
  runtime::ledger_state known;
  std::filesystem::path user_directory;
  std::vector<surveyed_plugin> plugins;

  // The one that is used, else any of that id or file name. Throws failure(INVALID_ARGUMENT) with
  // the nearest name.
  const surveyed_plugin& at(const std::string& name) const;
  bool shipped(const kernel::abi::plugin_file& file) const;
};
}  // namespace rustic::cli
