// recording_listener.hpp - for the tests: what one command told its caller, and ways to wait for
// it.
#pragma once
#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <sstream>
#include <string>

#include "command_runner.hpp"

namespace rustic::shell {

class recording_listener final : public command_listener {
 public:
  explicit recording_listener(next answer = next::more) : answer_(answer) {}

  next on_output(int index, std::string_view bytes) override {
    const std::lock_guard lock(mutex_);
    events_ += finished_ ? 1'000'000 : 1;
    (index == 1 ? output_ : error_).append(bytes);
    changed_.notify_all();
    return answer_;
  }
  void on_finished(outcome result) override {
    const std::lock_guard lock(mutex_);
    finished_ += 1;
    result_ = std::move(result);
    changed_.notify_all();
  }

  // False when ten seconds (or `limit`) were not enough.
  bool wait_finished(std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    return wait(limit, [this] { return finished_ > 0; });
  }
  bool wait_output(std::string_view part) {
    return wait(std::chrono::seconds(10), [&] { return output_.find(part) != std::string::npos; });
  }
  void set_answer(next answer) {
    const std::lock_guard lock(mutex_);
    answer_ = answer;
  }
  outcome result() {
    const std::lock_guard lock(mutex_);
    return result_;
  }
  std::string output(int index = 1) {
    const std::lock_guard lock(mutex_);
    return index == 1 ? output_ : error_;
  }
  int finished() {
    const std::lock_guard lock(mutex_);
    return finished_;
  }
  long events() {
    const std::lock_guard lock(mutex_);
    return events_;
  }

 private:
  bool wait(std::chrono::milliseconds limit, const std::function<bool()>& met) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, met);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  next answer_;
  std::string output_;
  std::string error_;
  outcome result_;
  int finished_ = 0;
  long events_ = 0;
};

// A directory that goes with the test.
class scratch_directory {
 public:
  scratch_directory() {
    std::string name = (std::filesystem::temp_directory_path() / "rustic-shell-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~scratch_directory() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Test programs lie in BUILD/tests.
inline std::filesystem::path build_directory() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path();
}

inline runner_settings test_settings() {
  runner_settings settings;
  settings.supervisor = (build_directory() / "libexec/rustic-ai/rustic-ai-supervisor").string();
  settings.grace_ms = 300;  // shorter than in earnest, so that the tests are
  settings.environment = {"PATH=/usr/local/bin:/usr/bin:/bin", "TERM=dumb"};
  return settings;
}

inline command_spec test_command(std::string text, std::uint32_t timeout_ms = 20'000,
                                 std::string directory = "/") {
  return {std::move(text), std::move(directory), timeout_ms};
}

// A variable by which count_marked finds the processes of one test.
inline std::string unique_mark(const char* name) {
  return "RUSTIC_TEST_MARK=" + std::string(name) + std::to_string(::getpid());
}

inline runner_settings marked_settings(const std::string& mark) {
  auto settings = test_settings();
  settings.environment.push_back(mark);
  return settings;
}

// Runs one command to its end.
inline outcome run_to_end(command_runner& runner, command_spec spec) {
  const auto listener = std::make_shared<recording_listener>();
  const auto limit = std::chrono::milliseconds(spec.timeout_ms + 10'000);
  runner.run(std::move(spec), listener);
  if (listener->wait_finished(limit)) return listener->result();
  outcome none;
  none.failure = "the test gave up waiting";
  return none;
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();  // a process that ends meanwhile makes this fail, not throw
  return text.str();
}

// Polls until `met` or five seconds have passed.
inline bool eventually(const std::function<bool()>& met) {
  const auto limit = clock::now() + std::chrono::seconds(5);
  while (!met()) {
    if (clock::now() > limit) return false;
    ::usleep(2000);
  }
  return true;
}

// A process that is there and not a zombie.
inline bool alive(pid_t pid) {
  const std::string text = read_file("/proc/" + std::to_string(pid) + "/stat");
  const auto name_end = text.rfind(')');
  return name_end != std::string::npos && text.size() > name_end + 2 && text[name_end + 2] != 'Z';
}

// Processes, zombies too, whose environment or command line holds `mark`.
inline int count_marked(const std::string& mark) {
  int count = 0;
  DIR* directory = ::opendir("/proc");
  while (const dirent* item = ::readdir(directory)) {
    const std::string name = item->d_name;
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (name == std::to_string(::getpid())) continue;
    const bool found = read_file("/proc/" + name + "/environ").find(mark) != std::string::npos ||
                       read_file("/proc/" + name + "/cmdline").find(mark) != std::string::npos;
    count += found ? 1 : 0;
  }
  ::closedir(directory);
  return count;
}

// Direct children of this process, zombies too.
inline int count_children() {
  int count = 0;
  DIR* directory = ::opendir("/proc");
  while (const dirent* item = ::readdir(directory)) {
    if (item->d_name[0] < '1' || item->d_name[0] > '9') continue;
    const std::string text = read_file("/proc/" + std::string(item->d_name) + "/stat");
    const auto name_end = text.rfind(')');
    if (name_end == std::string::npos) continue;
    count += std::atoi(text.c_str() + name_end + 4) == ::getpid() ? 1 : 0;
  }
  ::closedir(directory);
  return count;
}

inline int count_entries(const std::string& directory) {
  int count = 0;
  for ([[maybe_unused]] const auto& item : std::filesystem::directory_iterator(directory)) ++count;
  return count;
}

}  // namespace rustic::shell
