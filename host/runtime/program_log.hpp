// host/runtime/program_log.hpp - the program's log: a rotated file, off the terminal, without
// secrets.
#pragma once
#include <rustic/abi.h>

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::kernel {
class kernel;
}

namespace rustic::runtime {

// Threads: any. The file is opened by the first line that is written, so that a program with
// nothing to say makes none. When it cannot be opened, lines are dropped and `problem` says why.
class program_log {
 public:
  enum class format { pretty, json };
  program_log(std::filesystem::path file, int level, format how);
  ~program_log();
  program_log(const program_log&) = delete;
  program_log& operator=(const program_log&) = delete;

  void write(int level, std::string_view plugin, rai_call call, std::string_view text);
  // From now on this text is written as "***". Short ones are ignored.
  void hide(std::string secret);
  // Where trace ids of calls come from; null when the kernel goes away.
  void attach(kernel::kernel* owner);
  // Copies lines to standard error too.
  void copy_to_terminal(bool yes);
  bool wants(int level) const noexcept { return level >= level_; }
  // Opens the file now and not with the first line. False: it cannot be written, see problem().
  bool open();
  std::string problem() const;

 private:
  struct sink;
  void open_locked();
  std::string line(int level, std::string_view plugin, rai_call call, std::string_view text);

  const std::filesystem::path file_;
  const int level_;
  const format format_;
  mutable std::mutex mutex_;
  std::unique_ptr<sink> sink_;
  bool failed_ = false;
  bool terminal_ = false;
  std::string problem_;
  std::vector<std::string> secrets_;
  kernel::kernel* kernel_ = nullptr;
};

// "warn" and the like; RAI_LOG_WARN for anything else; one past RAI_LOG_ERROR for "off".
int log_level_from(std::string_view name) noexcept;
}  // namespace rustic::runtime
