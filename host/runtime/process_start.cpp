#include "host/runtime/process_start.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace rustic::runtime {

// Field 22 of /proc/PID/stat (proc(5)). One that has ended and waits for its parent to notice is
// none: its state, field 3, is Z or X.
std::string process_start(std::int64_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return {};
  std::istringstream fields(text.substr(std::min(text.rfind(')'), text.size() - 1) + 1));
  std::string field;
  for (int number = 3; number <= 22; ++number) {
    if (!(fields >> field)) return {};
    if (number == 3 && (field == "Z" || field == "X")) return {};
  }
  return field;
}
}  // namespace rustic::runtime
