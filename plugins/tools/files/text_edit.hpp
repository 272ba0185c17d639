// Exact replacement in a text, with errors that show why something was not found.
// Pure functions; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "failure.hpp"

namespace rustic::files {

struct text_edit {
  std::string old_text;
  std::string new_text;
  bool replace_all = false;
};

struct edit_outcome {
  std::size_t replacements = 0;
  std::vector<std::size_t> lines;  // where the first ones begin, from 1
};

// Replaces in `text`. old_text must occur exactly once, or with replace_all at least once. "\r\n"
// and "\n" count as equal; what is put in ends its lines as the place does. `shown` names the file
// in errors. On failure `text` is unchanged.
result<edit_outcome> apply_edit(std::string& text, const text_edit& edit, std::string_view shown);

// Where `wanted` begins in `text` at `from` or after it, or npos. Linear in both, where
// string_view::find takes their product when the text repeats itself.
std::size_t find_text(std::string_view text, std::string_view wanted, std::size_t from = 0);

// Why old_text is not in `text`, with the lines that come nearest. Both with "\n" alone.
std::string explain_missing(std::string_view text, std::string_view old_text,
                            std::string_view new_text);

}  // namespace rustic::files
