// What each session has read, so that a write can tell whether the model knows the file as it is.
// Threads: any. Bounded: the longest unused entry goes first.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "file_access.hpp"

namespace rustic::files {

struct seen_file {
  file_stamp stamp;
  std::optional<std::uint64_t> hash;  // absent for files too large to hash
  std::size_t lines_through = 0;      // lines 1 to this one were shown without a gap
  bool complete = false;              // the session knows the whole content

  // Is the file still as it was seen? `hash` is of the content now, when known.
  bool matches(const file_stamp& now, std::optional<std::uint64_t> now_hash) const {
    return stamp == now || (hash && now_hash && *hash == *now_hash);
  }
};

class seen_files {
 public:
  explicit seen_files(std::size_t files_max) : files_max_(files_max) {}
  std::optional<seen_file> find(std::string_view session, std::string_view path) const;
  void put(std::string_view session, std::string_view path, const seen_file& seen);
  std::size_t size() const;

 private:
  using entry = std::pair<std::string, seen_file>;

  const std::size_t files_max_;
  mutable std::mutex mutex_;
  mutable std::list<entry> entries_;  // the newest first
  std::unordered_map<std::string, std::list<entry>::iterator> index_;
};

}  // namespace rustic::files
