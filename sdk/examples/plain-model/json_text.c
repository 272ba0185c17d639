#include "json_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE ((size_t)-1)

static size_t skip_space(rai_str text, size_t at) {
  while (at < text.len && (text.ptr[at] == ' ' || text.ptr[at] == '\t' || text.ptr[at] == '\n' ||
                           text.ptr[at] == '\r'))
    ++at;
  return at;
}

static int is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Behind the string that begins at `at`. */
static size_t skip_string(rai_str text, size_t at) {
  if (at >= text.len || text.ptr[at] != '"') return NOWHERE;
  for (++at; at < text.len && (unsigned char)text.ptr[at] >= 0x20; ++at) {
    if (text.ptr[at] == '"') return at + 1;
    if (text.ptr[at] != '\\') continue;
    if (++at >= text.len || text.ptr[at] == '\0' || !strchr("\"\\/bfnrtu", text.ptr[at]))
      return NOWHERE;
    if (text.ptr[at] != 'u') continue;
    for (int digits = 0; digits < 4; ++digits)
      if (++at >= text.len || !is_hex(text.ptr[at])) return NOWHERE;
  }
  return NOWHERE;
}

static size_t skip_word(rai_str text, size_t at) { /* a number, true, false or null */
  const size_t begin = at;
  while (at < text.len &&
         (strchr("+-.", text.ptr[at]) || (text.ptr[at] >= '0' && text.ptr[at] <= '9') ||
          (text.ptr[at] >= 'a' && text.ptr[at] <= 'z') || text.ptr[at] == 'E')) {
    if (text.ptr[at] == '\0') break;
    ++at;
  }
  return at > begin ? at : NOWHERE;
}

/* Behind the value that begins at `at`. Brackets have to fit; what stands between them need not. */
static size_t skip_value(rai_str text, size_t at) {
  char open[JSON_LEVELS_MAX];
  size_t levels = 0;
  do {
    at = skip_space(text, at);
    if (at >= text.len) return NOWHERE;
    const char c = text.ptr[at];
    if (c == '{' || c == '[') {
      if (levels == JSON_LEVELS_MAX) return NOWHERE;
      open[levels++] = c;
      ++at;
    } else if (c == '}' || c == ']') {
      if (levels == 0 || open[--levels] != (c == '}' ? '{' : '[')) return NOWHERE;
      ++at;
    } else if (c == '"') {
      at = skip_string(text, at);
    } else if ((c == ',' || c == ':') && levels > 0) {
      ++at;
    } else {
      at = skip_word(text, at);
    }
    if (at == NOWHERE) return NOWHERE;
  } while (levels > 0);
  return at;
}

static rai_str between(rai_str text, size_t begin, size_t end) {
  return (rai_str){text.ptr + begin, end - begin};
}

rai_str json_member(rai_str object, const char* name) {
  const rai_str nothing = {NULL, 0};
  size_t at = skip_space(object, 0);
  if (at >= object.len || object.ptr[at] != '{') return nothing;
  for (++at;; ++at) {
    at = skip_space(object, at);
    const size_t key = at, key_end = skip_string(object, at);
    if (key_end == NOWHERE) return nothing;
    at = skip_space(object, key_end);
    if (at >= object.len || object.ptr[at] != ':') return nothing;
    const size_t value = skip_space(object, at + 1), value_end = skip_value(object, value);
    if (value_end == NOWHERE) return nothing;
    if (json_equal(json_inside(between(object, key, key_end)), name))
      return between(object, value, value_end);
    at = skip_space(object, value_end);
    if (at >= object.len || object.ptr[at] != ',') return nothing;
  }
}

int json_next(rai_str array, size_t* at, rai_str* item) {
  size_t begin = skip_space(array, *at);
  if (begin >= array.len || array.ptr[begin] != (*at == 0 ? '[' : ',')) return 0;
  begin = skip_space(array, begin + 1);
  const size_t end = skip_value(array, begin);
  if (end == NOWHERE) return 0;
  *item = between(array, begin, end);
  *at = end;
  return 1;
}

int json_next_member(rai_str object, size_t* at, rai_str* name, rai_str* value) {
  size_t begin = skip_space(object, *at);
  if (begin >= object.len || object.ptr[begin] != (*at == 0 ? '{' : ',')) return 0;
  begin = skip_space(object, begin + 1);
  const size_t end = skip_string(object, begin);
  if (end == NOWHERE) return 0;
  const size_t colon = skip_space(object, end);
  if (colon >= object.len || object.ptr[colon] != ':') return 0;
  const size_t value_begin = skip_space(object, colon + 1);
  const size_t value_end = skip_value(object, value_begin);
  if (value_end == NOWHERE) return 0;
  *name = json_inside(between(object, begin, end));
  *value = between(object, value_begin, value_end);
  *at = value_end;
  return 1;
}

