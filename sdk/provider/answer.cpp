#include <algorithm>
#include <rustic/provider/answer.hpp>
#include <rustic/provider/limits.hpp>

namespace rustic::provider {
namespace {

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

std::int64_t sane(std::int64_t tokens) {
  return std::clamp<std::int64_t>(tokens, 0, limits::tokens_max);
}

}  // namespace

std::string_view normal_finish_reason(std::string_view raw) {
  // Responses: the status, and why it is that.
  if (raw.starts_with("incomplete:")) raw.remove_prefix(11);
  if (one_of(raw, {"length", "max_tokens", "model_length", "MAX_TOKENS", "max_output_tokens",
                   "model_context_window_exceeded"})) {
    return "length";
  }
  if (one_of(raw, {"content_filter", "sensitive", "safety", "refusal", "SAFETY", "RECITATION",
                   "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "MODEL_ARMOR",
                   "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"}) ||
      raw.starts_with("promptFeedback:")) {
    return "content_filter";
  }
  if (one_of(raw, {"tool_calls", "function_call", "tool_use"})) return "tool_calls";
  if (one_of(raw, {"", "stop", "eos", "end_turn", "stop_sequence", "STOP", "completed"})) {
    return "stop";
  }
  if (one_of(raw, {"error", "network_error"})) return "error";
  return "other";
}

const json::object* kept_for(const json::object& part, std::string_view instance,
                             std::string_view model) {
  if (text_or(part, "provider") != instance) return nullptr;
  const json::value* opaque = find(part, "opaque");
  if (opaque == nullptr || !opaque->is_object()) return nullptr;
  return text_or(opaque->as_object(), "model") == model ? &opaque->as_object() : nullptr;
}

std::size_t answer::going_on_(kind of, bool refusal) {
  if (!ended_ && !parts_.empty() && parts_.back().of == of && parts_.back().refusal == refusal) {
    return parts_.size() - 1;
  }
  const std::size_t number = open(of);
  parts_[number].refusal = refusal;
  return number;
}

std::size_t answer::open(kind of) {
  ended_ = false;
  parts_.push_back({of, {}, 0, false, std::nullopt});
  return parts_.size() - 1;
}

std::size_t answer::text(std::string_view piece) {
  const std::size_t number = going_on_(kind::text, false);
  more(number, piece);
  return number;
}

std::size_t answer::think(std::string_view piece) {
  const std::size_t number = going_on_(kind::reasoning, false);
  more(number, piece);
  return number;
}

std::size_t answer::refuse(std::string_view piece) {
  refused_ = true;
  const std::size_t number = going_on_(kind::text, true);
  more(number, piece);
  return number;
}

std::size_t answer::call(std::string_view id, std::string_view name) {
  const auto place = calls_.begin(id, name, events_);
  if (!place) fail(unreadable_answer(about_, "the answer has more tool calls than allowed"));
  take_calls_();
  return parts_.empty() ? open(kind::text) : parts_.size() - 1;
}

void answer::call_fragment(const json::object& fragment) {
  if (!calls_.add(fragment, events_)) {
    fail(unreadable_answer(about_, "the answer has more tool calls than allowed"));
  }
  take_calls_();
  count_(0);
}

// Calls that have no part yet get one.
void answer::take_calls_() {
  for (; call_parts_ < calls_.calls().size(); ++call_parts_) {
    parts_[open(kind::call)].call = call_parts_;
  }
}

void answer::more(std::size_t number, std::string_view piece) {
  if (piece.empty()) return;
  part& one = parts_[number];
  if (one.of == kind::call) {
    calls_.append(one.call, piece, events_);
    count_(0);
    return;
  }
  one.text += piece;
  events_.add(one.of == kind::text ? RAI_EVENT_TEXT : RAI_EVENT_REASONING, 0, piece);
  count_(piece.size());
}

void answer::set_arguments(std::size_t number, std::string_view arguments) {
  if (parts_[number].of != kind::call) return;
  calls_.set(parts_[number].call, arguments, events_);
  count_(0);
}

void answer::count_(std::size_t bytes) {
  text_bytes_ += bytes;
  if (text_bytes_ + calls_.bytes() > limits::answer_bytes_max ||
      parts_.size() > limits::answer_parts_max) {
    fail(too_large_answer(about_));
  }
}

void answer::keep(std::size_t number, json::object opaque) {
  opaque["model"] = about_.model;
  parts_[number].opaque = std::move(opaque);
}

void answer::order_by_kind() {
  const auto place = [](const part& one) {
    return one.of == kind::reasoning ? 0 : one.of == kind::text ? 1 : 2;
  };
  std::stable_sort(parts_.begin(), parts_.end(),
                   [&](const part& a, const part& b) { return place(a) < place(b); });
}

void answer::usage(const token_counts& counts) {
  usage_ = json::object{{"input_tokens", sane(counts.input)},
                        {"output_tokens", sane(counts.output)},
                        {"cache_read_tokens", sane(counts.cache_read)},
                        {"cache_write_tokens", sane(counts.cache_write)},
                        {"reasoning_tokens", sane(std::min(counts.reasoning, counts.output))}};
}

void answer::id(std::string_view text) {
  if (id_.empty()) id_ = text;
}

void answer::model(std::string_view text) {
  if (!text.empty() && text != model_) model_ = text;
}

std::string_view answer::text_of(std::size_t number) const {
  return parts_[number].text;
}

void answer::fail(error problem) {
  if (!problem_) problem_ = std::move(problem);
}

void answer::conclude() {
  if (concluded_) return;
  concluded_ = true;
  if (!problem_) {
    if (raw_finish_ && normal_finish_reason(*raw_finish_) == "error") {
      error broke = unreadable_answer(
          about_, "the server ended its answer with the finish reason " + *raw_finish_);
      broke.code = status_code::unavailable;
      broke.hint = "try again later or use another provider";
      broke.details = json::object{{"kind", "server_error"}};
      fail(std::move(broke));
    } else {
      calls_.finish(events_);
      take_calls_();
    }
  }
  if (usage_) events_.add(RAI_EVENT_USAGE, 0, json::serialize(*usage_));
  if (!problem_) return;
  if (!problem_->details.is_object()) problem_->details = json::object{};
  json::object partial = message_();
  if (!partial["parts"].as_array().empty()) {
    problem_->details.as_object()["partial"] = std::move(partial);
  }
}

json::object answer::message_() const {
  json::array parts;
  for (const part& one : parts_) {
    json::object made;
    if (one.of == kind::call) {
      const tool_call& call = calls_.calls()[one.call];
      made = {{"type", "tool_call"},
              {"id", call.id},
              {"name", call.name},
              {"arguments", call.arguments}};
      if (!call.extra.is_null()) {
        made["opaque"] = json::object{{"extra_content", call.extra}, {"model", about_.model}};
        made["provider"] = about_.instance;
      }
    } else {
      if (one.text.empty() && !one.opaque) continue;
      made = {{"type", one.of == kind::text ? "text" : "reasoning"}, {"text", one.text}};
      if (one.refusal) made["refusal"] = true;
    }
    if (one.opaque) made["opaque"] = *one.opaque;
    if (one.opaque || one.of == kind::reasoning) made["provider"] = about_.instance;
    parts.push_back(std::move(made));
  }
  return json::object{{"role", "assistant"}, {"parts", std::move(parts)}};
}

std::string_view answer::finish_reason_() const {
  const std::string_view reason = normal_finish_reason(raw_finish_ ? *raw_finish_ : "");
  if (reason == "length") return reason;
  if (refused_ || reason == "content_filter") return "content_filter";
  // A forced tool call ends with "stop", and other servers are no more exact.
  if (!calls_.calls().empty()) return "tool_calls";
  return reason == "stop" ? "stop" : "other";
}

std::string answer::result() const {
  json::object out;
  out["message"] = message_();
  out["finish_reason"] = finish_reason_();
  out["raw_finish_reason"] = raw_finish_ ? json::value(json::string(*raw_finish_)) : json::value();
  out["model"] = json::string(model_.empty() ? about_.model : std::string_view(model_));
  out["id"] = id_;
  if (goes_on_) out["goes_on"] = true;
  out["usage"] = usage_ ? json::value(*usage_) : json::value();
  return json::serialize(out);
}

}  // namespace rustic::provider
