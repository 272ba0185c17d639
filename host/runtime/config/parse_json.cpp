// JSON by Boost.JSON, and a second pass that finds where each value stands.
#include <algorithm>
#include <set>

#include "host/runtime/config/document.hpp"
#include "host/runtime/config/key_path.hpp"
#include "host/runtime/config/limits.hpp"

namespace rustic::config {
namespace {
using detail::syntax_error;

// Walks over text that is known to be JSON.
class place_finder {
 public:
  place_finder(std::string_view text, document& out) : text_(text), out_(out) {}

  void value(const std::string& key) {
    space();
    if (++count_ > values_max)
      throw syntax_error{line_, column(),
                         "has more than " + std::to_string(values_max) + " values"};
    if (peek() == '{')
      members(key);
    else if (peek() == '[')
      items(key);
    else if (peek() == '"')
      string();
    else
      while (at_ < text_.size() &&
             std::string_view(",]} \t\r\n").find(peek()) == std::string_view::npos)
        ++at_;
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void space() {
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\n') {
        ++line_;
        counted_ = at_ + 1;
        column_ = 1;
      } else if (text_[at_] != ' ' && text_[at_] != '\t' && text_[at_] != '\r') {
        return;
      }
    }
  }

  std::uint32_t column() {
    for (; counted_ < at_; ++counted_)
      if ((static_cast<unsigned char>(text_[counted_]) & 0xC0) != 0x80) ++column_;
    return column_;
  }

  mark here() { return {.line = line_, .column = column()}; }

  std::string_view string() {
    const std::size_t begin = at_++;
    while (peek() != '"') at_ += peek() == '\\' ? 2 : 1;
    return text_.substr(begin, ++at_ - begin);
  }

  void members(const std::string& key) {
    std::set<std::string> seen;
    ++at_;
    for (space(); peek() != '}'; space()) {
      if (peek() == ',') {
        ++at_;
        continue;
      }
      const mark place = here();
      const std::string name(json::parse(string()).as_string());
      if (name.size() > key_bytes_max)
        throw syntax_error{place.line, place.column, "has a key that is too long"};
      const std::string path = join(key, name);
      if (!seen.insert(name).second)
        throw syntax_error{place.line, place.column, "has the key " + path + " twice"};
      out_.marks[path] = place;
      space();
      ++at_;  // the colon
      value(path);
    }
    ++at_;
  }

  void items(const std::string& key) {
    std::size_t index = 0;
    ++at_;
    for (space(); peek() != ']'; space()) {
      if (peek() == ',') {
        ++at_;
        continue;
      }
      const std::string path = join(key, index++);
      out_.marks[path] = here();
      value(path);
    }
    ++at_;
  }

  std::string_view text_;
  document& out_;
  std::size_t at_ = 0, counted_ = 0, count_ = 0;
  std::uint32_t line_ = 1, column_ = 1;
};
}  // namespace

void detail::parse_json(std::string_view text, document& out) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return;
  json::parse_options options;
  options.max_depth = depth_max;
  json::parser parser({}, options);
  boost::system::error_code problem;
  const auto read = parser.write(text, problem);
  if (problem) {
    const auto [line, column] = position_of(text, std::min(read, text.size()));
    throw syntax_error{line, column, "is not valid JSON: " + problem.message()};
  }
  const json::value root = parser.release();
  if (!root.is_object()) throw syntax_error{1, 1, "must be an object: { ... }"};
  place_finder(text, out).value("");
  out.root = root.get_object();
}
}  // namespace rustic::config
