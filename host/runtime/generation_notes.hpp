// host/runtime/generation_notes.hpp - which new generations of plugins this program serves, told to
// `rustic-ai plugin` in other processes: docs/guides/plugins.md.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace rustic::runtime {
struct options;

struct served_generation {
  std::string path;  // of the plugin's file
  std::uint32_t generation = 0;
  std::int64_t process = 0;
};

// One file for each process that has exchanged a plugin, there as long as that is so. What a
// process left that was killed is not read, and goes when the next one writes. Of several runtimes
// in one process the last that wrote is told of. Threads: one at a time.
class generation_notes {
 public:
  // An empty directory: nothing is written.
  explicit generation_notes(std::filesystem::path directory) : directory_(std::move(directory)) {}
  ~generation_notes();
  generation_notes(const generation_notes&) = delete;
  generation_notes& operator=(const generation_notes&) = delete;

  // By file; those above the first are told. Touches no file when that is as before. A note that
  // cannot be written is taken away: nothing depends on it.
  void write(std::map<std::string, std::uint32_t> serving);

  // Of all processes that run, the highest generation first. Never throws for what the files hold.
  static std::vector<served_generation> read(const std::filesystem::path& directory);

 private:
  std::filesystem::path file() const;
  const std::filesystem::path directory_;
  std::map<std::string, std::uint32_t> written_;
};

// Where the notes are; empty when there is no directory for state.
std::filesystem::path generation_notes_directory(const options& with);
}  // namespace rustic::runtime
