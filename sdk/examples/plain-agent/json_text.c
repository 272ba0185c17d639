#include "json_text.h"

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
