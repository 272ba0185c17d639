// repl_terminal.hpp - for tests: a program in a pseudo terminal, and the screen that it makes.
#pragma once
#include <sys/types.h>
#include <termios.h>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace rustic::e2e {

inline constexpr int wait_ms_max = 20'000;

// One process with a terminal of its own. Threads: one.
class pty_program {
 public:
  struct options {
    std::vector<std::string> words;  // program and arguments
    std::map<std::string, std::string> environment;
    std::string directory;
    unsigned short columns = 100, rows = 30;
  };
  explicit pty_program(options with);
  // Kills what is left of it.
  ~pty_program();
  pty_program(const pty_program&) = delete;
  pty_program& operator=(const pty_program&) = delete;

  void send(std::string_view keys);
  // Waits until the text stands in what was written since `from`; the place after it, or npos.
  std::size_t wait_for(std::string_view text, std::size_t from = 0, int timeout_ms = wait_ms_max);
  bool wait_until(const std::function<bool()>& condition, int timeout_ms = wait_ms_max);
  // The wait status once it has ended; -1 when it did not in time.
  int wait_exit(int timeout_ms = wait_ms_max);
  void resize(unsigned short columns, unsigned short rows);
  void hang_up();

  // All that was written, escape sequences included.
  const std::string& raw() const { return raw_; }
  // The lines as a terminal of that width shows them, without trailing blanks.
  std::vector<std::string> screen() const;
  bool shows(std::string_view text) const;
  std::size_t mark() const { return raw_.size(); }
  termios mode() const;
  void set_mode(const termios& mode);  // as a shell does with the terminal of a stopped program
  pid_t pid() const { return pid_; }

 private:
  bool pump(int timeout_ms);

  int master_ = -1;
  int slave_ = -1;  // kept open, so that the mode can be read when the program is gone
  pid_t pid_ = -1;
  int status_ = -1;
  unsigned short columns_;
  std::string raw_;
};
}  // namespace rustic::e2e
