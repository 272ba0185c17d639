// kernel/abi/private_copy.hpp - a plugin's file copied to a name that this process has never
// loaded, so that whoever writes over the file harms no process that runs it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "kernel/abi/plugin_files.hpp"

namespace rustic::kernel::abi {

// The copy is removed with this object; what has been mapped by then stays.
class private_copy {
 public:
  // In `directory`, which is made (0700) when missing. Nothing and a reason: the content is not
  // what `expected` describes any more or changes while it is read, the directory is no place
  // for it, or there is no room.
  static std::optional<private_copy> make(const std::filesystem::path& file,
                                          const file_identity& expected,
                                          const std::filesystem::path& directory,
                                          const std::string& id, std::uint32_t generation,
                                          std::string& problem);
  private_copy(private_copy&& other) noexcept : path_(std::move(other.path_)) {
    other.path_.clear();
  }
  private_copy& operator=(private_copy&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~private_copy();
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  explicit private_copy(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

// Removes the copies that processes left which have ended meanwhile; says how many.
std::size_t sweep_private_copies(const std::filesystem::path& directory);
}  // namespace rustic::kernel::abi
