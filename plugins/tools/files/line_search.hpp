// Finding the lines of a text that match a regular expression (RE2: time linear in the text).
// A line_search is immutable once made; any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "failure.hpp"
#include "file_access.hpp"

namespace re2 {
class RE2;
}

namespace rustic::files {

struct line_hit {
  std::size_t begin = 0;   // of the line
  std::size_t end = 0;     // of the line, without its end
  std::size_t number = 0;  // of the line, from 1
  std::size_t match = 0;   // where the first match begins
};

class line_search {
 public:
  static result<line_search> make(std::string_view pattern, bool ignore_case);
  line_search(line_search&&) noexcept;
  line_search& operator=(line_search&&) noexcept;
  ~line_search();

  // Calls `found` for each matching line until it returns false. Lines end with "\n" alone.
  // Polls `cancelled` between slices; fails only when it says so.
  result<void> run(std::string_view text, const cancel_check& cancelled,
                   const std::function<bool(const line_hit&)>& found) const;

 private:
  line_search(std::unique_ptr<re2::RE2> expression, std::string literal);

  std::unique_ptr<re2::RE2> expression_;
  std::string literal_;  // when the pattern is nothing but these bytes
};

// The hits with lines around them: "12:text" for a hit, "11-text" for its surroundings, "--" where
// lines are left out. Each line is cut to `shown_bytes_max` bytes around its match.
std::string render_hits(std::string_view text, const std::vector<line_hit>& hits,
                        std::size_t context, std::size_t shown_bytes_max);

}  // namespace rustic::files
