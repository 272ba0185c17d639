#include <array>
#include <rustic/provider/answer_reader.hpp>
#include <rustic/provider/limits.hpp>

namespace rustic::provider {
namespace {

json::parse_options options() {
  json::parse_options out;
  out.max_depth = limits::json_depth_max;
  return out;
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

bool says_something(const json::value* value) {
  if (value == nullptr) return false;
  if (value->is_bool()) return value->as_bool();
  if (value->is_string()) return !value->as_string().empty();
  if (value->is_object()) return !value->as_object().empty();
  return true;
}

std::size_t bytes_of(const json::value& value) {
  constexpr std::size_t node_bytes = 16;
  std::size_t bytes = node_bytes;
  if (value.is_string()) {
    bytes += value.as_string().size();
  } else if (value.is_array()) {
    for (const json::value& one : value.as_array()) bytes += bytes_of(one);
  } else if (value.is_object()) {
    bytes += bytes_of(value.as_object());
  }
  return bytes;
}

std::size_t bytes_of(const json::object& object) {
  std::size_t bytes = 0;
  for (const auto& [key, one] : object) bytes += key.size() + bytes_of(one);
  return bytes;
}

answer_reader::answer_reader(const subject& about, std::uint64_t id_seed, framing how)
    : answer_(about, id_seed), how_(how), parser_(json::storage_ptr{}, options()) {}

void answer_reader::fail_with(const json::value& error_body) {
  answer_.fail(read_stream_error(answer_.about(), error_body));
}

void answer_reader::malformed(std::string_view why, std::string_view body) {
  answer_.fail(unreadable_answer(answer_.about(), why, body));
}

bool answer_reader::feed(std::string_view bytes) {
  if (problem()) return false;
  if (form_ == form::unknown) {
    // White space in front of an object does not matter, and a stream may begin with a line end.
    const std::size_t begin = bytes.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
    if (begin != std::string_view::npos) {
      const char c = bytes[begin];
      const bool object_is_line = how_ == framing::lines && c == '{';
      const bool whole_text = c == '{' || c == '[' || c == '<';
      form_ = whole_text && !object_is_line ? form::whole : form::stream;
      if (whole_text || how_ == framing::lines) bytes.remove_prefix(begin);
    } else if (how_ == framing::lines) {
      return true;
    }
    // Until then the bytes mean nothing in a whole answer, and can only be a mark or empty lines
    // in a stream.
  }
  if (form_ == form::whole) return keep_whole_(bytes);
  if (how_ == framing::lines) {
    lines_(bytes);
    return !problem();
  }
  const bool fits = sse_.feed(
      bytes, [this](const sse_parser::event_view& event) { sse_event_(event.event, event.data); });
  if (!fits) malformed("an event of the stream is too large");
  return !problem();
}

bool answer_reader::keep_whole_(std::string_view bytes) {
  if (held_.size() + bytes.size() > limits::whole_body_bytes_max) {
    answer_.fail(too_large_answer(answer_.about()));
    return false;
  }
  held_ += bytes;
  return true;
}

bool answer_reader::parse_(std::string_view text, json::storage_ptr memory, json::value& out) {
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

void answer_reader::sse_event_(std::string_view name, std::string_view data) {
  if (problem() || stopped_) return;
  while (data.ends_with(' ')) data.remove_suffix(1);
  if (data.empty()) return;
  if (data == "[DONE]") {
    done_mark();
    return;
  }
  std::array<unsigned char, limits::event_arena_bytes> space;
  json::monotonic_resource memory(space.data(), space.size());
  json::value value(&memory);
  const bool parsed = parse_(data, &memory, value);
  if (name == "error") {
    fail_with(parsed ? value : json::value(json::string(to_utf8(data))));
  } else if (!parsed) {
    malformed("an event of the stream is not JSON", data);
  } else if (!value.is_object()) {
    malformed("an event of the stream is no object", data);
  } else {
    event(name, value);
  }
}

void answer_reader::lines_(std::string_view bytes) {
  while (!bytes.empty() && !problem() && form_ == form::stream) {
    const std::size_t end = bytes.find('\n');
    if (end == std::string_view::npos || !held_.empty()) {
      const std::string_view piece = bytes.substr(0, end);
      if (held_.size() + piece.size() > sse_frame_bytes_max) {
        malformed("a line of the stream is too large");
        return;
      }
      held_ += piece;
      if (end == std::string_view::npos) return;
      const std::string line = std::move(held_);
      held_.clear();
      bytes.remove_prefix(end + 1);
      line_(line);
    } else {
      const std::string_view line = bytes.substr(0, end);
      bytes.remove_prefix(end + 1);
      line_(line);
    }
  }
  if (form_ == form::whole) keep_whole_(bytes);
}

void answer_reader::line_(std::string_view line) {
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
  if (line.empty() || problem() || stopped_) return;
  std::array<unsigned char, limits::event_arena_bytes> space;
  json::monotonic_resource memory(space.data(), space.size());
  json::value value(&memory);
  const bool parsed = parse_(line, &memory, value);
  if (!parsed && !line_seen_) {
    // One object over several lines, or no JSON at all: the end will tell.
    form_ = form::whole;
    held_ = line;
    held_ += '\n';
    return;
  }
  line_seen_ = true;
  if (!parsed) {
    malformed("a line of the stream is not JSON", line);
  } else if (!value.is_object()) {
    malformed("a line of the stream is no object", line);
  } else {
    event({}, value);
  }
}

void answer_reader::end(const error* transport) {
  if (ended_) return;
  ended_ = true;
  if (!problem()) {
    if (form_ == form::whole && transport == nullptr) {
      end_whole_();
    } else {
      end_stream_(transport);
    }
  }
  closing();
  answer_.conclude();
}

void answer_reader::end_whole_() {
  json::value value;
  if (!parse_(held_, {}, value)) {
    malformed("the server's answer is not JSON", held_);
    return;
  }
  whole(value);
  if (!problem() && !complete()) malformed("the server's answer is not complete", held_);
}

void answer_reader::end_stream_(const error* transport) {
  if (how_ == framing::lines && form_ == form::stream && transport == nullptr && !held_.empty()) {
    // The last line may lack its end. A line that is not whole is no line.
    json::value value;
    if (parse_(held_, {}, value)) {
      const std::string line = std::move(held_);
      held_.clear();
      line_(line);
    }
  }
  if (how_ == framing::events && form_ != form::whole) {
    sse_.finish(
        [this](const sse_parser::event_view& event) { sse_event_(event.event, event.data); });
    if (!problem() && !stopped_ && transport == nullptr && !sse_.undispatched().empty()) {
      // Some servers leave out the last empty line. An event that is not whole is no event.
      const std::string_view data = sse_.undispatched();
      json::value value;
      if (data == "[DONE]" || parse_(data, {}, value)) {
        sse_event_(sse_.undispatched_event(), data);
      }
    }
  }
  if (problem() || (transport == nullptr ? complete() : complete_when_cut())) return;
  if (transport != nullptr) {
    error cut = *transport;
    if (!cut.details.is_object()) cut.details = json::object{};
    json::object& details = cut.details.as_object();
    const std::string kind(text_or(details, "kind"));
    if (cut.code == status_code::unavailable) {
      details["transport"] = json::string(kind);
      details["kind"] = "stream_cut";
    }
    answer_.fail(std::move(cut));
    return;
  }
  const std::string_view left = how_ == framing::events ? sse_.leftover() : held_;
  json::value value;
  if (!left.empty() && parse_(left, {}, value) && value.is_object()) {
    fail_with(value);
    return;
  }
  if (how_ == framing::events && !left.empty() && answer_.empty() && !answer_.has_id() &&
      !begins_field(left)) {
    malformed("the server's answer is no event stream", left);
    return;
  }
  error cut = unreadable_answer(answer_.about(), "the stream ended before the answer was complete");
  cut.code = status_code::unavailable;
  cut.hint = "try again: the server or something between closed the connection";
  cut.details = json::object{{"kind", "stream_cut"}};
  answer_.fail(std::move(cut));
}

}  // namespace rustic::provider
