// unload_checks.cpp - the end of an instance, of a generation, and of the process.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include "host/validator/process_state.hpp"
#include "host/validator/trial.hpp"
#include "host/validator/trying.hpp"

namespace rustic::validator {
namespace {
using namespace std::chrono_literals;
constexpr std::size_t state_bytes_max = 16u << 20;

void use_and_end(running_plugin& p) {
  for (const auto& one : main_samples(p.t)) (void)try_call(p, one);
  p.life.end();
}

void repeat(trial& t) {
  const opened_plugin plugin(t);
  for (int i = 1; i <= 50; ++i) {
    strict_host host(workspace_of(t));
    instance life(t, plugin, host);
    t.step("life " + std::to_string(i) + " of 50");
    const auto made = life.create(sample_config(t));
    t.expect(made.ok(), "create succeeds each time",
             "the time " + std::to_string(i) + ": " + made.words);
    const auto began = life.start();
    t.expect(began.ok(), "start succeeds each time",
             "the time " + std::to_string(i) + ": " + began.words);
    life.end();
  }
}

void unstarted(trial& t) {
  strict_host host(workspace_of(t));
  const opened_plugin plugin(t);
  instance life(t, plugin, host);
  if (!life.create(sample_config(t)).ok()) t.skip("create fails");
  life.destroy();
}

void unused(trial& t) {
  running_plugin p(t);
  p.life.end();
}

void threads(trial& t) {
  const auto before = thread_count();
  running_plugin p(t);
  use_and_end(p);
  const auto after = settle_threads(before, 300);
  t.expect(after <= before, "no thread is left after stop and destroy",
           std::to_string(after - before) + " more than before");
}

void files(trial& t) {
  (void)workspace_of(t);
  const auto before = descriptors();
  running_plugin p(t);
  use_and_end(p);
  const auto after = descriptors();
  const auto only_in = [](const auto& these, const auto& others) {
    std::string out;
    for (const auto& one : these)
      if (std::find(others.begin(), others.end(), one) == others.end()) out += one + " ";
    return out;
  };
  const auto more = only_in(after, before), fewer = only_in(before, after);
  t.expect(more.empty(), "no descriptor is left after stop and destroy", more);
  t.expect(fewer.empty(), "the descriptors of others stay open", fewer + "was closed");
}

void memory(trial& t) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  t.skip("a sanitizer keeps memory of its own");
#else
  constexpr int rounds = 40;
  constexpr std::size_t kept_max = 96u * 1024;
  const opened_plugin plugin(t);
  const auto once = [&] {
    strict_host host(workspace_of(t));
    instance life(t, plugin, host);
    if (!life.create(sample_config(t)).ok() || !life.start().ok()) t.skip("create or start fails");
    life.end();
  };
  for (int i = 0; i < 5; ++i) once();
  const auto before = allocated_bytes();
  for (int i = 0; i < rounds; ++i) once();
  const auto after = allocated_bytes();
  t.expect(after <= before + kept_max, "less than 96 KiB kept after 40 lives",
           std::to_string((after - before) / 1024) + " KiB");
#endif
}

void subscriptions(trial& t) {
  running_plugin p(t);
  use_and_end(p);
  t.expect(p.host.subscriptions() == 0, "every subscription is ended by destroy",
           std::to_string(p.host.subscriptions()) + " are left");
}

void services(trial& t) {
  running_plugin p(t);
  use_and_end(p);
  t.expect(p.host.provided() == 0, "every service that was added is withdrawn",
           std::to_string(p.host.provided()) + " are left");
}

void silent(trial& t) {
  running_plugin p(t);
  use_and_end(p);
  std::this_thread::sleep_for(60ms);
  const auto words = p.host.first(breach::after_destroy);
  t.expect(!words, "no use of the host after destroy", words.value_or(""));
}

void in_flight(trial& t) {
  running_plugin p(t);
  std::vector<std::shared_ptr<served_call>> open;
  for (const auto& one : main_samples(t)) {
    const auto service = p.life.service(one.service);
    for (int i = 0; i < 4; ++i) open.push_back(p.host.begin(service, one.plan));
  }
  // As a host does it: calls are cancelled and drained, then comes stop.
  for (const auto& call : open) p.host.cancel(*call);
  for (const auto& call : open) {
    if (!p.host.wait(*call, cancel_grace_ms)) t.skip("calls do not end, see async.cancel_at_once");
    p.host.release(*call);
  }
  p.life.stop();
  t.step("destroy right after");
  p.life.destroy();
}

// A host may have to stop a plugin whose calls do not end.
void stop_in_flight(trial& t) {
  const auto before = thread_count();
  running_plugin p(t);
  std::vector<std::shared_ptr<served_call>> open;
  for (const auto& one : main_samples(t)) {
    const auto service = p.life.service(one.service);
    for (int i = 0; i < 4; ++i) open.push_back(p.host.begin(service, one.plan));
  }
  p.life.stop();
  const auto after = settle_threads(before, 300);
  t.expect(after <= before, "stop joins every thread, also with calls in flight",
           std::to_string(after - before) + " more than before");
  t.step("op.cancel of the calls that stop has left");
  for (const auto& call : open) p.host.cancel(*call);
  bool all = true;
  for (const auto& call : open) {
    const bool finished = p.host.wait(*call, all ? cancel_grace_ms : 1);
    if (finished) p.host.release(*call);
    all = all && finished;
  }
  t.expect(!p.host.first(breach::finish_twice), "one finish, also of calls that stop meets",
           p.host.first(breach::finish_twice).value_or(""));
  if (all) p.life.destroy();
}

void quick(trial& t) {
  constexpr std::int64_t stop_time_max_ms = 1500;
  running_plugin p(t);
  for (const auto& one : main_samples(t)) (void)try_call(p, one);
  const auto began = std::chrono::steady_clock::now();
  p.life.end();
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
                        std::chrono::steady_clock::now() - began)
                        .count();
  t.expect(took <= stop_time_max_ms, "stop and destroy return in time",
           std::to_string(took) + " ms");
}

