// host/cli/terminal.hpp - keys and lines from the terminal, and text that is safe to show on it.
#pragma once
#include <termios.h>

#include <optional>
#include <string>
#include <string_view>

#include "host/cli/signals.hpp"

namespace rustic::cli {

// Changes flags of the terminal on standard input for as long as it lives.
class terminal_mode {
 public:
  terminal_mode(tcflag_t on, tcflag_t off);
  ~terminal_mode();
  terminal_mode(const terminal_mode&) = delete;
  terminal_mode& operator=(const terminal_mode&) = delete;

  // Sets the flags again: the shell has taken them back while the program was stopped.
  void renew() const;
  // Does so when that is what the signals say. True: it was.
  bool renew_after_stop(signal_watch& signals) const;

 private:
  termios before_{}, now_{};
  bool good_;
};

struct key_press {
  std::optional<char> value;  // '\x1b': the Escape key alone. Nothing: end of input
  std::optional<int> signal;
  bool withdrawn = false;  // `withdrawn_descriptor` became readable
};
// One key, not echoed; cursor keys and pasted text count for nothing. `question` is shown again
// when the program was stopped meanwhile and goes on. The terminal is as before when this returns.
key_press read_key(signal_watch& signals, int withdrawn_descriptor = -1,
                   std::string_view question = {});
// Drops what was typed and not read yet: it was not meant for what comes now.
void drop_typed_ahead();

struct line_read {
  std::optional<std::string> text;  // nothing: end of input, a signal, or withdrawn
  std::optional<int> signal;
};
// One line, edited by the terminal itself; with `secret` it is not echoed.
line_read read_line(signal_watch& signals, bool secret, int withdrawn_descriptor = -1);

// Text from a model, a tool or a file that comes in pieces, without anything that a terminal would
// obey: escape sequences (also those that two pieces share) and control characters vanish, line
// ends and tabs stay.
class safe_text {
 public:
  std::string pass(std::string_view piece);

 private:
  enum class place { text, lead, escape, sequence, string, string_escape };
  void byte(char c, std::string& out);

  place at_ = place::text;
  int swallowed_bytes_ = 0;
};

// The same for a text that is whole.
std::string visible(std::string_view text);
// Columns that a text takes on a terminal: two for wide characters, none for combining ones. The
// LC_CTYPE of the process must be UTF-8.
std::size_t columns_of(std::string_view text);
// The longest beginning that takes at most so many columns and ends with a whole character.
std::string_view cut_columns(std::string_view text, std::size_t columns_max);
// One line of at most so many columns, safe to show.
std::string one_visible_line(std::string_view text, std::size_t columns_max);
}  // namespace rustic::cli
