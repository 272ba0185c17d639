#include "host/validator/trying.hpp"

#include <algorithm>
#include <iterator>

#include "host/validator/limits.hpp"

namespace rustic::validator {

std::string name_of(const sample& one) {
  auto out = one.service + " " + one.plan.method;
  if (!one.what.empty()) out += " (" + one.what + ")";
  return out;
}

answer try_call(running_plugin& p, const sample& one) {
  const auto service = p.life.service(one.service);
  p.t.step(name_of(one));
  return p.host.run(service, one.plan, answer_time_max_ms);
}

std::vector<sample> all_samples(trial& t) {
  std::vector<sample> out;
  for (const auto& target : targets_of(t))
    for (auto& one : samples_of(t, target)) out.push_back(std::move(one));
  return out;
}

std::vector<sample> main_samples(trial& t) {
  auto out = good_samples(t);
  return out.empty() ? one_sample_each(t) : out;
}

std::vector<sample> emitting_samples(running_plugin& p) {
  std::vector<sample> out;
  for (auto& one : main_samples(p.t))
    if (!try_call(p, one).events.empty()) out.push_back(std::move(one));
  if (out.empty()) p.t.skip("none of its calls that can be tried emits an event");
  return out;
}

bool is_harmless(trial& t, const std::string& target) {
  if (interface_of(target) != "rustic.tool") return true;
  const auto& attributes = attributes_of(t, target);
  return bool_or(object_or_empty(attributes, "annotations"), "read_only") ||
         !array_or_empty(object_or_empty(attributes, "parameters"), "required").empty();
}

std::string form_problem(const sample& one, const answer& got) {
  const auto about = name_of(one) + ": ";
  json::object body;
  try {
    body = parse_object(got.body, "body");
    if (got.status == RAI_OK && got.body.empty()) return about + "an empty body";
  } catch (const std::exception& problem) {
    return about + problem.what() + ": " + shown(got.body, 80);
  }
  if (got.status != RAI_OK) {
    if (text_or(body, "message").empty())
      return about + "an error without a message: " + shown(got.body, 80);
    return {};
  }
  if (interface_of(one.plan.target) != "rustic.tool") return {};
  if (!find(body, "success") || !body.at("success").is_bool())
    return about + "no \"success\": " + shown(got.body, 80);
  return {};
}

bool has_secret(std::string_view text) {
  return text.find(stand_ins::secret) != std::string_view::npos;
}
}  // namespace rustic::validator
