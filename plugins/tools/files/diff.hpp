// Unified diffs of two texts, bounded in size and work. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rustic::files {

struct text_diff {
  std::string text;  // with the "---" and "+++" lines; empty when nothing changed
  std::size_t added = 0;
  std::size_t removed = 0;
  bool cut = false;  // the text was too long; the counts still cover everything
};

// Lines that differ only in their end ("\r\n" and "\n") differ. `old_name` is null for a new file.
text_diff unified_diff(std::string_view old_text, std::string_view new_text, const char* old_name,
                       std::string_view new_name);

}  // namespace rustic::files
