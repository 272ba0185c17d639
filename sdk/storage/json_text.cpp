// json_text.cpp - the scanner: Boost.JSON checks the text, then members are cut out by their
// brackets.
#include <rustic/storage/json_text.hpp>

#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <rustic/status.hpp>

#include <rustic/storage/limits.hpp>

namespace rustic::storage {
namespace {
[[noreturn]] void invalid(std::string message) {
  throw failure(status_code::invalid_argument, std::move(message));
}

// Accepts every event: only the parser's own checks matter.
struct check_handler {
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);
  using ec = boost::system::error_code;
  using sv = boost::json::string_view;
  bool on_document_begin(ec&) { return true; }
  bool on_document_end(ec&) { return true; }
  bool on_array_begin(ec&) { return true; }
  bool on_array_end(std::size_t, ec&) { return true; }
  bool on_object_begin(ec&) { return true; }
  bool on_object_end(std::size_t, ec&) { return true; }
  bool on_string_part(sv, std::size_t, ec&) { return true; }
  bool on_string(sv, std::size_t, ec&) { return true; }
  bool on_key_part(sv, std::size_t, ec&) { return true; }
  bool on_key(sv, std::size_t, ec&) { return true; }
  bool on_number_part(sv, ec&) { return true; }
  bool on_int64(std::int64_t, sv, ec&) { return true; }
  bool on_uint64(std::uint64_t, sv, ec&) { return true; }
  bool on_double(double, sv, ec&) { return true; }
  bool on_bool(bool, ec&) { return true; }
  bool on_null(ec&) { return true; }
  bool on_comment_part(sv, ec&) { return true; }
  bool on_comment(sv, ec&) { return true; }
};

constexpr bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

void skip_space(std::string_view text, std::size_t& at) {
  while (at < text.size() && is_space(text[at])) ++at;
}

// `at` is at the opening quote; afterwards behind the closing one.
void skip_string(std::string_view text, std::size_t& at) {
  for (std::size_t from = at + 1;;) {
    const auto quote = text.find('"', from);
    if (quote == std::string_view::npos) {
      at = text.size();
      return;
    }
    std::size_t slashes = 0;
    while (text[quote - 1 - slashes] == '\\') ++slashes;
    from = quote + 1;
    if (slashes % 2 == 0) {
      at = from;
      return;
    }
  }
}

std::string_view take_value(std::string_view text, std::size_t& at) {
  const std::size_t begin = at;
  if (at >= text.size()) return {};
  if (text[at] == '"') {
    skip_string(text, at);
  } else if (text[at] == '{' || text[at] == '[') {
    std::size_t depth = 0;
    while (at < text.size()) {
      const char c = text[at];
      if (c == '"') {
        skip_string(text, at);
        continue;
      }
      ++at;
      if (c == '{' || c == '[') ++depth;
      if ((c == '}' || c == ']') && --depth == 0) break;
    }
  } else {
    while (at < text.size() && text[at] != ',' && text[at] != '}' && text[at] != ']' &&
           !is_space(text[at]))
      ++at;
  }
  return text.substr(begin, at - begin);
}

void check_syntax(std::string_view text) {
  boost::json::parse_options options;
  options.max_depth = json_depth_max;
  boost::json::basic_parser<check_handler> parser(options);
  boost::system::error_code code;
  const std::size_t taken = parser.write_some(false, text.data(), text.size(), code);
  if (code)
    invalid("the request is not valid JSON at byte " + std::to_string(taken) + ": " +
            code.message());
  for (std::size_t at = taken; at < text.size(); ++at)
    if (!is_space(text[at]))
      invalid("the request has text behind its end at byte " + std::to_string(at));
}

const char* name_of(json_kind kind) {
  switch (kind) {
    case json_kind::object:
      return "an object";
    case json_kind::array:
      return "an array";
    case json_kind::string:
      return "a string";
    case json_kind::number:
      return "a number";
    case json_kind::boolean:
      return "true or false";
    case json_kind::null:
      break;
  }
  return "null";
}

[[noreturn]] void wrong_kind(std::string_view key, const char* wanted) {
  invalid("\"" + std::string(key) + "\" must be " + wanted);
}
[[noreturn]] void missing(std::string_view key) {
  invalid("\"" + std::string(key) + "\" is missing");
}

std::int64_t to_integer(std::string_view key, std::string_view json) {
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(json.data(), json.data() + json.size(), value);
  if (code == std::errc() && end == json.data() + json.size()) return value;
  // 3.0 and 3E0 are integers too: some serialisers write every number that way.
  if (kind_of(json) == json_kind::number) {
    double number = 0;
    const auto read = std::from_chars(json.data(), json.data() + json.size(), number);
    if (read.ec == std::errc() && std::abs(number) < 9e15 && number == std::floor(number))
      return static_cast<std::int64_t>(number);
  }
  wrong_kind(key, "an integer");
}
}  // namespace

