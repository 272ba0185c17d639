#include "requests.h"

#include <string.h>

#include "json_text.h"
#include "limits.h"

void call_free(struct call* call) {
  arena_free(&call->memory);
  text_free(&call->problem.message);
  text_free(&call->problem.hint_text);
  text_free(&call->problem.details);
  text_free(&call->out);
  text_free(&call->value);
}

rai_status check_bytes(struct call* call, const char* what, size_t bytes, size_t most) {
  if (bytes <= most) return RAI_OK;
  return INVALID(call, "\"%s\" has %zu bytes; at most %zu are taken", what, bytes, most);
}

static rai_str member(rai_str from, const char* key) {
  const rai_str found = json_member(from, key);
  return json_kind(found) == 'n' ? (rai_str){NULL, 0} : found;
}

static rai_status missing(struct call* call, const char* key) {
  return INVALID(call, "\"%s\" is missing", key);
}

/* --- Texts --- */

rai_status read_optional_text(struct call* call, rai_str from, const char* key, rai_str* out) {
  const rai_str found = member(from, key), inside = json_inside(found);
  *out = inside;
  if (found.len == 0) return RAI_OK;
  if (json_kind(found) != '"') return INVALID(call, "\"%s\" must be a string", key);
  if (!memchr(inside.ptr, '\\', inside.len)) return RAI_OK;
  char* const decoded = arena_take(&call->memory, inside.len);
  if (!decoded) return FAIL_FOR_MEMORY(&call->problem);
  *out = (rai_str){decoded, json_decode(inside, decoded)};
  return RAI_OK;
}

static rai_status read_text(struct call* call, rai_str from, const char* key, rai_str* out) {
  TRY(read_optional_text(call, from, key, out));
  return out->ptr ? RAI_OK : missing(call, key);
}

rai_status read_name(struct call* call, rai_str from, const char* key, rai_str* out) {
  TRY(read_text(call, from, key, out));
  if (out->len == 0) return INVALID(call, "\"%s\" is empty", key);
  TRY(check_bytes(call, key, out->len, NAME_BYTES_MAX));
  for (size_t i = 0; i < out->len; ++i)
    if ((unsigned char)out->ptr[i] < 0x20)
      return INVALID(call, "\"%s\" must not hold control characters", key);
  return RAI_OK;
}

/* A slash would make one session's streams look like another's. */
rai_status read_session_id(struct call* call, rai_str from, const char* key, rai_str* out) {
  TRY(read_name(call, from, key, out));
  if (!memchr(out->ptr, '/', out->len)) return RAI_OK;
  return INVALID(call, "\"%s\" must not hold \"/\"", key);
}

rai_status read_field(struct call* call, rai_str from, const char* key, rai_str* out) {
  struct text quoted = {0};
  TRY(read_optional_text(call, from, key, out));
  if (!out->ptr) return RAI_OK;
  TRY(check_bytes(call, key, out->len, FIELD_BYTES_MAX));
  if (memchr(out->ptr, '\0', out->len))
    return INVALID(call, "\"%s\" must not hold a NUL character", key);
  text_add_quoted(&quoted, *out);
  char* const kept = quoted.failed ? NULL : arena_take(&call->memory, quoted.length);
  if (kept) memcpy(kept, quoted.data, quoted.length);
  *out = (rai_str){kept, quoted.length};
  text_free(&quoted);
  return kept ? RAI_OK : FAIL_FOR_MEMORY(&call->problem);
}

rai_status read_query(struct call* call, rai_str from, rai_str* out) {
  TRY(read_text(call, from, "query", out));
  if (out->len == 0) return INVALID(call, "\"query\" is empty");
  return check_bytes(call, "query", out->len, QUERY_BYTES_MAX);
}

