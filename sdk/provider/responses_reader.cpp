#include <algorithm>
#include <rustic/provider/limits.hpp>
#include <rustic/provider/responses.hpp>

namespace rustic::provider {
namespace {

// A number that stands for all of an item's refusals.
constexpr std::int64_t refusal_piece = -1;

std::string argument_text(const json::object& content, std::string_view key) {
  const json::value* value = find(content, key);
  if (value == nullptr || value->is_null()) return {};
  return value->is_string() ? std::string(value->as_string()) : json::serialize(*value);
}

}  // namespace

void responses_reader::event(std::string_view name, const json::value& data) {
  const json::object& object = data.as_object();
  // Gateways leave out the names of events.
  std::string_view type = text_or(object, "type", name);
  if (type == "error" || (!object.contains("type") && says_something(find(object, "error")))) {
    fail_with(data);
    return;
  }
  if (!type.starts_with("response.")) return;
  type.remove_prefix(9);
  if (type == "created" || type == "in_progress" || type == "queued") {
    response_(object_or_empty(object, "response"));
  } else if (type == "completed" || type == "incomplete" || type == "failed" || type == "done") {
    finished_(type, object_or_empty(object, "response"));
  } else if (type == "output_item.added") {
    begin_(int_or(object, "output_index", static_cast<std::int64_t>(items_.size())),
           object_or_empty(object, "item"));
  } else if (type == "output_item.done") {
    const json::object& content = object_or_empty(object, "item");
    const auto newest = items_.empty() ? 0 : items_.back().place;
    item* one = begin_(int_or(object, "output_index", newest), content);
    if (one != nullptr) end_(*one, content);
  } else if (item* one = at_(object, type)) {
    const auto piece = int_or(object, "content_index", 0);
    const auto summary = int_or(object, "summary_index", 0);
    if (type == "output_text.delta") {
      text_(*one, piece, text_or(object, "delta"), false);
    } else if (type == "output_text.done") {
      text_(*one, piece, text_or(object, "text"), true);
    } else if (type == "refusal.delta") {
      refusal_(*one, text_or(object, "delta"), false);
    } else if (type == "refusal.done") {
      refusal_(*one, text_or(object, "refusal"), true);
    } else if (type == "reasoning_summary_text.delta") {
      text_(*one, summary, text_or(object, "delta"), false);
    } else if (type == "reasoning_summary_text.done") {
      text_(*one, summary, text_or(object, "text"), true);
    } else if (type == "reasoning_text.delta") {
      text_(*one, piece, text_or(object, "delta"), false);
    } else if (type == "reasoning_text.done") {
      text_(*one, piece, text_or(object, "text"), true);
    } else if (type == "function_call_arguments.delta" || type == "custom_tool_call_input.delta") {
      arguments_(*one, argument_text(object, "delta"), false);
    } else if (type == "function_call_arguments.done") {
      arguments_(*one, argument_text(object, "arguments"), true);
    } else if (type == "custom_tool_call_input.done") {
      arguments_(*one, argument_text(object, "input"), true);
    }
  }
}

void responses_reader::whole(const json::value& body) {
  if (!body.is_object()) {
    malformed("the server's answer is no object", json::serialize(body));
    return;
  }
  const json::object& response = body.as_object();
  if (text_or(response, "object") != "response" && !response.contains("output")) {
    if (says_something(find(response, "error")) || response.contains("detail") ||
        response.contains("message")) {
      fail_with(body);
    } else {
      malformed("the server's answer holds no output", json::serialize(body));
    }
    return;
  }
  response_(response);
  const std::string_view status = text_or(response, "status", "completed");
  if (status == "completed" || status == "incomplete" || status == "failed" ||
      status == "cancelled") {
    finished_(status, response);
  }
}

void responses_reader::response_(const json::object& response) {
  answer_.id(text_or(response, "id"));
  answer_.model(text_or(response, "model"));
}

void responses_reader::finished_(std::string_view type, const json::object& response) {
  response_(response);
  usage_(object_or_empty(response, "usage"));
  const std::string_view status = text_or(response, "status", type);
  if (status == "failed" || status == "cancelled" || says_something(find(response, "error"))) {
    json::object error;
    if (const json::value* told = find(response, "error"); says_something(told)) {
      error["error"] = *told;
    } else {
      error["error"] = json::object{{"code", "server_error"},
                                    {"message", "the response ended as " + std::string(status)}};
    }
    fail_with(error);
    return;
  }
  // Some servers tell of the items only here, and some tell of none here that were streamed.
  if (items_.empty()) {
    std::int64_t place = 0;
    for (const json::value& value : array_or_empty(response, "output")) {
      if (!value.is_object()) continue;
      item* one = begin_(place++, value.as_object());
      if (one != nullptr) end_(*one, value.as_object());
      if (problem()) return;
    }
  }
  std::string reason(status);
  const auto why = text_or(object_or_empty(response, "incomplete_details"), "reason");
  if (!why.empty()) reason.append(":").append(why);
  answer_.finished(reason);
  done_ = true;
  stop_reading();
}

responses_reader::item* responses_reader::begin_(std::int64_t place, const json::object& content) {
  const std::string_view type = text_or(content, "type");
  auto of = item::kind::other;
  if (type == "message") of = item::kind::message;
  if (type == "function_call" || type == "custom_tool_call") of = item::kind::call;
  if (type == "reasoning") of = item::kind::reasoning;
  const auto known = std::find_if(items_.begin(), items_.end(),
                                  [&](const item& one) { return one.place == place; });
  item* one = known == items_.end() ? nullptr : &*known;
  if (one == nullptr) {
    if (items_.size() >= limits::answer_parts_max) {
      answer_.fail(too_large_answer(answer_.about()));
      return nullptr;
    }
    one = &items_.emplace_back(item{place, of});
  }
  if (one->part || one->done) return one;
  if (one->of == item::kind::reasoning) {
    one->part = answer_.open(answer::kind::reasoning);
  } else if (one->of == item::kind::call && !text_or(content, "name").empty()) {
    const auto id = text_or(content, "call_id", text_or(content, "id"));
    one->part = answer_.call(id, text_or(content, "name"));
    if (type == "custom_tool_call") keep_(*one, {{"type", type}});
  }
  return one;
}

// The item that a piece belongs to; its beginning may be missing.
responses_reader::item* responses_reader::at_(const json::object& data, std::string_view type) {
  const auto newest = items_.empty() ? 0 : items_.back().place;
  const auto place = int_or(data, "output_index", newest);
  for (std::size_t i = items_.size(); i-- > 0;)
    if (items_[i].place == place) return &items_[i];
  const char* missing = nullptr;
  if (type.starts_with("output_text.") || type.starts_with("refusal.")) missing = "message";
  if (type.starts_with("reasoning")) missing = "reasoning";
  if (missing == nullptr) {
    if (type.starts_with("function_call_arguments."))
      malformed("the arguments of a tool call came without the call");
    return nullptr;
  }
  return begin_(place, {{"type", missing}});
}

void responses_reader::end_(item& one, const json::object& content) {
  if (one.done) return;
  one.done = true;
  switch (one.of) {
    case item::kind::message:
      message_(one, content);
      return;
    case item::kind::reasoning:
      reasoning_(one, content);
      return;
    case item::kind::call:
      if (!one.part) {
        malformed("a tool call has no name");
        return;
      }
      arguments_(one, argument_text(content, content.contains("input") ? "input" : "arguments"),
                 true);
      return;
    case item::kind::other:
      if (text_or(content, "type").empty()) return;
      one.part = answer_.open(answer::kind::reasoning);
      keep_(one, {{"item", content}});
  }
}

void responses_reader::message_(item& one, const json::object& content) {
  std::int64_t piece = 0;
  for (const json::value& value : array_or_empty(content, "content")) {
    if (!value.is_object()) continue;
    const json::object& part = value.as_object();
    if (text_or(part, "type") == "refusal") {
      refusal_(one, text_or(part, "refusal"), true);
    } else {
      text_(one, piece, text_or(part, "text"), true);
    }
    ++piece;
  }
  const std::string_view phase = text_or(content, "phase");
  if (!phase.empty() && one.part) keep_(one, {{"phase", phase}});
}

void responses_reader::reasoning_(item& one, const json::object& content) {
  const bool was_told = !one.told.empty();
  std::int64_t piece = 0;
  for (const char* list : {"summary", "content"}) {
    if (was_told || (piece > 0 && !one.told.empty())) break;  // the same once more
    for (const json::value& value : array_or_empty(content, list)) {
      if (value.is_object()) text_(one, piece, text_or(value.as_object(), "text"), true);
      ++piece;
    }
  }
  keep_(one, {{"item", content}});
}

void responses_reader::text_(item& one, std::int64_t piece, std::string_view text, bool rest) {
  const bool known = std::find(one.told.begin(), one.told.end(), piece) != one.told.end();
  if (text.empty() || (rest && known)) return;
  if (one.of == item::kind::call || one.of == item::kind::other) return;
  if (!one.part || one.refusal) {
    const bool message = one.of == item::kind::message;
    one.part = answer_.open(message ? answer::kind::text : answer::kind::reasoning);
    one.refusal = false;
  }
  if (!known) {
    if (one.told.size() >= limits::answer_parts_max) {
      answer_.fail(too_large_answer(answer_.about()));
      return;
    }
    // Paragraphs of a summary come one by one.
    if (!one.told.empty() && one.of == item::kind::reasoning) answer_.more(*one.part, "\n\n");
    one.told.push_back(piece);
  }
  answer_.more(*one.part, text);
}

void responses_reader::refusal_(item& one, std::string_view text, bool rest) {
  const bool known = std::find(one.told.begin(), one.told.end(), refusal_piece) != one.told.end();
  if (text.empty() || (rest && known) || one.of != item::kind::message) return;
  if (!known) {
    one.told.push_back(refusal_piece);
    answer_.end_part();
  }
  one.part = answer_.refuse(text);
  one.refusal = true;
}

void responses_reader::arguments_(item& one, std::string_view text, bool rest) {
  if (one.of != item::kind::call) return;
  if (!one.part) {
    one.nameless = !text.empty();  // the end of the item has both once more
    return;
  }
  if (text.empty()) return;
  one.arguments = true;
  if (rest) {
    answer_.set_arguments(*one.part, text);
  } else {
    answer_.more(*one.part, text);
  }
}

void responses_reader::keep_(item& one, json::object opaque) {
  kept_bytes_ += bytes_of(opaque);
  if (kept_bytes_ > limits::answer_bytes_max) {
    answer_.fail(too_large_answer(answer_.about()));
    return;
  }
  answer_.keep(*one.part, std::move(opaque));
}

void responses_reader::usage_(const json::object& usage) {
  if (usage.empty()) return;
  const json::object& in = object_or_empty(usage, "input_tokens_details");
  const json::object& out = object_or_empty(usage, "output_tokens_details");
  answer_.usage({.input = int_or(usage, "input_tokens", int_or(usage, "prompt_tokens")),
                 .output = int_or(usage, "output_tokens", int_or(usage, "completion_tokens")),
                 .cache_read = int_or(in, "cached_tokens"),
                 .cache_write = int_or(in, "cache_write_tokens"),
                 .reasoning = int_or(out, "reasoning_tokens")});
}

void responses_reader::closing() {
  if (!answer_.raw_finish() || items_.empty()) return;
  for (const item& one : items_) {
    if (one.nameless && !one.part) malformed("the arguments of a tool call came without its name");
  }
  const item& last = items_.back();
  if (normal_finish_reason(*answer_.raw_finish()) == "length" && last.part &&
      last.of == item::kind::call && !last.arguments) {
    // A call that the limit cut off before its arguments is no call without arguments.
    answer_.set_arguments(*last.part, "{");
  }
}

}  // namespace rustic::provider
