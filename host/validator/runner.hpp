// host/validator/runner.hpp - runs checks of one plugin, each in a process of its own, and collects
// the verdicts.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "host/validator/check.hpp"

namespace rustic::validator {

struct run_options {
  std::filesystem::path file;
  std::vector<std::string> only;  // patterns; empty: all
  int strictness = 5;
  std::uint64_t seed = 1;
  std::string config;             // a JSON object for `create`; empty: made from the schema
  bool in_process = false;        // every check in this process, without a limit of time
  std::uint32_t time_max_ms = 0;  // of a check; 0: as its row says
};

struct checked {
  const check* what = nullptr;
  verdict how;
};

struct run_result {
  std::string plugin;  // "hello 1.0.0", as far as it is known
  std::vector<checked> checks;
  std::size_t count(outcome result) const;
  bool passed() const;  // nothing failed, crashed or hung
};

// `seen` is told of each check when it is done. Threads: one, and no other may start processes.
run_result run_checks(const run_options& with, const std::function<void(const checked&)>& seen);

// The child's side: one check in this process; the verdict goes to the descriptor. Does not return
// to code of the plugin.
int run_one_check(const run_options& with, std::string_view name, int report);
}  // namespace rustic::validator
