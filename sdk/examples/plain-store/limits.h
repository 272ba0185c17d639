/* limits.h - what a request may ask for, and what the store may use. */
#ifndef LIMITS_H
#define LIMITS_H
#include <stddef.h>
#include <stdint.h>

/* What docs/interfaces/storage.md grants to a request. */
#define REQUEST_BYTES_MAX ((size_t)256 << 20)
#define ITEM_BYTES_MAX ((size_t)64 << 20) /* one message, record or value */
#define NAME_BYTES_MAX ((size_t)512)
#define FIELD_BYTES_MAX ((size_t)65536) /* title, agent, workspace, parent */
#define ROLE_BYTES_MAX ((size_t)64)
#define QUERY_BYTES_MAX ((size_t)1024)
#define ITEMS_PER_APPEND_MAX 10000
#define OPERATIONS_PER_APPLY_MAX 1000
#define JSON_LEVELS_MAX 64
#define ROWS_DEFAULT 1000
#define ROWS_MAX 100000
#define HITS_DEFAULT 50
#define HITS_MAX 1000
#define ANSWER_BYTES_DEFAULT ((int64_t)16 << 20)
#define ANSWER_BYTES_MAX ((int64_t)256 << 20)
#define LEASE_TTL_MS_MAX ((int64_t)24 * 3600 * 1000)
#define NOW_MS_MAX ((int64_t)1 << 60)
#define SEQ_MAX (((int64_t)1 << 32) - 1)
#define SNIPPET_BYTES_EACH_SIDE ((size_t)80)
#define EXACT_DOUBLE_MAX ((int64_t)9000000000000000) /* of an integer that is written as 3.0 */

/* What a configuration says when it says nothing. */
#define HISTORY_SIZE_DEFAULT 100000
#define LIVE_BYTES_MAX_DEFAULT ((int64_t)512 << 20)

/* Keys, values and this much for each of them count. */
#define ENTRY_BYTES 128
/* "message", a scope, a key and a number, with what stands between them. */
#define KEY_BYTES_MAX (2 * NAME_BYTES_MAX + 64)
/* One transaction in the file. A request has half of it at most. */
#define RECORD_BYTES_MAX ((size_t)512 << 20)
/* The file is written anew when it holds more than twice what counts, and this. */
#define OUTDATED_BYTES_KEPT ((int64_t)1 << 20)
#define REWRITE_STEP_BYTES ((size_t)4 << 20)

/* Calls that wait for their turn. */
#define WAITING_CALLS_MAX 4096
#define WAITING_BYTES_MAX ((size_t)512 << 20)

/* Waiting for another process that writes. */
#define LOCK_WAIT_MAX_MS 30000
#define LOCK_NAP_MS 2
#endif
