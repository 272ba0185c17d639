#include "json_text.h"

#include <string.h>

#include "limits.h"
#include "text.h"

#define NOWHERE ((size_t)-1)

static int is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
static int is_digit(char c) {
  return c >= '0' && c <= '9';
}

static size_t skip_space(rai_str text, size_t at) {
  while (at < text.len && is_space(text.ptr[at])) ++at;
  return at;
}

static rai_str between(rai_str text, size_t begin, size_t end) {
  return (rai_str){text.ptr + begin, end - begin};
}

/* The number of four hexadecimal digits; -1 when there are none. */
static int hex4(rai_str text, size_t at) {
  int value = 0;
  if (text.len - at < 4) return -1;
  for (int i = 0; i < 4; ++i) {
    const char c = text.ptr[at + (size_t)i];
    const char small = (char)(c | 0x20);
    if (is_digit(c))
      value = value * 16 + (c - '0');
    else if (small >= 'a' && small <= 'f')
      value = value * 16 + (small - 'a' + 10);
    else
      return -1;
  }
  return value;
}

/* --- Checking --- */

/* Behind the UTF-8 sequence at `at`. */
static size_t check_sequence(rai_str text, size_t at) {
  const unsigned char* const bytes = (const unsigned char*)text.ptr + at;
  const size_t count = bytes[0] < 0x80   ? 1
                       : bytes[0] < 0xC2 ? 0
                       : bytes[0] < 0xE0 ? 2
                       : bytes[0] < 0xF0 ? 3
                       : bytes[0] < 0xF5 ? 4
                                         : 0;
  if (count == 0 || count > text.len - at) return NOWHERE;
  for (size_t i = 1; i < count; ++i)
    if ((bytes[i] & 0xC0) != 0x80) return NOWHERE;
  if (count > 1 &&
      ((bytes[0] == 0xE0 && bytes[1] < 0xA0) || (bytes[0] == 0xED && bytes[1] > 0x9F) ||
       (bytes[0] == 0xF0 && bytes[1] < 0x90) || (bytes[0] == 0xF4 && bytes[1] > 0x8F)))
    return NOWHERE;
  return at + count;
}

/* Behind the escape whose backslash is at `at`. */
static size_t check_escape(rai_str text, size_t at) {
  if (text.len - at < 2) return NOWHERE;
  if (text.ptr[at + 1] != 'u')
    return text.ptr[at + 1] != '\0' && strchr("\"\\/bfnrt", text.ptr[at + 1]) ? at + 2 : NOWHERE;
  const int code = hex4(text, at + 2);
  if (code < 0 || (code >= 0xDC00 && code < 0xE000)) return NOWHERE;
  if (code < 0xD800 || code >= 0xE000) return at + 6;
  at += 6;
  if (text.len - at < 6 || text.ptr[at] != '\\' || text.ptr[at + 1] != 'u') return NOWHERE;
  const int low = hex4(text, at + 2);
  return low >= 0xDC00 && low < 0xE000 ? at + 6 : NOWHERE;
}

static size_t check_string(rai_str text, size_t at) {
  if (at >= text.len || text.ptr[at] != '"') return NOWHERE;
  for (++at; at != NOWHERE && at < text.len;) {
    const unsigned char c = (unsigned char)text.ptr[at];
    if (c == '"') return at + 1;
    if (c < 0x20) return NOWHERE;
    at = c == '\\' ? check_escape(text, at) : c < 0x80 ? at + 1 : check_sequence(text, at);
  }
  return NOWHERE;
}

static size_t check_digits(rai_str text, size_t at) {
  const size_t begin = at;
  while (at < text.len && is_digit(text.ptr[at])) ++at;
  return at > begin ? at : NOWHERE;
}

static size_t check_number(rai_str text, size_t at) {
  if (at < text.len && text.ptr[at] == '-') ++at;
  const int zero = at < text.len && text.ptr[at] == '0';
  at = zero ? at + 1 : check_digits(text, at);
  if (at != NOWHERE && at < text.len && text.ptr[at] == '.') at = check_digits(text, at + 1);
  if (at == NOWHERE || at >= text.len || (text.ptr[at] | 0x20) != 'e') return at;
  ++at;
  if (at < text.len && (text.ptr[at] == '+' || text.ptr[at] == '-')) ++at;
  return check_digits(text, at);
}

