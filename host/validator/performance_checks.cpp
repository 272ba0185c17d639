// performance_checks.cpp - what a plugin costs; breaches are warnings, because machines differ.
#include <algorithm>
#include <chrono>
#include <thread>

#include "host/validator/process_state.hpp"
#include "host/validator/trial.hpp"
#include "host/validator/trying.hpp"

namespace rustic::validator {
namespace {
using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

double ms_since(clock::time_point began) {
  return std::chrono::duration<double, std::milli>(clock::now() - began).count();
}
std::string ms_text(double ms) {
  auto text = std::to_string(ms);
  return text.substr(0, text.find('.') + 3) + " ms";
}

void open(trial& t) {
  constexpr double most_ms = 50;
  std::string problem;
  const auto began = clock::now();
  if (!open_image(t.file(), problem)) t.skip("it cannot be opened: " + problem);
  const auto took = ms_since(began);
  t.expect(took <= most_ms, "opened within 50 ms", ms_text(took));
}

void create(trial& t) {
  constexpr double most_ms = 50;
  const opened_plugin plugin(t);
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    strict_host host(workspace_of(t));
    instance life(t, plugin, host);
    const auto began = clock::now();
    if (!life.create(sample_config(t)).ok() || !life.start().ok()) t.skip("create or start fails");
    best = std::min(best, ms_since(began));
    life.end();
  }
  t.expect(best <= most_ms, "create and start within 50 ms", ms_text(best));
}

void call(trial& t) {
  constexpr double most_ms = 20;
  running_plugin p(t);
  double best = 1e9;
  for (const auto& one : main_samples(t)) {
    const auto service = p.life.service(one.service);
    for (int i = 0; i < 20; ++i) {
      const auto began = clock::now();
      (void)p.host.run(service, one.plan, answer_time_max_ms);
      best = std::min(best, ms_since(began));
    }
  }
  t.expect(best <= most_ms, "its cheapest call within 20 ms", ms_text(best));
}

void stop(trial& t) {
  constexpr double most_ms = control_time_max_ms;
  const opened_plugin plugin(t);
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    strict_host host(workspace_of(t));
    instance life(t, plugin, host);
    if (!life.create(sample_config(t)).ok() || !life.start().ok()) t.skip("create or start fails");
    const auto began = clock::now();
    life.end();
    best = std::min(best, ms_since(began));
  }
  t.expect(best <= most_ms, "stop and destroy within 50 ms", ms_text(best));
}

void idle(trial& t) {
  running_plugin p(t);
  for (const auto& one : main_samples(t)) (void)try_call(p, one);
  std::this_thread::sleep_for(50ms);
  const auto before = cpu_ms();
  std::this_thread::sleep_for(200ms);
  const auto used = cpu_ms() - before;
  t.expect(used < 10, "no work while nobody calls", ms_text(used) + " of processor in 200 ms");
}

void size(trial& t) {
  constexpr std::uint64_t most_bytes = 32u << 20;
  std::uint64_t bytes = 0;
  for (const auto& segment : t.elf().segments())
    if (segment.p_type == PT_LOAD) bytes += segment.p_memsz;
  t.expect(bytes <= most_bytes, "at most 32 MiB of code and data",
           std::to_string(bytes >> 20) + " MiB");
}

constexpr check table[] = {
    {"performance.size", 5, stage::file, "of moderate size",
     "Link libraries of the system shared, and leave out what is not used.", size, stage::nothing,
     true},
    {"performance.open", 5, stage::opened, "opens quickly",
     "Do nothing in constructors of static objects.", open, stage::nothing, true},
    {"performance.create", 5, stage::created, "is created quickly",
     "Put off files, connections and threads to the first call.", create, stage::nothing, true},
    {"performance.call", 6, stage::answers, "calls are cheap",
     "Keep what can be reused between calls.", call, stage::nothing, true},
    {"performance.stop", 5, stage::created, "stops quickly",
     "Wake your threads in stop instead of waiting for their next look.", stop, stage::nothing,
     true},
    {"performance.idle", 5, stage::answers, "rests when idle",
     "Wait for what happens; do not look for it again and again.", idle, stage::nothing, true},
};
}  // namespace

std::span<const check> performance_checks() {
  return table;
}
}  // namespace rustic::validator
