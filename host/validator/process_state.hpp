// host/validator/process_state.hpp - what of a process a plugin must leave as it found it.
#pragma once
#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace rustic::validator {

std::size_t thread_count();
std::size_t child_count();  // processes that the calling thread has started and that are there
std::vector<std::string> descriptors();  // "5 -> /dev/null", without this function's own
std::size_t allocated_bytes();           // by malloc and not freed
std::size_t resident_bytes();
double cpu_ms();  // used by this process

// Named parts, each as text: "signal handlers", "signal mask", "locale", "working directory",
// "umask", "environment", "resource limits", "floating point".
using process_state = std::map<std::string, std::string>;
process_state process_state_now();
// The first line that differs between two texts, as "was X, is Y"; empty when none does.
std::string difference(const std::string& before, const std::string& after);

// Waits until thread_count() is at most `count`; the number that there was in the end.
std::size_t settle_threads(std::size_t count, unsigned time_ms);

// Keeps what is written to descriptors 1 and 2 while it lives.
class output_capture {
 public:
  output_capture();
  ~output_capture();
  output_capture(const output_capture&) = delete;
  output_capture& operator=(const output_capture&) = delete;
  std::string text();  // so far, from C streams too

 private:
  int file_ = -1;
  int saved_[2] = {-1, -1};
};
}  // namespace rustic::validator