static size_t check_scalar(rai_str text, size_t at) {
  static const char* const words[] = {"true", "false", "null"};
  if (text.ptr[at] == '"') return check_string(text, at);
  for (size_t i = 0; i < sizeof words / sizeof *words; ++i) {
    const size_t bytes = strlen(words[i]);
    if (text.len - at >= bytes && memcmp(text.ptr + at, words[i], bytes) == 0) return at + bytes;
  }
  return check_number(text, at);
}

/* Behind a member's name and colon. */
static size_t check_name(rai_str text, size_t at) {
  at = check_string(text, skip_space(text, at));
  if (at == NOWHERE) return NOWHERE;
  at = skip_space(text, at);
  return at < text.len && text.ptr[at] == ':' ? at + 1 : NOWHERE;
}

int json_is_value(rai_str text) {
  char closing[JSON_LEVELS_MAX];
  size_t levels = 0, at = 0;
  for (;;) { /* a value begins */
    at = skip_space(text, at);
    if (at >= text.len) return 0;
    const char c = text.ptr[at];
    if (c == '{' || c == '[') {
      if (levels == JSON_LEVELS_MAX) return 0;
      closing[levels++] = c == '{' ? '}' : ']';
      at = skip_space(text, at + 1);
      if (at >= text.len) return 0;
      if (text.ptr[at] != closing[levels - 1]) {
        if (c == '{' && (at = check_name(text, at)) == NOWHERE) return 0;
        continue;
      }
    } else if ((at = check_scalar(text, at)) == NOWHERE) {
      return 0;
    }
    for (;;) { /* a value has ended, or an empty bracket is about to */
      at = skip_space(text, at);
      if (levels == 0) return at == text.len;
      if (at >= text.len) return 0;
      if (text.ptr[at] == ',') break;
      if (text.ptr[at] != closing[levels - 1]) return 0;
      --levels;
      ++at;
    }
    ++at;
    if (closing[levels - 1] == '}' && (at = check_name(text, at)) == NOWHERE) return 0;
  }
}

/* --- Cutting, in texts that were checked --- */

/* Behind the string that begins at `at`. */
static size_t skip_string(rai_str text, size_t at) {
  for (size_t from = at + 1; from < text.len;) {
    const char* const quote = memchr(text.ptr + from, '"', text.len - from);
    if (!quote) break;
    const char* before = quote;
    while (before[-1] == '\\') --before;
    from = (size_t)(quote - text.ptr) + 1;
    if ((quote - before) % 2 == 0) return from;
  }
  return text.len;
}

static size_t skip_value(rai_str text, size_t at) {
  size_t levels = 0;
  do {
    if (at >= text.len) return text.len;
    const char c = text.ptr[at];
    if (c == '"') {
      at = skip_string(text, at);
      continue;
    }
    if (c == '{' || c == '[') ++levels;
    if (c == '}' || c == ']') --levels;
    ++at;
    if (levels == 0 && c != '}' && c != ']')
      while (at < text.len && !is_space(text.ptr[at]) && !strchr(",]}", text.ptr[at])) ++at;
  } while (levels > 0);
  return at;
}

/* Whether the inside of a string stands for a name that is short and plain. */
static int is_name(rai_str inside, const char* name) {
  char decoded[64];
  if (inside.len == 0 || !memchr(inside.ptr, '\\', inside.len)) return text_equal(inside, name);
  if (inside.len > 6 * strlen(name) || inside.len > sizeof decoded) return 0;
  return text_equal((rai_str){decoded, json_decode(inside, decoded)}, name);
}

static rai_str find_member(rai_str object, const char* name, int first) {
  rai_str found = {NULL, 0};
  size_t at = skip_space(object, 0);
  if (at >= object.len || object.ptr[at] != '{') return found;
  for (++at;; ++at) {
    const size_t key = skip_space(object, at);
    if (key >= object.len || object.ptr[key] != '"') return found;
    const size_t key_end = skip_string(object, key);
    const size_t value = skip_space(object, skip_space(object, key_end) + 1);
    const size_t end = skip_value(object, value);
    if (is_name(between(object, key + 1, key_end - 1), name)) {
      found = between(object, value, end);
      if (first) return found;
    }
    at = skip_space(object, end);
    if (at >= object.len || object.ptr[at] != ',') return found;
  }
}

