// rustic/status.hpp - outcomes of calls: the canonical codes, and errors as bodies and exceptions.
#pragma once
#include <rustic/abi.h>

#include <cstdint>
#include <optional>
#include <rustic/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

namespace rustic {
enum class status_code : std::int32_t {
  ok = RAI_OK,
  cancelled = RAI_CANCELLED,
  unknown = RAI_UNKNOWN,
  invalid_argument = RAI_INVALID_ARGUMENT,
  deadline_exceeded = RAI_DEADLINE_EXCEEDED,
  not_found = RAI_NOT_FOUND,
  already_exists = RAI_ALREADY_EXISTS,
  permission_denied = RAI_PERMISSION_DENIED,
  resource_exhausted = RAI_RESOURCE_EXHAUSTED,
  failed_precondition = RAI_FAILED_PRECONDITION,
  aborted = RAI_ABORTED,
  out_of_range = RAI_OUT_OF_RANGE,
  unimplemented = RAI_UNIMPLEMENTED,
  internal = RAI_INTERNAL,
  unavailable = RAI_UNAVAILABLE,
  data_loss = RAI_DATA_LOSS,
  unauthenticated = RAI_UNAUTHENTICATED
};

// "NOT_FOUND" and the like; "UNKNOWN" for a number that is no code.
std::string_view status_name(status_code code) noexcept;
std::optional<status_code> status_from_name(std::string_view name) noexcept;

// What went wrong: operation, subject and cause in `message`, what to do next in `hint`.
struct error {
  status_code code = status_code::unknown;
  std::string message;
  std::string hint;
  std::optional<std::int64_t> retry_after_ms;
  json::value details;
};

// The body that goes with a status, and back. read_error accepts anything and throws nothing.
std::string error_body(const error& problem);
error read_error(status_code code, std::string_view body) noexcept;

// An error on its way up inside one plugin. The SDK's trampolines turn it into a finish.
class failure : public std::runtime_error {
 public:
  explicit failure(error problem)
      : std::runtime_error(problem.message), problem_(std::move(problem)) {}
  failure(status_code code, std::string message, std::string hint = {});
  const error& problem() const noexcept { return problem_; }

 private:
  error problem_;
};

// The error that the exception now being handled stands for. Call it inside a catch block only.
error current_error() noexcept;

inline rai_str to_str(std::string_view text) noexcept {
  return {text.data(), text.size()};
}
inline std::string_view to_view(rai_str text) noexcept {
  return text.len == 0 ? std::string_view{} : std::string_view{text.ptr, text.len};
}
}  // namespace rustic
