// Reading whole files and replacing them atomically.
//
// A replacement is a new file beside the old one, synced and then renamed over it, so that a reader
// or a crash sees either the old content or the new one. Threads: any; no state.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "failure.hpp"
#include "path_scope.hpp"

namespace rustic::files {

using cancel_check = std::function<bool()>;

// What tells one state of a file from another without reading it.
struct file_stamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t size = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;
  bool operator==(const file_stamp&) const = default;
};
file_stamp stamp_of(const struct stat& info);

struct file_content {
  std::string bytes;
  file_stamp stamp;
};

// The whole of an open regular file; fails with too_large above `bytes_max`. `shown` names it.
result<file_content> read_whole(int fd, std::string_view shown, std::size_t bytes_max,
                                const cancel_check& cancelled);
// open_regular and read_whole.
result<file_content> load(const place& at, std::size_t bytes_max, const cancel_check& cancelled);

struct write_options {
  bool sync = true;
  const file_stamp* expected = nullptr;  // null: the file must not exist yet
  const cancel_check* cancelled = nullptr;
};
struct write_outcome {
  file_stamp stamp;
  std::vector<std::string> notes;  // what could not be kept: owner, other hard links
};

// Makes the missing directories, then puts `bytes` there. Fails with `changed`, and changes
// nothing, when the file is no longer the one `expected` tells. Keeps mode, owner, access lists.
result<write_outcome> replace_file(place& at, std::string_view bytes, const write_options& options);

}  // namespace rustic::files
