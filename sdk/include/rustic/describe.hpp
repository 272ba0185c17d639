// rustic/describe.hpp - structs to JSON and back, by their BOOST_DESCRIBE_STRUCT.
//
// Reading: members that the struct does not have are passed over, members that the text does not
// have keep their defaults, a member of the wrong type throws failure(INVALID_ARGUMENT) with its
// path. Writing: an empty optional is left out. Integers beyond 2^53 are written as strings, since
// many readers keep a number as a double; either form is read. Values that are JSON already
// (json::value and the like) are passed through exactly.
#pragma once
#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <rustic/status.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace rustic {
namespace detail {

template <class T>
inline constexpr bool is_described = boost::describe::has_describe_members<T>::value;
template <class T>
struct optional_of : std::false_type {};
template <class T>
struct optional_of<std::optional<T>> : std::true_type {};
template <class T>
struct vector_of : std::false_type {};
template <class T>
struct vector_of<std::vector<T>> : std::true_type {};
template <class T>
struct map_of : std::false_type {};
template <class T>
struct map_of<std::map<std::string, T>> : std::true_type {};
template <class T>
using members_of = boost::describe::describe_members<T, boost::describe::mod_public>;

template <class T>
inline constexpr bool is_integer = std::is_integral_v<T> && !std::same_as<T, bool>;
// The integers that a double tells apart from their neighbours end here.
inline constexpr std::int64_t exact_in_double_max = std::int64_t{1} << 53;

[[noreturn]] inline void wrong_type(std::string_view path, std::string_view expected) {
  throw failure(status_code::invalid_argument,
                std::string(path) + ": expected " + std::string(expected));
}

template <class T>
json::value write_json(const T& value);
template <class T>
void read_json(const json::value& from, T& to, const std::string& path);

template <class T>
json::value write_object(const T& value) {
  json::object out;
  boost::mp11::mp_for_each<members_of<T>>([&](auto member) {
    const auto& part = value.*member.pointer;
    using part_type = std::remove_cvref_t<decltype(part)>;
    if constexpr (optional_of<part_type>::value) {
      if (part) out[member.name] = write_json(*part);
    } else {
      out[member.name] = write_json(part);
    }
  });
  return out;
}

template <class T>
json::value write_json(const T& value) {
  if constexpr (requires { value.to_json(); }) {
    return value.to_json();
  } else if constexpr (is_described<T>) {
    return write_object(value);
  } else if constexpr (optional_of<T>::value) {
    return value ? write_json(*value) : json::value(nullptr);
  } else if constexpr (vector_of<T>::value) {
    json::array out;
    for (const auto& one : value) out.push_back(write_json(one));
    return out;
  } else if constexpr (map_of<T>::value) {
    json::object out;
    for (const auto& [key, one] : value) out[key] = write_json(one);
    return out;
  } else if constexpr (std::same_as<T, std::string>) {
    return json::value(to_utf8(value));
  } else if constexpr (is_integer<T>) {
    if (std::cmp_greater(value, exact_in_double_max) || std::cmp_less(value, -exact_in_double_max))
      return json::value(std::to_string(value));
    return json::value(value);
  } else {
    return json::value(value);
  }
}

template <class T>
void read_object(const json::value& from, T& to, const std::string& path) {
  const auto* object = from.if_object();
  if (!object) wrong_type(path, "an object");
  boost::mp11::mp_for_each<members_of<T>>([&](auto member) {
    const auto* part = object->if_contains(member.name);
    if (part) read_json(*part, to.*member.pointer, path + "." + member.name);
  });
}

template <class T>
void read_json(const json::value& from, T& to, const std::string& path) {
  if constexpr (requires { T::from_json(from, path); }) {
    to = T::from_json(from, path);
  } else if constexpr (is_described<T>) {
    read_object(from, to, path);
  } else if constexpr (optional_of<T>::value) {
    to.reset();
    if (!from.is_null()) read_json(from, to.emplace(), path);
  } else if constexpr (vector_of<T>::value) {
    const auto* array = from.if_array();
    if (!array) wrong_type(path, "a list");
    to.clear();
    for (const auto& one : *array) {
      const auto place = path + "[" + std::to_string(to.size()) + "]";
      read_json(one, to.emplace_back(), place);
    }
  } else if constexpr (map_of<T>::value) {
    const auto* object = from.if_object();
    if (!object) wrong_type(path, "an object");
    to.clear();
    for (const auto& [key, one] : *object)
      read_json(one, to[std::string(key)], path + "." + std::string(key));
  } else if constexpr (std::same_as<T, json::value>) {
    to = from;
  } else if constexpr (std::same_as<T, json::object>) {
    const auto* object = from.if_object();
    if (!object) wrong_type(path, "an object");
    to = *object;
  } else if constexpr (std::same_as<T, json::array>) {
    const auto* array = from.if_array();
    if (!array) wrong_type(path, "a list");
    to = *array;
  } else if constexpr (std::same_as<T, std::string>) {
    const auto* text = from.if_string();
    if (!text) wrong_type(path, "a text");
    to.assign(text->data(), text->size());
  } else if constexpr (std::same_as<T, bool>) {
    const auto* flag = from.if_bool();
    if (!flag) wrong_type(path, "true or false");
    to = *flag;
  } else {
    static_assert(std::is_arithmetic_v<T>, "this type has no JSON form");
    if constexpr (is_integer<T>) {
      if (const auto* text = from.if_string()) {
        const auto [end, wrong] = std::from_chars(text->begin(), text->end(), to);
        if (wrong != std::errc{} || end != text->end()) wrong_type(path, "an integer in range");
        return;
      }
    }
    if (!from.is_number()) wrong_type(path, "a number");
    json::error_code problem;
    to = from.to_number<T>(problem);
    if (problem) wrong_type(path, std::is_integral_v<T> ? "an integer in range" : "a number");
  }
}
}  // namespace detail

template <class T>
json::object to_object(const T& value) {
  return detail::write_json(value).as_object();
}
template <class T>
std::string to_text(const T& value) {
  return json::serialize(detail::write_json(value));
}
// `what` begins the path in an error.
template <class T>
T from_json(const json::value& from, const std::string& what = "request") {
  T out{};
  detail::read_json(from, out, what);
  return out;
}
}  // namespace rustic
