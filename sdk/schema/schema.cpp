// The compiled schema: valijson does the walking, our own constraints do what it does unsafely.
#define VALIJSON_USE_EXCEPTIONS 1
#include <rustic/schema.hpp>

#include <re2/re2.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <mutex>
#include <rustic/status.hpp>
#include <set>
#include <valijson/adapters/boost_json_adapter.hpp>
#include <valijson/constraint_builder.hpp>
#include <valijson/constraints/concrete_constraints.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "describe.hpp"
#include "limits.hpp"
#include "moment.hpp"
#include "translate.hpp"

namespace rustic {
namespace {
using target_adapter = valijson::adapters::BoostJsonAdapter;

struct too_costly {};

// How many subschemas may still be applied in one validation; guarded by the schema's mutex.
struct step_counter {
  std::uint64_t left = 0;
};

// A constraint of ours: `check` gives the complaint, or an empty text.
class own_constraint : public valijson::constraints::PolyConstraint {
 public:
  using check_function = std::function<std::string(const valijson::adapters::Adapter&)>;
  explicit own_constraint(check_function check) : check_(std::move(check)) {}
  bool validate(const valijson::adapters::Adapter& target, const std::vector<std::string>& context,
                valijson::ValidationResults* results) const override {
    std::string complaint = check_(target);
    if (complaint.empty()) return true;
    if (results) results->pushError(context, complaint);
    return false;
  }

 private:
  Constraint* cloneInto(void* memory) const override { return new (memory) own_constraint(*this); }
  std::size_t sizeOf() const override { return sizeof(own_constraint); }
  check_function check_;
};

class own_builder : public valijson::ConstraintBuilder {
 public:
  using make_function =
      std::function<own_constraint::check_function(const valijson::adapters::Adapter&)>;
  explicit own_builder(make_function make) : make_(std::move(make)) {}
  valijson::constraints::Constraint* make(const valijson::adapters::Adapter& node) const override {
    return new own_constraint(make_(node));
  }

