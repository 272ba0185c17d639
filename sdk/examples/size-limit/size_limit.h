/* size_limit.h - what the policy decides, as plain code. */
#ifndef SIZE_LIMIT_H
#define SIZE_LIMIT_H
#include <stddef.h>

#define SIZE_LIMIT_BYTES ((size_t)256 * 1024) /* of the arguments of one tool call */

int size_limit_exceeded(size_t bytes);

/* Writes the refusal, a JSON object that ends with a NUL, and gives its length without that. The
 * message names what was called, the hint what the model can do. */
size_t size_limit_refusal(char* out, size_t room, const char* target, size_t target_bytes,
                          size_t bytes);
#endif
