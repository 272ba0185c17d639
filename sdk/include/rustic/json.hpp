// rustic/json.hpp - JSON for plugins: Boost.JSON under a short name, and optional members.
#pragma once
#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace rustic {
namespace json = boost::json;

// The deepest nesting that any text from outside may have.
inline constexpr std::size_t json_depth_max = 64;

// Parses one JSON text. Throws failure(INVALID_ARGUMENT) naming `what` and the position.
json::value parse_json(std::string_view text, std::string_view what = "JSON");
// The same for an object; an empty text is an empty object.
json::object parse_object(std::string_view text, std::string_view what = "request");

// A member, or null when it is absent or null.
const json::value* find(const json::object& object, std::string_view key) noexcept;
// A member of that type, or the fallback when it is absent, null or of another type.
std::string_view text_or(const json::object& object, std::string_view key,
                         std::string_view fallback = {}) noexcept;
std::int64_t int_or(const json::object& object, std::string_view key,
                    std::int64_t fallback = 0) noexcept;
double number_or(const json::object& object, std::string_view key, double fallback = 0) noexcept;
bool bool_or(const json::object& object, std::string_view key, bool fallback = false) noexcept;
// A member of that type, or an empty one. The result lives as long as `object`.
const json::object& object_or_empty(const json::object& object, std::string_view key) noexcept;
const json::array& array_or_empty(const json::object& object, std::string_view key) noexcept;
// A member that must be there. Throws failure(INVALID_ARGUMENT) naming `what` and the key.
std::string_view require_text(const json::object& object, std::string_view key,
                              std::string_view what = "request");
std::int64_t require_int(const json::object& object, std::string_view key,
                         std::string_view what = "request");

// Replaces what is not UTF-8 by U+FFFD. Everything that came from outside goes through it before it
// becomes a JSON string, because the serialiser passes bytes through.
std::string to_utf8(std::string_view bytes);
bool is_utf8(std::string_view bytes) noexcept;
// The longest prefix of at most `bytes` bytes that does not end inside a code point.
std::string_view cut_utf8(std::string_view text, std::size_t bytes) noexcept;

// A duration with a unit ("500ms", "10s", "2m", "1h", "1d") in milliseconds.
// Throws failure(INVALID_ARGUMENT) naming `what`.
std::int64_t parse_duration_ms(std::string_view text, std::string_view what = "duration");
// The same for a member of a configuration, with a fallback for an absent one.
std::int64_t duration_ms_or(const json::object& object, std::string_view key,
                            std::int64_t fallback_ms);
}  // namespace rustic
