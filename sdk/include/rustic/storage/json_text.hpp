// json_text.hpp - reads a request as text: members are found without building a tree, so payloads
// keep their bytes.
//
// A message of 10 MB is checked once and stored as it came: numbers keep their digits, strings
// their
// escapes. Views point into the text given to parse, which must outlive them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rustic::storage {

// What a JSON text is, by its first character. Only for text that was checked.
enum class json_kind { object, array, string, number, boolean, null };
json_kind kind_of(std::string_view json) noexcept;

// Whether a text that was not checked is JSON, in UTF-8: for what a disk gives back.
bool is_json(std::string_view text);
bool is_json(std::string_view text, json_kind kind);

// The members of one JSON object. Every getter throws failure(INVALID_ARGUMENT) naming the key.
class object_view {
 public:
  // Checks the whole text (syntax, UTF-8, depth); it must be an object. An empty text is {}.
  static object_view parse(std::string_view text);
  // The same for text that is part of a text already checked.
  static object_view of_checked(std::string_view text, std::string_view what);

  // The member's text, or nothing when it is absent or null. The last one of equal keys counts.
  std::optional<std::string_view> raw(std::string_view key) const noexcept;
  // True also for null.
  bool has(std::string_view key) const noexcept;

  std::string text(std::string_view key) const;
  std::optional<std::string> optional_text(std::string_view key) const;
  std::int64_t integer(std::string_view key) const;
  std::optional<std::int64_t> optional_integer(std::string_view key) const;
  bool flag(std::string_view key, bool fallback) const;
  // The member's text, which must be of that kind.
  std::string_view of_kind(std::string_view key, json_kind kind) const;
  std::optional<std::string_view> optional_of_kind(std::string_view key, json_kind kind) const;
  // The texts of an array's elements.
  std::vector<std::string_view> elements(std::string_view key) const;

  const std::vector<std::pair<std::string, std::string_view>>& members() const noexcept {
    return members_;
  }

 private:
  std::vector<std::pair<std::string, std::string_view>> members_;
};

// A checked JSON string, decoded.
std::string decode_string(std::string_view json);
void append_quoted(std::string& out, std::string_view text);

// Builds one JSON object. Keys need no escapes.
class object_writer {
 public:
  explicit object_writer(std::string& out) : out_(out) { out_ += '{'; }
  void text(std::string_view key, std::string_view value);
  void integer(std::string_view key, std::int64_t value);
  void flag(std::string_view key, bool value);
  void raw(std::string_view key, std::string_view json);
  // Writes the key; the caller appends the value.
  std::string& key(std::string_view key);
  void close() { out_ += '}'; }

 private:
  std::string& out_;
  bool first_ = true;
};
}  // namespace rustic::storage
