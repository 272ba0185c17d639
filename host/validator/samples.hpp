// host/validator/samples.hpp - configurations and calls to try a plugin with. Nothing in them does
// harm: arguments that a schema admits are only made for tools that read, or taken from the
// examples that a manifest gives.
#pragma once
#include <string>
#include <vector>

#include "host/validator/strict_host.hpp"
#include "host/validator/trial.hpp"

namespace rustic::validator {

// The folder that calls name as their workspace, with a few files in it.
std::string workspace_of(trial& t);

// The configuration that `create` gets: what was given on the command line, else the first of the
// schema's "examples", else its required members. In its texts, ${scratch} becomes the scratch
// folder and ${unique} a number that is another one for each configuration.
// Services that the configuration lists ("instances") get one of the name `validator`.
std::string sample_config(trial& t);
// The same with every member of the schema; empty when none can be made.
std::string full_config(trial& t);
// Configurations that the schema refuses or that are no JSON at all.
std::vector<std::string> wrong_configs(trial& t);

// The targets of the manifest, in its order.
std::vector<std::string> targets_of(trial& t);
const json::object& attributes_of(trial& t, std::string_view target);
std::string_view interface_of(std::string_view target);

enum class sample_kind {
  good,           // arguments that the schema or the interface admits
  bad_arguments,  // a known method with a request that it refuses
  no_method,
};
struct sample {
  sample_kind kind = sample_kind::good;
  std::string what;     // for a report: "without \"path\""
  std::string service;  // whose service to call; of an interceptor not the target of the plan
  call_plan plan;
};
// Calls of one target, at least one. Deterministic for a seed.
std::vector<sample> samples_of(trial& t, const std::string& target);
// The first of each target: good where there is a good one.
std::vector<sample> one_sample_each(trial& t);
// Good calls of all targets; empty when the plugin has none that do no harm.
std::vector<sample> good_samples(trial& t);

// A call of `target` whose request is that text.
call_plan with_body(const call_plan& plan, std::string body);
}  // namespace rustic::validator
