#include "chat_stream.hpp"

#include <algorithm>
#include <array>

#include "limits.hpp"

namespace rustic::openai {
namespace {

json::parse_options options() {
  json::parse_options out;
  out.max_depth = limits::json_depth_max;
  return out;
}

bool truthy(const json::value* value) {
  if (value == nullptr) return false;
  if (value->is_bool()) return value->as_bool();
  if (value->is_string()) return !value->as_string().empty();
  if (value->is_object()) return !value->as_object().empty();
  return true;
}

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

// Whether a stream that broke off within the name of a field would end so.
bool begins_field(std::string_view text) {
  return std::string_view("data").starts_with(text) ||
         std::string_view("event").starts_with(text) || std::string_view("id").starts_with(text);
}

// Half of a surrogate pair cannot be told in UTF-8; the parser refuses its escape.
std::string without_lone_surrogates(std::string_view text) {
  std::string out;
  const auto unit = [&](std::size_t at) -> int {
    if (text.size() < at + 6 || text[at] != '\\' || text[at + 1] != 'u') return -1;
    int value = 0;
    for (std::size_t i = at + 2; i < at + 6; ++i) {
      const char c = text[i];
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return -1;
      value = value * 16 + digit;
    }
    return value;
  };
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] != '\\') {
      out += text[i++];
      continue;
    }
    const int high = unit(i);
    if (high < 0xD800 || high > 0xDFFF) {
      out.append(text, i, 2);
      i += 2;
      continue;
    }
    const int low = unit(i + 6);
    if (high < 0xDC00 && low >= 0xDC00 && low <= 0xDFFF) {
      out.append(text, i, 12);
      i += 12;
    } else {
      out += "\\ufffd";
      i += 6;
    }
  }
  return out;
}

}  // namespace

chat_stream::chat_stream(const subject& about, std::uint64_t id_seed)
    : about_(about), parser_(json::storage_ptr{}, options()), calls_(id_seed) {}

bool chat_stream::feed(std::string_view bytes) {
  if (problem_) return false;
  if (form_ == form::unknown) {
    // White space in front of an object does not matter, and a stream may begin with a line end.
    const std::size_t begin = bytes.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
    if (begin != std::string_view::npos) {
      const char c = bytes[begin];
      form_ = c == '{' || c == '[' || c == '<' ? form::whole : form::stream;
      if (form_ == form::whole) bytes.remove_prefix(begin);
    }
    // Until then the bytes mean nothing in a whole answer, and can only be a mark or empty lines
    // in a stream.
  }
  if (form_ == form::whole) {
    if (whole_.size() + bytes.size() > limits::whole_body_bytes_max) {
      fail_({status_code::resource_exhausted,
             "the server's answer is larger than allowed",
             "ask for a shorter answer",
             {},
             json::object{{"kind", "answer_too_large"}}});
      return false;
    }
    whole_ += bytes;
    return true;
  }
  const bool fits =
      sse_.feed(bytes, [this](const sse_parser::event_view& event) { event_(event); });
  if (!fits && !problem_)
    fail_(unreadable_answer(about_, "an event of the stream is too large", {}));
  return !problem_;
}

bool chat_stream::parse_(std::string_view text, json::storage_ptr memory, json::value& out) {
  boost::system::error_code problem;
  parser_.reset(memory);
  parser_.write(text, problem);
  if (problem) {
    const std::string repaired = without_lone_surrogates(to_utf8(text));
    parser_.reset(memory);
    parser_.write(repaired, problem);
  }
  if (problem) {
    parser_.reset();  // while the memory of what it holds is there
    return false;
  }
  out = parser_.release();
  return true;
}

void chat_stream::event_(const sse_parser::event_view& event) {
  if (problem_ || done_mark_) return;
  std::string_view data = event.data;
  while (data.ends_with(' ')) data.remove_suffix(1);
  if (data.empty()) return;
  if (data == "[DONE]") {
    done_mark_ = true;
    return;
  }
  std::array<unsigned char, limits::event_arena_bytes> space;
  json::monotonic_resource memory(space.data(), space.size());
  json::value value(&memory);
  const bool parsed = parse_(data, &memory, value);
  const bool named_error = event.event == "error";
  if (!parsed && !named_error) {
    fail_(unreadable_answer(about_, "an event of the stream is not JSON", data));
    return;
  }
  if (named_error) {
    fail_(read_stream_error(about_, parsed ? value : json::value(json::string(to_utf8(data)))));
  } else if (value.is_object()) {
    chunk_(value.as_object());
  } else {
    fail_(unreadable_answer(about_, "an event of the stream is no object", data));
  }
}

