#include "partial_arguments.hpp"

#include <charconv>
#include <rustic/provider/limits.hpp>

namespace rustic::google {
namespace {

constexpr std::size_t list_items_max = 10'000;
constexpr std::size_t place_bytes = 16;  // what a place costs at the least

// The next step of a path: a name, or a place in a list.
struct path_step {
  std::string_view name;
  std::size_t place = 0;
  bool in_list = false;
};

bool next_step(std::string_view& path, path_step& out) {
  out = {};
  if (path.front() == '.') {
    path.remove_prefix(1);
    out.name = path.substr(0, path.find_first_of(".["));
    path.remove_prefix(out.name.size());
    return !out.name.empty();
  }
  if (path.size() < 3 || path.front() != '[') return false;
  path.remove_prefix(1);
  if (const char quote = path.front(); quote == '\'' || quote == '"') {
    path.remove_prefix(1);
    const std::size_t end = path.find(quote);
    if (end == std::string_view::npos || end + 1 >= path.size() || path[end + 1] != ']') {
      return false;
    }
    out.name = path.substr(0, end);
    path.remove_prefix(end + 2);
    return true;
  }
  out.in_list = true;
  const auto [stopped, problem] =
      std::from_chars(path.data(), path.data() + path.size(), out.place);
  const auto used = static_cast<std::size_t>(stopped - path.data());
  if (problem != std::errc{} || used >= path.size() || *stopped != ']') return false;
  path.remove_prefix(used + 1);
  return out.place < list_items_max;
}

}  // namespace

bool partial_arguments::count_(std::size_t bytes) {
  bytes_ += bytes;
  return bytes_ <= provider::limits::answer_bytes_max;
}

json::value* partial_arguments::at_(std::string_view path) {
  if (!path.starts_with('$')) return nullptr;
  path.remove_prefix(1);
  json::value* at = &root_;
  std::size_t depth = 0;
  while (!path.empty()) {
    path_step step;
    if (++depth > provider::limits::json_depth_max || !next_step(path, step)) return nullptr;
    if (step.in_list) {
      if (at->is_null()) at->emplace_array();
      if (!at->is_array()) return nullptr;
      json::array& list = at->as_array();
      if (step.place >= list.size()) {
        if (!count_((step.place + 1 - list.size()) * place_bytes)) return nullptr;
        list.resize(step.place + 1);
      }
      at = &list[step.place];
    } else {
      if (at->is_null()) at->emplace_object();
      if (!at->is_object()) return nullptr;
      if (!at->as_object().contains(step.name) && !count_(step.name.size() + place_bytes)) {
        return nullptr;
      }
      at = &at->as_object()[step.name];
    }
  }
  return depth == 0 ? nullptr : at;
}

bool partial_arguments::add(const json::object& piece) {
  json::value* at = at_(text_or(piece, "jsonPath"));
  if (at == nullptr) return false;
  if (const json::value* text = find(piece, "stringValue"); text && text->is_string()) {
    if (!count_(text->as_string().size())) return false;
    if (!at->is_string()) at->emplace_string();
    at->as_string() += text->as_string();
  } else if (const json::value* number = find(piece, "numberValue")) {
    *at = number->is_number() ? *number : json::value();
  } else if (const json::value* truth = find(piece, "boolValue")) {
    *at = truth->is_bool() ? *truth : json::value();
  } else if (piece.contains("nullValue")) {
    *at = json::value();
  }
  return true;
}

std::string partial_arguments::cut_text() const {
  std::string out = text();
  out.pop_back();
  return out;
}

}  // namespace rustic::google
