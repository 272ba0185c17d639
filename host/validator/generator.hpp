// host/validator/generator.hpp - values that a JSON Schema admits, and values that it does not.
#pragma once
#include <optional>
#include <random>
#include <rustic/json.hpp>
#include <vector>

namespace rustic::validator {

enum class fullness { required_only, everything };

// A value that the schema admits, as far as the generator understands it: nothing when what it made
// does not fit (a pattern, a format, a keyword that it does not know).
std::optional<json::value> generate(const json::object& schema, fullness how,
                                    std::mt19937_64& random);

// Objects that the schema refuses, each wrong in one way: without a required member, with a member
// of another type, with a value out of bounds.
struct refused_value {
  std::string how;  // "without \"path\""
  json::value value;
  bool lacks_required = false;  // even a tool that checks nothing cannot go far with it
};
std::vector<refused_value> generate_refused(const json::object& schema, std::mt19937_64& random);
}  // namespace rustic::validator
