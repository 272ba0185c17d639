// Myers' comparison, with a bound on the changes it looks for.
#include "diff.hpp"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "limits.hpp"
#include "text.hpp"

namespace rustic::files {
namespace {

constexpr std::size_t context_lines = 3;

// With their ends: a changed line end is a change.
std::vector<std::string_view> whole_lines(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    out.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return out;
}

struct changes {
  std::vector<char> removed;  // of the old lines
  std::vector<char> added;    // of the new lines
};

// Marks the changes between a[a0..a1) and b[b0..b1).
void compare(const std::vector<int>& a, std::size_t a0, std::size_t a1, const std::vector<int>& b,
             std::size_t b0, std::size_t b1, changes& out) {
  const int n = static_cast<int>(a1 - a0);
  const int m = static_cast<int>(b1 - b0);
  const auto replace_all = [&] {
    std::fill(out.removed.begin() + static_cast<std::ptrdiff_t>(a0),
              out.removed.begin() + static_cast<std::ptrdiff_t>(a1), char{1});
    std::fill(out.added.begin() + static_cast<std::ptrdiff_t>(b0),
              out.added.begin() + static_cast<std::ptrdiff_t>(b1), char{1});
  };
  if (n == 0 || m == 0) return replace_all();
  const int d_max = std::min(n + m, diff_changes_max);
  const auto width = static_cast<std::size_t>(2 * d_max + 3);
  const int middle = d_max + 1;
  std::vector<int> reach(width, 0);
  std::vector<std::vector<int>> trace;  // reach[-d..d] before step d
  const auto at = [&](int k) -> int& { return reach[static_cast<std::size_t>(middle + k)]; };
  int d = 0;
  bool found = false;
  for (; d <= d_max && !found; ++d) {
    trace.emplace_back(reach.begin() + middle - d - 1, reach.begin() + middle + d + 2);
    for (int k = -d; k <= d; k += 2) {
      int x = (k == -d || (k != d && at(k - 1) < at(k + 1))) ? at(k + 1) : at(k - 1) + 1;
      int y = x - k;
      while (x < n && y < m && y >= 0 &&
             a[a0 + static_cast<std::size_t>(x)] == b[b0 + static_cast<std::size_t>(y)]) {
        ++x;
        ++y;
      }
      at(k) = x;
      if (x >= n && y >= m) {
        found = true;
        break;
      }
    }
  }
  if (!found) return replace_all();
  int x = n;
  int y = m;
  for (int step = d - 1; step > 0; --step) {
    const std::vector<int>& before = trace[static_cast<std::size_t>(step)];
    const auto was = [&](int k) { return before[static_cast<std::size_t>(k + step + 1)]; };
    const int k = x - y;
    const bool down = k == -step || (k != step && was(k - 1) < was(k + 1));
    const int previous_k = down ? k + 1 : k - 1;
    const int previous_x = was(previous_k);
    const int previous_y = previous_x - previous_k;
    if (down) {
      out.added[b0 + static_cast<std::size_t>(previous_y)] = 1;
    } else {
      out.removed[a0 + static_cast<std::size_t>(previous_x)] = 1;
    }
    x = previous_x;
    y = previous_y;
  }
}

struct region {
  std::size_t a0, a1, b0, b1;
};

std::vector<region> regions_of(const changes& marks) {
  std::vector<region> out;
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < marks.removed.size() || j < marks.added.size()) {
    const region start{i, i, j, j};
    while (i < marks.removed.size() && marks.removed[i]) ++i;
    while (j < marks.added.size() && marks.added[j]) ++j;
    if (i != start.a0 || j != start.b0) {
      out.push_back({start.a0, i, start.b0, j});
    } else {
      ++i;
      ++j;
    }
  }
  return out;
}

class writer {
 public:
  explicit writer(text_diff& out) : out_(out) {}
  void line(char mark, std::string_view line) {
    const bool ended = !line.empty() && line.back() == '\n';
    if (ended) line.remove_suffix(1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    put(mark + clip_line(line, diff_line_bytes_max) + "\n" +
        (ended ? "" : "\\ No newline at end of file\n"));
  }
  void put(std::string_view text) {
    if (out_.cut) return;
    if (out_.text.size() + text.size() > diff_bytes_max) {
      out_.cut = true;
      out_.text += "... the rest of the diff is left out\n";
      return;
    }
    out_.text += text;
  }

 private:
  text_diff& out_;
};

std::string range_text(std::size_t from, std::size_t to) {
  const std::size_t count = to - from;
  return std::to_string(count == 0 ? from : from + 1) +
         (count == 1 ? "" : "," + std::to_string(count));
}

}  // namespace

text_diff unified_diff(std::string_view old_text, std::string_view new_text, const char* old_name,
                       std::string_view new_name) {
  text_diff out;
  if (old_text == new_text) return out;
  const std::vector<std::string_view> a = whole_lines(old_text);
  const std::vector<std::string_view> b = whole_lines(new_text);
  std::unordered_map<std::string_view, int> ids;
  const auto number = [&](const std::vector<std::string_view>& lines) {
    std::vector<int> numbers;
    numbers.reserve(lines.size());
    for (const std::string_view line : lines) {
      numbers.push_back(ids.emplace(line, static_cast<int>(ids.size())).first->second);
    }
    return numbers;
  };
  changes marks{std::vector<char>(a.size(), 0), std::vector<char>(b.size(), 0)};
  std::size_t same_before = 0;
  while (same_before < std::min(a.size(), b.size()) && a[same_before] == b[same_before]) {
    ++same_before;
  }
  std::size_t same_after = 0;
  while (same_after < std::min(a.size(), b.size()) - same_before &&
         a[a.size() - 1 - same_after] == b[b.size() - 1 - same_after]) {
    ++same_after;
  }
  const std::size_t a1 = a.size() - same_after;
  const std::size_t b1 = b.size() - same_after;
  if (a1 - same_before + b1 - same_before > diff_lines_max) {
    std::fill(marks.removed.begin() + static_cast<std::ptrdiff_t>(same_before),
              marks.removed.begin() + static_cast<std::ptrdiff_t>(a1), char{1});
    std::fill(marks.added.begin() + static_cast<std::ptrdiff_t>(same_before),
              marks.added.begin() + static_cast<std::ptrdiff_t>(b1), char{1});
  } else {
    compare(number(a), same_before, a1, number(b), same_before, b1, marks);
  }

  const std::vector<region> regions = regions_of(marks);
  writer write(out);
  write.put("--- " + std::string(old_name ? old_name : "/dev/null") + "\n+++ " +
            std::string(new_name) + "\n");
  for (std::size_t first = 0; first < regions.size();) {
    std::size_t last = first;
    while (last + 1 < regions.size() &&
           regions[last + 1].a0 - regions[last].a1 <= 2 * context_lines) {
      ++last;
    }
    const std::size_t before = std::min(context_lines, regions[first].a0);
    const std::size_t after = std::min(context_lines, a.size() - regions[last].a1);
    write.put("@@ -" + range_text(regions[first].a0 - before, regions[last].a1 + after) + " +" +
              range_text(regions[first].b0 - before, regions[last].b1 + after) + " @@\n");
    std::size_t at = regions[first].a0 - before;
    for (std::size_t r = first; r <= last; ++r) {
      for (; at < regions[r].a0; ++at) write.line(' ', a[at]);
      for (; at < regions[r].a1; ++at) write.line('-', a[at]);
      for (std::size_t j = regions[r].b0; j < regions[r].b1; ++j) write.line('+', b[j]);
      out.removed += regions[r].a1 - regions[r].a0;
      out.added += regions[r].b1 - regions[r].b0;
    }
    for (std::size_t end = at + after; at < end; ++at) write.line(' ', a[at]);
    first = last + 1;
  }
  return out;
}

}  // namespace rustic::files
