#include "host/cli/exit_code.hpp"

namespace rustic::cli {

exit_code exit_code_of(const error& problem) {
  const auto* details = problem.details.if_object();
  const auto kind = details ? text_or(*details, "kind") : std::string_view();
  // What comes from a provider or its transport has a kind; other services' errors have none.
  switch (problem.code) {
    case status_code::cancelled:
      return exit_code::interrupted;
    case status_code::unauthenticated:
      return exit_code::provider;
    case status_code::permission_denied:
      return kind.empty() ? exit_code::denied : exit_code::provider;
    case status_code::resource_exhausted:
      return kind == "rate_limit" || kind == "quota" ? exit_code::provider : exit_code::turn_failed;
    case status_code::unavailable:
      return kind.empty() || kind == "stream_cut" || kind == "truncated" ||
                     kind.starts_with("plugin_")
                 ? exit_code::turn_failed
                 : exit_code::provider;
    case status_code::deadline_exceeded:
      return kind == "connect" || kind == "first_byte" ? exit_code::provider
                                                       : exit_code::turn_failed;
    case status_code::not_found:
      return kind.empty() ? exit_code::configuration : exit_code::provider;
    case status_code::failed_precondition:
      return kind.empty() ? exit_code::configuration : exit_code::turn_failed;
    default:
      return exit_code::turn_failed;
  }
}

exit_code exit_code_of(const json::object& turn) {
  if (!text_or(turn, "limit").empty()) return exit_code::limit;
  // When the last thing that the model tried was denied, its text is an apology and not a result.
  const auto& denials = array_or_empty(turn, "permission_denials");
  const auto& calls = array_or_empty(turn, "tool_calls");
  if (!denials.empty() && !calls.empty()) {
    const auto last = text_or(calls.back().as_object(), "id");
    for (const auto& denial : denials)
      if (text_or(denial.as_object(), "id") == last) return exit_code::denied;
  }
  return exit_code::done;
}
}  // namespace rustic::cli
