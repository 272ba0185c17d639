// host/validator/failing_memory.hpp - makes one allocation of the process fail, on purpose.
//
// Only the program rustic-ai-validator links the functions malloc and so on that this needs; where
// they are missing, as under a sanitizer, can_fail_memory() is false.
#pragma once
#include <cstdint>

namespace rustic::validator {

bool can_fail_memory() noexcept;
// The allocation with this number, counted from 1 and from now on over all threads, gives nothing.
void fail_allocation(std::uint64_t number) noexcept;
// Ends it; true when the allocation was reached.
bool stop_failing() noexcept;

// Made inside an exempt stretch that the plugin is called from: its allocations count again.
class memory_counted {
 public:
  memory_counted() noexcept;
  ~memory_counted();
  memory_counted(const memory_counted&) = delete;
  memory_counted& operator=(const memory_counted&) = delete;

 private:
  const int depth_;
};

// On this thread, while one lives, allocations neither count nor fail: the validator's own.
class memory_exempt {
 public:
  memory_exempt() noexcept;
  ~memory_exempt();
  memory_exempt(const memory_exempt&) = delete;
  memory_exempt& operator=(const memory_exempt&) = delete;
};
}  // namespace rustic::validator
