// word_count.hpp - what the tool does, as a plain function that a test can call.
#pragma once
#include <cstddef>
#include <string_view>

namespace word_count_plugin {

struct counts {
  std::size_t lines = 0, words = 0, characters = 0;
};

// Counts UTF-8 text: a character is a code point; a word is what stands between blanks.
counts count(std::string_view text) noexcept;
}  // namespace word_count_plugin
