#include "answer_format.hpp"

#include <rustic/status.hpp>

namespace rustic::agent {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view space = " \t\r\n";
  const auto begin = text.find_first_not_of(space);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(space) - begin + 1);
}

// Models put JSON into a code block even when they are asked not to.
std::string_view unfenced(std::string_view text) {
  text = trimmed(text);
  constexpr std::string_view fence = "```";
  if (!text.starts_with(fence) || !text.ends_with(fence) || text.size() < 2 * fence.size())
    return text;
  const auto line = text.find('\n');
  if (line == std::string_view::npos) return text;
  return trimmed(text.substr(line + 1, text.size() - fence.size() - line - 1));
}
}  // namespace

answer_format::answer_format(const json::object& response_format) {
  const auto type = text_or(response_format, "type", "text");
  if (type == "text") return;
  if (type != "json_object" && type != "json_schema")
    throw failure(status_code::invalid_argument,
                  "starting a turn: unknown response_format \"" + std::string(type) + "\"",
                  "text, json_object or json_schema");
  wants_json_ = true;
  if (type == "json_object") return;
  const auto* schema = find(response_format, "schema");
  if (!schema || !schema->is_object())
    throw failure(status_code::invalid_argument, "starting a turn: response_format has no schema",
                  "give a JSON Schema as the member schema");
  schema_ = json_schema::parse(*schema, "response_format.schema");
  schema_text_ = json::serialize(*schema);
}

std::string answer_format::settle(std::string& text) const {
  if (!wants_json_) return {};
  const std::string body(unfenced(text));
  std::string problems;
  try {
    const auto value = parse_json(body, "the answer");
    if (schema_)
      problems = to_text(schema_->validate(value));
    else if (!value.is_object())
      problems = "it is not a JSON object";
  } catch (const failure& problem) {
    problems = "it is not JSON: " + problem.problem().message;
  }
  if (problems.empty()) {
    text = body;
    return {};
  }
  std::string wanted = "Your answer does not have the form that was asked for:\n" + problems +
                       "\nAnswer again with the JSON alone, without a code block";
  if (schema_) wanted += ". It must match this JSON Schema: " + schema_text_;
  return wanted;
}
}  // namespace rustic::agent
