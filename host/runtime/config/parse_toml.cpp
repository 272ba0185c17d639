// TOML by toml++; the only file that includes it.
//
// Some malformed text ("[[[") breaks an assertion inside toml++ 3.3, which aborts in a debug build
// and is undefined behaviour in a release build. Here it throws in both.
#undef NDEBUG
namespace rustic::config {
struct toml_gave_up {};
[[noreturn]] inline void give_up() {
  throw toml_gave_up{};
}
}  // namespace rustic::config
#define TOML_ASSERT(condition) ((condition) ? void() : ::rustic::config::give_up())
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>

#include "host/runtime/config/document.hpp"
#include "host/runtime/config/key_path.hpp"
#include "host/runtime/config/limits.hpp"

namespace rustic::config {
namespace {
using detail::syntax_error;

std::string one_line(std::string_view text) {
  std::string result(cut_utf8(text, 300));
  std::replace(result.begin(), result.end(), '\n', ' ');
  return result;
}

// toml++ builds one level for each dot of a key and takes them down recursively, so a key of a
// million dots would exhaust the stack. Looks at dots and brackets outside strings.
void check_nesting(std::string_view text) {
  std::size_t dots = 0, brackets = 0;
  const auto refuse = [&](std::size_t at) {
    const auto [line, column] = detail::position_of(text, at);
    throw syntax_error{line, column, "nests deeper than " + std::to_string(depth_max) + " levels"};
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '#') {
      i = std::min(text.find('\n', i), text.size());
      dots = 0;
    } else if (c == '"' || c == '\'') {
      const bool block = text.substr(i, 3) == std::string(3, c);
      i += block ? 3 : 1;
      for (; i < text.size(); ++i) {
        if (c == '"' && text[i] == '\\')
          ++i;
        else if (!block && (text[i] == c || text[i] == '\n'))
          break;
        else if (block && text.substr(i, 3) == std::string(3, c)) {
          i += 2;
          while (i + 1 < text.size() && text[i + 1] == c) ++i;
          break;
        }
      }
    } else if (c == '.') {
      if (++dots > depth_max) refuse(i);
    } else if (c == '[' || c == '{') {
      if (++brackets > depth_max) refuse(i);
      if (c == '{') dots = 0;
    } else if (c == ']' || c == '}') {
      if (brackets > 0) --brackets;
    } else if (c == '\n' || c == '=' || c == ',') {
      dots = 0;
    }
  }
}

bool gives_up(std::string_view text) {
  try {
    (void)toml::parse(text);
  } catch (const toml_gave_up&) {
    return true;
  } catch (const toml::parse_error&) {
  }
  return false;
}

// The line at which toml++ gives up: the first beginning of the text that it gives up on.
std::uint32_t line_of_giving_up(std::string_view text) {
  std::vector<std::size_t> ends;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] == '\n') ends.push_back(i + 1);
  ends.push_back(text.size());
  std::size_t low = 0, high = ends.size() - 1;
  while (low < high) {
    const auto middle = low + (high - low) / 2;
    if (gives_up(text.substr(0, ends[middle])))
      high = middle;
    else
      low = middle + 1;
  }
  return static_cast<std::uint32_t>(low + 1);
}

class converter {
 public:
  explicit converter(document& out) : out_(out) {}

  json::object table(const toml::table& node, const std::string& key, std::size_t depth) {
    if (depth > depth_max) refuse(node, "nests too deeply");
    struct member {
      toml::source_position at;
      const toml::key* name;
      const toml::node* value;
    };
    std::vector<member> members;
    for (const auto& [name, value] : node) {
      // A table made by its sub-tables' headers has no place of its own worth sorting by.
      auto at = name.source().begin;
      if (!at) at = value.source().begin;
      members.push_back({at, &name, &value});
    }
    std::stable_sort(members.begin(), members.end(),
                     [](const member& a, const member& b) { return a.at < b.at; });
    json::object result;
    for (const auto& entry : members) {
      const auto name = entry.name->str();
      if (name.size() > key_bytes_max) refuse(*entry.value, "has a key that is too long");
      const std::string path = join(key, name);
      note(path, *entry.value, entry.at);
      result[name] = value(*entry.value, path, depth + 1);
    }
    return result;
  }

