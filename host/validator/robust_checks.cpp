// robust_checks.cpp - a machine that gives nothing: no memory, no disk, no descriptors.
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <thread>

#include "host/validator/failing_memory.hpp"
#include "host/validator/trial.hpp"
#include "host/validator/trying.hpp"

namespace rustic::validator {
namespace {
constexpr std::uint64_t failing_max = 400;  // allocations tried, one run each

void memory_create(trial& t) {
  if (!can_fail_memory()) t.skip("this build cannot make allocations fail");
  const opened_plugin plugin(t);
  for (std::uint64_t n = 1; n <= failing_max; ++n) {
    const auto config = sample_config(t);
    strict_host host(workspace_of(t));
    instance life(t, plugin, host);
    t.step("create, with allocation " + std::to_string(n) + " failing");
    std::string words;
    words.reserve(4096);
    const rai_writer writer{&words, [](void*, rai_str) {}};
    fail_allocation(n);
    const auto made = life.create({config.data(), config.size()}, &writer);
    const bool reached = stop_failing();
    t.expect(!host.first(breach::exception), "create reports that memory is short",
             "it threw an exception at allocation " + std::to_string(n));
    if (made.ok()) {
      t.step("destroy, after allocation " + std::to_string(n) + " had failed");
      life.end();
    }
    if (!reached) return;
  }
}

void memory_call(trial& t) {
  if (!can_fail_memory()) t.skip("this build cannot make allocations fail");
  running_plugin p(t);
  const auto all = main_samples(t);
  const auto service = p.life.service(all.front().service);
  (void)try_call(p, all.front());
  for (std::uint64_t n = 1; n <= failing_max / 4; ++n) {
    t.step(name_of(all.front()) + ", with allocation " + std::to_string(n) + " failing");
    fail_allocation(n);
    const auto got = p.host.run(service, all.front().plan, answer_time_max_ms);
    const bool reached = stop_failing();
    t.expect(got.finished, "a finish, also when memory is short",
             "none when allocation " + std::to_string(n) + " failed");
    t.expect(!p.host.first(breach::exception), "no exception when memory is short",
             p.host.first(breach::exception).value_or(""));
    if (!reached) return;
  }
}

void live(trial& t, const std::function<void()>& worsen) {
  strict_host host(workspace_of(t));
  const opened_plugin plugin(t);
  instance life(t, plugin, host);
  const auto all = main_samples(t);
  const auto config = sample_config(t);
  worsen();
  if (!life.create(config).ok()) return;  // refused with a reason: create.ok knows the usual case
  if (!life.start().ok()) {
    life.destroy();
    return;
  }
  for (const auto& one : all) {
    t.step(name_of(one));
    const auto got = host.run(life.service(one.service), one.plan, answer_time_max_ms);
    t.expect(got.finished, "a finish, whatever the machine refuses", name_of(one) + ": none");
  }
  life.end();
}

void no_descriptors(trial& t) {
  live(t, [] {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    // Those that are open stay; no other can be had.
    const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::close(next);
    limit.rlim_cur = static_cast<rlim_t>(next);
    ::setrlimit(RLIMIT_NOFILE, &limit);
  });
}

bool write_text(const char* file, const std::string& text) {
  const int out = ::open(file, O_WRONLY | O_CLOEXEC);
  const bool ok =
      out >= 0 && ::write(out, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (out >= 0) ::close(out);
  return ok;
}

// A mount table of its own; where that is not allowed, false.
bool own_mounts() {
  const auto user = std::to_string(::getuid()), group = std::to_string(::getgid());
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  (void)write_text("/proc/self/setgroups", "deny");
  return write_text("/proc/self/uid_map", user + " " + user + " 1") &&
         write_text("/proc/self/gid_map", group + " " + group + " 1");
}

// Work happens in the mounted folder: the process changes into it, and HOME names it.
void full_disk(trial& t) {
  const auto folder = t.scratch();
  const bool mounted =
      own_mounts() && ::mount("none", folder.c_str(), "tmpfs", 0, "size=64k,mode=700") == 0;
  if (mounted && ::chdir(folder.c_str()) != 0) t.skip("the small file system cannot be used");
  live(t, [&] {
    if (!mounted) {
      ::signal(SIGXFSZ, SIG_IGN);
      const rlimit nothing{0, 0};
      ::setrlimit(RLIMIT_FSIZE, &nothing);
      return;
    }
    std::ofstream filler(folder / "filler");
    for (int i = 0; i < 64 && filler.flush(); ++i) filler << std::string(1024, 'x');
  });
}

void read_only(trial& t) {
  (void)workspace_of(t);
  const auto folder = t.scratch();
  if (!own_mounts() || ::mount(folder.c_str(), folder.c_str(), nullptr, MS_BIND, nullptr) != 0 ||
      ::mount(nullptr, folder.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0)
    t.skip("a read-only home cannot be made here");
  if (::chdir(folder.c_str()) != 0) t.skip("the read-only home cannot be used");
  live(t, [] {});
}

void interrupts(trial& t) {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  live(t, [&] {
    ::sigaction(SIGALRM, &action, nullptr);  // without SA_RESTART
    const itimerval often{{0, 500}, {0, 500}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
  });
}

struct stack_run {
  trial* t;
  static void* run(void* self) {
    live(*static_cast<stack_run*>(self)->t, [] {});
    return nullptr;
  }
};

void small_stack(trial& t) {
  constexpr std::size_t stack_bytes = 256u * 1024;
  pthread_attr_t how;
  ::pthread_attr_init(&how);
  ::pthread_attr_setstacksize(&how, stack_bytes);
  stack_run run{&t};
  pthread_t thread{};
  t.step("a life on a thread with a stack of 256 KiB");
  if (::pthread_create(&thread, &how, &stack_run::run, &run) != 0) t.skip("no thread");
  ::pthread_join(thread, nullptr);
}

void closed_streams(trial& t) {
  live(t, [] {
    for (int i = 0; i < 3; ++i) ::close(i);
    // Descriptor 0 to 2 become something else, as in a daemon that was started badly.
    for (int i = 0; i < 3; ++i) (void)!::open("/dev/null", O_RDONLY | O_CLOEXEC);
  });
}

void random_config(trial& t) {
  const opened_plugin plugin(t);
  const auto good = sample_config(t), full = full_config(t);
  for (int round = 0; round < 150; ++round) {
    auto text = round % 2 == 0 || full.empty() ? good : full;
    for (auto changes = 1 + t.random()() % 3; changes != 0 && !text.empty(); --changes) {
      const auto at = t.random()() % text.size();
      if (t.random()() % 2 == 0)
        text[at] = "{}[]\",:0\\x\xff"[t.random()() % 12];
      else
        text.erase(at, 1 + t.random()() % 4);
    }
    strict_host host(workspace_of(t));
    instance life(t, plugin, host);
    t.step("create with " + shown(text, 120));
    if (!life.create(text).ok()) continue;
    if (life.start().ok()) life.stop();
    life.destroy();
  }
}

constexpr check table[] = {
    {"robust.memory_create", 6, stage::created, "create without memory",
     "Check what malloc gives; in C++ catch std::bad_alloc, as RUSTIC_PLUGIN does.", memory_create},
    {"robust.memory_call", 6, stage::answers, "calls without memory",
     "Finish with RESOURCE_EXHAUSTED; RUSTIC_PLUGIN does.", memory_call},
    {"robust.descriptors", 5, stage::answers, "works without descriptors",
     "Check what open, socket and pipe give, and finish with an error.", no_descriptors},
    {"robust.full_disk", 4, stage::answers, "survives a full disk",
     "Check what write and close give; finish with RESOURCE_EXHAUSTED.", full_disk},
    {"robust.read_only", 4, stage::answers, "survives a read-only home",
     "Check what open and mkdir give; do without a cache.", read_only},
    {"robust.interrupts", 5, stage::answers, "survives interrupted calls",
     "Repeat read, write, poll and the like after EINTR.", interrupts},
    {"robust.small_stack", 5, stage::answers, "needs little stack",
     "Keep buffers of more than a few KiB on the heap.", small_stack},
    {"robust.streams", 4, stage::answers, "needs no standard streams",
     "Use neither standard input nor output; they belong to the program.", closed_streams},
    {"robust.random_config", 6, stage::created, "survives random configs",
     "Check types before use: text_or, int_or, require_text of rustic/json.hpp.", random_config},
};
}  // namespace

std::span<const check> robust_checks() {
  return table;
}
}  // namespace rustic::validator
