#include <charconv>
#include <cmath>
#include <limits>
#include <rustic/json.hpp>
#include <rustic/status.hpp>

namespace rustic {
namespace {

const json::object empty_object;
const json::array empty_array;

// The length of the well-formed code point that starts at `at`, or 0.
std::size_t code_point(std::string_view bytes, std::size_t at) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const auto tail = [&](std::size_t i) { return i < bytes.size() && (byte(i) & 0xC0) == 0x80; };
  const unsigned char first = byte(at);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return tail(at + 1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (!tail(at + 1) || !tail(at + 2)) return 0;
    const unsigned char second = byte(at + 1);
    if (first == 0xE0 && second < 0xA0) return 0;
    if (first == 0xED && second > 0x9F) return 0;  // surrogates
    return 3;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (!tail(at + 1) || !tail(at + 2) || !tail(at + 3)) return 0;
    const unsigned char second = byte(at + 1);
    if (first == 0xF0 && second < 0x90) return 0;
    if (first == 0xF4 && second > 0x8F) return 0;
    return 4;
  }
  return 0;
}
}  // namespace

json::value parse_json(std::string_view text, std::string_view what) {
  json::parse_options options;
  options.max_depth = json_depth_max;
  json::stream_parser parser({}, options);
  json::error_code problem;
  const std::size_t used = parser.write_some(text.data(), text.size(), problem);
  if (!problem && used < text.size() &&
      text.find_first_not_of(" \t\r\n", used) != std::string_view::npos)
    problem = json::error::extra_data;
  if (!problem) parser.finish(problem);
  if (problem) {
    throw failure(status_code::invalid_argument,
                  "reading " + std::string(what) + ": not valid JSON at byte " +
                      std::to_string(used) + ": " + problem.message());
  }
  return parser.release();
}

json::object parse_object(std::string_view text, std::string_view what) {
  if (text.empty()) return {};
  auto value = parse_json(text, what);
  if (auto* object = value.if_object()) return std::move(*object);
  throw failure(status_code::invalid_argument,
                "reading " + std::string(what) + ": expected a JSON object");
}

const json::value* find(const json::object& object, std::string_view key) noexcept {
  const auto* value = object.if_contains(key);
  return value && !value->is_null() ? value : nullptr;
}
std::string_view text_or(const json::object& object, std::string_view key,
                         std::string_view fallback) noexcept {
  const auto* value = find(object, key);
  if (!value) return fallback;
  const auto* text = value->if_string();
  return text ? std::string_view(*text) : fallback;
}
std::int64_t int_or(const json::object& object, std::string_view key,
                    std::int64_t fallback) noexcept {
  const auto* value = find(object, key);
  if (!value) return fallback;
  if (const auto* number = value->if_int64()) return *number;
  if (const auto* number = value->if_uint64())
    return *number <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())
               ? static_cast<std::int64_t>(*number)
               : fallback;
  if (const auto* number = value->if_double())
    if (std::abs(*number) < 9e15 && std::floor(*number) == *number)
      return static_cast<std::int64_t>(*number);
  return fallback;
}
double number_or(const json::object& object, std::string_view key, double fallback) noexcept {
  const auto* value = find(object, key);
  if (!value) return fallback;
  if (const auto* number = value->if_double()) return *number;
  if (const auto* number = value->if_int64()) return static_cast<double>(*number);
  if (const auto* number = value->if_uint64()) return static_cast<double>(*number);
  return fallback;
}
bool bool_or(const json::object& object, std::string_view key, bool fallback) noexcept {
  const auto* value = find(object, key);
  const auto* flag = value ? value->if_bool() : nullptr;
  return flag ? *flag : fallback;
}
const json::object& object_or_empty(const json::object& object, std::string_view key) noexcept {
  const auto* value = find(object, key);
  const auto* inner = value ? value->if_object() : nullptr;
  return inner ? *inner : empty_object;
}
const json::array& array_or_empty(const json::object& object, std::string_view key) noexcept {
  const auto* value = find(object, key);
  const auto* inner = value ? value->if_array() : nullptr;
  return inner ? *inner : empty_array;
}

std::string_view require_text(const json::object& object, std::string_view key,
                              std::string_view what) {
  const auto* value = find(object, key);
  const auto* text = value ? value->if_string() : nullptr;
  if (!text)
    throw failure(status_code::invalid_argument,
                  std::string(what) + ": \"" + std::string(key) + "\" must be a string");
  return *text;
}
std::int64_t require_int(const json::object& object, std::string_view key, std::string_view what) {
  constexpr auto none = std::numeric_limits<std::int64_t>::min();
  const auto number = int_or(object, key, none);
  if (number == none)
    throw failure(status_code::invalid_argument,
                  std::string(what) + ": \"" + std::string(key) + "\" must be an integer");
  return number;
}

bool is_utf8(std::string_view bytes) noexcept {
  for (std::size_t at = 0; at < bytes.size();) {
    const auto length = code_point(bytes, at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

std::string to_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  std::size_t good = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto length = code_point(bytes, at);
    if (length != 0) {
      at += length;
      continue;
    }
    out.append(bytes.substr(good, at - good));
    out.append("\xEF\xBF\xBD");
    good = ++at;
  }
  out.append(bytes.substr(good));
  return out;
}

std::string_view cut_utf8(std::string_view text, std::size_t bytes) noexcept {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

std::int64_t parse_duration_ms(std::string_view text, std::string_view what) {
  double number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  double factor = 0;
  if (unit == "ms") factor = 1;
  if (unit == "s") factor = 1000;
  if (unit == "m") factor = 60'000;
  if (unit == "h") factor = 3'600'000;
  if (unit == "d") factor = 86'400'000;
  if (problem != std::errc{} || factor == 0 || !(number >= 0) || number * factor > 9e15)
    throw failure(status_code::invalid_argument,
                  std::string(what) + ": \"" + std::string(text) + "\" is not a duration",
                  "write a number with a unit: \"500ms\", \"10s\", \"2m\", \"1h\" or \"1d\"");
  return std::llround(number * factor);
}

std::int64_t duration_ms_or(const json::object& object, std::string_view key,
                            std::int64_t fallback_ms) {
  const auto* value = find(object, key);
  if (!value) return fallback_ms;
  if (const auto* text = value->if_string()) return parse_duration_ms(*text, key);
  throw failure(status_code::invalid_argument,
                std::string(key) + ": a duration is a string with a unit such as \"10s\"");
}
}  // namespace rustic
