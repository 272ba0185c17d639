#include "host/validator/samples.hpp"

#include <filesystem>
#include <fstream>

#include "host/validator/generator.hpp"

namespace rustic::validator {
namespace {
namespace fs = std::filesystem;
constexpr std::string_view instance_name = "validator";

void replace_mark(std::string& words, std::string_view mark, const std::string& by) {
  if (const auto at = words.find(mark); at != std::string::npos) words.replace(at, mark.size(), by);
}

void replace_scratch(json::value& value, const std::string& scratch, const std::string& unique) {
  if (auto* text = value.if_string()) {
    std::string words(text->begin(), text->end());
    replace_mark(words, "${scratch}", scratch);
    replace_mark(words, "${unique}", unique);
    value = json::string(words);
  } else if (auto* object = value.if_object()) {
    for (auto& [key, member] : *object) replace_scratch(member, scratch, unique);
  } else if (auto* list = value.if_array()) {
    for (auto& member : *list) replace_scratch(member, scratch, unique);
  }
}

// Passwords and the like become the text that no plugin may tell.
void plant_secrets(json::value& value) {
  if (auto* object = value.if_object()) {
    for (auto& [key, member] : *object) {
      const std::string_view name(key);
      const bool is_secret = name.find("password") != name.npos ||
                             name.find("secret") != name.npos || name.ends_with("token");
      if (member.is_string() && is_secret)
        member = json::string(stand_ins::secret);
      else
        plant_secrets(member);
    }
  } else if (auto* list = value.if_array()) {
    for (auto& member : *list) plant_secrets(member);
  }
}

// What a configured provider or the like needs, as far as its schema knows the members.
json::object instance_config(const json::object& schema, std::string_view type) {
  json::object out{{"type", type}};
  const auto& one = object_or_empty(
      object_or_empty(object_or_empty(schema, "properties"), "instances"), "additionalProperties");
  const auto& known = object_or_empty(one, "properties");
  const std::pair<const char*, const char*> usual[] = {{"base_url", "https://provider.invalid/v1"},
                                                       {"api_key", "env:VALIDATOR_KEY"},
                                                       {"model", "m"}};
  for (const auto& [key, value] : usual)
    if (known.empty() || known.contains(key)) out[key] = value;
  return out;
}

json::object config_object(trial& t, fullness how, bool& made) {
  const auto& schema = object_or_empty(t.manifest(), "config");
  json::value out = json::object{};
  made = true;
  if (!t.with().config.empty()) {
    out = parse_object(t.with().config, "configuration");
  } else if (const auto& examples = array_or_empty(schema, "examples");
             !examples.empty() && examples[0].is_object() && how == fullness::required_only) {
    out = examples[0];
  } else if (!schema.empty()) {
    auto one = generate(schema, how, t.random());
    made = one && one->is_object();
    if (made) out = *one;
  }
  auto& object = out.get_object();
  for (const auto& one : t.about().provides) {
    if (one.instances.empty() || t.manifest().empty()) continue;
    object["instances"] = json::object{{instance_name, instance_config(schema, one.type)}};
  }
  replace_scratch(out, t.scratch().string(), t.unique());
  if (t.with().config.empty()) plant_secrets(out);
  return object;
}

json::object tool_body(json::value arguments) {
  return {{"id", "call_1"}, {"arguments", std::move(arguments)}};
}

void add_tool_samples(trial& t, const call_plan& base, const json::object& attributes,
                      std::vector<sample>& out) {
  const auto& schema = object_or_empty(attributes, "parameters");
  const auto call = [&](sample_kind kind, std::string what, json::value arguments) {
    replace_scratch(arguments, workspace_of(t), t.unique());
    auto plan = base;
    plan.method = "call";
    plan.body = json::serialize(tool_body(std::move(arguments)));
    out.push_back({kind, std::move(what), base.target, std::move(plan)});
  };
  for (const auto& example : array_or_empty(attributes, "examples"))
    call(sample_kind::good, "an example of the manifest", example);
  if (bool_or(object_or_empty(attributes, "annotations"), "read_only")) {
    for (const auto how : {fullness::required_only, fullness::everything})
      if (auto value = generate(schema, how, t.random()))
        call(sample_kind::good,
             how == fullness::everything ? "with every member" : "with the required members",
             *value);
  }
  // A tool that changes something may run what it was not told to check.
  const bool reads = bool_or(object_or_empty(attributes, "annotations"), "read_only");
  for (auto& [how, value, lacks_required] : generate_refused(schema, t.random()))
    if (reads || lacks_required) call(sample_kind::bad_arguments, how, value);
}

void add_provider_samples(const call_plan& base, std::vector<sample>& out) {
  const auto call = [&](sample_kind kind, std::string what, std::string method, std::string body) {
    auto plan = base;
    plan.method = std::move(method);
    plan.body = std::move(body);
    out.push_back({kind, std::move(what), base.target, std::move(plan)});
  };
  call(
      sample_kind::good, "a question", "generate",
      R"({"model":"m","stream":true,"messages":[{"role":"user","parts":[{"type":"text","text":"Hi"}]}],)"
      R"("tools":[{"name":"look","description":"Looks","parameters":{"type":"object","properties":{"at":{"type":"string"}}}}]})");
  call(sample_kind::bad_arguments, "without messages", "generate", R"({"model":"m"})");
  call(sample_kind::bad_arguments, "messages of another type", "generate",
       R"({"model":"m","messages":"Hi"})");
}

void add_storage_samples(const call_plan& base, std::vector<sample>& out) {
  const auto call = [&](sample_kind kind, std::string what, std::string method, std::string body) {
    auto plan = base;
    plan.method = std::move(method);
    plan.body = std::move(body);
    out.push_back({kind, std::move(what), base.target, std::move(plan)});
  };
  call(sample_kind::good, "figures", "stats", "{}");
  call(sample_kind::good, "a list", "session.list", "{}");
  call(sample_kind::bad_arguments, "without an id", "session.get", "{}");
  call(sample_kind::bad_arguments, "an id of another type", "session.get", R"({"id":7})");
}
}  // namespace

std::string_view interface_of(std::string_view target) {
  return target.substr(0, target.find('/'));
}

std::string workspace_of(trial& t) {
  const auto folder = t.scratch() / "workspace";
  std::error_code ignored;
  if (fs::create_directories(folder, ignored)) {
    std::ofstream(folder / "sample") << "first line\nsecond line\n";
    std::ofstream(folder / "notes.md") << "# Notes\n\nsample text\n";
  }
  return folder.string();
}

std::string sample_config(trial& t) {
  bool made = false;
  const auto out = config_object(t, fullness::required_only, made);
  if (!made) t.skip("no configuration can be made from its schema; give the schema \"examples\"");
  return json::serialize(out);
}

std::string full_config(trial& t) {
  bool made = false;
  const auto out = config_object(t, fullness::everything, made);
  return made ? json::serialize(out) : std::string();
}

std::vector<std::string> wrong_configs(trial& t) {
  std::vector<std::string> out;
  for (const auto& [how, value, lacks] :
       generate_refused(object_or_empty(t.manifest(), "config"), t.random()))
    out.push_back(json::serialize(value));
  out.insert(out.end(), {"{", "nonsense", "{\"a\":\"\xff\xfe\"}", std::string(1, '\0'),
                         "{\"a\":" + std::string(5000, '[') + std::string(5000, ']') + "}",
                         "{\"a\":\"" + std::string(1u << 20, 'x') + "\"}"});
  return out;
}

std::vector<std::string> targets_of(trial& t) {
  std::vector<std::string> out;
  for (const auto& one : t.about().provides)
    out.push_back(one.instances.empty() ? one.target()
                                        : one.interface + "/" + std::string(instance_name));
  return out;
}

const json::object& attributes_of(trial& t, std::string_view target) {
  const auto all = targets_of(t);
  const auto& entries = array_or_empty(t.manifest(), "provides");
  for (std::size_t i = 0; i < all.size() && i < entries.size(); ++i)
    if (all[i] == target && entries[i].is_object())
      return object_or_empty(entries[i].get_object(), "attributes");
  return object_or_empty(t.manifest(), "");
}

std::vector<sample> samples_of(trial& t, const std::string& target) {
  std::vector<sample> out;
  call_plan base;
  base.target = target;
  const auto interface = interface_of(target);
  const auto& attributes = attributes_of(t, target);
  if (interface == "rustic.interceptor") {
    base.flags = RAI_INTERCEPTED;
    base.target = "rustic.tool/sample";
    base.method = "call";
    base.body = json::serialize(tool_body(json::object{}));
    out.push_back({sample_kind::good, "a tool's call", target, base});
    return out;
  }
  if (interface == "rustic.tool") {
    add_tool_samples(t, base, attributes, out);
  } else if (interface == "rustic.provider") {
    add_provider_samples(base, out);
  } else if (interface == "rustic.storage") {
    add_storage_samples(base, out);
  } else {
    for (const auto& example : array_or_empty(attributes, "examples")) {
      const auto* one = example.if_object();
      if (!one) continue;
      auto plan = base;
      plan.method = text_or(*one, "method");
      plan.body = json::serialize(object_or_empty(*one, "body"));
      out.push_back({sample_kind::good, "an example of the manifest", target, plan});
    }
  }
  auto plan = base;
  plan.method = "no.such.method";
  out.push_back({sample_kind::no_method, "a method that no interface has", target, plan});
  return out;
}

std::vector<sample> one_sample_each(trial& t) {
  std::vector<sample> out;
  for (const auto& target : targets_of(t)) out.push_back(samples_of(t, target).front());
  return out;
}

std::vector<sample> good_samples(trial& t) {
  std::vector<sample> out;
  for (const auto& target : targets_of(t))
    for (auto& one : samples_of(t, target))
      if (one.kind == sample_kind::good) out.push_back(std::move(one));
  return out;
}

call_plan with_body(const call_plan& plan, std::string body) {
  auto out = plan;
  out.body = std::move(body);
  return out;
}
}  // namespace rustic::validator
