#include "reader.hpp"

#include <algorithm>
#include <rustic/provider/limits.hpp>
#include <rustic/status.hpp>
#include <string>

namespace rustic::google {
namespace {

namespace limits = provider::limits;

void take(const json::object& from, std::string_view key, std::optional<std::int64_t>& into) {
  const json::value* value = find(from, key);
  if (value == nullptr || !value->is_int64() || value->as_int64() < 0) return;
  into = std::min(value->as_int64(), limits::tokens_max);
}

}  // namespace

void content_reader::event(std::string_view, const json::value& data) {
  chunk_(data.as_object());
}

void content_reader::whole(const json::value& body) {
  if (body.is_object()) {
    chunk_(body.as_object());
    return;
  }
  if (!body.is_array()) {
    malformed("the server's answer is no object");
    return;
  }
  // A stream without alt=sse.
  for (const json::value& one : body.as_array()) {
    if (problem()) return;
    if (one.is_object()) chunk_(one.as_object());
  }
}

void content_reader::chunk_(const json::object& chunk) {
  if (provider::says_something(find(chunk, "error"))) {
    fail_with(chunk);
    return;
  }
  answer_.id(text_or(chunk, "responseId"));
  answer_.model(text_or(chunk, "modelVersion"));
  for (const json::value& value : array_or_empty(chunk, "candidates")) {
    if (value.is_object() && int_or(value.as_object(), "index") == 0) {
      candidate_(value.as_object());
    }
  }
  blocked_(object_or_empty(chunk, "promptFeedback"));
  usage_(object_or_empty(chunk, "usageMetadata"));
}

void content_reader::candidate_(const json::object& candidate) {
  for (const json::value& value : array_or_empty(object_or_empty(candidate, "content"), "parts")) {
    if (problem()) return;
    if (value.is_object()) part_(value.as_object());
  }
  if (const auto message = text_or(candidate, "finishMessage"); !message.empty()) {
    finish_message_ = cut_utf8(message, limits::error_message_bytes_max);
  }
  const auto reason = text_or(candidate, "finishReason");
  if (!reason.empty()) answer_.finished(reason);
  finish_is_everywhere_ = !reason.empty() && (!begun_ || finish_is_everywhere_);
  begun_ = true;
}

void content_reader::part_(const json::object& part) {
  const json::value* call = find(part, "functionCall");
  const json::value* text = find(part, "text");
  if (call != nullptr && call->is_object()) {
    call_(part, call->as_object());
  } else if (text != nullptr && text->is_string()) {
    text_(part, text->as_string());
  } else {
    other_(part);
  }
}

void content_reader::text_(const json::object& part, std::string_view text) {
  const bool thought = bool_or(part, "thought");
  const std::string_view signature = text_or(part, "thoughtSignature");
  if (signature.empty()) {
    if (text.empty()) return;
    if (thought) {
      answer_.think(text);
    } else {
      answer_.text(text);
    }
    return;
  }
  // A signature belongs to this part and no other, also when it has no text.
  const std::size_t number =
      answer_.open(thought ? provider::answer::kind::reasoning : provider::answer::kind::text);
  answer_.more(number, text);
  answer_.keep(number, {{"signature", signature}});
  answer_.end_part();
  kept_bytes_ += signature.size() + 1;
  if (kept_bytes_ > limits::answer_bytes_max) {
    answer_.fail(provider::too_large_answer(answer_.about()));
  }
}

void content_reader::call_(const json::object& part, const json::object& call) {
  const std::string_view name = text_or(call, "name");
  const bool goes_on = bool_or(call, "willContinue");
  const json::array& pieces = array_or_empty(call, "partialArgs");
  if (!name.empty()) {
    end_call_();
    const std::string_view id = text_or(call, "id");
    const std::size_t number = answer_.call(id, name);
    json::object opaque;
    if (!id.empty()) opaque["id"] = id;
    if (const auto signature = text_or(part, "thoughtSignature"); !signature.empty()) {
      opaque["signature"] = signature;
    }
    if (!opaque.empty()) answer_.keep(number, std::move(opaque));
    if (goes_on || !pieces.empty()) {
      open_.emplace(open_call{number, {}});
    } else if (const json::value* args = find(call, "args")) {
      answer_.set_arguments(
          number, args->is_string() ? std::string(args->as_string()) : json::serialize(*args));
    }
  }
  if (!open_) {
    if (!pieces.empty()) malformed("pieces of arguments came without their call");
    return;
  }
  for (const json::value& piece : pieces) {
    if (!piece.is_object() || !open_->arguments.add(piece.as_object())) {
      malformed("a piece of a call's arguments names no place");
      return;
    }
  }
  if (!goes_on) end_call_();
}

void content_reader::end_call_() {
  if (!open_) return;
  answer_.set_arguments(open_->part, open_->arguments.text());
  open_.reset();
}

// What the server's own tools do, and whatever else there will be, goes back as it came.
void content_reader::other_(const json::object& part) {
  if (part.empty()) return;
  const std::size_t number = answer_.open(provider::answer::kind::reasoning);
  answer_.keep(number, {{"part", part}});
  answer_.end_part();
  kept_bytes_ += provider::bytes_of(part);
  if (kept_bytes_ > limits::answer_bytes_max || number >= limits::answer_parts_max) {
    answer_.fail(provider::too_large_answer(answer_.about()));
  }
  const json::object& data = object_or_empty(part, "inlineData");
  if (!data.empty() && !told_data_) {
    told_data_ = true;
    warn_("the answer holds data of the type " + std::string(text_or(data, "mimeType")) +
          ", which cannot be shown");
  }
}

void content_reader::usage_(const json::object& usage) {
  take(usage, "promptTokenCount", prompt_);
  take(usage, "toolUsePromptTokenCount", tool_prompt_);
  take(usage, "cachedContentTokenCount", cached_);
  take(usage, "candidatesTokenCount", candidates_);
  take(usage, "thoughtsTokenCount", thoughts_);
  if (!prompt_ && !candidates_ && !thoughts_) return;
  provider::token_counts counts;
  counts.input = prompt_.value_or(0) + tool_prompt_.value_or(0);
  counts.cache_read = cached_.value_or(0);
  counts.reasoning = thoughts_.value_or(0);
  counts.output = candidates_.value_or(0) + counts.reasoning;
  answer_.usage(counts);
}

void content_reader::blocked_(const json::object& feedback) {
  const std::string_view reason = text_or(feedback, "blockReason");
  if (reason.empty() || answer_.raw_finish()) return;
  answer_.finished("promptFeedback:" + std::string(reason));
  finish_message_ =
      cut_utf8(text_or(feedback, "blockReasonMessage"), limits::error_message_bytes_max);
  warn_("the server refused the prompt (" + std::string(reason) + ")" +
        (finish_message_.empty() ? "" : ": " + finish_message_));
}

void content_reader::warn_(std::string_view message) {
  const json::object warning{{"type", "warning"}, {"message", message}};
  answer_.events().add(RAI_EVENT_JSON, 0, json::serialize(warning));
}

void content_reader::closing() {
  if (problem() || !answer_.raw_finish()) return;
  const std::string& reason = *answer_.raw_finish();
  if (open_ && reason != "STOP") {
    // Arguments that broke off must not look whole.
    answer_.set_arguments(open_->part, open_->arguments.cut_text());
    open_.reset();
  }
  end_call_();
  const bool bad_call = reason == "MALFORMED_FUNCTION_CALL" || reason == "UNEXPECTED_TOOL_CALL";
  if (bad_call && answer_.empty()) {
    // An empty answer would end the turn although the model wanted to go on.
    error problem = provider::unreadable_answer(
        answer_.about(), "the model's tool call could not be read (" + reason + ")" +
                             (finish_message_.empty() ? "" : ": " + finish_message_));
    problem.code = status_code::unavailable;
    problem.hint = "try again; a simpler schema or another model helps when it happens often";
    problem.details = json::object{{"kind", "server_error"}, {"should_retry", true}};
    answer_.fail(std::move(problem));
  } else if (!finish_message_.empty() && reason != "STOP" && reason != "MAX_TOKENS" &&
             !reason.starts_with("promptFeedback:")) {
    warn_(finish_message_);
  }
}

}  // namespace rustic::google
