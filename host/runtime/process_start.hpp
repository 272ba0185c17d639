// host/runtime/process_start.hpp - tells a process from a later one of the same number.
#pragma once
#include <cstdint>
#include <string>

namespace rustic::runtime {

// When the process began, in the system's own terms; empty when there is none. Threads: any.
std::string process_start(std::int64_t process);
}  // namespace rustic::runtime
