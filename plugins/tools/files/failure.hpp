// How the file tools fail: a reason and a text that tells the model what to do next.
#pragma once

#include <boost/system/result.hpp>
#include <string>
#include <string_view>
#include <system_error>

namespace rustic::files {

enum class reason { invalid, not_found, outside, refused, changed, system, too_large, cancelled };

struct failure {
  reason why = reason::system;
  std::string message;
};

template <class T>
using result = boost::system::result<T, failure>;

// "cannot OPERATION SUBJECT: CAUSE", for a failed system call.
inline failure system_failure(std::string_view operation, std::string_view subject, int error) {
  return {reason::system, "cannot " + std::string(operation) + " " + std::string(subject) + ": " +
                              std::generic_category().message(error)};
}

inline failure cancelled_failure() {
  return {reason::cancelled, "the call was cancelled"};
}

}  // namespace rustic::files
