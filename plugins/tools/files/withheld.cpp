// Paths that the permission policy withholds.
#include "withheld.hpp"

#include <re2/re2.h>

#include "limits.hpp"

namespace rustic::files {

withheld_paths::withheld_paths(const std::vector<std::string>& expressions) {
  if (expressions.empty()) return;
  std::string joined;
  for (const std::string& one : expressions)
    joined += (joined.empty() ? "(?:" : "|(?:") + one + ")";
  re2::RE2::Options options(re2::RE2::Quiet);
  options.set_encoding(re2::RE2::Options::EncodingLatin1);  // names are bytes
  options.set_dot_nl(true);
  options.set_max_mem(withheld_memory_bytes);
  auto compiled = std::make_shared<const re2::RE2>(joined, options);
  everything_ = !compiled->ok();
  all_ = std::move(compiled);
}

bool withheld_paths::covers(const std::string& absolute) const {
  return everything_ || (all_ != nullptr && re2::RE2::PartialMatch(absolute, *all_));
}

result<place> locate_shown(const path_scope& paths, std::string_view path,
                           const withheld_paths& withheld) {
  auto at = paths.locate(path);
  if (at && withheld.covers(at->path)) {
    return failure{reason::refused,
                   "'" + at->shown + "' is withheld by a rule of the user. Go on without it."};
  }
  return at;
}

}  // namespace rustic::files
