#include "reader.hpp"

#include <algorithm>
#include <rustic/provider/limits.hpp>
#include <string>

namespace rustic::ollama {
namespace {

std::int64_t count(const json::object& from, std::string_view key) {
  return std::clamp<std::int64_t>(int_or(from, key), 0, provider::limits::tokens_max);
}

}  // namespace

void line_reader::event(std::string_view, const json::value& data) {
  const json::object& line = data.as_object();
  if (provider::says_something(find(line, "error"))) {
    fail_with(data);
    return;
  }
  answer_.model(text_or(line, "model"));
  message_(object_or_empty(line, "message"));
  // The form of /api/generate.
  think_(text_or(line, "thinking"));
  if (const auto text = text_or(line, "response"); !text.empty()) answer_.text(text);
  if (!bool_or(line, "done")) return;
  done_ = true;
  stop_reading();
  if (const auto reason = text_or(line, "done_reason"); !reason.empty()) {
    answer_.finished(reason);
  }
  if (line.contains("prompt_eval_count") || line.contains("eval_count")) {
    provider::token_counts counts;
    counts.input = count(line, "prompt_eval_count");
    counts.output = count(line, "eval_count");
    answer_.usage(counts);
  }
}

void line_reader::whole(const json::value& body) {
  if (body.is_object()) {
    event({}, body);
  } else {
    malformed("the server's answer is no object");
  }
}

void line_reader::message_(const json::object& message) {
  think_(text_or(message, "thinking"));
  if (const auto text = text_or(message, "content"); !text.empty()) answer_.text(text);
  for (const json::value& value : array_or_empty(message, "tool_calls")) {
    if (problem()) return;
    if (value.is_object()) call_(value.as_object());
  }
}

void line_reader::think_(std::string_view text) {
  if (!text.empty()) thought_ = answer_.think(text);
}

void line_reader::call_(const json::object& call) {
  const json::object& function = object_or_empty(call, "function");
  const std::string_view name = text_or(function, "name");
  if (name.empty()) {
    malformed("a tool call has no name");
    return;
  }
  const std::size_t number = answer_.call(text_or(call, "id"), name);
  const json::value* arguments = find(function, "arguments");
  if (arguments == nullptr) return;
  if (arguments->is_string()) {
    answer_.set_arguments(number, arguments->as_string());
  } else {
    answer_.set_arguments(number, json::serialize(*arguments));
  }
}

void line_reader::closing() {
  // A model takes its own thoughts back.
  if (thought_) answer_.keep(*thought_, {{"field", "thinking"}});
}

}  // namespace rustic::ollama