void process(trial& t) {
  auto before = process_state_now();
  running_plugin p(t);
  use_and_end(p);
  auto after = process_state_now();
  for (const auto& [part, text] : before) {
    const auto change = difference(text, after[part]);
    t.expect(change.empty(), part + " as before", change);
  }
}

void temporary(trial& t) {
  running_plugin p(t);
  use_and_end(p);
  std::string left;
  for (const auto& one : std::filesystem::directory_iterator(t.scratch() / "tmp"))
    left += one.path().filename().string() + " ";
  t.expect(left.empty(), "no file is left in the folder for temporary files", left);
}

void exit_after(trial& t) {
  running_plugin p(t);
  use_and_end(p);
  t.step("the end of the process");
}

void exit_during(trial& t) {
  running_plugin p(t);
  for (const auto& one : main_samples(t)) (void)try_call(p, one);
  p.life.stop();
  t.step("the end of the process, after stop and without destroy");
}

// What a plugin hands to the generation that replaces it.
void save(trial& t) {
  running_plugin p(t);
  if (!RAI_HAS(&p.plugin.table(), save)) t.skip("it keeps no state");
  t.expect(RAI_HAS(&p.plugin.table(), restore), "save and restore together", "save alone");
  for (const auto& one : main_samples(t)) (void)try_call(p, one);
  std::string state;
  const auto status = p.life.save(state);
  t.expect(status == RAI_OK, "RAI_OK from save", std::to_string(status));
  t.expect(state.size() <= state_bytes_max, "a state of at most 16 MiB",
           std::to_string(state.size()) + " bytes");
}

