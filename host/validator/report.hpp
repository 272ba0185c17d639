// host/validator/report.hpp - the verdicts as text for a person, as JSON and as JUnit XML.
#pragma once
#include <string>

#include "host/validator/runner.hpp"

namespace rustic::validator {

// One line for a check that passed; below it what was expected, seen and can be done otherwise.
// Lines fit 60 columns, but for words that do not.
// The reason of a skipped one is left out when `told` is set: somebody has read it already.
std::string text_of(const checked& one, bool told = false);
std::string text_summary(const run_options& with, const run_result& all);
std::string json_report(const run_options& with, const run_result& all);
std::string junit_report(const run_options& with, const run_result& all);
// The table of checks, for people: name, strictness, what holds.
std::string list_of_checks();
}  // namespace rustic::validator
