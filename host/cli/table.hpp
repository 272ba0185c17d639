// host/cli/table.hpp - columns of text that fit the terminal.
#pragma once
#include <string>
#include <vector>

namespace rustic::cli {

// Rows of equal length. The last column takes what is left of `width` and is cut there; when
// width is 0 nothing is cut. Escape sequences and control characters are dropped.
std::string to_table(const std::vector<std::string>& heading,
                     const std::vector<std::vector<std::string>>& rows, std::size_t width);

// The terminal's columns, 0 when standard output is none.
std::size_t terminal_width();
}  // namespace rustic::cli