void chat_stream::chunk_(const json::object& chunk) {
  if (truthy(find(chunk, "error"))) {
    json::value copy(chunk);
    fail_(read_stream_error(about_, copy));
    return;
  }
  if (id_.empty()) id_ = text_or(chunk, "id");
  // A router names the model that it chose only after its first chunk.
  if (const std::string_view model = text_or(chunk, "model"); !model.empty() && model != model_) {
    model_ = model;
  }
  for (const json::value& choice : array_or_empty(chunk, "choices")) {
    if (choice.is_object() && int_or(choice.as_object(), "index", 0) == 0) {
      choice_(choice.as_object());
    }
  }
  usage_(object_or_empty(object_or_empty(chunk, "x_groq"), "usage"));
  usage_(object_or_empty(chunk, "usage"));
  const std::size_t bytes = text_all_.size() + reasoning_all_.size() + calls_.bytes();
  if (bytes > limits::answer_bytes_max ||
      reasoning_details_.size() > limits::reasoning_details_max) {
    fail_({status_code::resource_exhausted,
           "the server's answer is larger than allowed",
           "ask for a shorter answer",
           {},
           json::object{{"kind", "answer_too_large"}}});
  }
}

void chat_stream::choice_(const json::object& choice) {
  if (truthy(find(choice, "error"))) {
    json::value copy(choice);
    fail_(read_stream_error(about_, copy));
    return;
  }
  if (const json::value* delta = find(choice, "delta"); delta && delta->is_object()) {
    delta_(delta->as_object());
  } else if (const json::value* message = find(choice, "message");
             message && message->is_object() && form_ == form::whole) {
    delta_(message->as_object());
  } else if (const std::string_view text = text_or(choice, "text"); !text.empty()) {
    text_(text);
  }
  usage_(object_or_empty(choice, "usage"));
  if (const json::value* reason = find(choice, "finish_reason"); reason && reason->is_string()) {
    raw_finish_ = reason->as_string();
  }
}

void chat_stream::delta_(const json::object& delta) {
  reasoning_(delta);
  if (const json::value* content = find(delta, "content")) content_(*content);
  if (const std::string_view refusal = text_or(delta, "refusal"); !refusal.empty()) {
    refused_ = true;
    text_(refusal);
  }
  for (const json::value& fragment : array_or_empty(delta, "tool_calls")) {
    if (fragment.is_object() && !calls_.add(fragment.as_object(), events_)) {
      fail_(unreadable_answer(about_, "the answer has more tool calls than allowed", {}));
      return;
    }
  }
  if (const json::value* call = find(delta, "function_call"); call && call->is_object()) {
    calls_.add(call->as_object(), events_);
  }
}

void chat_stream::content_(const json::value& content) {
  if (content.is_string()) {
    text_(content.as_string());
    return;
  }
  if (!content.is_array()) return;
  for (const json::value& value : content.as_array()) {
    if (!value.is_object()) continue;
    const json::object& part = value.as_object();
    const std::string_view type = text_or(part, "type");
    if (type == "thinking") {
      for (const json::value& thought : array_or_empty(part, "thinking")) {
        if (thought.is_object()) think_(text_or(thought.as_object(), "text"));
      }
    } else if (type == "text") {
      text_(text_or(part, "text"));
    }
  }
}

