// rustic/schema.hpp - JSON Schema: compile one once, check many instances, say what was expected.
#pragma once
#include <memory>
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic {
// One way in which an instance does not fit.
struct schema_error {
  std::string pointer;  // JSON Pointer of the place in the instance; "" is the whole of it
  std::string message;  // "expected an integer, got a string"
};

// A compiled schema: draft-07, and from 2020-12 whatever can be said in draft-07 ($defs,
// prefixItems, dependentRequired, dependentSchemas, siblings of $ref). A keyword that would change
// the answer and cannot be honoured is refused; one that the standards call an annotation is
// ignored. Nothing is ever fetched. Copies share one compiled schema. Any thread may validate; two
// threads that use the same schema take turns.
class json_schema {
 public:
  // Throws failure(INVALID_ARGUMENT) naming `what`, the place in the schema and the reason.
  static json_schema parse(const json::value& schema, std::string_view what = "schema");

  // What is wrong with the instance, at most 64 entries; empty when it fits. An instance that costs
  // too much to check, or that nests too deeply, is an error like any other. Throws nothing but
  // std::bad_alloc.
  std::vector<schema_error> validate(const json::value& instance) const;

  // Constraints of the schema that are not checked, each with its reason: regular expressions with
  // look-around or back-references, formats other than date, time and date-time.
  const std::vector<std::string>& unchecked() const noexcept;

 private:
  struct compiled;
  explicit json_schema(std::shared_ptr<const compiled> schema);
  std::shared_ptr<const compiled> schema_;
};

// The errors as text for a person or a model: one "pointer: message" on each line.
std::string to_text(const std::vector<schema_error>& errors);

// The candidate nearest to `word` that a slip of the hand could explain, or an empty view.
// The result refers to an element of `candidates`.
std::string_view nearest_word(std::string_view word,
                              const std::vector<std::string_view>& candidates);
}  // namespace rustic
