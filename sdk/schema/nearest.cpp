// The nearest known word: edit distance with swaps, bounded.
#include <algorithm>
#include <cctype>
#include <rustic/schema.hpp>

namespace rustic {
namespace {
constexpr std::size_t word_bytes_max = 64;

char folded(char c) {
  if (c == '-') return '_';
  return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

std::size_t distance(std::string_view a, std::string_view b) {
  const std::size_t width = b.size() + 1;
  std::vector<std::size_t> rows(3 * width);
  auto* before = rows.data();
  auto* previous = before + width;
  auto* current = previous + width;
  for (std::size_t j = 0; j < width; ++j) previous[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j < width; ++j) {
      const bool same = folded(a[i - 1]) == folded(b[j - 1]);
      current[j] =
          std::min({previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) &&
          folded(a[i - 2]) == folded(b[j - 1]))
        current[j] = std::min(current[j], before[j - 2] + 1);
    }
    auto* oldest = before;
    before = previous;
    previous = current;
    current = oldest;
  }
  return previous[width - 1];
}
}  // namespace

std::string_view nearest_word(std::string_view word,
                              const std::vector<std::string_view>& candidates) {
  if (word.empty() || word.size() > word_bytes_max) return {};
  std::string_view best;
  const std::size_t allowed = word.size() <= 3 ? 1 : word.size() <= 7 ? 2 : 3;
  std::size_t best_distance = allowed + 1;
  for (const auto candidate : candidates) {
    if (candidate.empty() || candidate.size() > word_bytes_max) continue;
    std::size_t found = distance(word, candidate);
    // "logging" for "log", "perm" for "permissions".
    const bool extends = std::min(word.size(), candidate.size()) >= 3 &&
                         (word.starts_with(candidate) || candidate.starts_with(word));
    if (extends) found = std::min(found, allowed);
    if (found < best_distance && found < candidate.size()) {
      best_distance = found;
      best = candidate;
    }
  }
  return best;
}
}  // namespace rustic
