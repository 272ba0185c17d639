// Where file tools may go: resolves a path without ever leaving the workspace and the roots.
//
// A path is resolved one component at a time relative to open directories, so that renaming or
// replacing a component by a link meanwhile cannot lead outside. Links are followed only as far as
// they stay inside; the magic links of /proc are never followed.
// Threads: a path_scope is immutable once open; use from several threads is fine.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>
#include <vector>

#include "failure.hpp"
#include "unique_fd.hpp"

namespace rustic::files {

// A name in an open directory, the last step of a resolved path. The name is never a link, unless
// somebody makes it one meanwhile: open it with O_NOFOLLOW.
struct place {
  unique_fd parent;                  // O_PATH
  std::string leaf;                  // "." when the place is a root itself
  std::string path;                  // absolute, without links
  std::string shown;                 // for the model: relative to the workspace when inside it
  std::string below;                 // relative to the root that contains it
  int root_fd = -1;                  // of that root; borrowed from the path_scope
  std::vector<std::string> missing;  // directories between parent and leaf that do not exist
  bool exists = false;
  struct stat info {};                       // when it exists
  bool inside(std::string_view name) const;  // is a step below the root called so, in any case?
};

class path_scope {
 public:
  // workspace: absolute, must exist. roots: absolute; those that do not exist are passed over.
  static result<path_scope> open(std::string_view workspace, const std::vector<std::string>& roots);

  // Fails when the path leads outside, is malformed, or goes through something that is no
  // directory. A place that does not exist is no failure.
  result<place> locate(std::string_view path) const;

  std::string shown(std::string_view absolute) const;
  std::string roots_text() const;  // the allowed directories, for messages

 private:
  struct root {
    unique_fd fd;
    std::string path;     // without links
    std::string spelled;  // as the caller gave it
  };
  result<void> add(std::string_view directory);
  const root* root_of(const std::vector<std::string>& components, std::size_t& used) const;
  result<place> locate_fast(const root& from, const std::vector<std::string>& components) const;
  result<place> locate_slow(std::vector<std::string> components, bool absolute,
                            std::string_view asked) const;
  failure outside(std::string_view asked, std::string_view resolved) const;

  std::vector<root> roots_;  // the first is the workspace
};

// Opens a regular file for reading; anything else (directory, FIFO, socket, device, /proc) fails.
result<unique_fd> open_regular(const place& at);
// Opens a directory for reading its entries.
result<unique_fd> open_directory(const place& at);
// Opens a directory below `base`, following no link at all. errno tells why it failed.
unique_fd open_directory_below(int base, const std::string& relative);
// Does fd lie in a /proc file system?
bool in_proc(int fd);
// "a FIFO", "a socket", ...
std::string_view kind_of(mode_t mode);
// Splits at '/'; empty and "." components vanish.
std::vector<std::string> split_path(std::string_view path);

}  // namespace rustic::files