rai_str json_member(rai_str object, const char* name) {
  return find_member(object, name, 0);
}
rai_str json_first_member(rai_str object, const char* name) {
  return find_member(object, name, 1);
}

int json_next(rai_str array, size_t* at, rai_str* item) {
  size_t begin = skip_space(array, *at);
  if (begin >= array.len || array.ptr[begin] != (*at == 0 ? '[' : ',')) return 0;
  begin = skip_space(array, begin + 1);
  if (begin >= array.len || array.ptr[begin] == ']') return 0;
  *at = skip_value(array, begin);
  *item = between(array, begin, *at);
  return 1;
}

char json_kind(rai_str value) {
  if (value.len == 0) return '\0';
  return strchr("{[\"tfn", value.ptr[0]) ? value.ptr[0] : '0';
}

rai_str json_inside(rai_str value) {
  const rai_str nothing = {NULL, 0};
  return value.len >= 2 && value.ptr[0] == '"' ? between(value, 1, value.len - 1) : nothing;
}

static size_t encode(unsigned code, char* out) {
  if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  }
  const size_t count = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = count - 1; i > 0; --i, code >>= 6) out[i] = (char)(0x80 | (code & 0x3F));
  out[0] = (char)((count == 2 ? 0xC0 : count == 3 ? 0xE0 : 0xF0) | code);
  return count;
}

size_t json_decode(rai_str inside, char* out) {
  static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
  size_t length = 0;
  for (size_t at = 0; at < inside.len;) {
    if (inside.ptr[at] != '\\') {
      out[length++] = inside.ptr[at++];
    } else if (inside.ptr[at + 1] != 'u') {
      out[length++] = meanings[strchr(escapes, inside.ptr[at + 1]) - escapes];
      at += 2;
    } else {
      unsigned code = (unsigned)hex4(inside, at + 2);
      at += 6;
      if (code >= 0xD800 && code < 0xDC00) {
        code = 0x10000 + ((code - 0xD800) << 10) + ((unsigned)hex4(inside, at + 2) - 0xDC00);
        at += 6;
      }
      length += encode(code, out + length);
    }
  }
  return length;
}

/* value * 10 + digit, or 0 when that is too large. */
static int add_digit(uint64_t* value, char digit) {
  return !__builtin_mul_overflow(*value, (uint64_t)10, value) &&
         !__builtin_add_overflow(*value, (uint64_t)(digit - '0'), value);
}

int json_integer(rai_str value, int64_t* out) {
  const int negative = value.len > 0 && value.ptr[0] == '-';
  uint64_t whole = 0;
  int64_t power = 0; /* of ten, that `whole` is still to be multiplied with */
  size_t at = negative ? 1 : 0;
  if (json_kind(value) != '0') return 0;
  for (; at < value.len && is_digit(value.ptr[at]); ++at)
    if (!add_digit(&whole, value.ptr[at])) return 0;
  const int plain = at == value.len;
  if (at < value.len && value.ptr[at] == '.') {
    for (++at; at < value.len && is_digit(value.ptr[at]); ++at) {
      size_t zeros = at;
      while (zeros < value.len && value.ptr[zeros] == '0') ++zeros;
      if (zeros == value.len || !is_digit(value.ptr[zeros])) { /* nothing but zeros is left */
        at = zeros;
        break;
      }
      if (!add_digit(&whole, value.ptr[at])) return 0;
      --power;
    }
  }
  if (at < value.len) { /* an exponent */
    const int down = value.ptr[at + 1] == '-';
    uint64_t exponent = 0;
    for (at += 1 + !is_digit(value.ptr[at + 1]); at < value.len; ++at)
      if (!add_digit(&exponent, value.ptr[at]) || exponent > 400) return 0;
    power += down ? -(int64_t)exponent : (int64_t)exponent;
  }
  for (; whole != 0 && power > 0; --power)
    if (!add_digit(&whole, '0')) return 0;
  for (; whole != 0 && power < 0; ++power, whole /= 10)
    if (whole % 10 != 0) return 0;
  if (!plain && whole >= (uint64_t)EXACT_DOUBLE_MAX) return 0;
  if (whole > (uint64_t)INT64_MAX + (uint64_t)negative) return 0;
  *out = negative ? (int64_t)(0 - whole) : (int64_t)whole;
  return 1;
}
