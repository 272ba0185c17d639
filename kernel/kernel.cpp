#include "kernel/kernel.hpp"

#include <chrono>
#include <random>

namespace rustic::kernel {
namespace {

kernel_options completed(kernel_options options) {
  if (!options.seed) {
    std::random_device source;
    options.seed = std::uint64_t{source()} << 32 | source();
  }
  if (!options.now_ns) {
    options.now_ns = [] {
      const auto now = std::chrono::steady_clock::now().time_since_epoch();
      return std::int64_t{std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()};
    };
  }
  return options;
}

}  // namespace

kernel::kernel(kernel_options options)
    : options_(completed(std::move(options))),
      registry_(options_.told),
      bus_(options_.told),
      calls_(registry_, options_.told, {*options_.seed, options_.grace_ms, options_.now_ns}) {}

kernel::~kernel() = default;

}  // namespace rustic::kernel
