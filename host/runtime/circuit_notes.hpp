// host/runtime/circuit_notes.hpp - which circuits this program has open, told to other processes:
// docs/guides/resilience.md.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::runtime {

struct circuit_note {
  std::string target;  // PROVIDER/MODEL
  std::string state;   // "open", "half_open"
  std::int64_t failures = 0;
  std::int64_t since_unix_ms = 0;
  std::int64_t until_unix_ms = 0;  // when it is tried again
  std::int64_t process = 0;
  bool running = false;  // that process
};

// One file for each process with open circuits, there for a day after its end. Threads: any.
class circuit_notes {
 public:
  // An empty directory: nothing is written. `wake` is called when there is something to write.
  circuit_notes(std::filesystem::path directory, std::function<void()> wake)
      : directory_(std::move(directory)), wake_(std::move(wake)) {}

  // Takes up an event of rustic.resilience.circuit; never throws.
  void take(std::string_view event) noexcept;
  // Writes what has changed. A file that cannot be written is left out: nothing depends on it.
  void write();

  // Of all processes. Never throws for what the files hold.
  static std::vector<circuit_note> read(const std::filesystem::path& directory);

 private:
  const std::filesystem::path directory_;
  const std::function<void()> wake_;
  std::mutex mutex_;  // guards what follows
  std::map<std::string, circuit_note, std::less<>> open_;
  bool changed_ = false;
};
}  // namespace rustic::runtime
