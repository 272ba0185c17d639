// confinement.hpp - what the plugin's process may no longer do, before any code of the plugin runs.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace rustic::cell {

struct confinement {
  // Limits of the process; 0: as they are.
  std::uint64_t memory_bytes = 0;
  std::uint64_t open_files = 0;
  std::uint64_t processes = 0;  // and threads of the user, beside all that run now
  std::uint64_t cpu_seconds = 0;
  // Directories and files that may be written, with everything below; all others may be read.
  std::vector<std::string> write_paths;
};

// For this process and all below it, for good. Call it with one thread. What could not be had comes
// back as text for a log; empty when all could.
std::string confine(const confinement& wanted);

}  // namespace rustic::cell
