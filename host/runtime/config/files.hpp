// Reading small files whole, and replacing files so that a crash leaves the old one or the new one.
#pragma once
#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>

namespace rustic::config {
// Throws failure: NOT_FOUND when it is not there, RESOURCE_EXHAUSTED when it holds more than
// `bytes_max` bytes, FAILED_PRECONDITION when it is no regular file, UNAVAILABLE for the rest.
// Never blocks on a FIFO or a device.
std::string read_file(const std::filesystem::path& file, std::size_t bytes_max);

// Temporary file beside it, fsync, rename, fsync of the directory. Follows a symbolic link to the
// file behind it. An existing file keeps its mode, a new one gets `mode`; directories that are
// missing are made with 0700. Throws failure(UNAVAILABLE).
void write_atomically(const std::filesystem::path& file, std::string_view text, mode_t mode = 0600);

// Creates the file; throws failure(ALREADY_EXISTS) when there is one of any kind.
void write_new(const std::filesystem::path& file, std::string_view text, mode_t mode = 0600);

// Holds an exclusive lock on a directory while it lives; it is made when missing. Waits at most
// five seconds, then throws failure(UNAVAILABLE).
class directory_lock {
 public:
  explicit directory_lock(const std::filesystem::path& directory);
  ~directory_lock();
  directory_lock(const directory_lock&) = delete;
  directory_lock& operator=(const directory_lock&) = delete;

 private:
  int fd_;
};
}  // namespace rustic::config
