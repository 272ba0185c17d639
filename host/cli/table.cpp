#include "host/cli/table.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "host/cli/terminal.hpp"

namespace rustic::cli {
namespace {

std::string plain(std::string_view text) {
  auto out = visible(text);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return out;
}

std::string cut(const std::string& text, std::size_t columns) {
  if (columns_of(text) <= columns) return text;
  return std::string(cut_columns(text, columns - 1)) + "\xE2\x80\xA6";
}
}  // namespace

std::size_t terminal_width() {
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

std::string to_table(const std::vector<std::string>& heading,
                     const std::vector<std::vector<std::string>>& rows, std::size_t width) {
  std::vector<std::vector<std::string>> all{heading};
  for (const auto& row : rows) {
    auto& made = all.emplace_back();
    for (const auto& cell : row) made.push_back(plain(cell));
  }
  std::vector<std::size_t> widths(heading.size());
  for (const auto& row : all)
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], columns_of(row[i]));
  std::string out;
  for (const auto& row : all) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i + 1 < row.size())
        line += row[i] + std::string(widths[i] - columns_of(row[i]) + 2, ' ');
      else
        line += row[i];
    }
    if (width > 0) line = cut(line, width);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}
}  // namespace rustic::cli
