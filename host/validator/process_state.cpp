#include "host/validator/process_state.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cfenv>
#include <chrono>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "host/validator/limits.hpp"

extern "C" char** environ;

namespace rustic::validator {
namespace {
template <class Use>
void each_entry(const char* folder, Use use) {
  DIR* open = ::opendir(folder);
  if (!open) return;
  const auto own = std::to_string(::dirfd(open));
  while (const auto* entry = ::readdir(open))
    if (entry->d_name[0] != '.') use(std::string(entry->d_name), entry->d_name == own);
  ::closedir(open);
}

std::string handlers() {
  std::ostringstream out;
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) != 0) continue;
    out << "signal " << number << ": ";
    if (action.sa_handler == SIG_DFL)
      out << "default\n";
    else if (action.sa_handler == SIG_IGN)
      out << "ignored\n";
    else
      out << "handler at " << reinterpret_cast<void*>(action.sa_handler) << "\n";
  }
  return out.str();
}

std::string mask() {
  std::ostringstream out;
  sigset_t set;
  ::sigprocmask(SIG_BLOCK, nullptr, &set);
  for (int number = 1; number < NSIG; ++number)
    if (sigismember(&set, number) == 1) out << "signal " << number << " blocked\n";
  return out.str();
}

std::string limits() {
  std::ostringstream out;
  for (int what = 0; what < static_cast<int>(RLIMIT_NLIMITS); ++what) {
    rlimit value{};
    if (::getrlimit(static_cast<__rlimit_resource>(what), &value) == 0)
      out << "limit " << what << ": " << value.rlim_cur << "/" << value.rlim_max << "\n";
  }
  return out.str();
}

std::string environment() {
  std::vector<std::string> all;
  for (char** one = environ; one && *one; ++one) all.emplace_back(*one);
  std::sort(all.begin(), all.end());
  std::string out;
  for (const auto& one : all) out += one + "\n";
  return out;
}

std::string floating_point() {
  std::fenv_t state{};
  std::fegetenv(&state);
  std::ostringstream out;
  out << "rounding " << std::fegetround() << "\n";
#if defined(__x86_64__)
  // The control bits; the flags of past operations change with every one.
  out << "x87 control " << (state.__control_word & 0xffff) << "\nmxcsr control "
      << (state.__mxcsr & 0xffc0u) << "\n";
#endif
  return out.str();
}
}  // namespace

std::size_t thread_count() {
  std::size_t count = 0;
  each_entry("/proc/self/task", [&](const std::string&, bool) { ++count; });
  return count;
}

std::size_t child_count() {
  std::ifstream in("/proc/thread-self/children");
  std::size_t count = 0;
  for (long child = 0; in >> child;) ++count;
  return count;
}

std::vector<std::string> descriptors() {
  std::vector<std::string> out;
  each_entry("/proc/self/fd", [&](const std::string& name, bool own) {
    char target[256];
    const auto path = "/proc/self/fd/" + name;
    const auto bytes = ::readlink(path.c_str(), target, sizeof(target));
    if (!own && bytes > 0)
      out.push_back(name + " -> " + std::string(target, static_cast<std::size_t>(bytes)));
  });
  std::sort(out.begin(), out.end());
  return out;
}

std::size_t allocated_bytes() {
  const auto info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

std::size_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  std::size_t total = 0, resident = 0;
  in >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

double cpu_ms() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) / 1e6;
}

process_state process_state_now() {
  process_state out;
  out["signal handlers"] = handlers();
  out["signal mask"] = mask();
  const char* locale = std::setlocale(LC_ALL, nullptr);
  out["locale"] = locale ? locale : "";
  char folder[4096];
  out["working directory"] = ::getcwd(folder, sizeof(folder)) ? folder : "";
  const auto file_mask = ::umask(0);
  ::umask(file_mask);
  out["umask"] = std::to_string(file_mask);
  out["environment"] = environment();
  out["resource limits"] = limits();
  out["floating point"] = floating_point();
  return out;
}

std::string difference(const std::string& before, const std::string& after) {
  if (before == after) return {};
  std::istringstream old_lines(before), new_lines(after);
  for (;;) {
    std::string was, is;
    const bool more_old = static_cast<bool>(std::getline(old_lines, was));
    const bool more_new = static_cast<bool>(std::getline(new_lines, is));
    if (!more_old && !more_new) return "they differ";
    if (was != is)
      return "was " + (was.empty() ? "nothing" : was) + ", is " + (is.empty() ? "nothing" : is);
  }
}

std::size_t settle_threads(std::size_t count, unsigned time_ms) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(time_ms);
  for (;;) {
    // A joined thread leaves /proc a moment after the join.
    const auto now = thread_count();
    if (now <= count || std::chrono::steady_clock::now() >= end) return now;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

output_capture::output_capture() {
  std::fflush(nullptr);
  file_ = ::memfd_create("output", MFD_CLOEXEC);
  for (int i = 0; i < 2; ++i) {
    saved_[i] = ::fcntl(i + 1, F_DUPFD_CLOEXEC, 3);
    ::dup2(file_, i + 1);
  }
}

std::string output_capture::text() {
  std::fflush(nullptr);
  std::string out(output_bytes_max, '\0');
  const auto bytes = ::pread(file_, out.data(), out.size(), 0);
  out.resize(bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
  return out;
}

output_capture::~output_capture() {
  std::fflush(nullptr);
  for (int i = 0; i < 2; ++i) {
    if (saved_[i] < 0) continue;
    ::dup2(saved_[i], i + 1);
    ::close(saved_[i]);
  }
  if (file_ >= 0) ::close(file_);
}
}  // namespace rustic::validator
