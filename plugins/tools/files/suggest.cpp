// Similar names in the directory where a path stopped.
#include "suggest.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <memory>
#include <numeric>

#include "limits.hpp"
#include "text.hpp"

namespace rustic::files {
namespace {

std::string folded(std::string_view text) {
  std::string out(text.substr(0, name_bytes_compared_max));
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// Changes, insertions, deletions and swaps of neighbours that make `a` into `b`.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);  // two rows up
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(above);
    above.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] =
          std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

std::string_view stem(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return dot == 0 || dot == name.npos ? name : name.substr(0, dot);
}

}  // namespace

double name_similarity(std::string_view a, std::string_view b) {
  const std::string x = folded(a);
  const std::string y = folded(b);
  if (x.empty() || y.empty()) return 0;
  if (x == y) return 1;
  double best = 1.0 - static_cast<double>(edit_distance(x, y)) /
                          static_cast<double>(std::max(x.size(), y.size()));
  if (stem(x) == stem(y)) best = std::max(best, 0.85);
  const std::string_view shorter = x.size() < y.size() ? stem(x) : stem(y);
  const std::string_view longer = x.size() < y.size() ? y : x;
  if (shorter.size() >= 3 && longer.find(shorter) != longer.npos) best = std::max(best, 0.7);
  return best;
}

failure missing_failure(const place& at) {
  const std::string& wanted = at.missing.empty() ? at.leaf : at.missing.front();
  // The directory that does exist, as the model would write it.
  std::string base = at.shown;
  for (std::size_t i = 0; i <= at.missing.size(); ++i) {
    const std::size_t slash = base.rfind('/');
    base = slash == base.npos ? "" : base.substr(0, slash + (i == at.missing.size() ? 1 : 0));
  }
  std::vector<std::pair<double, std::string>> near;
  unique_fd fd(::openat(at.parent.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(fd ? ::fdopendir(fd.get()) : nullptr,
                                                      [](DIR* d) { return d ? ::closedir(d) : 0; });
  if (directory) {
    (void)fd.release();
    std::size_t looked_at = 0;
    while (const dirent* entry = ::readdir(directory.get())) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (++looked_at > suggestion_entries_max) break;
      const double score = name_similarity(wanted, name);
      if (score >= 0.6) {
        near.emplace_back(-score, utf8_name(name) + (entry->d_type == DT_DIR ? "/" : ""));
      }
    }
  }
  std::sort(near.begin(), near.end());
  std::string message = "'" + at.shown + "' does not exist";
  if (!at.missing.empty()) message += " (there is no directory '" + base + utf8_name(wanted) + "')";
  message += ".";
  if (!near.empty()) {
    message += " Similar names there: ";
    for (std::size_t i = 0; i < std::min(near.size(), suggestions_max); ++i) {
      message += (i ? ", " : "") + base + near[i].second;
    }
    message += ".";
  } else {
    message += " Use files_glob to look for it, or files_list to see what is there.";
  }
  return {reason::not_found, message};
}

}  // namespace rustic::files
