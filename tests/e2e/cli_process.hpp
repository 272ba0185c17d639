// tests/e2e/cli_process.hpp - the program rustic-ai run as a process, in a home and a directory of
// its own.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <rustic/json.hpp>
#include <string>
#include <vector>

namespace rustic::e2e {

inline constexpr std::int64_t process_timeout_ms = 60'000;

// An empty home and an empty working directory, gone with the object.
class place {
 public:
  place();
  ~place();
  place(const place&) = delete;
  place& operator=(const place&) = delete;

  const std::filesystem::path& home() const noexcept { return home_; }
  const std::filesystem::path& work() const noexcept { return work_; }
  // What the program is given: HOME and PATH, and what a test adds.
  std::map<std::string, std::string> environment;

  void write(const std::filesystem::path& file, const std::string& text) const;
  // ~/.config/rustic-ai/config.toml
  void configure(const std::string& toml) const;
  std::filesystem::path database() const;
  // The files below home and work that hold these bytes.
  std::vector<std::filesystem::path> files_with(const std::string& bytes) const;

 private:
  std::filesystem::path root_, home_, work_;
};

enum class input_kind { device, pipe, closed };  // device: /dev/null

struct launch {
  std::string program;  // empty: rustic-ai
  std::vector<std::string> arguments;
  input_kind input = input_kind::device;
  std::string input_text;    // written into the pipe, which is then closed
  bool input_open = false;   // the pipe stays open when the text is written
  bool output_gone = false;  // standard output is a pipe that nobody reads
};

struct ended {
  int status = -1;  // 128 + the signal when one ended it
  bool in_time = true;
  std::string out, err;

  json::object object() const;              // the one object on standard output; throws otherwise
  std::vector<json::object> lines() const;  // one of each line; throws when a line is none
};

// Threads: the one that made it. Kills what is left of its process group with its end.
class cli_process {
 public:
  cli_process(const place& where, launch how);
  ~cli_process();
  cli_process(const cli_process&) = delete;
  cli_process& operator=(const cli_process&) = delete;

  pid_t id() const noexcept { return id_; }
  void signal(int number) const;
  // Reads until the condition holds for the output so far. False: it ended, or time was up.
  bool read_until(const std::function<bool(const ended&)>& condition,
                  std::int64_t timeout_ms = process_timeout_ms);
  ended wait(std::int64_t timeout_ms = process_timeout_ms);

 private:
  bool pump(std::int64_t deadline_ms);  // false: all is read and it has ended, or time is up
  void close_all();

  pid_t id_ = -1;
  int in_ = -1, out_ = -1, err_ = -1, watch_ = -1;
  std::string input_;
  bool input_open_ = false;
  std::size_t written_ = 0;
  bool reaped_ = false;
  ended so_far_;
};

// Runs it to its end.
ended run(const place& where, std::vector<std::string> arguments);
ended run(const place& where, launch how);

// Processes of this machine whose command line or working directory names this text.
std::vector<pid_t> processes_with(const std::string& text);
// Looks again and again until the condition holds.
bool eventually(const std::function<bool()>& condition, std::int64_t timeout_ms = 10'000);

// The members that the one object of --output json always has.
const std::vector<std::string>& result_members();
}  // namespace rustic::e2e
