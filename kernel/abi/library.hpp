// kernel/abi/library.hpp - one opened shared object. It stays mapped for the life of the process.
#pragma once
#include <rustic/abi.h>

#include <filesystem>
#include <memory>
#include <string>

namespace rustic::kernel::abi {

// Opened with everything resolved, local symbols, and never unmapped: what a plugin leaves behind
// in other libraries (callbacks, thread-local destructors) must not outlive its code.
class library {
 public:
  // `path` must be canonical and, for a second generation of the same plugin, new to this process:
  // the dynamic loader answers a known path with the old code. Null and a reason when it cannot be
  // opened.
  static std::unique_ptr<library> open(const std::filesystem::path& path, std::string& problem);
  ~library();

  // The plugin's table. False and a reason when the entry fails or leaves out what is mandatory.
  bool table(rai_plugin& out, std::string& problem) const;

 private:
  library();
  struct opened;
  std::unique_ptr<opened> opened_;
};
}  // namespace rustic::kernel::abi
