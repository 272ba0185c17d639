// For tests: see repl_terminal.hpp.
#include "repl_terminal.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>

#include <cerrno>
#include <stdexcept>

namespace rustic::e2e {
namespace {
using steady = std::chrono::steady_clock;

int left_ms(steady::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - steady::now());
  return left.count() > 0 ? static_cast<int>(left.count()) : 0;
}
}  // namespace

pty_program::pty_program(options with) : columns_(with.columns) {
  std::vector<std::string> environment;
  for (const auto& [name, value] : with.environment) environment.push_back(name + "=" + value);
  std::vector<char*> words, variables;
  for (auto& word : with.words) words.push_back(word.data());
  for (auto& variable : environment) variables.push_back(variable.data());
  words.push_back(nullptr);
  variables.push_back(nullptr);
  winsize size{};
  size.ws_col = with.columns;
  size.ws_row = with.rows;
  if (openpty(&master_, &slave_, nullptr, nullptr, &size) != 0)
    throw std::runtime_error("openpty failed");
  fcntl(master_, F_SETFD, FD_CLOEXEC);
  fcntl(slave_, F_SETFD, FD_CLOEXEC);
  pid_ = fork();
  if (pid_ == 0) {
    const int terminal = dup(slave_);
    login_tty(terminal);
    if (chdir(with.directory.c_str()) != 0) _exit(126);
    execve(words[0], words.data(), variables.data());
    _exit(127);
  }
}

pty_program::~pty_program() {
  if (status_ == -1) {
    kill(pid_, SIGKILL);
    int status = 0;
    waitpid(pid_, &status, 0);
  }
  if (master_ >= 0) close(master_);
  if (slave_ >= 0) close(slave_);
}

void pty_program::send(std::string_view keys) {
  while (!keys.empty()) {
    const auto done = write(master_, keys.data(), keys.size());
    if (done < 0 && errno != EINTR) return;
    if (done > 0) keys.remove_prefix(static_cast<std::size_t>(done));
  }
}

bool pty_program::pump(int timeout_ms) {
  if (master_ < 0) return false;
  pollfd set{master_, POLLIN, 0};
  if (poll(&set, 1, timeout_ms) <= 0 || (set.revents & POLLIN) == 0) return false;
  char buffer[65536];
  const auto got = read(master_, buffer, sizeof(buffer));
  if (got <= 0) return false;
  raw_.append(buffer, static_cast<std::size_t>(got));
  return true;
}

std::size_t pty_program::wait_for(std::string_view text, std::size_t from, int timeout_ms) {
  const auto until = steady::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    const auto found = raw_.find(text, from);
    if (found != std::string::npos) return found + text.size();
    const int left = left_ms(until);
    if (left == 0) return std::string::npos;
    pump(std::min(left, 100));
  }
}

bool pty_program::wait_until(const std::function<bool()>& condition, int timeout_ms) {
  const auto until = steady::now() + std::chrono::milliseconds(timeout_ms);
  while (!condition()) {
    if (left_ms(until) == 0) return false;
    pump(20);
  }
  return true;
}

int pty_program::wait_exit(int timeout_ms) {
  wait_until(
      [&] {
        int status = 0;
        if (status_ == -1 && waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
        return status_ != -1;
      },
      timeout_ms);
  while (pump(0)) {
  }
  return status_;
}

void pty_program::resize(unsigned short columns, unsigned short rows) {
  winsize size{};
  size.ws_col = columns;
  size.ws_row = rows;
  columns_ = columns;
  ioctl(master_, TIOCSWINSZ, &size);
}

void pty_program::hang_up() {
  close(slave_);
  close(master_);
  slave_ = master_ = -1;
}

void pty_program::set_mode(const termios& mode) {
  tcsetattr(slave_, TCSANOW, &mode);
}

termios pty_program::mode() const {
  termios out{};
  tcgetattr(slave_, &out);
  return out;
}

std::vector<std::string> pty_program::screen() const {
  std::vector<std::vector<std::string>> lines(1);
  std::size_t row = 0, column = 0;
  const auto put = [&](std::string cell) {
    if (column >= columns_) {
      column = 0;
      ++row;
    }
    if (lines.size() <= row) lines.resize(row + 1);
    if (lines[row].size() <= column) lines[row].resize(column + 1, " ");
    lines[row][column++] = std::move(cell);
  };
  for (std::size_t i = 0; i < raw_.size(); ++i) {
    const auto c = static_cast<unsigned char>(raw_[i]);
    if (c == '\r') {
      column = 0;
    } else if (c == '\n') {
      if (lines.size() <= ++row) lines.resize(row + 1);
    } else if (c == '\b') {
      if (column > 0) --column;
    } else if (c == 0x1b && i + 1 < raw_.size() && raw_[i + 1] == '[') {
      std::string parameters;
      for (i += 2; i < raw_.size() && (raw_[i] < 0x40 || raw_[i] > 0x7e); ++i)
        parameters += raw_[i];
      if (i >= raw_.size()) break;
      int count = parameters.empty() || parameters[0] == '?' ? 0 : atoi(parameters.c_str());
      const auto steps = static_cast<std::size_t>(std::max(count, 1));
      if (raw_[i] == 'C') column += steps;
      if (raw_[i] == 'D') column -= std::min(column, steps);
      if (raw_[i] == 'A') row -= std::min(row, steps);
      if (raw_[i] == 'G') column = steps - 1;
      if ((raw_[i] == 'K' || raw_[i] == 'J') && count == 0 && lines[row].size() > column)
        lines[row].resize(column);
      if (raw_[i] == 'J' && count == 0) lines.resize(row + 1);
      if (raw_[i] == 'P')
        for (std::size_t n = 0; n < steps && lines[row].size() > column; ++n)
          lines[row].erase(lines[row].begin() + static_cast<std::ptrdiff_t>(column));
      if (raw_[i] == '@')
        for (std::size_t n = 0; n < steps && lines[row].size() > column; ++n)
          lines[row].insert(lines[row].begin() + static_cast<std::ptrdiff_t>(column), " ");
    } else if (c == 0x1b) {
      ++i;
    } else if (c == '\t') {
      column = (column / 8 + 1) * 8;
    } else if (c >= 0x20) {
      std::string cell(1, raw_[i]);
      while (i + 1 < raw_.size() && (static_cast<unsigned char>(raw_[i + 1]) & 0xC0) == 0x80)
        cell += raw_[++i];
      // Good enough for the tests: what is East Asian or an emoji takes two cells.
      const bool wide = c >= 0xE3;
      if (wide && column + 1 == columns_) column = columns_;
      put(std::move(cell));
      if (wide) put({});
    }
  }
  std::vector<std::string> out;
  for (const auto& line : lines) {
    std::string text;
    for (const auto& cell : line) text += cell;
    text.erase(text.find_last_not_of(' ') + 1);
    out.push_back(std::move(text));
  }
  return out;
}

bool pty_program::shows(std::string_view text) const {
  for (const auto& line : screen())
    if (line.find(text) != std::string::npos) return true;
  return false;
}
}  // namespace rustic::e2e
