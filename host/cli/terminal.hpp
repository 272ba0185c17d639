// host/cli/terminal.hpp - keys and lines from the terminal, and text that is safe to show on it.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "host/cli/signals.hpp"

namespace rustic::cli {

struct key_press {
  std::optional<char> value;   // nothing: end of input
  std::optional<int> signal;
};
// One key, not echoed. The terminal is as before when this returns.
key_press read_key(signal_watch& signals);

struct line_read {
  std::optional<std::string> text;  // nothing: end of input or a signal
  std::optional<int> signal;
};
// One line, edited by the terminal itself; with `secret` it is not echoed.
line_read read_line(signal_watch& signals, bool secret);

// Text from a model, a tool or a file without anything that a terminal would obey.
std::string visible(std::string_view text);
// Whether to use colours on that descriptor.
bool color_terminal(int descriptor, bool no_color);
}  // namespace rustic::cli
