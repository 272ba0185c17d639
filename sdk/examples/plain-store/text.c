#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int text_same(rai_str one, rai_str other) {
  return one.len == other.len && (one.len == 0 || memcmp(one.ptr, other.ptr, one.len) == 0);
}

int text_equal(rai_str text, const char* expected) {
  return text_same(text, (rai_str){expected, strlen(expected)});
}

rai_str text_view(const struct text* text) {
  return (rai_str){text->data, text->length};
}

static int make_room(struct text* out, size_t bytes) {
  if (out->failed) return 0;
  if (out->room - out->length >= bytes) return 1;
  if (bytes > SIZE_MAX / 4 || out->length > SIZE_MAX / 4) return !(out->failed = 1);
  const size_t room = out->length + bytes + out->length / 2 + 64;
  char* const more = realloc(out->data, room);
  if (!more) return !(out->failed = 1);
  out->data = more;
  out->room = room;
  return 1;
}

void text_add(struct text* out, rai_str piece) {
  if (piece.len == 0 || !make_room(out, piece.len)) return;
  memcpy(out->data + out->length, piece.ptr, piece.len);
  out->length += piece.len;
}

void text_add_number(struct text* out, int64_t number) {
  char digits[24];
  const int length = snprintf(digits, sizeof digits, "%lld", (long long)number);
  text_add(out, (rai_str){digits, (size_t)length});
}

void text_add_quoted(struct text* out, rai_str content) {
  size_t plain = 0;
  text_add(out, TEXT("\""));
  for (size_t at = 0; at < content.len; ++at) {
    const unsigned char c = (unsigned char)content.ptr[at];
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    text_add(out, (rai_str){content.ptr + plain, at - plain});
    plain = at + 1;
    if (c < 0x20)
      text_add_format(out, c == '\n' ? "\\n" : "\\u%04x", c);
    else
      text_add(out, c == '"' ? TEXT("\\\"") : TEXT("\\\\"));
  }
  if (content.len > plain) text_add(out, (rai_str){content.ptr + plain, content.len - plain});
  text_add(out, TEXT("\""));
}

void text_add_format(struct text* out, const char* format, ...) {
  va_list values;
  va_start(values, format);
  const int bytes = vsnprintf(NULL, 0, format, values);
  va_end(values);
  if (bytes < 0 || !make_room(out, (size_t)bytes + 1)) {
    out->failed = 1;
    return;
  }
  va_start(values, format);
  vsnprintf(out->data + out->length, (size_t)bytes + 1, format, values);
  va_end(values);
  out->length += (size_t)bytes;
}

void text_clear(struct text* out) {
  out->length = 0;
  out->failed = 0;
}

void text_free(struct text* out) {
  free(out->data);
  *out = (struct text){0};
}

struct arena_block {
  struct arena_block* older;
  _Alignas(max_align_t) char bytes[];
};

void* arena_take(struct arena* from, size_t bytes) {
  if (bytes > SIZE_MAX / 2) return NULL;
  struct arena_block* const block = malloc(sizeof *block + bytes);
  if (!block) return NULL;
  block->older = from->newest;
  from->newest = block;
  return block->bytes;
}

void arena_free(struct arena* all) {
  while (all->newest) {
    struct arena_block* const block = all->newest;
    all->newest = block->older;
    free(block);
  }
}
