/* json_text.h - looks into a JSON text without building a tree, and puts others together.
 *
 * Values are given as the text that they are in: a string with its quotes and escapes, an object
 * with its braces. So a value can be put into another text as it is. No function allocates but
 * those of json_out. */
#ifndef JSON_TEXT_H
#define JSON_TEXT_H
#include <rustic/abi.h>

#define JSON_TEXT(literal) ((rai_str){literal, sizeof(literal) - 1})
#define JSON_LEVELS_MAX 64

/* The member of that name at the top level of an object; an empty text when there is none, or when
 * the object is malformed before its end. */
rai_str json_member(rai_str object, const char* name);

/* The items of an array one after the other: begin with *at = 0. Returns 0 behind the last one. */
int json_next(rai_str array, size_t* at, rai_str* item);

/* What stands between the quotes of a string; an empty text for any other value. */
rai_str json_inside(rai_str value);

int json_equal(rai_str value, const char* expected); /* value: as json_inside gives it */

/* A text that grows. When memory runs out, failed is set and nothing is added any more. */
struct json_out {
  char* data;
  size_t length, room;
  int failed;
};
void json_add(struct json_out* out, rai_str piece);
/* `piece`, or `otherwise` when it is empty. */
void json_add_or(struct json_out* out, rai_str piece, const char* otherwise);
#endif
