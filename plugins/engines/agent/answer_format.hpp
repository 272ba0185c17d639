// plugins/engines/agent/answer_format.hpp - the JSON that the model's last word has to be, when the
// caller asked for some.
#pragma once
#include <optional>
#include <rustic/json.hpp>
#include <rustic/schema.hpp>
#include <string>

namespace rustic::agent {

// A `response_format` of rustic.provider. Not every API holds a model to it, so the answer is
// checked here too.
class answer_format {
 public:
  // Any text will do.
  answer_format() = default;
  // Throws failure(INVALID_ARGUMENT) for an unknown type and for a schema that cannot be used.
  explicit answer_format(const json::object& response_format);

  bool any_text() const noexcept { return !wants_json_; }
  // Empty when the text fits; it is then left without what stands around the JSON (space, the fence
  // of a code block). Otherwise what to tell the model.
  std::string settle(std::string& text) const;

 private:
  bool wants_json_ = false;
  std::optional<json_schema> schema_;
  std::string schema_text_;
};
}  // namespace rustic::agent
