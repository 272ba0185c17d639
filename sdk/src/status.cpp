#include <array>
#include <new>
#include <rustic/status.hpp>

namespace rustic {
namespace {
constexpr std::array<std::string_view, 17> names = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};
}  // namespace

std::string_view status_name(status_code code) noexcept {
  const auto number = static_cast<std::int32_t>(code);
  if (number < 0 || number >= static_cast<std::int32_t>(names.size())) return "UNKNOWN";
  return names[static_cast<std::size_t>(number)];
}

std::optional<status_code> status_from_name(std::string_view name) noexcept {
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return static_cast<status_code>(i);
  return std::nullopt;
}

std::string error_body(const error& problem) {
  json::object body;
  body["message"] = to_utf8(problem.message);
  if (!problem.hint.empty()) body["hint"] = to_utf8(problem.hint);
  if (problem.retry_after_ms) body["retry_after_ms"] = *problem.retry_after_ms;
  if (!problem.details.is_null()) body["details"] = problem.details;
  return json::serialize(body);
}

error read_error(status_code code, std::string_view body) noexcept {
  error problem;
  problem.code = code;
  try {
    const auto object = parse_object(body, "error");
    problem.message = text_or(object, "message");
    problem.hint = text_or(object, "hint");
    if (const auto* wait = find(object, "retry_after_ms"); wait && wait->is_number())
      problem.retry_after_ms = int_or(object, "retry_after_ms");
    if (const auto* details = find(object, "details")) problem.details = *details;
  } catch (...) {
    try {
      problem.message = to_utf8(body.substr(0, 1024));
    } catch (...) {  // no memory for the text: the code says enough
    }
  }
  try {
    if (problem.message.empty()) problem.message = status_name(code);
  } catch (...) {
  }
  return problem;
}

failure::failure(status_code code, std::string message, std::string hint)
    : failure(error{code, std::move(message), std::move(hint), std::nullopt, nullptr}) {}

namespace {
// The words fit into the string itself: there is no memory to be had.
error out_of_memory() noexcept {
  error problem;
  problem.code = status_code::resource_exhausted;
  problem.message = "out of memory";
  return problem;
}

error error_of_exception() {
  try {
    throw;
  } catch (const failure& problem) {
    return problem.problem();
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const std::exception& problem) {
    error result;
    result.code = status_code::internal;
    result.message = problem.what();
    return result;
  } catch (...) {
    error problem;
    problem.code = status_code::internal;
    problem.message = "unknown exception";
    return problem;
  }
}
}  // namespace

error current_error() noexcept {
  try {
    return error_of_exception();
  } catch (...) {  // copying the words failed
    return out_of_memory();
  }
}
}  // namespace rustic