  json::value value(const toml::node& node, const std::string& key, std::size_t depth) {
    if (++count_ > values_max)
      refuse(node, "has more than " + std::to_string(values_max) + " values");
    if (const auto* members = node.as_table()) return table(*members, key, depth);
    if (const auto* items = node.as_array()) {
      if (depth > depth_max) refuse(node, "nests too deeply");
      json::array result;
      for (const auto& item : *items) {
        const std::string path = join(key, result.size());
        note(path, item, item.source().begin);
        result.push_back(value(item, path, depth + 1));
      }
      return result;
    }
    if (const auto* text = node.as_string()) return json::string(text->get());
    if (const auto* number = node.as_integer()) return number->get();
    if (const auto* flag = node.as_boolean()) return flag->get();
    if (const auto* number = node.as_floating_point()) {
      if (!std::isfinite(number->get())) refuse(node, "has a number that is not finite");
      return number->get();
    }
    std::ostringstream text;
    if (const auto* moment = node.as_date()) text << moment->get();
    if (const auto* moment = node.as_time()) text << moment->get();
    if (const auto* moment = node.as_date_time()) text << moment->get();
    return json::string(text.str());
  }

 private:
  [[noreturn]] static void refuse(const toml::node& node, std::string message) {
    throw syntax_error{node.source().begin.line, node.source().begin.column, std::move(message)};
  }

  // The place shown is the key's; the end is the value's.
  void note(const std::string& key, const toml::node& node, const toml::source_position& at) {
    mark place;
    place.line = at.line;
    place.column = at.column;
    place.value_line = node.source().begin.line;
    place.value_column = node.source().begin.column;
    place.end_line = node.source().end.line;
    place.end_column = node.source().end.column;
    const auto* members = node.as_table();
    place.inline_table = members && members->is_inline();
    out_.marks[key] = place;
  }

  document& out_;
  std::size_t count_ = 0;
};

void append_quoted(std::string& out, std::string_view text) {
  static constexpr char hex[] = "0123456789ABCDEF";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out += '\\', out += c;
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (c == '\r')
      out += "\\r";
    else if (byte < 0x20 || byte == 0x7F)
      out += "\\u00", out += hex[byte >> 4], out += hex[byte & 15];
    else
      out += c;
  }
  out += '"';
}
}  // namespace

void detail::parse_toml(std::string_view text, document& out) {
  check_nesting(text);
  try {
    const toml::table root = toml::parse(text);
    out.root = converter(out).table(root, "", 0);
  } catch (const toml::parse_error& error) {
    throw syntax_error{error.source().begin.line, error.source().begin.column,
                       "is not valid TOML: " + one_line(error.description())};
  } catch (const toml_gave_up&) {
    throw syntax_error{line_of_giving_up(text), 1, "is not valid TOML: unexpected character"};
  }
}

std::optional<json::value> parse_toml_value(std::string_view text) {
  if (text.empty() || text.size() > file_bytes_max || !is_utf8(text) ||
      text.find_first_of(std::string_view("\n\r\0", 3)) != std::string_view::npos)
    return std::nullopt;
  document scratch;
  try {
    detail::parse_toml("v = " + std::string(text), scratch);
  } catch (const syntax_error&) {
    return std::nullopt;
  }
  const auto* value = scratch.root.if_contains("v");
  if (!value || scratch.root.size() != 1) return std::nullopt;
  return *value;
}

std::string to_toml(const json::value& value) {
  std::string out;
  if (const auto* text = value.if_string()) {
    append_quoted(out, *text);
  } else if (const auto* list = value.if_array()) {
    out = "[";
    for (const auto& item : *list) out += (out.size() > 1 ? ", " : "") + to_toml(item);
    out += ']';
  } else if (const auto* table = value.if_object()) {
    out = "{";
    for (const auto& [name, member] : *table)
      out += (out.size() > 1 ? ", " : " ") + join("", name) + " = " + to_toml(member);
    out += out.size() > 1 ? " }" : "}";
  } else if (value.is_null()) {
    out = "\"\"";
  } else if (const auto* number = value.if_double()) {
    // The shortest text that means this number: 0.2, and not 0.20000000000000001.
    char digits[32];
    const auto [end, problem] = std::to_chars(std::begin(digits), std::end(digits), *number);
    out.assign(digits, end);
    if (out.find_first_of(".e") == std::string::npos) out += ".0";
  } else {
    out = json::serialize(value);
  }
  return out;
}
}  // namespace rustic::config
