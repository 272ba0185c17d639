#include "host/cli/terminal.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cwchar>
#include <rustic/json.hpp>

namespace rustic::cli {
namespace {
constexpr std::size_t line_bytes_max = 64u * 1024;
constexpr int escape_rest_ms = 25;       // what follows Escape within this time belongs to one key
constexpr int sequence_bytes_max = 256;  // then it was none, and text is shown again
constexpr std::string_view paste_begin = "\x1b[200~", paste_end = "\x1b[201~";

bool read_byte(char& out) {
  return read(STDIN_FILENO, &out, 1) == 1;
}

// The rest of a key that began with Escape. False: Escape stood alone.
bool swallow_sequence() {
  std::string got = "\x1b";
  char byte = 0;
  while (got.size() < static_cast<std::size_t>(sequence_bytes_max) &&
         (wait_readable(STDIN_FILENO, -1, escape_rest_ms) & 1) != 0 && read_byte(byte)) {
    got += byte;
    const bool introducer = got.size() == 2 && (byte == '[' || byte == 'O');
    if (introducer || (byte >= 0x20 && byte < 0x40)) continue;
    break;
  }
  if (got == paste_begin) {  // a pasted text is no key
    std::string tail;
    while (tail != paste_end && (wait_readable(STDIN_FILENO, -1, escape_rest_ms) & 1) != 0 &&
           read_byte(byte)) {
      tail += byte;
      if (tail.size() > paste_end.size()) tail.erase(0, 1);
    }
  }
  return got.size() > 1;
}

struct character {
  std::size_t bytes, columns;
};

// Takes the first character off a text that is not empty. A byte that is none takes one column.
character next_character(std::string_view& text) {
  wchar_t code = 0;
  std::mbstate_t state{};
  auto bytes = std::mbrtowc(&code, text.data(), text.size(), &state);
  int columns = 1;
  if (bytes == 0 || bytes > text.size())
    bytes = 1;
  else
    columns = std::max(0, wcwidth(code));
  text.remove_prefix(bytes);
  return {bytes, static_cast<std::size_t>(columns)};
}

void erase_all(std::string& text, std::string_view what) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at))
    text.erase(at, what.size());
}
}  // namespace

terminal_mode::terminal_mode(tcflag_t on, tcflag_t off)
    : good_(tcgetattr(STDIN_FILENO, &before_) == 0) {
  if (!good_) return;
  now_ = before_;
  now_.c_lflag |= on;
  now_.c_lflag &= ~off;
  if ((now_.c_lflag & ICANON) == 0) {
    now_.c_cc[VMIN] = 1;
    now_.c_cc[VTIME] = 0;
  }
  renew();
}

void terminal_mode::renew() const {
  if (good_) tcsetattr(STDIN_FILENO, TCSADRAIN, &now_);
}

bool terminal_mode::renew_after_stop(signal_watch& signals) const {
  if (signals.take_terminal_change() != terminal_change::continued) return false;
  renew();
  return true;
}

terminal_mode::~terminal_mode() {
  if (good_) tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
}

void drop_typed_ahead() {
  tcflush(STDIN_FILENO, TCIFLUSH);
}

key_press read_key(signal_watch& signals, int withdrawn_descriptor, std::string_view question) {
  const terminal_mode raw(0, ICANON | ECHO);
  for (;;) {
    const int ready = wait_readable(STDIN_FILENO, signals.descriptor(), -1, withdrawn_descriptor,
                                    signals.terminal_descriptor());
    if ((ready & 8) != 0 && raw.renew_after_stop(signals)) {
      std::fwrite(question.data(), 1, question.size(), stdout);
      std::fflush(stdout);
    }
    if ((ready & 2) != 0)
      if (const auto signal = signals.take()) return {std::nullopt, signal};
    if ((ready & 4) != 0) return {std::nullopt, std::nullopt, true};
    if ((ready & 1) == 0) continue;
    char key = 0;
    if (!read_byte(key) || key == 4) return {};
    if (key == '\x1b' && swallow_sequence()) continue;
    return {key, std::nullopt};
  }
}

