#include "reader.hpp"

#include <algorithm>
#include <rustic/provider/limits.hpp>

namespace rustic::anthropic {
namespace {

namespace limits = provider::limits;

// Null means that there is no news.
void take(const json::object& from, std::string_view key, std::optional<std::int64_t>& into) {
  const json::value* value = find(from, key);
  if (value == nullptr || !value->is_int64() || value->as_int64() < 0) return;
  into = std::min(value->as_int64(), limits::tokens_max);
}

// Input that begins a call is {} in a stream, and whole in an answer in one piece.
std::string input_text(const json::object& content) {
  const json::value* input = find(content, "input");
  if (input == nullptr) return {};
  if (input->is_string()) return std::string(input->as_string());
  if (input->is_object() && input->as_object().empty()) return {};
  return json::serialize(*input);
}

}  // namespace

void messages_reader::event(std::string_view name, const json::value& data) {
  const json::object& object = data.as_object();
  const std::string_view type = text_or(object, "type", name);
  if (type == "content_block_delta") {
    delta_(object);
  } else if (type == "content_block_start") {
    const auto next = static_cast<std::int64_t>(blocks_.size());
    start_(int_or(object, "index", next), object_or_empty(object, "content_block"));
  } else if (type == "content_block_stop") {
    if (block* one = find_(object)) close_(*one);
  } else if (type == "message_start") {
    // A gateway that repeats it begins to count its blocks anew.
    for (block& one : blocks_) close_(one);
    blocks_.clear();
    message_(object_or_empty(object, "message"));
  } else if (type == "message_delta") {
    stop_reason_(object_or_empty(object, "delta"));
    usage_(object_or_empty(object, "usage"));
  } else if (type == "message_stop") {
    done_ = true;
    stop_reading();
  } else if (type == "error" || provider::says_something(find(object, "error"))) {
    fail_with(data);
  } else if (type == "message") {
    whole(data);
    if (done_) stop_reading();
  }
}

void messages_reader::whole(const json::value& body) {
  if (!body.is_object()) {
    malformed("the server's answer is no object");
    return;
  }
  const json::object& message = body.as_object();
  if (text_or(message, "type") == "error" || provider::says_something(find(message, "error"))) {
    fail_with(body);
    return;
  }
  message_(message);
  std::int64_t index = 0;
  for (const json::value& content : array_or_empty(message, "content")) {
    if (!content.is_object()) continue;
    start_(index++, content.as_object());
    if (problem()) return;
    close_(blocks_.back());
  }
  stop_reason_(message);
  done_ = answer_.raw_finish().has_value();
}

void messages_reader::message_(const json::object& message) {
  answer_.id(text_or(message, "id"));
  answer_.model(text_or(message, "model"));
  usage_(object_or_empty(message, "usage"));
}

void messages_reader::start_(std::int64_t index, const json::object& content) {
  if (blocks_.size() >= limits::answer_parts_max) {
    answer_.fail(provider::too_large_answer(answer_.about()));
    return;
  }
  // A second block of one number ends the first.
  for (block& other : blocks_) {
    if (other.index == index) close_(other);
  }
  const std::string_view type = text_or(content, "type");
  block one{index, 0, block::kind::other, {}, {}, {}, {}};
  if (type == "text") {
    one.of = block::kind::text;
    one.part = answer_.open(provider::answer::kind::text);
    answer_.more(one.part, text_or(content, "text"));
    one.citations = array_or_empty(content, "citations");
  } else if (type == "thinking") {
    one.of = block::kind::thinking;
    one.part = answer_.open(provider::answer::kind::reasoning);
    answer_.more(one.part, text_or(content, "thinking"));
    one.signature = text_or(content, "signature");
  } else if (type == "tool_use") {
    one.of = block::kind::call;
    if (text_or(content, "name").empty()) {
      malformed("a tool call has no name");
      return;
    }
    one.part = answer_.call(text_or(content, "id"), text_or(content, "name"));
    one.input = input_text(content);
  } else {
    one.part = answer_.open(provider::answer::kind::reasoning);
    one.content = content;
    count_(provider::bytes_of(content));
  }
  blocks_.push_back(std::move(one));
}

messages_reader::block* messages_reader::find_(const json::object& data) {
  if (blocks_.empty()) return nullptr;
  const json::value* index = find(data, "index");
  if (index == nullptr || !index->is_int64()) return &blocks_.back();
  for (std::size_t i = blocks_.size(); i-- > 0;) {
    if (blocks_[i].index == index->as_int64()) return &blocks_[i];
  }
  return nullptr;
}

void messages_reader::delta_(const json::object& data) {
  const json::object& delta = object_or_empty(data, "delta");
  if (block* one = find_(data)) {
    change_(*one, delta);
    return;
  }
  // The beginning of the block is missing.
  const std::string_view type = text_or(delta, "type");
  if (type == "text_delta") {
    answer_.text(text_or(delta, "text"));
  } else if (type == "thinking_delta") {
    answer_.think(text_or(delta, "thinking"));
  } else if (type == "input_json_delta" && !text_or(delta, "partial_json").empty()) {
    malformed("the arguments of a tool call came without the call");
  }
}

void messages_reader::change_(block& one, const json::object& delta) {
  const std::string_view type = text_or(delta, "type");
  if (type == "text_delta") {
    if (one.of == block::kind::text) answer_.more(one.part, text_or(delta, "text"));
  } else if (type == "thinking_delta") {
    if (one.of == block::kind::thinking) answer_.more(one.part, text_or(delta, "thinking"));
  } else if (type == "input_json_delta") {
    const std::string_view piece = text_or(delta, "partial_json");
    if (piece.empty()) return;
    if (one.closed) {
      malformed("more arguments came after the end of a tool call");
    } else if (one.of == block::kind::call) {
      one.fragments = true;
      answer_.more(one.part, piece);
    } else if (one.of == block::kind::other) {
      one.input += piece;
      count_(piece.size());
    }
  } else if (type == "signature_delta") {
    one.signature = text_or(delta, "signature");
    one.closed = false;
    count_(one.signature.size());
  } else if (type == "citations_delta") {
    if (const json::value* citation = find(delta, "citation")) {
      one.citations.push_back(*citation);
      count_(provider::bytes_of(*citation));
    }
  } else if (type == "compaction_delta" && one.of == block::kind::other) {
    const std::string_view piece = text_or(delta, "content");
    std::string content(text_or(one.content, "content"));
    content += piece;
    one.content["content"] = std::move(content);
    count_(piece.size());
  }
}

// What goes back in later turns is put to its part.
void messages_reader::close_(block& one) {
  if (one.closed) return;
  one.closed = true;
  switch (one.of) {
    case block::kind::text:
      if (!one.citations.empty()) answer_.keep(one.part, {{"citations", one.citations}});
      answer_.end_part();
      return;
    case block::kind::thinking:
      if (!one.signature.empty()) answer_.keep(one.part, {{"signature", one.signature}});
      answer_.end_part();
      return;
    case block::kind::call:
      if (!one.fragments && !one.input.empty()) answer_.set_arguments(one.part, one.input);
      return;
    case block::kind::other:
      if (!one.input.empty()) {
        boost::system::error_code broken;
        json::value input = json::parse(one.input, broken);
        if (!broken) one.content["input"] = std::move(input);
      }
      if (!text_or(one.content, "type").empty()) {
        json::object kept;
        kept["block"] = std::move(one.content);
        answer_.keep(one.part, std::move(kept));
      }
      answer_.end_part();
  }
}

void messages_reader::stop_reason_(const json::object& from) {
  const std::string_view reason = text_or(from, "stop_reason");
  if (!reason.empty()) answer_.finished(reason);
  if (reason == "pause_turn") answer_.goes_on();
  const json::object& details = object_or_empty(from, "stop_details");
  if (const auto why = text_or(details, "explanation"); reason == "refusal" && !why.empty()) {
    const json::object warning{{"type", "warning"}, {"message", why}};
    answer_.events().add(RAI_EVENT_JSON, 0, json::serialize(warning));
  }
}

void messages_reader::usage_(const json::object& usage) {
  take(usage, "input_tokens", input_);
  take(usage, "cache_read_input_tokens", cache_read_);
  take(usage, "cache_creation_input_tokens", cache_write_);
  take(usage, "output_tokens", output_);
  take(object_or_empty(usage, "output_tokens_details"), "thinking_tokens", reasoning_);
  if (!input_ && !output_) return;
  provider::token_counts counts;
  counts.cache_read = cache_read_.value_or(0);
  counts.cache_write = cache_write_.value_or(0);
  counts.input = input_.value_or(0) + counts.cache_read + counts.cache_write;
  counts.output = output_.value_or(0);
  counts.reasoning = reasoning_.value_or(0);
  answer_.usage(counts);
}

void messages_reader::count_(std::size_t bytes) {
  kept_bytes_ += bytes;
  if (kept_bytes_ > limits::answer_bytes_max) {
    answer_.fail(provider::too_large_answer(answer_.about()));
  }
}

void messages_reader::closing() {
  for (block& one : blocks_) close_(one);
  if (!answer_.raw_finish() || blocks_.empty()) return;
  const std::string& reason = *answer_.raw_finish();
  if (reason == "refusal") {
    // What came before a refusal must not be sent again.
    for (const block& one : blocks_) {
      if (one.of != block::kind::call) answer_.keep(one.part, {{"refused", true}});
    }
  } else if (provider::normal_finish_reason(reason) == "length") {
    // A call that the limit cut off before its arguments is no call without arguments.
    const block& last = blocks_.back();
    if (last.of == block::kind::call && !last.fragments && last.input.empty()) {
      answer_.set_arguments(last.part, "{");
    }
  }
}

}  // namespace rustic::anthropic
