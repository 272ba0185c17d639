#include "turn_lease.hpp"

#include <unistd.h>

#include <charconv>
#include <fstream>
#include <sstream>

namespace rustic::agent {
namespace {

// Field 22 of /proc/PID/stat (proc(5)); 0 when there is no such process, or one that has ended and
// is only waited for.
unsigned long long start_time(long pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return 0;
  const auto name_end = text.rfind(')');  // the name may hold spaces and parentheses
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  for (int number = 3; number <= 22; ++number) {
    if (!(fields >> field)) return 0;
    if (number == 3 && (field == "Z" || field == "X")) return 0;
  }
  unsigned long long value = 0;
  std::from_chars(field.data(), field.data() + field.size(), value);
  return value;
}

std::string host_name() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0) return "localhost";
  return name;
}
}  // namespace

std::string lease_owner(std::string_view turn) {
  return host_name() + ":" + std::to_string(getpid()) + ":" + std::to_string(start_time(getpid())) +
         ":" + std::string(turn);
}

bool owner_is_dead(std::string_view owner) {
  const auto host = host_name();
  if (!owner.starts_with(host + ":")) return false;
  owner.remove_prefix(host.size() + 1);
  long pid = 0;
  const auto [end, problem] = std::from_chars(owner.data(), owner.data() + owner.size(), pid);
  if (problem != std::errc{} || pid <= 0 || *end != ':') return false;
  unsigned long long start = 0;
  const auto* rest = end + 1;
  if (std::from_chars(rest, owner.data() + owner.size(), start).ec != std::errc{}) return false;
  return start_time(pid) != start;
}
}  // namespace rustic::agent
