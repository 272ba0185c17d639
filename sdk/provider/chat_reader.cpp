#include <algorithm>
#include <rustic/provider/chat.hpp>
#include <rustic/provider/limits.hpp>

namespace rustic::provider {

void chat_reader::event(std::string_view, const json::value& data) {
  chunk_(data.as_object(), false);
}

void chat_reader::whole(const json::value& body) {
  const json::value* value = &body;
  if (value->is_array() && value->as_array().size() == 1) value = &value->as_array().front();
  if (!value->is_object()) {
    malformed("the server's answer is no object", json::serialize(body));
    return;
  }
  const json::object& object = value->as_object();
  const bool is_answer = !array_or_empty(object, "choices").empty();
  if (!is_answer && !says_something(find(object, "error"))) {
    // An error in the body of a successful answer, in one of the flat forms.
    if (object.contains("detail") || object.contains("message")) {
      fail_with(*value);
    } else {
      malformed("the server's answer holds no choice", json::serialize(body));
    }
    return;
  }
  chunk_(object, true);
  done_ = true;
}

void chat_reader::done_mark() {
  done_ = true;
  stop_reading();
}

void chat_reader::chunk_(const json::object& chunk, bool whole) {
  if (says_something(find(chunk, "error"))) {
    fail_with(json::value(chunk));
    return;
  }
  answer_.id(text_or(chunk, "id"));
  // A router names the model that it chose only after its first chunk.
  answer_.model(text_or(chunk, "model"));
  for (const json::value& choice : array_or_empty(chunk, "choices")) {
    if (choice.is_object() && int_or(choice.as_object(), "index", 0) == 0) {
      choice_(choice.as_object(), whole);
    }
  }
  usage_(object_or_empty(object_or_empty(chunk, "x_groq"), "usage"));
  usage_(object_or_empty(chunk, "usage"));
  if (details_.size() > limits::reasoning_details_max) {
    answer_.fail(too_large_answer(answer_.about()));
  }
}

void chat_reader::choice_(const json::object& choice, bool whole) {
  if (says_something(find(choice, "error"))) {
    fail_with(json::value(choice));
    return;
  }
  if (const json::value* delta = find(choice, "delta"); delta && delta->is_object()) {
    delta_(delta->as_object());
  } else if (const json::value* message = find(choice, "message");
             message && message->is_object() && whole) {
    delta_(message->as_object());
  } else if (const std::string_view text = text_or(choice, "text"); !text.empty()) {
    text_(text);
  }
  usage_(object_or_empty(choice, "usage"));
  if (const json::value* reason = find(choice, "finish_reason"); reason && reason->is_string()) {
    answer_.finished(reason->as_string());
  }
}

void chat_reader::delta_(const json::object& delta) {
  reasoning_(delta);
  if (const json::value* content = find(delta, "content")) content_(*content);
  if (const std::string_view refusal = text_or(delta, "refusal"); !refusal.empty()) {
    answer_.refuse(refusal);
  }
  for (const json::value& fragment : array_or_empty(delta, "tool_calls")) {
    if (fragment.is_object()) answer_.call_fragment(fragment.as_object());
  }
  if (const json::value* call = find(delta, "function_call"); call && call->is_object()) {
    answer_.call_fragment(call->as_object());
  }
}

void chat_reader::content_(const json::value& content) {
  if (content.is_string()) {
    text_(content.as_string());
    return;
  }
  if (!content.is_array()) return;
  for (const json::value& value : content.as_array()) {
    if (value.is_string()) text_(value.as_string());
    if (!value.is_object()) continue;
    const json::object& part = value.as_object();
    const std::string_view type = text_or(part, "type");
    if (type == "thinking") {
      if (field_.empty()) field_ = "content";
      think_(text_or(part, "thinking"));
      for (const json::value& thought : array_or_empty(part, "thinking")) {
        if (thought.is_object()) think_(text_or(thought.as_object(), "text"));
      }
    } else if (type == "text" || type == "output_text") {
      text_(text_or(part, "text"));
    }
  }
}

void chat_reader::reasoning_(const json::object& delta) {
  bool told = false;
  for (const std::string_view field : {"reasoning_content", "reasoning"}) {
    const std::string_view text = text_or(delta, field);
    if (text.empty() || told) continue;
    if (field_.empty()) field_ = field;
    think_(text);
    told = true;
  }
  for (const json::value& value : array_or_empty(delta, "reasoning_details")) {
    if (!value.is_object()) continue;
    const json::object& detail = value.as_object();
    if (!told) {
      think_(text_or(detail, "text"));
      think_(text_or(detail, "summary"));
    }
    reasoning_detail_(detail);
  }
}

// Pieces of one detail: texts are put together, everything else is set.
void chat_reader::reasoning_detail_(const json::object& detail) {
  const json::value* index = find(detail, "index");
  json::object* mine = nullptr;
  if (index != nullptr) {
    for (json::value& value : details_) {
      const json::value* other = find(value.as_object(), "index");
      if (other != nullptr && *other == *index &&
          text_or(value.as_object(), "type") == text_or(detail, "type")) {
        mine = &value.as_object();
      }
    }
  }
  if (mine == nullptr) {
    details_.push_back(json::object(detail, details_.storage()));
    return;
  }
  for (const auto& [key, value] : detail) {
    const bool grows = key == "text" || key == "summary";
    if (json::value* old = mine->if_contains(key); grows && old && old->is_string()) {
      if (value.is_string()) old->as_string().append(value.as_string());
    } else if (!value.is_null()) {
      (*mine)[key] = value;
    }
  }
}

void chat_reader::usage_(const json::object& usage) {
  if (usage.empty()) return;
  const json::object& in = object_or_empty(usage, "prompt_tokens_details");
  const json::object& out = object_or_empty(usage, "completion_tokens_details");
  const auto count = [](std::int64_t number) {
    return std::clamp<std::int64_t>(number, 0, limits::tokens_max);
  };
  const auto prompt = count(int_or(usage, "prompt_tokens", int_or(usage, "input_tokens")));
  auto completion = count(int_or(usage, "completion_tokens", int_or(usage, "output_tokens")));
  // Where the total is larger than its parts, reasoning was left out of the completion.
  completion = std::max(completion, count(int_or(usage, "total_tokens")) - prompt);
  const std::int64_t reasoning = int_or(out, "reasoning_tokens", int_or(usage, "reasoning_tokens"));
  answer_.usage(
      {.input = prompt,
       .output = completion,
       .cache_read = int_or(in, "cached_tokens", int_or(usage, "prompt_cache_hit_tokens")),
       .cache_write = int_or(in, "cache_write_tokens"),
       .reasoning = reasoning});
}

void chat_reader::text_(std::string_view piece) {
  if (piece.empty()) return;
  if (!text_part_) text_part_ = answer_.open(answer::kind::text);
  answer_.more(*text_part_, piece);
}

void chat_reader::think_(std::string_view piece) {
  if (piece.empty()) return;
  answer_.more(thinking_(), piece);
}

std::size_t chat_reader::thinking_() {
  if (!thought_part_) thought_part_ = answer_.open(answer::kind::reasoning);
  return *thought_part_;
}

void chat_reader::closing() {
  if (thought_part_ || !details_.empty()) {
    json::object opaque;
    if (!field_.empty()) opaque["field"] = field_;
    if (!details_.empty()) opaque["details"] = std::move(details_);
    answer_.keep(thinking_(), std::move(opaque));
  }
  answer_.order_by_kind();
}

}  // namespace rustic::provider
