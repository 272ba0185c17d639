// Paths that a call must not show: what the permission policy sends with it (docs/interfaces/tool).
// Immutable; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "failure.hpp"
#include "path_scope.hpp"

namespace re2 {
class RE2;
}

namespace rustic::files {

class withheld_paths {
 public:
  withheld_paths() = default;
  // RE2 expressions over absolute paths. One that cannot be read withholds everything.
  explicit withheld_paths(const std::vector<std::string>& expressions);
  bool empty() const { return all_ == nullptr && !everything_; }
  bool covers(const std::string& absolute) const;

 private:
  std::shared_ptr<const re2::RE2> all_;
  bool everything_ = false;
};

// path_scope::locate, and a refusal when the place, with links resolved, is withheld.
result<place> locate_shown(const path_scope& paths, std::string_view path,
                           const withheld_paths& withheld);

}  // namespace rustic::files
