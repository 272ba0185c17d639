#include "host/validator/failing_memory.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RUSTIC_OWN_MALLOC 0
#else
#define RUSTIC_OWN_MALLOC 1
#endif

namespace {
// The allocator is the one thing of a process that cannot be an object somebody passes on.
constinit std::atomic<std::uint64_t> fails_in{0};  // 0: none
constinit std::atomic<bool> has_failed{false};
constinit thread_local int exempt_depth = 0;

[[maybe_unused]] bool fails_now() noexcept {
  if (fails_in.load(std::memory_order_relaxed) == 0 || exempt_depth != 0) return false;
  auto left = fails_in.load();
  while (left != 0 && !fails_in.compare_exchange_weak(left, left - 1)) {
  }
  if (left != 1) return false;
  has_failed = true;
  errno = ENOMEM;
  return true;
}
}  // namespace

#if RUSTIC_OWN_MALLOC
// The GNU C library lets a program replace these, and keeps its own under other names.
extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* old, std::size_t bytes);
__attribute__((visibility("default"))) void* malloc(std::size_t bytes) noexcept {
  return fails_now() ? nullptr : __libc_malloc(bytes);
}
__attribute__((visibility("default"))) void* calloc(std::size_t count, std::size_t bytes) noexcept {
  return fails_now() ? nullptr : __libc_calloc(count, bytes);
}
__attribute__((visibility("default"))) void* realloc(void* old, std::size_t bytes) noexcept {
  return fails_now() ? nullptr : __libc_realloc(old, bytes);
}
}
#endif

namespace rustic::validator {
bool can_fail_memory() noexcept {
  return RUSTIC_OWN_MALLOC != 0;
}
void fail_allocation(std::uint64_t number) noexcept {
  has_failed = false;
  fails_in = number;
}
bool stop_failing() noexcept {
  fails_in = 0;
  return has_failed;
}
memory_exempt::memory_exempt() noexcept {
  ++exempt_depth;
}
memory_exempt::~memory_exempt() {
  --exempt_depth;
}
memory_counted::memory_counted() noexcept : depth_(exempt_depth) {
  exempt_depth = 0;
}
memory_counted::~memory_counted() {
  exempt_depth = depth_;
}
}  // namespace rustic::validator
