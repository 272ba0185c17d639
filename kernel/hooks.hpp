// What the kernel tells its owner. Every hook may be empty, runs on the thread where the thing
// happened with no lock held, and may call the kernel.
#pragma once
#include <functional>
#include <string_view>

namespace rustic::kernel {

struct hooks {
  /// A plugin broke the contract: a second finish, an exception. `owner` is its id, empty for the
  /// program itself.
  std::function<void(std::string_view owner, std::string_view what)> on_violation;

  /// Something was left out and work goes on: an optional interceptor that cannot be activated.
  std::function<void(std::string_view text)> on_warning;

  /// The earliest deadline became earlier: read next_deadline_ns() again.
  std::function<void()> on_deadline_changed;
};

}  // namespace rustic::kernel
