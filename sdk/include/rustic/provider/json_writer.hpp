// json_writer.hpp - writes JSON text straight into a string: commas, quotes and escapes.
#pragma once
#include <rustic/json.hpp>
#include <string>
#include <string_view>

namespace rustic::provider {

// The caller opens and closes in the right order; nothing checks it. Text is expected to be UTF-8.
class json_writer {
 public:
  explicit json_writer(std::string& out) : out_(out) {}

  json_writer& open(char bracket) {
    separate();
    out_ += bracket;
    first_ = true;
    return *this;
  }
  json_writer& close(char bracket) {
    out_ += bracket;
    first_ = false;
    return *this;
  }
  json_writer& key(std::string_view name) {
    separate();
    quote(name);
    out_ += ':';
    first_ = true;
    return *this;
  }
  json_writer& text(std::string_view value) {
    separate();
    quote(value);
    return *this;
  }
  // A text in several parts.
  json_writer& joined(std::initializer_list<std::string_view> parts) {
    separate();
    out_ += '"';
    for (const std::string_view part : parts) escape(part);
    out_ += '"';
    return *this;
  }
  // Text that is JSON already.
  json_writer& raw(std::string_view value) {
    separate();
    out_ += value;
    return *this;
  }
  json_writer& value(const json::value& any) { return raw(json::serialize(any)); }
  json_writer& member(std::string_view name, std::string_view value_text) {
    return key(name).text(value_text);
  }

 private:
  void separate() {
    if (!first_) out_ += ',';
    first_ = false;
  }
  void quote(std::string_view value) {
    out_ += '"';
    escape(value);
    out_ += '"';
  }
  void escape(std::string_view value) {
    std::size_t begin = 0;
    for (std::size_t i = 0; i < value.size(); ++i) {
      const char c = value[i];
      if (static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\') continue;
      out_.append(value, begin, i - begin);
      begin = i + 1;
      switch (c) {
        case '"':
          out_ += "\\\"";
          break;
        case '\\':
          out_ += "\\\\";
          break;
        case '\n':
          out_ += "\\n";
          break;
        case '\r':
          out_ += "\\r";
          break;
        case '\t':
          out_ += "\\t";
          break;
        default: {
          constexpr char digits[] = "0123456789abcdef";
          const auto code = static_cast<unsigned char>(c);
          out_ += "\\u00";
          out_ += digits[code >> 4];
          out_ += digits[code & 15];
        }
      }
    }
    out_.append(value, begin, value.size() - begin);
  }

  std::string& out_;
  bool first_ = true;
};

}  // namespace rustic::provider
