#include <rustic/sse.hpp>

#include <algorithm>
#include <charconv>

namespace rustic {
namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
constexpr std::size_t mark_done = 4;

// A name that a stream may use for a field of its own; anything else is not meant as a field.
bool is_field_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

}  // namespace

bool sse_parser::feed_(std::string_view bytes, sink out) {
  if (too_large_) return false;
  while (mark_seen_ < mark_done && !bytes.empty()) {
    if (mark_seen_ < byte_order_mark.size() && bytes.front() == byte_order_mark[mark_seen_]) {
      ++mark_seen_;
      bytes.remove_prefix(1);
      continue;
    }
    // A mark that breaks off was the beginning of a line.
    if (mark_seen_ < byte_order_mark.size()) partial_ = byte_order_mark.substr(0, mark_seen_);
    mark_seen_ = mark_done;
  }

  // Each search goes on from where it stopped, so that a piece is read twice at most whatever its
  // line ends are.
  const std::size_t none = bytes.size();
  std::size_t begin = 0;
  std::size_t next_lf = 0;
  std::size_t next_cr = 0;
  const auto find = [&](char c) {
    const std::size_t at = bytes.find(c, begin);
    return at == std::string_view::npos ? none : at;
  };
  if (skip_lf_ && !bytes.empty()) {
    if (bytes.front() == '\n') begin = 1;
    skip_lf_ = false;
  }
  next_lf = find('\n');
  next_cr = find('\r');
  while (begin < bytes.size() && !too_large_) {
    const std::size_t end = std::min(next_lf, next_cr);
    if (end == none) break;
    const std::string_view rest = bytes.substr(begin, end - begin);
    if (!partial_.empty()) {
      if (!fits_(partial_.size() + rest.size())) break;
      partial_.append(rest);
      line_(partial_, out);
      // Views may point into partial_, which must not change before own_views_: it is taken out of
      // use by copying what they show.
      own_views_();
      partial_.clear();
    } else if (!rest.empty() && !fits_(rest.size())) {
      break;
    } else {
      line_(rest, out);
    }
    begin = end + 1;
    if (end == next_cr) {
      if (begin < bytes.size()) {
        if (bytes[begin] == '\n') ++begin;
      } else {
        skip_lf_ = true;
      }
    }
    if (next_lf < begin) next_lf = find('\n');
    if (next_cr < begin) next_cr = find('\r');
  }
  own_views_();
  if (!too_large_ && begin < bytes.size() && fits_(partial_.size() + bytes.size() - begin)) {
    partial_.append(bytes.substr(begin));
  }
  return !too_large_;
}

bool sse_parser::finish_(sink out) {
  if (too_large_) return false;
  if (mark_seen_ < byte_order_mark.size()) partial_ = byte_order_mark.substr(0, mark_seen_);
  mark_seen_ = mark_done;
  if (!partial_.empty()) {
    line_(partial_, out);
    own_views_();
    partial_.clear();
  }
  return !too_large_;
}

void sse_parser::line_(std::string_view line, sink out) {
  if (line.empty()) {
    dispatch_(out);
    return;
  }
  const std::size_t colon = line.find(':');
  if (colon == 0) {
    ++comments_;
    return;
  }
  const std::string_view name = line.substr(0, colon);
  std::string_view value;
  if (colon != std::string_view::npos) {
    value = line.substr(colon + 1);
    if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  }
  if (name == "data") {
    data_line_(value);
  } else if (name == "event") {
    event_view_ = value;
  } else if (name == "id") {
    if (value.find('\0') == std::string_view::npos) id_ = value;
  } else if (name == "retry") {
    std::int64_t ms = 0;
    const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), ms);
    const bool digits = !value.empty() && value.front() != '-' && problem == std::errc{} &&
                        end == value.data() + value.size();
    if (digits) retry_ms_ = ms;
  } else if (name == "error" && !value.empty()) {
    out.call(out.self, event_view{"error", value, id_});
  } else if (colon == std::string_view::npos || !is_field_name(name) || !leftover_.empty()) {
    keep_leftover_(line);
  }
}

void sse_parser::data_line_(std::string_view value) {
  if (!has_data_) {
    has_data_ = true;
    data_owned_ = false;
    data_view_ = value;
    return;
  }
  if (!fits_(data_view_.size() + 1 + value.size())) return;
  if (!data_owned_) {
    data_.assign(data_view_);
    data_owned_ = true;
  }
  data_ += '\n';
  data_ += value;
  data_view_ = data_;
}

void sse_parser::dispatch_(sink out) {
  if (has_data_) out.call(out.self, event_view{event_view_, data_view_, id_});
  has_data_ = false;
  data_owned_ = false;
  data_view_ = {};
  event_view_ = {};
}

void sse_parser::keep_leftover_(std::string_view line) {
  if (leftover_.size() >= sse_leftover_bytes_max) return;
  if (!leftover_.empty()) leftover_ += '\n';
  leftover_ +=
      line.substr(0, sse_leftover_bytes_max - std::min(leftover_.size(), sse_leftover_bytes_max));
}

void sse_parser::own_views_() {
  if (has_data_ && !data_owned_) {
    data_.assign(data_view_);
    data_owned_ = true;
  }
  if (has_data_) data_view_ = data_;
  if (event_view_.data() != event_.data()) event_.assign(event_view_);
  event_view_ = event_;
}

bool sse_parser::fits_(std::size_t size) {
  if (size > frame_bytes_max_) too_large_ = true;
  return !too_large_;
}

}  // namespace rustic
