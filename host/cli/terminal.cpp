#include "host/cli/terminal.hpp"

#include <termios.h>
#include <unistd.h>

#include <cstdio>

namespace rustic::cli {
namespace {

// Changes the terminal's mode for as long as it lives.
class terminal_mode {
 public:
  terminal_mode(tcflag_t off) : good_(tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!good_) return;
    auto now = before_;
    now.c_lflag &= ~off;
    now.c_cc[VMIN] = 1;
    now.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &now);
  }
  ~terminal_mode() {
    if (good_) tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
  }
  terminal_mode(const terminal_mode&) = delete;
  terminal_mode& operator=(const terminal_mode&) = delete;

 private:
  termios before_{};
  bool good_;
};

constexpr std::size_t line_bytes_max = 64u * 1024;
}  // namespace

key_press read_key(signal_watch& signals) {
  const terminal_mode raw(ICANON | ECHO);
  for (;;) {
    const int ready = wait_readable(STDIN_FILENO, signals.descriptor());
    if ((ready & 2) != 0)
      if (const auto signal = signals.take()) return {std::nullopt, signal};
    if ((ready & 1) == 0) continue;
    char key = 0;
    if (read(STDIN_FILENO, &key, 1) != 1 || key == 4) return {};
    return {key, std::nullopt};
  }
}

line_read read_line(signal_watch& signals, bool secret) {
  const terminal_mode mode(secret ? ECHO : 0);
  std::string text;
  for (;;) {
    const int ready = wait_readable(STDIN_FILENO, signals.descriptor());
    if ((ready & 2) != 0)
      if (const auto signal = signals.take()) return {std::nullopt, signal};
    if ((ready & 1) == 0) continue;
    char byte = 0;
    if (read(STDIN_FILENO, &byte, 1) != 1) return {};
    if (byte == '\n') break;
    if (text.size() < line_bytes_max) text += byte;
  }
  if (secret) std::fputs("\n", stderr);
  return {text, std::nullopt};
}

std::string visible(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0 &&
        static_cast<unsigned char>(text[i + 1]) >= 0x80) {
      ++i;  // C1 controls
      continue;
    }
    if (byte >= 0x20 ? byte != 0x7f : (byte == '\n' || byte == '\t')) out += text[i];
  }
  return out;
}

bool color_terminal(int descriptor, bool no_color) {
  return !no_color && isatty(descriptor) != 0;
}
}  // namespace rustic::cli
