// Walking a directory tree: confined, without following links, sorted, bounded, cancellable.
// Threads: a walk runs on the calling thread and keeps nothing.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "failure.hpp"
#include "file_access.hpp"
#include "limits.hpp"
#include "path_scope.hpp"
#include "withheld.hpp"

namespace rustic::files {

enum class entry_kind { file, directory, link, other };

struct walk_entry {
  const std::string& path;     // relative to the start
  std::string_view name;       // the last component of path
  std::string_view directory;  // relative to the start; "" for its own entries
  entry_kind kind;
  int directory_fd;   // where `name` can be opened, with O_NOFOLLOW
  std::size_t depth;  // 1 for the entries of the start
};

enum class walk_step { go_on, skip, stop };  // skip: do not enter this directory

struct walk_options {
  bool hidden = true;    // entries whose name starts with '.'
  bool ignored = false;  // entries that .gitignore rules leave out
  bool breadth_first =
      false;  // whole levels; otherwise the entries of a directory, then each below
  std::size_t depth_max = walk_depth_max;
  const withheld_paths* withheld = nullptr;  // neither visited nor entered
};

struct walk_report {
  bool stopped = false;         // by the visitor
  bool timed_out = false;       // after walk_time_max_ms
  bool too_many = false;        // entries, in all or in one directory, or too deep
  std::size_t entries = 0;      // looked at
  std::size_t hidden = 0;       // left out as hidden
  std::size_t ignored = 0;      // left out by .gitignore rules
  std::size_t withheld = 0;     // left out by a rule of the user
  std::size_t unreadable = 0;   // directories that could not be opened
  std::string remarks() const;  // what a model should know about completeness; "" if nothing
};

using walk_visitor = std::function<walk_step(const walk_entry&)>;

// Directories of version control (".git", ".hg", ...) are visited but not entered.
// `start` must be a directory.
result<walk_report> walk_tree(const place& start, const walk_options& options, const limits& bounds,
                              const cancel_check& cancelled, const walk_visitor& visit);

}  // namespace rustic::files
