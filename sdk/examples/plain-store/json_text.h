/* json_text.h - looks into a JSON text without building a tree.
 *
 * A text is checked once, as a whole; then values are cut out of it as the text that they are in: a
 * string with its quotes and escapes, an object with its braces. So payloads keep their bytes. */
#ifndef JSON_TEXT_H
#define JSON_TEXT_H
#include <rustic/abi.h>

/* Whether all of it is one JSON value in UTF-8, without half surrogate pairs, and not too deep. */
int json_is_value(rai_str text);

/* The rest only for texts that were checked, or that this program wrote. */

/* The member of that name; an empty text when there is none. The last of equal ones counts. */
rai_str json_member(rai_str object, const char* name);
/* The same for an object whose members have different names: looks no further than it has to. */
rai_str json_first_member(rai_str object, const char* name);
/* The items of an array one after the other: begin with *at = 0. Returns 0 behind the last one. */
int json_next(rai_str array, size_t* at, rai_str* item);

/* '{' '[' '"' 't' 'f' 'n' or '0' for a number; '\0' for an empty text. */
char json_kind(rai_str value);
/* What stands between the quotes of a string; an empty text for any other value. */
rai_str json_inside(rai_str value);
/* Writes what the inside of a string stands for into `out`, which has room for inside.len bytes,
 * and returns how many bytes that are. */
size_t json_decode(rai_str inside, char* out);
/* Returns 0 for what is no integer of 64 bits. 3.0 and 3E0 are integers. */
int json_integer(rai_str value, int64_t* out);
#endif
