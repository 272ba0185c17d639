#include "host/validator/runner.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <optional>
#include <rustic/json.hpp>

#include "host/validator/failing_memory.hpp"
#include "host/validator/trial.hpp"

namespace rustic::validator {
namespace {
namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;
constexpr int report_descriptor = 3;

class scratch_folder {
 public:
  scratch_folder() {
    auto name = (fs::temp_directory_path() / "rustic-ai-validator.XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("no folder below " + name);
    path_ = name;
    fs::create_directories(path_ / "tmp");
  }
  ~scratch_folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;
  const fs::path& path() const noexcept { return path_; }

 private:
  fs::path path_;
};

// What a check's process wrote: lines of the protocol, and what it printed.
struct collected {
  std::string report, output;
  int status = 0;
  bool is_over_time = false;
};

void take(int from, std::string& into, std::size_t bytes_max, bool& open) {
  char buffer[8192];
  const auto bytes = ::read(from, buffer, sizeof(buffer));
  if (bytes < 0 && errno == EINTR) return;
  if (bytes <= 0) {
    open = false;
    return;
  }
  const auto room = bytes_max - std::min(bytes_max, into.size());
  into.append(buffer, std::min(room, static_cast<std::size_t>(bytes)));
}

// Processes that a plugin started and that outlived their group come to us.
void end_orphans() {
  for (int round = 0; round < 100; ++round) {
    std::ifstream in("/proc/self/task/" + std::to_string(::getpid()) + "/children");
    pid_t child = 0;
    bool any = false;
    while (in >> child) {
      any = true;
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
    if (!any) return;
  }
}

[[noreturn]] void become_check(const std::vector<std::string>& words, const fs::path& folder,
                               int report, int output) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const rlimit memory{memory_bytes_max, memory_bytes_max};
  ::setrlimit(RLIMIT_AS, &memory);
#endif
  const int nothing = ::open("/dev/null", O_RDONLY);
  const int kept_report = ::fcntl(report, F_DUPFD, 10), kept_output = ::fcntl(output, F_DUPFD, 10);
  ::dup2(nothing, 0);
  ::dup2(kept_output, 1);
  ::dup2(kept_output, 2);
  ::dup2(kept_report, report_descriptor);
  ::close_range(report_descriptor + 1, ~0u, 0);
  if (::chdir(folder.c_str()) != 0) ::_exit(121);
  const std::string home = "HOME=" + folder.string();
  const std::string temporary = "TMPDIR=" + (folder / "tmp").string();
  const std::string path = "PATH=/usr/local/bin:/usr/bin:/bin";
  std::vector<char*> arguments;
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  char* environment[] = {const_cast<char*>(home.c_str()), const_cast<char*>(temporary.c_str()),
                         const_cast<char*>(path.c_str()), nullptr};
  ::execve("/proc/self/exe", arguments.data(), environment);
  ::_exit(122);
}

collected run_process(const std::vector<std::string>& words, const fs::path& folder,
                      std::uint32_t time_max_ms) {
  int report[2], output[2];
  if (::pipe2(report, O_CLOEXEC) != 0 || ::pipe2(output, O_CLOEXEC) != 0)
    throw std::runtime_error(std::string("no pipe: ") + std::strerror(errno));
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error(std::string("no process: ") + std::strerror(errno));
  if (child == 0) become_check(words, folder, report[1], output[1]);
  ::setpgid(child, child);
  ::close(report[1]);
  ::close(output[1]);
  collected out;
  const auto end = clock::now() + std::chrono::milliseconds(time_max_ms);
  bool report_open = true, output_open = true, is_gone = false;
  while (!is_gone) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - clock::now()).count();
    if (left <= 0) {
      out.is_over_time = true;
      break;
    }
    pollfd both[2] = {{report_open ? report[0] : -1, POLLIN, 0},
                      {output_open ? output[0] : -1, POLLIN, 0}};
    // Without an open pipe only the end of the process is left to wait for.
    const auto pause = report_open || output_open ? std::min<long>(left, 50) : 1;
    ::poll(both, 2, static_cast<int>(pause));
    if (both[0].revents != 0) take(report[0], out.report, report_bytes_max, report_open);
    if (both[1].revents != 0) take(output[0], out.output, output_bytes_max, output_open);
    is_gone =
        (!report_open || both[0].revents == 0) && ::waitpid(child, &out.status, WNOHANG) == child;
  }
  ::kill(-child, SIGKILL);
  if (!is_gone) ::waitpid(child, &out.status, 0);
  end_orphans();
  // What is still in the pipes; nobody writes any more.
  ::fcntl(report[0], F_SETFL, O_NONBLOCK);
  ::fcntl(output[0], F_SETFL, O_NONBLOCK);
  while (report_open) take(report[0], out.report, report_bytes_max, report_open);
  while (output_open) take(output[0], out.output, output_bytes_max, output_open);
  ::close(report[0]);
  ::close(output[0]);
  return out;
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) {
    const char* name = ::sigabbrev_np(WTERMSIG(status));
    return name ? "SIG" + std::string(name) : "signal " + std::to_string(WTERMSIG(status));
  }
  return "exit with status " + std::to_string(WEXITSTATUS(status));
}

outcome outcome_from(std::string_view name) {
  for (const auto one : {outcome::passed, outcome::failed, outcome::skipped})
    if (outcome_name(one) == name) return one;
  return outcome::failed;
}

