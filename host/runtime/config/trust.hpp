// Which projects the user trusts: a file outside every project, keyed by directory and content.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::config {
// Decisions, kept in one JSON file (0600). A decision holds for one directory and one hash; any
// edit revokes it. Every call reads the file, and a file that cannot be read trusts nothing. Safe
// between threads and processes.
class trust_store {
 public:
  explicit trust_store(std::filesystem::path file) : file_(std::move(file)) {}

  // `hash` is sha256() of what is trusted. Throw failure when the file cannot be written.
  void trust(const std::filesystem::path& project, std::string_view hash);
  void untrust(const std::filesystem::path& project);
  bool is_trusted(const std::filesystem::path& project, std::string_view hash) const;

 private:
  std::filesystem::path file_;
};

// One hash over several files of a project: their names and contents, a missing file counted as
// missing. Throws failure for a file that cannot be read or is larger than `bytes_max`.
std::string hash_of_files(const std::filesystem::path& project,
                          std::vector<std::filesystem::path> files, std::size_t bytes_max);
}  // namespace rustic::config
