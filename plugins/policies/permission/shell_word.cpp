// Words of a command line: quotes, escapes, and what the shell would expand.
#include <algorithm>
#include <cctype>
#include <utility>

#include "limits.hpp"
#include "shell_parser.hpp"

namespace rustic::permission::detail {
namespace {

void append_utf8(std::string& out, unsigned long code) {
  if (code < 0x80) {
    out.push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out.push_back(static_cast<char>(0xC0 | (code >> 6)));
    out.push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else if (code < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | (code >> 12)));
    out.push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else {
    out.push_back(static_cast<char>(0xF0 | ((code >> 18) & 0x07)));
    out.push_back(static_cast<char>(0x80 | ((code >> 12) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (code & 0x3F)));
  }
}

bool name_start(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) || c == '_';
}
bool name_part(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}

int digit_of(char c, int base) {
  int value = -1;
  if (c >= '0' && c <= '9') value = c - '0';
  if (c >= 'a' && c <= 'f') value = c - 'a' + 10;
  if (c >= 'A' && c <= 'F') value = c - 'A' + 10;
  return value < base ? value : -1;
}

}  // namespace

void parser::skip_blanks() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == ' ' || c == '\t') {
      ++at_;
    } else if (c == '\\' && peek(1) == '\n') {
      at_ += 2;
    } else if (c == '#') {
      // Only reached between words, where it begins a comment.
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else {
      return;
    }
  }
}

parsed_word parser::read_word() {
  parsed_word word;
  bool plain = true;
  bool bracket = false;
  bool brace = false;
  bool comma = false;
  ++words_read_;
  auto end_plain = [&] {
    if (plain) word.plain_bytes = word.text.size();
    plain = false;
  };
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == ' ' || c == '\t' || c == '\n' || c == ';' || c == '&' || c == '|' || c == '(' ||
        c == ')')
      break;
    if (c == '<' || c == '>') {
      if (peek(1) != '(') break;
      fail("it has a process substitution");
      word.expands = true;
      end_plain();
      at_ += 2;
      parse_list(list_end::parenthesis);
      continue;
    }
    if (c == '\\') {
      if (peek(1) == '\n') {
        at_ += 2;
        continue;
      }
      end_plain();
      word.quoted = true;
      ++at_;
      if (at_ < text_.size())
        word.text.push_back(text_[at_++]);
      else
        fail("it ends with a backslash");
    } else if (c == '\'') {
      end_plain();
      read_single_quoted(word);
    } else if (c == '"') {
      end_plain();
      ++at_;
      word.quoted = true;
      read_double_quoted(word);
      if (peek() == '"' && at_ < text_.size())
        ++at_;
      else
        fail("a double quote is not closed");
    } else if (c == '$') {
      end_plain();
      read_dollar(word, false);
    } else if (c == '`') {
      end_plain();
      read_backticks(word);
    } else if (c == '\0') {
      fail("it has a NUL byte");
      ++at_;
    } else {
      if (c == '*' || c == '?') word.expands = true;
      if (c == '[') bracket = true;
      if (c == ']' && bracket && word.text != "[") word.expands = true;
      if (c == '{') brace = true;
      if (brace && (c == ',' || c == '.')) comma = true;
      if (c == '}' && brace && comma) word.expands = true;
      if (c == '~' && word.text.empty() && !word.quoted) word.expands = true;
      word.text.push_back(c);
      ++at_;
    }
  }
  end_plain();
  // "[" alone is a program; "[ ]" in one word is a pattern.
  if (word.text == "[" || word.text == "]") word.expands = false;
  if (!word.text.empty()) {
    std::vector<std::string>& reading = out_.readings.front();
    reading.push_back(word.text);
    if (word.text.find_first_of(" \t\n;|&()<>{}$`,=[]'\"\\") != std::string::npos)
      note_text(word.text);
  }
  return word;
}

void parser::read_single_quoted(parsed_word& word) {
  word.quoted = true;
  ++at_;
  const std::size_t close = text_.find('\'', at_);
  if (close == std::string_view::npos) fail("a single quote is not closed");
  const std::size_t stop = std::min(close, text_.size());
  word.text.append(text_.substr(at_, stop - at_));
  if (word.text.find('\0') != std::string::npos) fail("it has a NUL byte");
  at_ = std::min(stop + 1, text_.size());
}

// Up to the closing quote, which stays, or to the end of the text.
void parser::read_double_quoted(parsed_word& word) {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '"') return;
    if (c == '\0') {
      fail("it has a NUL byte");
      ++at_;
    } else if (c == '\\') {
      const char next = peek(1);
      if (next == '\n') {
        at_ += 2;
      } else if (next == '$' || next == '`' || next == '"' || next == '\\') {
        word.text.push_back(next);
        at_ += 2;
      } else {
        word.text.push_back(c);
        ++at_;
      }
    } else if (c == '$') {
      read_dollar(word, true);
    } else if (c == '`') {
      read_backticks(word);
    } else {
      word.text.push_back(c);
      ++at_;
    }
  }
}

