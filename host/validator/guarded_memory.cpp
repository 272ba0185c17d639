#include "host/validator/guarded_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <new>
#include <utility>

namespace rustic::validator {

guarded_memory::guarded_memory(std::size_t bytes) : bytes_(bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto usable = (bytes + page - 1) / page * page;
  mapped_ = usable + page;
  pages_ = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages_ == MAP_FAILED) throw std::bad_alloc();
  auto* const base = static_cast<char*>(pages_);
  if (::mprotect(base + usable, page, PROT_NONE) != 0) throw std::bad_alloc();
  start_ = base + (usable - bytes);
}

guarded_memory::guarded_memory(std::string_view text) : guarded_memory(text.size()) {
  if (!text.empty()) std::memcpy(start_, text.data(), text.size());
}

guarded_memory::~guarded_memory() {
  if (pages_) ::munmap(pages_, mapped_);
}

guarded_memory::guarded_memory(guarded_memory&& other) noexcept
    : pages_(std::exchange(other.pages_, nullptr)),
      mapped_(other.mapped_),
      start_(other.start_),
      bytes_(other.bytes_) {}

guarded_memory& guarded_memory::operator=(guarded_memory&& other) noexcept {
  std::swap(pages_, other.pages_);
  std::swap(mapped_, other.mapped_);
  std::swap(start_, other.start_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void guarded_memory::revoke() noexcept {
  ::mprotect(pages_, mapped_, PROT_NONE);
}
}  // namespace rustic::validator
