// partial_arguments.hpp - puts the arguments of a call together from pieces that name their place.
#pragma once
#include <cstddef>
#include <rustic/json.hpp>
#include <string_view>

namespace rustic::google {

class partial_arguments {
 public:
  // {"jsonPath": "$.a[0].b", "stringValue" | "numberValue" | "boolValue" | "nullValue"}. Texts for
  // one place follow each other. False: the path cannot be followed, or there is too much.
  bool add(const json::object& piece);
  std::string text() const { return json::serialize(root_); }
  // As it would be if it had been cut off.
  std::string cut_text() const;

 private:
  json::value* at_(std::string_view path);
  bool count_(std::size_t bytes);

  json::value root_ = json::object{};
  std::size_t bytes_ = 0;
};

}  // namespace rustic::google