void parser::parse_quoted_text() {
  parsed_word word;
  while (at_ < text_.size()) {
    read_double_quoted(word);
    if (at_ < text_.size()) ++at_;  // a quote is a character like others here
  }
}

// $'...'
void parser::read_escaped_text(parsed_word& word) {
  word.quoted = true;
  at_ += 2;
  auto number = [&](int base, std::size_t most) {
    unsigned long value = 0;
    for (std::size_t n = 0; n < most && at_ < text_.size(); ++n) {
      const int digit = digit_of(text_[at_], base);
      if (digit < 0) break;
      value = value * static_cast<unsigned long>(base) + static_cast<unsigned long>(digit);
      ++at_;
    }
    return value;
  };
  auto byte = [&](unsigned long value) {
    if ((value & 0xFF) == 0) fail("it has a NUL byte");
    word.text.push_back(static_cast<char>(value & 0xFF));
  };
  while (at_ < text_.size()) {
    const char c = text_[at_++];
    if (c == '\'') return;
    if (c == '\0') fail("it has a NUL byte");
    if (c != '\\' || at_ >= text_.size()) {
      word.text.push_back(c);
      continue;
    }
    const char escape = text_[at_++];
    static constexpr std::string_view letters = "abefnrtvE\\'\"?";
    static constexpr std::string_view values = "\a\b\x1b\f\n\r\t\v\x1b\\'\"?";
    const std::size_t known = letters.find(escape);
    if (known != std::string_view::npos) {
      word.text.push_back(values[known]);
    } else if (escape == 'x') {
      if (digit_of(peek(), 16) < 0) fail("it has an escape that cannot be read");
      byte(number(16, 2));
    } else if (escape == 'u' || escape == 'U') {
      const unsigned long code = number(16, escape == 'u' ? 4 : 8);
      if (code == 0 || code > 0x10FFFF) fail("it has an escape that cannot be read");
      append_utf8(word.text, code);
    } else if (escape >= '0' && escape <= '7') {
      --at_;
      byte(number(8, 3));
    } else {
      fail("it has an escape that cannot be read");
      word.text.push_back(escape);
    }
  }
  fail("a single quote is not closed");
}

void parser::read_dollar(parsed_word& word, bool in_quotes) {
  const char next = peek(1);
  if (next == '\'' && !in_quotes) {
    // To a plain POSIX shell this is a dollar and another kind of quote, which ends elsewhere.
    fail("it has a string in $'...', which not every shell reads alike");
    return read_escaped_text(word);
  }
  // The shell joins the lines first, so that "(" or "{" on the next one belongs to this dollar.
  if (next == '\\' && peek(2) == '\n') fail("a line is continued in the middle of an expansion");
  if (next == '"' && !in_quotes) {
    fail("it has a translated string");
    ++at_;
    return;
  }
  if (next == '(') {
    fail(peek(2) == '(' ? "it has arithmetic" : "it has a command substitution");
    word.expands = true;
    at_ += 2;
    return parse_list(list_end::parenthesis);
  }
  if (next == '[') {
    fail("it has arithmetic");
    word.expands = true;
    ++at_;
    return;
  }
  if (next == '{') return read_parameter(word);
  if (name_start(next)) {
    word.expands = true;
    word.text.push_back(text_[at_++]);
    while (at_ < text_.size() && name_part(text_[at_])) word.text.push_back(text_[at_++]);
    return;
  }
  if (next != '\0' && std::string_view("0123456789?$!#@*-").find(next) != std::string_view::npos) {
    word.expands = true;
    word.text.append(text_.substr(at_, 2));
    at_ += 2;
    return;
  }
  word.text.push_back('$');
  ++at_;
}

// ${NAME} only: every operator can hold substitutions or assign.
void parser::read_parameter(parsed_word& word) {
  word.expands = true;
  std::size_t i = at_ + 2;
  while (i < text_.size() && name_part(text_[i])) ++i;
  if (i > at_ + 2 && i < text_.size() && text_[i] == '}') {
    word.text.append(text_.substr(at_, i + 1 - at_));
    at_ = i + 1;
    return;
  }
  fail("it has a parameter expansion with an operator");
  word.text.append("${");
  at_ += 2;
}

void parser::read_backticks(parsed_word& word) {
  fail("it has a command substitution");
  word.expands = true;
  ++at_;
  std::string inner;
  bool closed = false;
  while (at_ < text_.size()) {
    const char c = text_[at_++];
    if (c == '`') {
      closed = true;
      break;
    }
    if (c == '\\' && (peek() == '`' || peek() == '\\' || peek() == '$')) {
      inner.push_back(text_[at_++]);
      continue;
    }
    inner.push_back(c);
  }
  if (!closed) fail("a backtick is not closed");
  parse_inner(inner, true);
}

}  // namespace rustic::permission::detail