 private:
  make_function make_;
};

own_constraint::check_function check_pattern(const valijson::adapters::Adapter& node) {
  std::string text = node.asString();
  RE2::Options options(RE2::Quiet);
  options.set_max_mem(schema::pattern_memory_bytes_max);
  auto expression = std::make_shared<const RE2>(schema::to_re2(text), options);
  return [expression, text](const valijson::adapters::Adapter& target) -> std::string {
    std::string value;
    if (!target.getString(value) || RE2::PartialMatch(value, *expression)) return {};
    return "expected a string that matches the pattern " + text;
  };
}

own_constraint::check_function check_format(const valijson::adapters::Adapter& node) {
  std::string name = node.asString();
  return [name](const valijson::adapters::Adapter& target) -> std::string {
    std::string value;
    if (!target.getString(value) || schema::is_moment(name, value)) return {};
    return "expected a " + name + ", such as " + std::string(schema::moment_example(name));
  };
}

// A text that equal values share: members sorted, 1 and 1.0 alike.
std::string fingerprint(const valijson::adapters::Adapter& value) {
  if (value.isArray()) {
    std::string text = "[";
    value.applyToArray([&](const valijson::adapters::Adapter& item) {
      text += fingerprint(item) + ',';
      return true;
    });
    return text + ']';
  }
  if (value.isObject()) {
    std::set<std::string> members;
    value.applyToObject([&](const std::string& key, const valijson::adapters::Adapter& member) {
      members.insert(json::serialize(json::string(key)) + ':' + fingerprint(member));
      return true;
    });
    std::string text = "{";
    for (const auto& member : members) text += member + ',';
    return text + '}';
  }
  std::string text;
  if (value.getString(text)) return json::serialize(json::string(text));
  if (value.isBool()) return value.asBool() ? "true" : "false";
  if (value.isInteger()) return std::to_string(value.asInteger());
  if (!value.isNumber()) return "null";
  const double number = value.asDouble();
  if (std::abs(number) < 1e15 && std::floor(number) == number)
    return std::to_string(static_cast<std::int64_t>(number));
  return json::serialize(json::value(number));
}

own_constraint::check_function check_unique(const valijson::adapters::Adapter&) {
  return [](const valijson::adapters::Adapter& target) -> std::string {
    if (!target.isArray()) return {};
    std::set<std::string> seen;
    std::size_t index = 0;
    std::string complaint;
    target.applyToArray([&](const valijson::adapters::Adapter& item) {
      if (!seen.insert(fingerprint(item)).second)
        complaint = "expected distinct items; item " + std::to_string(index) + " is there twice";
      ++index;
      return complaint.empty();
    });
    return complaint;
  };
}

bool has_type(const valijson::adapters::Adapter& value, std::string_view type) {
  if (type == "integer") {
    if (value.isInteger()) return true;
    const double number = value.isDouble() ? value.asDouble() : 0.5;
    return std::floor(number) == number;
  }
  if (type == "number") return value.isNumber();
  if (type == "string") return value.isString();
  if (type == "boolean") return value.isBool();
  if (type == "array") return value.isArray();
  if (type == "object") return value.isObject();
  return value.isNull();
}

// valijson's own takes 1.0 for no integer.
own_constraint::check_function check_type(const valijson::adapters::Adapter& node) {
  std::vector<std::string> types;
  if (node.isString())
    types.push_back(node.asString());
  else
    node.applyToArray([&](const valijson::adapters::Adapter& name) {
      types.push_back(name.asString());
      return true;
    });
  return [types](const valijson::adapters::Adapter& target) -> std::string {
    for (const auto& type : types)
      if (has_type(target, type)) return {};
    return std::string(schema::type_sentence);
  };
}

own_constraint::check_function check_step(std::shared_ptr<step_counter> counter) {
  return [counter = std::move(counter)](const valijson::adapters::Adapter&) -> std::string {
    if (counter->left-- == 0) throw too_costly{};
    return {};
  };
}

std::string pointer_of(const std::vector<std::string>& context) {
  std::string pointer;
  for (std::size_t i = 1; i < context.size(); ++i) {
    std::string_view token = context[i];
    if (token.size() >= 2) token = token.substr(1, token.size() - 2);
    pointer += '/';
    for (const char c : token) {
      if (c == '~')
        pointer += "~0";
      else if (c == '/')
        pointer += "~1";
      else
        pointer += c;
    }
  }
  return pointer;
}

bool too_deep(const json::value& value, std::size_t depth) {
  if (depth > json_depth_max) return true;
  if (const auto* object = value.if_object())
    return std::any_of(object->begin(), object->end(),
                       [&](const auto& m) { return too_deep(m.value(), depth + 1); });
  if (const auto* list = value.if_array())
    return std::any_of(list->begin(), list->end(),
                       [&](const auto& item) { return too_deep(item, depth + 1); });
  return false;
}

// The validator's adapter knows no number above the signed 64 bits.
bool has_large_number(const json::value& value) {
  if (const auto* object = value.if_object())
    return std::any_of(object->begin(), object->end(),
                       [](const auto& m) { return has_large_number(m.value()); });
  if (const auto* list = value.if_array())
    return std::any_of(list->begin(), list->end(), has_large_number);
  return value.is_uint64();
}

void large_numbers_to_double(json::value& value) {
  if (auto* object = value.if_object())
    for (auto& member : *object) large_numbers_to_double(member.value());
  else if (auto* list = value.if_array())
    for (auto& item : *list) large_numbers_to_double(item);
  else if (value.is_uint64())
    value = static_cast<double>(value.as_uint64());
}

bool names_too_long(const json::value& value) {
  if (const auto* object = value.if_object())
    return std::any_of(object->begin(), object->end(), [](const auto& m) {
      return m.key().size() > schema::property_name_bytes_max || names_too_long(m.value());
    });
  if (const auto* list = value.if_array())
    return std::any_of(list->begin(), list->end(), names_too_long);
  return false;
}

// What only says that something further in is wrong, which has an entry of its own.
bool is_echo(std::string_view sentence) {
  return sentence.starts_with("Failed to validate") && !sentence.ends_with("constraint.") &&
         !sentence.ends_with("exactly one child schema.");
}
}  // namespace

struct json_schema::compiled {
  json::value source;  // translated
  bool names_matter = false;
  std::vector<std::string> unchecked;
  std::shared_ptr<step_counter> counter = std::make_shared<step_counter>();
  valijson::Schema schema;
  mutable std::mutex mutex;  // guards counter->left
};

json_schema::json_schema(std::shared_ptr<const compiled> schema) : schema_(std::move(schema)) {}

const std::vector<std::string>& json_schema::unchecked() const noexcept {
  return schema_->unchecked;
}

json_schema json_schema::parse(const json::value& schema, std::string_view what) {
  auto translated = schema::translate(schema, what);
  auto result = std::make_shared<compiled>();
  result->source = std::move(translated.schema);
  result->names_matter = translated.names_matter;
  result->unchecked = std::move(translated.unchecked);
  try {
    valijson::SchemaParser parser;
    const auto add = [&](std::string_view key, own_builder::make_function make) {
      parser.addConstraintBuilder(std::string(key), new own_builder(std::move(make)));
    };
    add(schema::type_keyword, check_type);
    add(schema::pattern_keyword, check_pattern);
    add(schema::format_keyword, check_format);
    add(schema::unique_keyword, check_unique);
    add(schema::step_keyword, [counter = result->counter](const valijson::adapters::Adapter&) {
      return check_step(counter);
    });
    parser.populateSchema(target_adapter(result->source), result->schema);
  } catch (const std::exception& problem) {
    throw failure(status_code::invalid_argument, std::string(what) + ": " + problem.what(),
                  "correct the JSON Schema");
  }
  return json_schema(std::move(result));
}

std::vector<schema_error> json_schema::validate(const json::value& instance) const {
  if (too_deep(instance, 0))
    return {{"", "nests deeper than " + std::to_string(json_depth_max) + " levels"}};
  if (schema_->names_matter && names_too_long(instance))
    return {{"", "has a property name longer than " +
                     std::to_string(schema::property_name_bytes_max) + " bytes"}};
  if (has_large_number(instance)) {
    json::value copy = instance;
    large_numbers_to_double(copy);
    return validate(copy);
  }
  valijson::ValidationResults results;
  bool fits = false, known = false;
  try {
    const std::lock_guard lock(schema_->mutex);
    valijson::Validator validator;
    // Collecting complaints costs far more than finding that there are some.
    schema_->counter->left = schema::validation_steps_max;
    fits = validator.validate(schema_->schema, target_adapter(instance), nullptr);
    known = true;
    schema_->counter->left = schema::explaining_steps_max;
    if (!fits) validator.validate(schema_->schema, target_adapter(instance), &results);
  } catch (const too_costly&) {
    if (!known) return {{"", "takes too many steps to check against this schema"}};
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& problem) {
    return {{"", std::string("cannot be checked: ") + problem.what()}};
  }
  if (fits) return {};
  std::vector<schema_error> errors;
  std::set<std::pair<std::string, std::string>> seen;
  for (const bool echoes : {false, true}) {
    if (echoes && !errors.empty()) break;
    for (const auto& entry : results) {
      if (errors.size() >= schema::errors_max) break;
      if (is_echo(entry.description) != echoes) continue;
      auto pointer = pointer_of(entry.context);
      auto message = schema::describe(schema_->source, instance, pointer, entry.description);
      if (seen.emplace(pointer, message).second)
        errors.push_back({std::move(pointer), std::move(message)});
    }
  }
  if (errors.empty())
    errors.push_back({"", "does not fit the schema; why would take too long to find"});
  return errors;
}

std::string to_text(const std::vector<schema_error>& errors) {
  std::string text;
  for (const auto& [pointer, message] : errors) {
    if (!text.empty()) text += '\n';
    text += (pointer.empty() ? "(the whole value)" : pointer) + ": " + message;
  }
  return text;
}
}  // namespace rustic