rai_status read_role(struct call* call, rai_str from, rai_str* out) {
  TRY(read_text(call, from, "role", out));
  int plain = out->len > 0 && out->len <= ROLE_BYTES_MAX;
  for (size_t i = 0; plain && i < out->len; ++i) {
    const char c = out->ptr[i], small = (char)(c | 0x20);
    plain = (small >= 'a' && small <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
            c == '.';
  }
  if (plain) return RAI_OK;
  return INVALID(call, "\"role\" must be 1 to %zu letters, digits, \"_\", \"-\" or \".\"",
                 ROLE_BYTES_MAX);
}

/* --- JSON --- */

rai_status read_optional_json(struct call* call, rai_str from, const char* key, char kind,
                              rai_str* out) {
  *out = member(from, key);
  if (out->len == 0 || json_kind(*out) == kind) return RAI_OK;
  return INVALID(call, "\"%s\" must be %s", key, kind == '{' ? "an object" : "an array");
}

rai_status read_json(struct call* call, rai_str from, const char* key, char kind, rai_str* out) {
  TRY(read_optional_json(call, from, key, kind, out));
  return out->len > 0 ? RAI_OK : missing(call, key);
}

rai_status read_metadata(struct call* call, rai_str from, rai_str* out) {
  TRY(read_optional_json(call, from, "metadata", '{', out));
  return check_bytes(call, "metadata", out->len, ITEM_BYTES_MAX);
}

rai_status read_value(struct call* call, rai_str from, rai_str* out) {
  *out = json_member(from, "value");
  if (out->len == 0) return missing(call, "value");
  return check_bytes(call, "value", out->len, ITEM_BYTES_MAX);
}

rai_status read_items(struct call* call, rai_str from, const char* key, rai_str* out,
                      int64_t* count) {
  rai_str item;
  TRY(read_json(call, from, key, '[', out));
  *count = 0;
  for (size_t at = 0; json_next(*out, &at, &item);) {
    if (++*count > ITEMS_PER_APPEND_MAX)
      return INVALID(call, "\"%s\" holds more than %d, which is as many as are taken at once", key,
                     ITEMS_PER_APPEND_MAX);
    if (json_kind(item) != '{') return INVALID(call, "each of \"%s\" must be an object", key);
    TRY(check_bytes(call, key, item.len, ITEM_BYTES_MAX));
  }
  return *count > 0 ? RAI_OK : INVALID(call, "\"%s\" is empty", key);
}

/* --- Numbers --- */

rai_status read_optional_number(struct call* call, rai_str from, const char* key,
                                struct number* out) {
  const rai_str found = member(from, key);
  *out = (struct number){found.len > 0, 0};
  if (!out->is_given || json_integer(found, &out->value)) return RAI_OK;
  return INVALID(call, "\"%s\" must be an integer", key);
}

rai_status read_number(struct call* call, rai_str from, const char* key, int64_t* out) {
  struct number found;
  TRY(read_optional_number(call, from, key, &found));
  *out = found.value;
  return found.is_given ? RAI_OK : missing(call, key);
}

rai_status read_not_negative(struct call* call, rai_str from, const char* key, struct number* out) {
  TRY(read_optional_number(call, from, key, out));
  return out->value >= 0 ? RAI_OK : INVALID(call, "\"%s\" must not be negative", key);
}

rai_status read_between(struct call* call, rai_str from, const char* key, int64_t least,
                        int64_t most, int64_t* out) {
  TRY(read_number(call, from, key, out));
  if (*out >= least && *out <= most) return RAI_OK;
  return INVALID(call, "\"%s\" must lie in %lld to %lld", key, (long long)least, (long long)most);
}

rai_status read_limit(struct call* call, rai_str from, const char* key, int64_t otherwise,
                      int64_t most, int64_t* out) {
  struct number found;
  TRY(read_optional_number(call, from, key, &found));
  if (found.is_given && found.value < 1) return INVALID(call, "\"%s\" must be at least 1", key);
  *out = !found.is_given ? otherwise : found.value < most ? found.value : most;
  return RAI_OK;
}

rai_status read_flag(struct call* call, rai_str from, const char* key, int* out) {
  const rai_str found = member(from, key);
  const char kind = json_kind(found);
  *out = kind == 't';
  if (kind == '\0' || kind == 't' || kind == 'f') return RAI_OK;
  return INVALID(call, "\"%s\" must be true or false", key);
}