void chat_stream::reasoning_(const json::object& delta) {
  bool told = false;
  for (const std::string_view field : {"reasoning_content", "reasoning"}) {
    const std::string_view text = text_or(delta, field);
    if (text.empty() || told) continue;
    if (reasoning_field_.empty()) reasoning_field_ = field;
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
void chat_stream::reasoning_detail_(const json::object& detail) {
  const json::value* index = find(detail, "index");
  json::object* mine = nullptr;
  if (index != nullptr) {
    for (json::value& value : reasoning_details_) {
      const json::value* other = find(value.as_object(), "index");
      if (other != nullptr && *other == *index &&
          text_or(value.as_object(), "type") == text_or(detail, "type")) {
        mine = &value.as_object();
      }
    }
  }
  if (mine == nullptr) {
    reasoning_details_.push_back(json::object(detail, reasoning_details_.storage()));
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

void chat_stream::usage_(const json::object& usage) {
  if (usage.empty()) return;
  const json::object& in = object_or_empty(usage, "prompt_tokens_details");
  const json::object& out = object_or_empty(usage, "completion_tokens_details");
  const std::int64_t prompt = int_or(usage, "prompt_tokens", int_or(usage, "input_tokens"));
  std::int64_t completion = int_or(usage, "completion_tokens", int_or(usage, "output_tokens"));
  // Where the total is larger than its parts, reasoning was left out of the completion.
  completion = std::max(completion, int_or(usage, "total_tokens") - prompt);
  const std::int64_t reasoning = int_or(out, "reasoning_tokens", int_or(usage, "reasoning_tokens"));
  usage_all_ = json::object{
      {"input_tokens", prompt},
      {"output_tokens", completion},
      {"cache_read_tokens", int_or(in, "cached_tokens", int_or(usage, "prompt_cache_hit_tokens"))},
      {"cache_write_tokens", int_or(in, "cache_write_tokens")},
      {"reasoning_tokens", std::min(reasoning, completion)}};
}

void chat_stream::text_(std::string_view piece) {
  if (piece.empty()) return;
  text_all_ += piece;
  events_.add(RAI_EVENT_TEXT, 0, piece);
}

void chat_stream::think_(std::string_view piece) {
  if (piece.empty()) return;
  reasoning_all_ += piece;
  events_.add(RAI_EVENT_REASONING, 0, piece);
}

void chat_stream::end(const error* transport) {
  if (concluded_) return;
  if (!problem_) {
    if (form_ == form::whole && transport == nullptr) {
      end_whole_();
    } else {
      end_stream_(transport);
    }
  }
  conclude_();
}

void chat_stream::end_whole_() {
  const std::string_view text = whole_;
  json::value value;
  if (!parse_(text, {}, value)) {
    fail_(unreadable_answer(about_, "the server's answer is not JSON", text));
    return;
  }
  if (value.is_array() && value.as_array().size() == 1) {
    json::value first = value.as_array().front();
    value = std::move(first);
  }
  if (!value.is_object()) {
    fail_(unreadable_answer(about_, "the server's answer is no object", text));
    return;
  }
  const json::object& object = value.as_object();
  const bool is_answer = !array_or_empty(object, "choices").empty();
  if (!is_answer && !truthy(find(object, "error"))) {
    // An error in the body of a successful answer, in one of the flat forms.
    if (object.contains("detail") || object.contains("message")) {
      fail_(read_stream_error(about_, value));
    } else {
      fail_(unreadable_answer(about_, "the server's answer holds no choice", text));
    }
    return;
  }
  chunk_(object);
  done_mark_ = true;
}

void chat_stream::end_stream_(const error* transport) {
  if (form_ != form::whole) {
    sse_.finish([this](const sse_parser::event_view& event) { event_(event); });
    if (!problem_ && !done_mark_ && transport == nullptr && !sse_.undispatched().empty()) {
      // Some servers leave out the last empty line. An event that is not whole is no event.
      const std::string_view data = sse_.undispatched();
      json::value value;
      if (data == "[DONE]" || parse_(data, {}, value)) {
        event_({sse_.undispatched_event(), data, {}});
      }
    }
  }
  if (problem_ || done_mark_ || raw_finish_) return;
  if (transport != nullptr) {
    error cut = *transport;
    if (!cut.details.is_object()) cut.details = json::object{};
    json::object& details = cut.details.as_object();
    const std::string kind(text_or(details, "kind"));
    if (cut.code == status_code::unavailable) {
      details["transport"] = json::string(kind);
      details["kind"] = "stream_cut";
    }
    fail_(std::move(cut));
    return;
  }
  const std::string_view left = sse_.leftover();
  json::value value;
  if (!left.empty() && parse_(left, {}, value) && value.is_object()) {
    fail_(read_stream_error(about_, value));
    return;
  }
  const bool nothing = text_all_.empty() && reasoning_all_.empty() && calls_.calls().empty();
  if (!left.empty() && nothing && id_.empty() && !begins_field(left)) {
    fail_(unreadable_answer(about_, "the server's answer is no event stream", left));
    return;
  }
  error cut = unreadable_answer(about_, "the stream ended before the answer was complete", {});
  cut.code = status_code::unavailable;
  cut.hint = "try again: the server or something between closed the connection";
  cut.details = json::object{{"kind", "stream_cut"}};
  fail_(std::move(cut));
}

void chat_stream::conclude_() {
  concluded_ = true;
  if (!problem_) {
    if (raw_finish_ && one_of(*raw_finish_, {"error", "network_error"})) {
      error broke = unreadable_answer(
          about_, "the server ended its answer with the finish reason " + *raw_finish_, {});
      broke.code = status_code::unavailable;
      broke.hint = "try again later or use another provider";
      broke.details = json::object{{"kind", "server_error"}};
      fail_(std::move(broke));
    } else {
      calls_.finish(events_);
    }
  }
  if (usage_all_) events_.add(RAI_EVENT_USAGE, 0, json::serialize(*usage_all_));
  if (!problem_) return;
  if (!problem_->details.is_object()) problem_->details = json::object{};
  json::object partial = message_();
  if (!partial["parts"].as_array().empty()) {
    problem_->details.as_object()["partial"] = std::move(partial);
  }
}

void chat_stream::fail_(error problem) {
  if (!problem_) problem_ = std::move(problem);
}

json::object chat_stream::message_() const {
  json::array parts;
  if (!reasoning_all_.empty() || !reasoning_details_.empty()) {
    json::object opaque{{"model", about_.model}};
    if (!reasoning_field_.empty()) opaque["field"] = reasoning_field_;
    if (!reasoning_details_.empty()) opaque["details"] = reasoning_details_;
    parts.push_back(json::object{{"type", "reasoning"},
                                 {"text", reasoning_all_},
                                 {"opaque", std::move(opaque)},
                                 {"provider", about_.instance}});
  }
  if (!text_all_.empty()) {
    json::object part{{"type", "text"}, {"text", text_all_}};
    if (refused_) part["refusal"] = true;
    parts.push_back(std::move(part));
  }
  for (const tool_call& call : calls_.calls()) {
    parts.push_back(json::object{{"type", "tool_call"},
                                 {"id", call.id},
                                 {"name", call.name},
                                 {"arguments", call.arguments}});
  }
  return json::object{{"role", "assistant"}, {"parts", std::move(parts)}};
}

std::string_view chat_stream::finish_reason_() const {
  const std::string_view raw = raw_finish_ ? std::string_view(*raw_finish_) : std::string_view{};
  if (one_of(raw, {"length", "max_tokens", "model_length", "MAX_TOKENS",
                   "model_context_window_exceeded"})) {
    return "length";
  }
  if (refused_ || one_of(raw, {"content_filter", "sensitive", "safety", "SAFETY", "RECITATION",
                               "BLOCKLIST", "PROHIBITED_CONTENT"})) {
    return "content_filter";
  }
  // A forced tool call ends with "stop", and other servers are no more exact.
  if (!calls_.calls().empty()) return "tool_calls";
  if (one_of(raw, {"", "stop", "eos", "end_turn", "stop_sequence", "STOP"})) return "stop";
  return "other";
}

std::string chat_stream::result() {
  json::object out;
  out["message"] = message_();
  out["finish_reason"] = finish_reason_();
  out["raw_finish_reason"] = raw_finish_ ? json::value(json::string(*raw_finish_)) : json::value();
  out["model"] = json::string(model_.empty() ? about_.model : std::string_view(model_));
  out["id"] = id_;
  out["usage"] = usage_all_ ? json::value(*usage_all_) : json::value();
  return json::serialize(out);
}

}  // namespace rustic::openai