line_read read_line(signal_watch& signals, bool secret, int withdrawn_descriptor) {
  const terminal_mode mode(secret ? ICANON : ICANON | ECHO, secret ? ECHO : 0);
  std::string text;
  for (;;) {
    const int ready = wait_readable(STDIN_FILENO, signals.descriptor(), -1, withdrawn_descriptor,
                                    signals.terminal_descriptor());
    if ((ready & 8) != 0) (void)mode.renew_after_stop(signals);
    if ((ready & 2) != 0)
      if (const auto signal = signals.take()) return {std::nullopt, signal};
    if ((ready & 4) != 0) return {};
    if ((ready & 1) == 0) continue;
    char byte = 0;
    if (!read_byte(byte)) return {};
    if (byte == '\n') break;
    if (text.size() < line_bytes_max) text += byte;
  }
  if (secret) std::fputs("\n", stdout);
  erase_all(text, paste_begin);
  erase_all(text, paste_end);
  return {text, std::nullopt};
}

void safe_text::byte(char c, std::string& out) {
  const auto code = static_cast<unsigned char>(c);
  switch (at_) {
    case place::text:
      if (code == 0x1b) {
        at_ = place::escape;
        swallowed_bytes_ = 0;
      } else if (code == 0xC2) {
        at_ = place::lead;
      } else if (code >= 0x20 ? code != 0x7f : (c == '\n' || c == '\t')) {
        out += c;
      }
      return;
    case place::lead:  // C1 controls are 0xC2 and one byte more
      at_ = place::text;
      if (code >= 0x80 && code < 0xA0) {
        swallowed_bytes_ = 0;
        if (code == 0x9B) at_ = place::sequence;
        if (code == 0x90 || code == 0x98 || code >= 0x9D) at_ = place::string;
        return;
      }
      out += '\xC2';
      return byte(c, out);
    case place::escape:
      at_ = place::text;
      if (code == '[')
        at_ = place::sequence;
      else if (code == ']' || code == 'P' || code == 'X' || code == '^' || code == '_')
        at_ = place::string;
      else if (code >= 0x20 && code < 0x30)
        at_ = place::escape;
      else if (code < 0x20 || code >= 0x7f)
        return byte(c, out);
      return;
    case place::sequence:
      if (code >= 0x20 && code < 0x40 && ++swallowed_bytes_ < sequence_bytes_max) return;
      at_ = place::text;
      if (code < 0x40 || code >= 0x7f) byte(c, out);
      return;
    case place::string:
      if (code == 0x1b) {
        at_ = place::string_escape;
      } else if (code == 7) {
        at_ = place::text;
      } else if (c == '\n' || ++swallowed_bytes_ >= sequence_bytes_max) {
        at_ = place::text;
        byte(c, out);
      }
      return;
    case place::string_escape:
      at_ = place::text;
      if (c == '\\') return;
      at_ = place::escape;
      return byte(c, out);
  }
}

std::string safe_text::pass(std::string_view piece) {
  std::string out;
  out.reserve(piece.size());
  for (const char c : piece) byte(c, out);
  return out;
}

std::string visible(std::string_view text) {
  return safe_text().pass(text);
}

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) columns += next_character(text).columns;
  return columns;
}

std::string_view cut_columns(std::string_view text, std::size_t columns_max) {
  std::size_t columns = 0, bytes = 0;
  for (auto rest = text; !rest.empty();) {
    const auto next = next_character(rest);
    columns += next.columns;
    if (columns > columns_max) break;
    bytes += next.bytes;
  }
  return text.substr(0, bytes);
}

std::string one_visible_line(std::string_view text, std::size_t columns_max) {
  // Bytes beyond this cannot be shown whatever they are.
  const auto part = cut_utf8(text, columns_max * 8);
  bool cut = part.size() < text.size();
  auto out = visible(part);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  const auto fitting = cut_columns(out, columns_max);
  cut = cut || fitting.size() < out.size();
  const bool marked = cut && columns_max >= 4;
  out = std::string(marked ? cut_columns(out, columns_max - 3) : fitting);
  if (!marked) {
    while (out.ends_with(' ')) out.pop_back();
    return out;
  }
  return out + "...";
}
}  // namespace rustic::cli
