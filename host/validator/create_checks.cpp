// create_checks.cpp - create, start and the services that come of them.
#include <filesystem>

#include "host/validator/guarded_memory.hpp"
#include "host/validator/opened_plugin.hpp"
#include "host/validator/process_state.hpp"
#include "host/validator/samples.hpp"
#include "host/validator/trial.hpp"
#include "kernel/abi/limits.hpp"

namespace rustic::validator {
namespace {

void ok(trial& t) {
  strict_host host(workspace_of(t));
  const opened_plugin plugin(t);
  instance life(t, plugin, host);
  const auto config = sample_config(t);
  const auto made = life.create(config);
  t.expect(made.ok(), "create accepts " + shown(config),
           "status " + std::to_string(made.status) + ": " + made.words);
  const auto began = life.start();
  t.expect(began.ok(), "start succeeds",
           "status " + std::to_string(began.status) + ": " + began.words);
}

void service(trial& t) {
  running_plugin p(t);
  for (const auto& target : targets_of(t)) {
    rai_service out;
    const auto status = p.life.service(target, out);
    t.expect(status == RAI_OK, "the service " + target + " of its manifest",
             "status " + std::to_string(status));
    t.expect(RAI_HAS(&out, call), "a service with `call`", target + " has none");
  }
}

void other_target(trial& t) {
  running_plugin p(t);
  for (const auto& target : targets_of(t))
    for (const auto& wrong :
         {target + "x", target.substr(0, target.size() - 1), std::string("/"), std::string()}) {
      rai_service out;
      t.expect(p.life.service(wrong, out) != RAI_OK, "no service for a target that it has not",
               "one for \"" + wrong + "\"");
    }
}

void service_bounds(trial& t) {
  running_plugin p(t);
  for (const auto& target : targets_of(t)) {
    guarded_memory place(sizeof(rai_service));
    auto* const out = reinterpret_cast<rai_service*>(place.data());
    out->struct_size = sizeof(*out);
    guarded_memory name(target);
    t.step("service(" + target + ") with memory that ends at an inaccessible page");
    (void)p.life.service_at({name.data(), target.size()}, out);
    t.expect(out->struct_size <= sizeof(*out), "struct_size not above the host's",
             std::to_string(out->struct_size));
  }
}

// A whole life, with one call of each service; what it answers does not matter.
void live(trial& t, strict_host& host) {
  const opened_plugin plugin(t);
  instance life(t, plugin, host);
  if (!life.create(sample_config(t)).ok() || !life.start().ok()) return;
  for (const auto& one : one_sample_each(t)) {
    rai_service found;
    if (life.service(one.service, found) != RAI_OK) continue;
    t.step(one.service + " " + one.plan.method);
    (void)host.run(found, one.plan, answer_time_max_ms);
  }
  life.end();
}

void minimal_host(trial& t) {
  strict_host host(workspace_of(t));
  host.leave_out_optional();
  live(t, host);
}

void short_host(trial& t) {
  strict_host host(workspace_of(t));
  host.shorten_table(offsetof(rai_host, publish));
  live(t, host);
}

void alone(trial& t) {
  strict_host host(workspace_of(t));
  host.services.is_empty = true;
  const opened_plugin plugin(t);
  instance life(t, plugin, host);
  const auto made = life.create(sample_config(t));
  t.expect(made.ok(), "create succeeds before what it requires is there", made.words);
  if (!life.start().ok()) return;
  for (const auto& one : one_sample_each(t)) {
    const auto found = life.service(one.service);
    t.step(one.service + " " + one.plan.method + " without the services that it requires");
    const auto got = host.run(found, one.plan, answer_time_max_ms);
    t.expect(got.finished, "an answer also when nothing that it calls is there",
             one.service + " " + one.plan.method + " did not finish");
  }
}

void no_calls(trial& t) {
  running_plugin p(t);
  const auto words = p.host.first(breach::call_in_lifecycle);
  t.expect(!words, "no call before the first call is served", words.value_or(""));
}

void config_empty(trial& t) {
  for (const auto* config : {"{}", ""}) {
    strict_host host(workspace_of(t));
    const opened_plugin plugin(t);
    instance life(t, plugin, host);
    const auto made = life.create(std::string_view(config));
    t.expect(made.ok() || !made.words.empty(),
             "an empty configuration is accepted, or refused with a reason",
             "status " + std::to_string(made.status) + " without one");
    t.expect(!host.first(breach::exception), "no exception", "create threw one");
  }
}

void config_wrong(trial& t) {
  for (const auto& config : wrong_configs(t)) {
    strict_host host(workspace_of(t));
    const opened_plugin plugin(t);
    instance life(t, plugin, host);
    t.step("create with " + shown(config, 80));
    const auto made = life.create(config);
    if (!made.ok()) continue;
    t.step("start after " + shown(config, 80));
    if (life.start().ok()) life.stop();
    life.destroy();
  }
}

void config_words(trial& t) {
  auto all = wrong_configs(t);
  all.insert(all.begin(), "{}");
  for (const auto& config : all) {
    strict_host host(workspace_of(t));
    const opened_plugin plugin(t);
    instance life(t, plugin, host);
    const auto made = life.create(config);
    if (made.ok()) continue;
    const auto about = "for " + shown(config, 60) + ": ";
    t.expect(!made.words.empty(), "a refused configuration gets a reason",
             about + "status " + std::to_string(made.status) + " alone");
    t.expect(is_utf8(made.words), "a reason in UTF-8", about + shown(made.words));
    t.expect(made.words.size() <= kernel::abi::lifecycle_error_bytes_max,
             "a reason of at most 4096 bytes", about + std::to_string(made.words.size()));
    t.expect(made.status > 0 && made.status <= RAI_UNAUTHENTICATED, "a status of the contract",
             about + std::to_string(made.status));
  }
}

void config_borrowed(trial& t) {
  strict_host host(workspace_of(t));
  const opened_plugin plugin(t);
  instance life(t, plugin, host);
  guarded_memory config(sample_config(t));
  std::string words;
  guarded_memory writer(sizeof(rai_writer));
  auto* const to = reinterpret_cast<rai_writer*>(writer.data());
  *to = {&words, [](void*, rai_str) {}};
  t.step("create with a configuration that no zero byte ends");
  if (!life.create({config.data(), config.size()}, to).ok()) t.skip("create fails: " + words);
  config.revoke();
  writer.revoke();
  t.step("what follows, with the configuration's memory gone");
  if (!life.start().ok()) t.skip("start fails");
  for (const auto& one : one_sample_each(t))
    (void)host.run(life.service(one.service), one.plan, answer_time_max_ms);
  life.end();
}

void use(trial& t, strict_host& host, instance& life, const char* which) {
  for (const auto& one : one_sample_each(t)) {
    t.step(one.service + " " + one.plan.method + " of the " + which);
    const auto got = host.run(life.service(one.service), one.plan, answer_time_max_ms);
    t.expect(got.finished, std::string("the ") + which + " answers", "no finish");
  }
}

void two(trial& t, const opened_plugin& first, const opened_plugin& second) {
  strict_host one(workspace_of(t)), other(workspace_of(t));
  instance left(t, first, one), right(t, second, other);
  left.begin();
  const auto made = right.create(sample_config(t));
  t.expect(made.ok(), "a second instance beside the first",
           "status " + std::to_string(made.status) + " " + made.words);
  const auto began = right.start();
  t.expect(began.ok(), "a second instance beside the first",
           "status " + std::to_string(began.status) + " " + began.words);
  use(t, one, left, "first instance");
  use(t, other, right, "second instance");
  left.end();
  use(t, other, right, "second instance after the first has ended");
  right.end();
}

void twice(trial& t) {
  const opened_plugin plugin(t);
  two(t, plugin, plugin);
}

void copy(trial& t) {
  const auto file = t.scratch() / ("copy-" + t.file().filename().string());
  std::filesystem::copy_file(t.file(), file);
  const opened_plugin first(t), second(t, file);
  t.expect(first.table().create != second.table().create, "a copy that is code of its own",
           "the loader gave the first one again");
  two(t, first, second);
}

void output(trial& t) {
  output_capture capture;
  running_plugin p(t);
  const auto text = capture.text();
  t.expect(text.empty(), "nothing is printed by create and start", text);
}

void process(trial& t) {
  auto before = process_state_now();
  running_plugin p(t);
  auto after = process_state_now();
  for (const auto& [part, text] : before) {
    const auto change = difference(text, after[part]);
    t.expect(change.empty(), part + " as before", change);
  }
}

constexpr check table[] = {
    {"create.ok", 1, stage::opened, "create and start succeed",
     "Give the config schema an \"examples\" list when the plugin cannot do without one.", ok,
     stage::created},
    {"create.service", 1, stage::opened, "offers what it says",
     "Register each target of the manifest (setup::coroutine, blocking, raw; add_tool).", service,
     stage::created},
    {"create.other_target", 6, stage::created, "offers nothing else",
     "Compare the whole target in `service` and answer RAI_NOT_FOUND; rustic::setup does.",
     other_target},
    {"create.service_bounds", 2, stage::created, "writes no more than asked",
     "Write a rai_service of the size that out->struct_size tells.", service_bounds},
    {"create.minimal_host", 2, stage::created, "lives with a minimal host",
     "Ask RAI_HAS(host, function) before you use log, publish, list and the like.", minimal_host},
    {"create.short_host", 3, stage::created, "lives with a smaller host",
     "Ask RAI_HAS(host, function); keep the host's pointer instead of copying its table.",
     short_host},
    {"create.alone", 3, stage::created, "lives without services",
     "Finish with UNAVAILABLE or what the service answered; never wait without an end.", alone},
    {"create.no_calls", 3, stage::created, "create makes no calls",
     "Call other services when the first call is served, not in create or start.", no_calls},
    {"create.config_empty", 4, stage::opened, "takes an empty config",
     "Have a default for each setting, or write the reason to `error`.", config_empty},
    {"create.config_wrong", 3, stage::opened, "survives a wrong config",
     "Check types before use: text_or, int_or, require_text of rustic/json.hpp.", config_wrong},
    {"create.config_words", 4, stage::opened, "says what is wrong with it",
     "throw rustic::failure(status_code::invalid_argument, what, hint).", config_words},
    {"create.config_borrowed", 1, stage::created, "copies its config",
     "Copy what you keep; the text ends where its length says and is gone after create.",
     config_borrowed},
    {"create.twice", 4, stage::created, "two instances work",
     "Keep everything in `self`; nothing static may change.", twice},
    {"create.copy", 5, stage::created, "two generations work",
     "Take no name for yourself alone (a port, a lock file) in create or start.", copy},
    {"create.output", 3, stage::created, "create prints nothing", "Log with host->log.", output},
    {"create.process", 3, stage::created, "the process stays the same",
     "Leave signal handlers, locale, folder, umask, environment and limits alone.", process},
};
}  // namespace

std::span<const check> create_checks() {
  return table;
}
}  // namespace rustic::validator
