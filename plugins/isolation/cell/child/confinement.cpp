#include "confinement.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "../descriptor.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RUSTIC_SHADOW_MEMORY 1  // reserves terabytes, which every limit of memory forbids
#endif

namespace rustic::cell {
namespace {

// Landlock, from its documentation: the C library's headers are older than what it can do.
struct ruleset_attributes {
  std::uint64_t handled_access_fs;
  std::uint64_t handled_access_net;
  std::uint64_t scoped;
};
struct __attribute__((packed)) path_beneath_attributes {
  std::uint64_t allowed_access;
  std::int32_t parent;
};
constexpr std::uint32_t create_version = 1;
constexpr int rule_path_beneath = 1;
constexpr std::uint64_t write_file = 1u << 1;
constexpr std::uint64_t change_directory = 0x1FF0;  // remove and make of every kind
constexpr std::uint64_t refer = 1u << 13;           // rename and link between directories, ABI 2
constexpr std::uint64_t truncate_file = 1u << 14;   // ABI 3
constexpr std::uint64_t scope_signal = 1u << 1;     // ABI 6

const char* const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
                               "/dev/urandom"};

bool allow(int ruleset, const char* path, std::uint64_t access) {
  const descriptor at(open(path, O_PATH | O_CLOEXEC));
  struct stat about {};
  if (!at || fstat(at.get(), &about) != 0) return false;
  if (!S_ISDIR(about.st_mode)) access &= write_file | truncate_file;
  const path_beneath_attributes rule{access, at.get()};
  return syscall(SYS_landlock_add_rule, ruleset, rule_path_beneath, &rule, 0) == 0;
}

std::string fence(const std::vector<std::string>& write_paths) {
  const long version = syscall(SYS_landlock_create_ruleset, nullptr, 0, create_version);
  if (version < 1)
    return "this system has no Landlock: the plugin may write wherever the user may; ";
  ruleset_attributes wanted{write_file | change_directory, 0, 0};
  if (version >= 2) wanted.handled_access_fs |= refer;
  if (version >= 3) wanted.handled_access_fs |= truncate_file;
  if (version >= 6) wanted.scoped = scope_signal;
  const std::size_t bytes = version >= 6 ? sizeof wanted : version >= 4 ? 16 : 8;
  const descriptor ruleset(
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &wanted, bytes, 0)));
  if (!ruleset) return std::string("Landlock failed: ") + strerror(errno) + "; ";
  std::string notes;
  for (const char* device : devices) allow(ruleset.get(), device, wanted.handled_access_fs);
  for (const auto& path : write_paths)
    if (!allow(ruleset.get(), path.c_str(), wanted.handled_access_fs))
      notes += "it may not write to " + path + ": " + strerror(errno) + "; ";
  if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0)
    notes += std::string("Landlock failed: ") + strerror(errno) + "; ";
  return notes;
}

void limit(decltype(RLIMIT_DATA) which, std::uint64_t value, const char* name, std::string& notes) {
  if (value == 0) return;
  rlimit now{};
  getrlimit(which, &now);
  const rlim_t most = now.rlim_max == RLIM_INFINITY || value < now.rlim_max ? value : now.rlim_max;
  const rlimit set{most, most};
  if (setrlimit(which, &set) != 0)
    notes += std::string("limiting ") + name + " failed: " + strerror(errno) + "; ";
}

// Processes and threads that there are, of whatever user. 0: nobody knows.
std::uint64_t running_now() {
  char text[128];
  const descriptor file(open("/proc/loadavg", O_RDONLY | O_CLOEXEC));
  const ssize_t size = file ? read(file.get(), text, sizeof text - 1) : 0;
  if (size <= 0) return 0;
  text[size] = 0;
  const char* after_running = strchr(text, '/');  // "0.00 0.01 0.05 1/243 4711"
  return after_running == nullptr ? 0 : strtoull(after_running + 1, nullptr, 10);
}

}  // namespace

std::string confine(const confinement& wanted) {
  std::string notes;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    notes += std::string("no_new_privs failed: ") + strerror(errno) + "; ";
#ifndef RUSTIC_SHADOW_MEMORY
  limit(RLIMIT_DATA, wanted.memory_bytes, "memory", notes);
  // Shared memory is not data: the room for addresses bounds it.
  limit(RLIMIT_AS, wanted.memory_bytes == 0 ? 0 : wanted.memory_bytes + (std::uint64_t{4} << 30),
        "addresses", notes);
#endif
  limit(RLIMIT_NOFILE, wanted.open_files, "open files", notes);
  // The system counts what the user runs, not what the plugin does.
  const std::uint64_t running = wanted.processes == 0 ? 0 : running_now();
  if (running != 0) limit(RLIMIT_NPROC, running + wanted.processes, "processes", notes);
  limit(RLIMIT_CPU, wanted.cpu_seconds, "CPU time", notes);
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  notes += fence(wanted.write_paths);
  if (notes.size() >= 2) notes.resize(notes.size() - 2);
  return notes;
}

}  // namespace rustic::cell
