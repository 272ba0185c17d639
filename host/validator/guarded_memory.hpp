// host/validator/guarded_memory.hpp - memory whose end, and later whose whole, cannot be touched.
#pragma once
#include <cstddef>
#include <string_view>

namespace rustic::validator {

// Bytes that end where an inaccessible page begins: reading or writing past them is a fault.
// revoke() makes all of them inaccessible. Aligned to 1: structs need a size that is a multiple of
// their alignment, which every struct of the contract has.
class guarded_memory {
 public:
  explicit guarded_memory(std::size_t bytes);  // zeroed; throws std::bad_alloc
  explicit guarded_memory(std::string_view text);
  ~guarded_memory();
  guarded_memory(guarded_memory&& other) noexcept;
  guarded_memory& operator=(guarded_memory&& other) noexcept;

  char* data() const noexcept { return start_; }
  std::size_t size() const noexcept { return bytes_; }
  void revoke() noexcept;

 private:
  void* pages_ = nullptr;
  std::size_t mapped_ = 0;
  char* start_ = nullptr;
  std::size_t bytes_ = 0;
};
}  // namespace rustic::validator