void restore(trial& t) {
  std::string state;
  running_plugin old(t);
  if (!RAI_HAS(&old.plugin.table(), save) || !RAI_HAS(&old.plugin.table(), restore))
    t.skip("it keeps no state");
  for (const auto& one : main_samples(t)) (void)try_call(old, one);
  (void)old.life.save(state);
  strict_host host(workspace_of(t));
  instance next(t, old.plugin, host);
  if (!next.create(sample_config(t)).ok()) t.skip("create fails");
  const auto done = next.restore(state);
  t.expect(done.ok(), "restore takes what save gave",
           "status " + std::to_string(done.status) + ": " + done.words);
  t.expect(next.start().ok(), "start succeeds after restore", "it fails");
  std::string again;
  (void)next.save(again);
  t.expect(again == state || again.size() >= state.size() / 2, "the state survives",
           shown(state, 80) + " became " + shown(again, 80));
}

void restore_junk(trial& t) {
  const opened_plugin plugin(t);
  if (!RAI_HAS(&plugin.table(), restore)) t.skip("it keeps no state");
  for (const auto& state :
       {std::string(), std::string("{"), std::string("[[["), std::string("\xff\0\xfe", 3),
        std::string(1u << 20, 'x'), std::string("{\"version\":999999999999}")}) {
    strict_host host(workspace_of(t));
    instance life(t, plugin, host);
    if (!life.create(sample_config(t)).ok()) t.skip("create fails");
    const auto done = life.restore(state);
    t.expect(!host.first(breach::exception), "no exception from restore", shown(state, 40));
    t.step("start or destroy after restoring " + shown(state, 40));
    if (done.ok() && life.start().ok()) life.stop();
    life.destroy();
  }
}

constexpr check table[] = {
    {"unload.unused", 1, stage::created, "ends without having served",
     "Have stop and destroy work whatever has happened before.", unused},
    {"unload.unstarted", 3, stage::created, "ends without start",
     "Have destroy work after create alone: start of another part may have failed.", unstarted},
    {"unload.repeat", 3, stage::created, "50 lives in a row",
     "Keep everything in `self`, and take nothing that is not given back.", repeat},
    {"unload.threads", 1, stage::created, "joins its threads", "Join in stop; detach nothing.",
     threads},
    {"unload.descriptors", 2, stage::created, "closes its descriptors",
     "Close in destroy what create and calls opened.", files},
    {"unload.memory", 4, stage::created, "frees its memory", "Free in destroy what create made.",
     memory},
    {"unload.subscriptions", 2, stage::created, "ends its subscriptions",
     "Call host->unsubscribe in stop for each subscribe.", subscriptions},
    {"unload.services", 2, stage::created, "withdraws its services",
     "Call host->withdraw in stop for each provide.", services},
    {"unload.silent", 1, stage::created, "quiet after destroy",
     "Join every thread in stop, before destroy returns.", silent},
    {"unload.in_flight", 2, stage::answers, "stops after cancelled calls",
     "Let stop wait for your own threads only, never for an event from outside.", in_flight},
    {"unload.stop_in_flight", 3, stage::answers, "stops with calls in flight",
     "Join every thread in stop, those that serve a call too; let op->self live until op->release.",
     stop_in_flight},
    {"unload.quick", 4, stage::created, "stops in time",
     "Wake your threads in stop instead of waiting for their next look.", quick},
    {"unload.process", 2, stage::created, "the process stays the same",
     "Leave signal handlers, locale, folder, umask, environment and limits alone.", process},
    {"unload.temporary", 5, stage::created, "leaves no temporary file",
     "Delete in stop what you put into TMPDIR.", temporary, stage::nothing, true},
    {"unload.exit", 1, stage::created, "the process ends well",
     "Register nothing that runs at exit; clean up in destroy.", exit_after, stage::nothing, false,
     true},
    {"unload.exit_running", 6, stage::created, "ends without destroy",
     "Let nothing that runs at exit depend on destroy.", exit_during, stage::nothing, false, true},
    {"unload.save", 3, stage::created, "saves its state",
     "Write what the next generation needs to the writer, any text.", save},
    {"unload.restore", 3, stage::created, "takes its own state",
     "Let restore read what save wrote, also of an older version.", restore},
    {"unload.restore_junk", 4, stage::opened, "survives a foreign state",
     "Check the state; refuse it with a reason and go on empty.", restore_junk},
};
}  // namespace

std::span<const check> unload_checks() {
  return table;
}
}  // namespace rustic::validator
