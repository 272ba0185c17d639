/* text.h - texts that grow, and memory that goes with the call that took it. */
#ifndef TEXT_H
#define TEXT_H
#include <rustic/abi.h>

#define TEXT(literal) ((rai_str){literal, sizeof(literal) - 1})
/* For "%.*s". */
#define SHOWN(text) (int)(text).len, (text).ptr ? (text).ptr : ""

int text_equal(rai_str text, const char* expected);
int text_same(rai_str one, rai_str other);

/* When memory runs out, failed is set and nothing is added any more. */
struct text {
  char* data;
  size_t length, room;
  int failed;
};
rai_str text_view(const struct text* text);
void text_add(struct text* out, rai_str piece);
void text_add_number(struct text* out, int64_t number);
/* A JSON string of that content. */
void text_add_quoted(struct text* out, rai_str content);
void text_add_format(struct text* out, const char* format, ...)
    __attribute__((format(printf, 2, 3)));
/* Empty again; keeps its memory. */
void text_clear(struct text* out);
void text_free(struct text* out);

/* Blocks that are freed together. */
struct arena {
  struct arena_block* newest;
};
void* arena_take(struct arena* from, size_t bytes); /* null when there is no memory */
void arena_free(struct arena* all);
#endif
