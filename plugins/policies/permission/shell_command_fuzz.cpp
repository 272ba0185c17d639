// libFuzzer entry for the reader of command lines.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "argv_match.hpp"
#include "shell_command.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rustic::permission;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const shell_command line = parse_shell_command(text);
  if (line.complete != line.reason.empty()) std::abort();
  for (const simple_command& command : line.commands)
    if (command.known.size() != command.argv.size()) std::abort();
  (void)occurs_in(line, {"rm", "-rf", "/"});
  return 0;
}