/* The bytes of the UTF-8 sequence at `at`; 0 when it is none. */
static size_t sequence(rai_str text, size_t at) {
  const unsigned char first = (unsigned char)text.ptr[at];
  const size_t bytes = first < 0x80   ? 1
                       : first < 0xC2 ? 0
                       : first < 0xE0 ? 2
                       : first < 0xF0 ? 3
                       : first < 0xF5 ? 4
                                      : 0;
  if (bytes > text.len - at) return 0;
  for (size_t i = 1; i < bytes; ++i)
    if (((unsigned char)text.ptr[at + i] & 0xC0) != 0x80) return 0;
  const unsigned char second = bytes > 1 ? (unsigned char)text.ptr[at + 1] : 0;
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
      (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F))
    return 0;
  return bytes;
}

int json_is_value(rai_str line) {
  const size_t begin = skip_space(line, 0), end = skip_value(line, begin);
  if (end == NOWHERE || skip_space(line, end) != line.len) return 0;
  for (size_t at = 0; at < line.len;) {
    const size_t bytes = sequence(line, at);
    if (bytes == 0) return 0;
    at += bytes;
  }
  return 1;
}

rai_str json_inside(rai_str value) {
  const rai_str nothing = {NULL, 0};
  return value.len >= 2 && value.ptr[0] == '"' ? between(value, 1, value.len - 1) : nothing;
}

int json_equal(rai_str value, const char* expected) {
  return value.len == strlen(expected) && memcmp(value.ptr, expected, value.len) == 0;
}

void json_add(struct json_out* out, rai_str piece) {
  if (out->failed || piece.len == 0) return;
  if (out->room - out->length < piece.len) {
    const size_t room = 2 * (out->length + piece.len);
    char* const more = realloc(out->data, room);
    if (!more) {
      out->failed = 1;
      return;
    }
    out->data = more;
    out->room = room;
  }
  memcpy(out->data + out->length, piece.ptr, piece.len);
  out->length += piece.len;
}

void json_add_or(struct json_out* out, rai_str piece, const char* otherwise) {
  if (piece.len > 0)
    json_add(out, piece);
  else
    json_add(out, (rai_str){otherwise, strlen(otherwise)});
}

void json_add_number(struct json_out* out, unsigned long long number) {
  char digits[24];
  const int length = snprintf(digits, sizeof digits, "%llu", number);
  json_add(out, (rai_str){digits, (size_t)length});
}

static unsigned hex(const char* digits) {
  unsigned value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = digits[i];
    value = value * 16 + (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return value;
}

static void add_code_point(struct json_out* out, unsigned code) {
  char bytes[4];
  size_t count = 0;
  if (code < 0x80) {
    bytes[count++] = (char)code;
  } else if (code < 0x800) {
    bytes[count++] = (char)(0xC0 | code >> 6);
    bytes[count++] = (char)(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    bytes[count++] = (char)(0xE0 | code >> 12);
    bytes[count++] = (char)(0x80 | (code >> 6 & 0x3F));
    bytes[count++] = (char)(0x80 | (code & 0x3F));
  } else {
    bytes[count++] = (char)(0xF0 | code >> 18);
    bytes[count++] = (char)(0x80 | (code >> 12 & 0x3F));
    bytes[count++] = (char)(0x80 | (code >> 6 & 0x3F));
    bytes[count++] = (char)(0x80 | (code & 0x3F));
  }
  json_add(out, (rai_str){bytes, count});
}

void json_add_decoded(struct json_out* out, rai_str inside) {
  static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
  size_t plain = 0;
  for (size_t at = 0; at < inside.len;) {
    if (inside.ptr[at] != '\\') {
      ++at;
      continue;
    }
    json_add(out, between(inside, plain, at));
    if (inside.ptr[at + 1] != 'u') {
      json_add(out, (rai_str){meanings + (strchr(escapes, inside.ptr[at + 1]) - escapes), 1});
      at += 2;
    } else {
      unsigned code = hex(inside.ptr + at + 2);
      at += 6;
      if (code >= 0xD800 && code < 0xDC00 && inside.len - at >= 6 && inside.ptr[at] == '\\' &&
          inside.ptr[at + 1] == 'u') {
        const unsigned low = hex(inside.ptr + at + 2);
        if (low >= 0xDC00 && low < 0xE000) {
          code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
          at += 6;
        }
      }
      add_code_point(out, code >= 0xD800 && code < 0xE000 ? 0xFFFD : code); /* half a pair */
    }
    plain = at;
  }
  json_add(out, between(inside, plain, inside.len));
}
