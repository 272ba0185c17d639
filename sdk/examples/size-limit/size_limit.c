#include "size_limit.h"

#include <stdio.h>

#define SHOWN_BYTES_MAX 128 /* of the target; its characters are letters, digits and . _ - / */

int size_limit_exceeded(size_t bytes) {
  return bytes > SIZE_LIMIT_BYTES;
}

size_t size_limit_refusal(char* out, size_t room, const char* target, size_t target_bytes,
                          size_t bytes) {
  const int shown = (int)(target_bytes < SHOWN_BYTES_MAX ? target_bytes : SHOWN_BYTES_MAX);
  const int length =
      snprintf(out, room,
               "{\"message\":\"calling %.*s: its arguments have %zu bytes, %zu more than are "
               "allowed\",\"hint\":\"call it several times with less\"}",
               shown, target, bytes, bytes - SIZE_LIMIT_BYTES);
  if (length < 0) return 0;
  return (size_t)length < room ? (size_t)length : room - 1;
}
