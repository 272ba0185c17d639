// host/cli/signals.hpp - SIGINT, SIGTERM and SIGHUP as something to poll for.
#pragma once
#include <optional>

namespace rustic::cli {

// What SIGWINCH and SIGCONT say.
enum class terminal_change { resized, continued };

// Blocks the signals in this thread and in those that it starts later, so make one before any other
// thread exists. SIGPIPE and SIGXFSZ are ignored from then on. The previous mask returns with the
// destructor.
class signal_watch {
 public:
  signal_watch();
  ~signal_watch();
  signal_watch(const signal_watch&) = delete;
  signal_watch& operator=(const signal_watch&) = delete;

  // From now on the signals do what they do by default: for work that nothing has to follow.
  void let_through() noexcept;

  int descriptor() const noexcept { return descriptor_; }
  // The number of a signal that came, if one did.
  std::optional<int> take();

  // The same for changes of the terminal, which only an editor of lines cares about.
  int terminal_descriptor() const noexcept { return terminal_descriptor_; }
  std::optional<terminal_change> take_terminal_change();

 private:
  int descriptor_;
  int terminal_descriptor_;
};

// Waits until one is readable; -1 leaves one out. Bits: 1 the first, 2 the second, 4 the third, 8
// the fourth. 0 after timeout_ms (-1: never).
int wait_readable(int first, int second, int timeout_ms = -1, int third = -1, int fourth = -1);
}  // namespace rustic::cli
