#include "message_text.h"

#include <string.h>

#include "json_text.h"
#include "limits.h"

/* Lower case of a letter that is two bytes long in UTF-8 and stays so. */
static unsigned lower_two_byte(unsigned c) {
  if (c >= 0xC0 && c <= 0xDE && c != 0xD7) return c + 0x20;
  if ((c >= 0x100 && c <= 0x12F) || (c >= 0x132 && c <= 0x137) || (c >= 0x14A && c <= 0x177) ||
      (c >= 0x460 && c <= 0x481) || (c >= 0x48A && c <= 0x4BF) || (c >= 0x4D0 && c <= 0x52F))
    return c | 1;
  if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E)) return c % 2 == 1 ? c + 1 : c;
  if (c == 0x386) return 0x3AC;
  if (c >= 0x388 && c <= 0x38A) return c + 0x25;
  if (c == 0x38C) return 0x3CC;
  if (c == 0x38E || c == 0x38F) return c + 0x3F;
  if (c >= 0x391 && c <= 0x3AB && c != 0x3A2) return c + 0x20;
  if (c >= 0x400 && c <= 0x40F) return c + 0x50;
  if (c >= 0x410 && c <= 0x42F) return c + 0x20;
  return c;
}

/* Without a change of length, so that places in one are places in the other. */
static void add_lower(struct text* out, rai_str text) {
  const size_t begin = out->length;
  text_add(out, text);
  if (out->failed) return;
  for (size_t at = begin; at < out->length; ++at) {
    const unsigned char lead = (unsigned char)out->data[at];
    if (lead >= 'A' && lead <= 'Z') {
      out->data[at] = (char)(lead + ('a' - 'A'));
    } else if (lead >= 0xC3 && lead <= 0xD4 && at + 1 < out->length) {
      const unsigned trail = (unsigned char)out->data[at + 1];
      const unsigned lower = lower_two_byte((lead & 0x1Fu) << 6 | (trail & 0x3Fu));
      out->data[at] = (char)(0xC0u | lower >> 6);
      out->data[++at] = (char)(0x80u | (lower & 0x3Fu));
    }
  }
}

void text_query_init(struct text_query* query, rai_str words) {
  *query = (struct text_query){0};
  add_lower(&query->folded, words);
  query->failed = query->folded.failed;
}

void text_query_free(struct text_query* query) {
  text_free(&query->folded);
  text_free(&query->decoded);
  text_free(&query->lower);
  text_free(&query->snippet);
}

/* Where `wanted` begins in `text`; its length when it does not. */
static size_t find(rai_str text, rai_str wanted) {
  for (size_t at = 0; at < text.len && text.len - at >= wanted.len; ++at) {
    const char* const next = memchr(text.ptr + at, wanted.ptr[0], text.len - at - wanted.len + 1);
    if (!next) break;
    at = (size_t)(next - text.ptr);
    if (memcmp(next, wanted.ptr, wanted.len) == 0) return at;
  }
  return text.len;
}

static int is_continuation(char c) {
  return ((unsigned char)c & 0xC0) == 0x80;
}

static void make_snippet(struct text_query* query, rai_str text, size_t at) {
  size_t begin = at > SNIPPET_BYTES_EACH_SIDE ? at - SNIPPET_BYTES_EACH_SIDE : 0;
  size_t end = at + query->folded.length + SNIPPET_BYTES_EACH_SIDE;
  if (end > text.len) end = text.len;
  while (begin < at && is_continuation(text.ptr[begin])) ++begin;
  while (end < text.len && is_continuation(text.ptr[end])) ++end;
  text_clear(&query->snippet);
  if (begin > 0) text_add(&query->snippet, TEXT("…"));
  const size_t from = query->snippet.length;
  text_add(&query->snippet, (rai_str){text.ptr + begin, end - begin});
  for (size_t i = from; i < query->snippet.length; ++i)
    if ((unsigned char)query->snippet.data[i] < 0x20) query->snippet.data[i] = ' ';
  if (end < text.len) text_add(&query->snippet, TEXT("…"));
}

/* A JSON value, of which only a string counts. */
static int match_string(struct text_query* query, rai_str value) {
  const rai_str inside = json_inside(value);
  if (inside.len == 0) return 0;
  text_clear(&query->decoded);
  text_add(&query->decoded, inside); /* what it stands for is never longer */
  text_clear(&query->lower);
  if (query->decoded.failed) query->failed = 1;
  if (query->failed) return 0;
  query->decoded.length = json_decode(inside, query->decoded.data);
  const rai_str text = text_view(&query->decoded);
  add_lower(&query->lower, text);
  if (query->lower.failed) query->failed = 1;
  if (query->failed) return 0;
  const size_t at = find(text_view(&query->lower), text_view(&query->folded));
  if (at == text.len) return 0;
  make_snippet(query, text, at);
  if (query->snippet.failed) query->failed = 1;
  return !query->failed;
}

int text_query_match(struct text_query* query, rai_str parts) {
  static const char* const searched[] = {"text", "output", "arguments", "name"};
  rai_str part;
  for (size_t at = 0; json_next(parts, &at, &part);) {
    if (match_string(query, part)) return 1;
    for (size_t i = 0; i < sizeof searched / sizeof *searched; ++i)
      if (match_string(query, json_member(part, searched[i]))) return 1;
  }
  return 0;
}
