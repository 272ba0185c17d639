/* operations.h - what the methods have in common.
 *
 * Keys begin with what they are, and their parts are separated by a character that no name holds:
 *   session ID            the record, with the first and the next seq of its messages
 *   message ID SEQ        state SCOPE KEY        lease NAME
 *   stream NAME           the first and the next seq of a journal
 *   record NAME SEQ       counter NAME           numbers that never come back
 * Values are JSON; payloads stand in them byte for byte. */
#ifndef OPERATIONS_H
#define OPERATIONS_H
#include "limits.h"
#include "plain_store.h"

#define SEPARATOR '\n' /* sorts before everything in a name */

struct key {
  char bytes[KEY_BYTES_MAX];
  size_t length;
};
struct key key_of(const char* kind);
void key_add(struct key* key, rai_str part); /* a separator and the part, which is a checked name */
void key_extend(struct key* key, rai_str more); /* without a separator */
void key_add_seq(struct key* key, int64_t seq); /* of one length: in the order of the numbers */
rai_str key_view(const struct key* key);
rai_str key_last_part(rai_str key);
int64_t seq_from(rai_str text);

struct key key_with(const char* kind, rai_str part);
/* The beginning of all keys below kind and part. */
struct key key_below(const char* kind, rai_str part);
struct key key_with_seq(const char* kind, rai_str part, int64_t seq);

int64_t stored_integer(rai_str object, const char* name); /* 0 when it is missing */
rai_status put_value(struct store* store, struct call* call,
                     const struct key* key); /* call->value */
/* Fails when an answer without `more` grows too large, or memory has run out. */
rai_status check_answer(struct call* call);

/* Numbers that are given out once, such as the versions of state. */
int64_t counter(const struct store* store, const char* name);
rai_status raise_counter(struct store* store, struct call* call, const char* name,
                         int64_t at_least);
/* The versions below a state's key count as given out from now on. */
rai_status forget_versions(struct store* store, struct call* call, rai_str prefix);

/* Each reads `request` and adds its result to call->out, or fails. */
typedef rai_status operation(struct store* store, struct call* call, rai_str request);
operation session_create, session_get, session_list, session_update, session_delete;
operation messages_append, messages_range, messages_search;
operation state_get, state_put, state_delete, state_list;
operation journal_append, journal_read, journal_delete;
operation lease_acquire, lease_renew, lease_release;
operation stats;
#endif