json_kind kind_of(std::string_view json) noexcept {
  switch (json.empty() ? 'n' : json.front()) {
    case '{':
      return json_kind::object;
    case '[':
      return json_kind::array;
    case '"':
      return json_kind::string;
    case 't':
    case 'f':
      return json_kind::boolean;
    case 'n':
      return json_kind::null;
    default:
      return json_kind::number;
  }
}

bool is_json(std::string_view text) {
  try {
    check_syntax(text);
    return true;
  } catch (const failure&) {
    return false;
  }
}

bool is_json(std::string_view text, json_kind kind) {
  return is_json(text) && kind_of(text) == kind;
}

object_view object_view::parse(std::string_view text) {
  if (text.size() > request_bytes_max)
    invalid("the request has " + std::to_string(text.size()) + " bytes; at most " +
            std::to_string(request_bytes_max) + " are taken");
  if (text.empty()) return {};
  check_syntax(text);
  return of_checked(text, "the request");
}

object_view object_view::of_checked(std::string_view text, std::string_view what) {
  std::size_t at = 0;
  skip_space(text, at);
  if (at >= text.size() || text[at] != '{') invalid(std::string(what) + " must be an object");
  ++at;
  object_view result;
  for (;;) {
    skip_space(text, at);
    if (at >= text.size() || text[at] == '}') return result;
    if (text[at] == ',') {
      ++at;
      continue;
    }
    const auto quoted = take_value(text, at);
    skip_space(text, at);
    ++at;  // the colon
    skip_space(text, at);
    const auto value = take_value(text, at);
    result.members_.emplace_back(decode_string(quoted), value);
  }
}

std::optional<std::string_view> object_view::raw(std::string_view key) const noexcept {
  for (auto member = members_.rbegin(); member != members_.rend(); ++member) {
    if (member->first != key) continue;
    if (kind_of(member->second) == json_kind::null) return std::nullopt;
    return member->second;
  }
  return std::nullopt;
}

bool object_view::has(std::string_view key) const noexcept {
  for (const auto& member : members_)
    if (member.first == key) return true;
  return false;
}

std::optional<std::string> object_view::optional_text(std::string_view key) const {
  const auto json = raw(key);
  if (!json) return std::nullopt;
  if (kind_of(*json) != json_kind::string) wrong_kind(key, name_of(json_kind::string));
  return decode_string(*json);
}

std::string object_view::text(std::string_view key) const {
  auto value = optional_text(key);
  if (!value) missing(key);
  return *std::move(value);
}

std::optional<std::int64_t> object_view::optional_integer(std::string_view key) const {
  const auto json = raw(key);
  if (!json) return std::nullopt;
  return to_integer(key, *json);
}

std::int64_t object_view::integer(std::string_view key) const {
  const auto value = optional_integer(key);
  if (!value) missing(key);
  return *value;
}

bool object_view::flag(std::string_view key, bool fallback) const {
  const auto json = raw(key);
  if (!json) return fallback;
  if (kind_of(*json) != json_kind::boolean) wrong_kind(key, name_of(json_kind::boolean));
  return json->front() == 't';
}

std::optional<std::string_view> object_view::optional_of_kind(std::string_view key,
                                                              json_kind kind) const {
  const auto json = raw(key);
  if (json && kind_of(*json) != kind) wrong_kind(key, name_of(kind));
  return json;
}

std::string_view object_view::of_kind(std::string_view key, json_kind kind) const {
  const auto json = optional_of_kind(key, kind);
  if (!json) missing(key);
  return *json;
}

std::vector<std::string_view> object_view::elements(std::string_view key) const {
  const auto text = of_kind(key, json_kind::array);
  std::vector<std::string_view> result;
  for (std::size_t at = 1;;) {
    skip_space(text, at);
    if (at >= text.size() || text[at] == ']') return result;
    if (text[at] == ',') {
      ++at;
      continue;
    }
    result.push_back(take_value(text, at));
  }
}

std::string decode_string(std::string_view json) {
  const auto inner = json.substr(1, json.size() - 2);
  if (inner.find('\\') == std::string_view::npos) return std::string(inner);
  const auto value = boost::json::parse(json);
  return std::string(value.get_string());
}

void append_quoted(std::string& out, std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte >= 0x20) {
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += "\\u00";
      out += hex[byte >> 4];
      out += hex[byte & 15];
    }
  }
  out += '"';
}

std::string& object_writer::key(std::string_view key) {
  if (!first_) out_ += ',';
  first_ = false;
  out_ += '"';
  out_ += key;
  out_ += "\":";
  return out_;
}
void object_writer::text(std::string_view name, std::string_view value) {
  append_quoted(key(name), value);
}
void object_writer::integer(std::string_view name, std::int64_t value) {
  key(name) += std::to_string(value);
}
void object_writer::flag(std::string_view name, bool value) {
  key(name) += value ? "true" : "false";
}
void object_writer::raw(std::string_view name, std::string_view json) {
  key(name) += json;
}
}  // namespace rustic::storage
