// spill_directory.hpp - files that hold the output which is too long for a result.
//
// The directory as a whole has a byte cap, held by every process that shares it: room is made
// before each step of growth by deleting the oldest files. Threads: one owner. Errors: text, never
// a throw; a result without its file is still a result.
#pragma once
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "descriptor.hpp"
#include "limits.hpp"

namespace rustic::shell {

struct spill_settings {
  std::string directory;  // absolute; empty: nothing is kept
  std::uint64_t file_bytes_max = spill_file_bytes_default;
  std::uint64_t directory_bytes_max = spill_directory_bytes_default;
};

class spill_directory;

// One file being written. Outlived by its directory.
class spill_file {
 public:
  spill_file(spill_directory& directory, std::string path, descriptor file) noexcept
      : directory_(directory), path_(std::move(path)), file_(std::move(file)) {}
  ~spill_file();
  spill_file(const spill_file&) = delete;
  spill_file& operator=(const spill_file&) = delete;

  // Takes what fits below the caps; the rest is left out for good.
  void append(std::string_view bytes);
  const std::string& path() const noexcept { return path_; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  // Why the file does not hold everything; empty when it does.
  const std::string& problem() const noexcept { return problem_; }

 private:
  spill_directory& directory_;
  std::string path_;
  descriptor file_;
  std::uint64_t bytes_ = 0;
  std::uint64_t granted_bytes_ = 0;
  std::string problem_;
};

class spill_directory {
 public:
  explicit spill_directory(spill_settings settings) : settings_(std::move(settings)) {}

  // Null with a reason in problem.
  std::unique_ptr<spill_file> create(std::string& problem);

 private:
  friend class spill_file;
  // Deletes the oldest files until `bytes` more fit. False when they cannot.
  bool make_room(std::uint64_t bytes);

  spill_settings settings_;
  std::set<std::string, std::less<>> open_names_;
  std::uint64_t next_ = 0;
};

}  // namespace rustic::shell
