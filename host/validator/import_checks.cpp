// import_checks.cpp - which libraries and functions a plugin uses.
#include <algorithm>
#include <array>
#include <charconv>

#include "host/validator/trial.hpp"

namespace rustic::validator {
namespace {

void needed(trial& t) {
  constexpr std::string_view unwanted[] = {"libspdlog",   "libfmt",      "libc++.so",
                                           "libasan",     "libtsan",     "libjemalloc",
                                           "libtcmalloc", "libmimalloc", "librustic"};
  for (const auto& one : t.elf().needed()) {
    t.expect(one.find('/') == std::string::npos, "libraries named without a folder",
             "it needs " + one);
    for (const auto& name : unwanted)
      t.expect(!one.starts_with(name), "no library that keeps state for the whole process",
               "it needs " + one);
  }
}

// "GLIBC_2.36" against 2.36: the numbers after the prefix, compared one by one.
bool is_newer(std::string_view version, std::array<int, 3> most) {
  for (const int limit : most) {
    int number = 0;
    const auto [end, problem] =
        std::from_chars(version.data(), version.data() + version.size(), number);
    if (problem != std::errc{}) return false;
    if (number != limit) return number > limit;
    version.remove_prefix(static_cast<std::size_t>(end - version.data()));
    if (version.starts_with('.')) version.remove_prefix(1);
  }
  return false;
}

void versions(trial& t) {
  constexpr std::pair<std::string_view, std::array<int, 3>> supported[] = {
      {"GLIBC_", {2, 36, 0}}, {"GLIBCXX_", {3, 4, 30}}, {"CXXABI_", {1, 3, 13}}};
  for (const auto& one : t.elf().versions_needed())
    for (const auto& [prefix, most] : supported)
      t.expect(
          !one.starts_with(prefix) || !is_newer(std::string_view(one).substr(prefix.size()), most),
          "libraries as in Debian 12: GLIBC 2.36, GLIBCXX 3.4.30", "it needs " + one);
}

void no_import_of(trial& t, std::initializer_list<std::string_view> names,
                  const std::string& expected) {
  for (const auto& one : t.elf().symbols())
    t.expect(one.defined || std::find(names.begin(), names.end(), one.name) == names.end(),
             expected, "it uses " + one.name);
}

void ends(trial& t) {
  no_import_of(t, {"exit", "_exit", "_Exit", "quick_exit"},
               "a plugin that cannot end the process; errors go to finish()");
}
void state(trial& t) {
  no_import_of(t,
               {"setenv", "putenv", "unsetenv", "clearenv", "chdir", "fchdir", "setlocale", "umask",
                "setrlimit", "prlimit", "signal", "sigaction", "setuid", "setgid", "chroot"},
               "no function that changes the whole process");
}
void environment(trial& t) {
  no_import_of(t, {"getenv", "secure_getenv", "environ", "__environ"},
               "what comes from the environment comes as configuration");
}
void processes(trial& t) {
  for (const auto& one : t.elf().symbols()) {
    constexpr std::string_view starting[] = {"fork",  "vfork",  "system",      "popen",
                                             "_Fork", "execve", "posix_spawn", "posix_spawnp"};
    if (one.defined ||
        std::find(std::begin(starting), std::end(starting), one.name) == std::end(starting))
      continue;
    const auto& allowed = t.about().permissions;
    t.expect(std::find(allowed.begin(), allowed.end(), "process.spawn") != allowed.end(),
             "\"process.spawn\" among the manifest's permissions", "it uses " + one.name);
  }
}
void thread_exit(trial& t) {
  no_import_of(t, {"__cxa_thread_atexit", "__cxa_thread_atexit_impl"},
               "no thread_local object with a destructor: it may run after destroy");
}

constexpr check table[] = {
    {"import.libraries", 3, stage::file, "no shared-state library",
     "Log with host->log (setup::log, context::log); link such libraries nowhere or statically.",
     needed},
    {"import.versions", 4, stage::file, "runs on Debian 12",
     "Build on the oldest system that it is to run on, for instance in a debian:12 container.",
     versions},
    {"import.exit", 5, stage::file, "does not end the process",
     "Finish the call with a status; in C++ throw rustic::failure.", ends},
    {"import.state", 6, stage::file, "leaves the process alone",
     "Keep what you need in your own objects; pthread_sigmask serves threads of your own.", state},
    {"import.environment", 7, stage::file, "reads no environment",
     "Name the variable under \"environment\" in the manifest; it arrives in the configuration.",
     environment},
    {"import.processes", 5, stage::manifest, "declares its processes",
     "Add \"process.spawn\" to \"permissions\".", processes},
    {"import.thread_exit", 6, stage::file, "no thread_local cleanup",
     "Keep per-thread things in the thread's own function, not in thread_local objects.",
     thread_exit},
};
}  // namespace

std::span<const check> import_checks() {
  return table;
}
}  // namespace rustic::validator
