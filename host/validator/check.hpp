// host/validator/check.hpp - what a check is, and the table of all of them.
//
// How the validator works
//   The program rustic-ai-validator takes a plugin file and runs the checks of the table, each in a
//   process of its own: it starts itself again with --check NAME in an empty scratch folder with an
//   empty environment. The child writes lines of JSON to a pipe: {"step": TEXT} says what comes
//   next, so that a crash has a place; {"result": ...} is the verdict and ends the check. A child
//   that ends without a verdict has crashed; one that outlives its time is killed and hung.
//
// How to add a check
//   Write `void name(trial& t)` into the file of its family (static_checks.cpp and so on), add a
//   row to the table at that file's end, and add a fault that breaks it to
//   tests/validator/bad/faults.py.
//   The function returns when all is well, or calls t.fail(expected, seen) or t.skip(reason). It
//   says t.step("...") before anything that may crash. Parts: opened_plugin and instance (the life
//   of a plugin), strict_host (the host that records breaches), samples (configurations and calls).
//   Checks may leave threads, memory and descriptors behind: their process ends with them.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/validator/limits.hpp"

namespace rustic::validator {
class trial;

enum class outcome { passed, failed, warning, skipped, crashed, hung };
std::string_view outcome_name(outcome result) noexcept;

struct verdict {
  outcome result = outcome::passed;
  std::string expected;  // of what did not pass
  std::string seen;
  std::string reason;  // of what was skipped
  std::uint32_t duration_ms = 0;
};

// What must be true of a plugin before a check says anything. A check that `proves` a stage and
// fails makes everything that needs it skipped.
enum class stage : std::uint8_t { nothing, file, manifest, opened, created, answers };

struct check {
  std::string_view name;  // "static.exports": family and name
  int level;              // runs when the strictness is at least that; 5 is what publishing asks
  stage needs;
  std::string_view title;   // what holds, in a few words
  std::string_view advice;  // what to do, and what of the SDK does it right
  void (*run)(trial&);
  stage proves = stage::nothing;
  bool advisory = false;      // a breach is a warning
  bool ends_process = false;  // afterwards the process exits, and must do so with status 0
  std::uint32_t time_max_ms = check_time_max_ms;
};

// One list for each family.
std::span<const check> static_checks();
std::span<const check> manifest_checks();
std::span<const check> import_checks();
std::span<const check> load_checks();
std::span<const check> create_checks();
std::span<const check> contract_checks();
std::span<const check> argument_checks();
std::span<const check> async_checks();
std::span<const check> robust_checks();
std::span<const check> unload_checks();
std::span<const check> storage_checks();
std::span<const check> provider_checks();
std::span<const check> performance_checks();

// All of them, in the order in which they run.
std::vector<const check*> all_checks();
const check* find_check(std::string_view name);

// Whether `name` is meant by a pattern: the name itself, its family, or a text with `*`.
bool matches(std::string_view pattern, std::string_view name);
}  // namespace rustic::validator
