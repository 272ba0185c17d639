// A request made for one target, as another target can take it.
#pragma once
#include <rustic/json.hpp>
#include <string>

#include "settings.hpp"

namespace rustic::resilience {

struct rewritten {
  std::string body;
  std::int64_t tokens = 0;  // of its texts, estimated from below
};

// The body of a `generate` for `to`: its model, without what other providers want back untouched,
// and no larger answer than its window has room for. Throws failure for a body that is no object.
rewritten rewrite(std::string_view body, const target& to);

// A result with the name of who gave it, where that is not who was called (null: it is), and with
// what the attempts before it have cost.
std::string signed_by(std::string_view result, const target* by, json::array spent);
}  // namespace rustic::resilience
