// Matching of paths against wildcards, for globs and for .gitignore lines. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "failure.hpp"

namespace rustic::files {

// Does the whole of `path` match `pattern`? '*' and '?' do not match '/'; "**" as a whole component
// matches any number of components; [a-z], [!a], [[:alpha:]] and '\' as in git. Time is bounded by
// the product of the two lengths.
bool wildcard_match(std::string_view pattern, std::string_view path);
// Does it hold a character that is not literal?
bool has_wildcard(std::string_view pattern);

// A glob as people write it: wildcards, "**" and nested {a,b}.
class glob_pattern {
 public:
  // Without '/' it matches the last component of a path, at any depth, unless it is `rooted`.
  static result<glob_pattern> parse(std::string_view pattern, bool rooted = false);
  bool matches(std::string_view path) const;

 private:
  std::vector<std::string> alternatives_;
  bool anywhere_ = false;
};

}  // namespace rustic::files
