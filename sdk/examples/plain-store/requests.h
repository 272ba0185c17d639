/* requests.h - one call: what it asks for, read and checked, and what it is answered. */
#ifndef REQUESTS_H
#define REQUESTS_H
#include "problem.h"

struct call {
  rai_str method;      /* the one that runs: inside apply, the operation's */
  struct arena memory; /* of what was read */
  struct problem problem;
  struct text out;   /* the result */
  struct text value; /* what is about to be put into the map */
};
void call_free(struct call* call);

/* Ends a function: the request is wrong, and why. */
#define INVALID(call, ...)                                                     \
  (text_add_format(&(call)->problem.message, "%.*s: ", SHOWN((call)->method)), \
   FAIL(&(call)->problem, RAI_INVALID_ARGUMENT, NULL, __VA_ARGS__))

/* Each of these reads one member. A member that is null counts as missing. */

struct number {
  int is_given;
  int64_t value;
};

/* Decoded. `out` has no ptr when the member is missing. */
rai_status read_optional_text(struct call* call, rai_str from, const char* key, rai_str* out);
/* 1 to NAME_BYTES_MAX bytes without control characters. */
rai_status read_name(struct call* call, rai_str from, const char* key, rai_str* out);
rai_status read_session_id(struct call* call, rai_str from, const char* key, rai_str* out);
/* A text of a session, as the JSON string that it is kept in. */
rai_status read_field(struct call* call, rai_str from, const char* key, rai_str* out);
rai_status read_query(struct call* call, rai_str from, rai_str* out);
rai_status read_role(struct call* call, rai_str from, rai_str* out);

/* The member's JSON, of the kind '{' or '['. */
rai_status read_optional_json(struct call* call, rai_str from, const char* key, char kind,
                              rai_str* out);
rai_status read_json(struct call* call, rai_str from, const char* key, char kind, rai_str* out);
rai_status read_metadata(struct call* call, rai_str from, rai_str* out);
/* The value of a state: any JSON, also null, but it must be there. */
rai_status read_value(struct call* call, rai_str from, rai_str* out);
/* A list that must not be empty; gives how many items it has. */
rai_status read_items(struct call* call, rai_str from, const char* key, rai_str* out,
                      int64_t* count);

rai_status read_optional_number(struct call* call, rai_str from, const char* key,
                                struct number* out);
rai_status read_number(struct call* call, rai_str from, const char* key, int64_t* out);
rai_status read_not_negative(struct call* call, rai_str from, const char* key, struct number* out);
rai_status read_between(struct call* call, rai_str from, const char* key, int64_t least,
                        int64_t most, int64_t* out);
/* At least 1; what is above `most` counts as `most`. */
rai_status read_limit(struct call* call, rai_str from, const char* key, int64_t otherwise,
                      int64_t most, int64_t* out);
rai_status read_flag(struct call* call, rai_str from, const char* key, int* out);

rai_status check_bytes(struct call* call, const char* what, size_t bytes, size_t most);
#endif
