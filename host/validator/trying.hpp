// host/validator/trying.hpp - calls that checks make, and what every answer must be like.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "host/validator/opened_plugin.hpp"
#include "host/validator/samples.hpp"

namespace rustic::validator {

// "rustic.tool/hello call with every member", for reports and steps.
std::string name_of(const sample& one);

// Makes the call and gives the answer, also one that did not finish.
answer try_call(running_plugin& p, const sample& one);

// Every call of every target that does no harm; good ones first when `good_first`.
std::vector<sample> all_samples(trial& t);
// The good ones, or when there is none, the first of each target.
std::vector<sample> main_samples(trial& t);
// Those of them that emit events; ends the trial as skipped when none does.
std::vector<sample> emitting_samples(running_plugin& p);
// Whether a request that no schema admits can be given to this target: its tools only read, or
// cannot do anything without arguments that are not there.
bool is_harmless(trial& t, const std::string& target);

// What is wrong with an answer's form: status, JSON, the shape of tool results and errors. Empty
// when nothing is.
std::string form_problem(const sample& one, const answer& got);

// The configuration's text with secrets in it, for checks that look for them.
bool has_secret(std::string_view text);
}  // namespace rustic::validator