verdict judge(const check& what, const collected& from) {
  std::string step;
  std::optional<verdict> found;
  for (std::size_t at = 0; at < from.report.size();) {
    const auto end = std::min(from.report.find('\n', at), from.report.size());
    try {
      const auto line = parse_object(std::string_view(from.report).substr(at, end - at));
      if (line.contains("step")) step = text_or(line, "step");
      if (line.contains("result"))
        found =
            verdict{outcome_from(text_or(line, "result")), std::string(text_or(line, "expected")),
                    std::string(text_or(line, "seen")), std::string(text_or(line, "reason")), 0};
    } catch (const std::exception&) {  // a line that was cut off says nothing
    }
    at = end + 1;
  }
  const bool is_clean = WIFEXITED(from.status) && WEXITSTATUS(from.status) == 0;
  std::string printed;
  if (!from.output.empty()) printed = "; it printed: " + shown(from.output);
  if (found && found->result == outcome::passed && what.ends_process) {
    step = "the end of the process";
  } else if (found) {
    return *found;
  }
  if (from.is_over_time)
    return {outcome::hung,
            "an end within the time of this check",
            "none; it was in: " + step + printed,
            {},
            0};
  if (found && is_clean) return *found;
  auto end = how_it_ended(from.status);
  if (is_clean) end += " in the middle, or its descriptors were closed";
  return {outcome::crashed, "no crash", end + " in: " + step + printed, {}, 0};
}

verdict run_here(const check& what, const run_options& with, const fs::path& folder, int report) {
  const memory_exempt here;  // what counts is what the plugin does
  trial t({with.file, folder, with.seed, with.config, report, what.name});
  try {
    t.step("the check itself");
    what.run(t);
    t.pass_and_write();
    return {};
  } catch (const trial_ended& end) {
    return end.result;
  } catch (const std::exception& problem) {
    if (report >= 0) t.fail("the check runs", std::string("it threw: ") + problem.what());
    return {outcome::failed, "the check runs", problem.what(), {}, 0};
  }
}

std::vector<std::string> child_words(const run_options& with, std::string_view name) {
  std::vector<std::string> words{"rustic-ai-validator", "--check", std::string(name), "--seed",
                                 std::to_string(with.seed)};
  if (!with.config.empty()) words.insert(words.end(), {"--config", with.config});
  words.push_back("--");
  words.push_back(with.file.string());
  return words;
}

bool is_selected(const run_options& with, const check& what) {
  if (what.level > with.strictness && with.only.empty()) return false;
  return with.only.empty() || std::any_of(with.only.begin(), with.only.end(),
                                          [&](const auto& one) { return matches(one, what.name); });
}

std::string plugin_name(const fs::path& file) {
  const auto read = elf_image::open(file);
  if (!read.image || read.image->manifest_notes().empty()) return {};
  const auto about = kernel::abi::parse_manifest(read.image->manifest_notes().front());
  return about.value ? about.value->id + " " + about.value->version : std::string();
}
}  // namespace

std::size_t run_result::count(outcome result) const {
  return static_cast<std::size_t>(std::count_if(
      checks.begin(), checks.end(), [&](const checked& one) { return one.how.result == result; }));
}
bool run_result::passed() const {
  return count(outcome::failed) + count(outcome::crashed) + count(outcome::hung) == 0;
}

run_result run_checks(const run_options& with, const std::function<void(const checked&)>& seen) {
  run_result out;
  out.plugin = plugin_name(with.file);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  stage broken = stage::answers;
  const check* broken_by = nullptr;
  for (const auto* one : all_checks()) {
    const bool selected = is_selected(with, *one);
    if (!selected && one->proves == stage::nothing) continue;
    checked done{one, {}};
    if (broken_by && one->needs >= broken) {
      done.how = {
          outcome::skipped, {}, {}, "not run: " + std::string(broken_by->name) + " failed", 0};
    } else {
      const auto began = clock::now();
      const scratch_folder folder;
      if (with.in_process) {
        done.how = run_here(*one, with, folder.path(), -1);
      } else {
        const auto time_max_ms = with.time_max_ms != 0 ? with.time_max_ms : one->time_max_ms;
        done.how =
            judge(*one, run_process(child_words(with, one->name), folder.path(), time_max_ms));
      }
      done.how.duration_ms = static_cast<std::uint32_t>(
          std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - began).count());
    }
    const bool is_bad = done.how.result != outcome::passed && done.how.result != outcome::skipped;
    if (is_bad && one->proves != stage::nothing && (!broken_by || one->proves < broken)) {
      broken = one->proves;
      broken_by = one;
    }
    // A crash is one, whatever was looked at when it came.
    if (done.how.result == outcome::failed && one->advisory) done.how.result = outcome::warning;
    if (!selected && !is_bad) continue;
    out.checks.push_back(done);
    if (seen) seen(done);
  }
  return out;
}

int run_one_check(const run_options& with, std::string_view name, int report) {
  const auto* what = find_check(name);
  if (!what) return 2;
  ::fcntl(report, F_SETFD, FD_CLOEXEC);
  (void)run_here(*what, with, fs::current_path(), report);
  if (what->ends_process) return 0;
  ::_exit(0);
}
}  // namespace rustic::validator
