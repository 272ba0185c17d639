/* log_map.h - an ordered map of texts in one file that only grows: transactions, durable, shared by
 * processes.
 *
 * Every process has all of it in memory. A transaction holds a lock, so there is one at a time
 * among all processes; it begins by reading what others have appended, and what it changes is
 * appended as one record with a checksum. A record that a crash cut short is removed by whoever
 * comes next.
 *
 * One thread at a time, but log_map_stop_waiting from any. Errors: UNAVAILABLE, RESOURCE_EXHAUSTED,
 * FAILED_PRECONDITION, DATA_LOSS. */
#ifndef LOG_MAP_H
#define LOG_MAP_H
#include <stdatomic.h>

#include "entry_list.h"
#include "problem.h"

struct map_change;
struct log_map {
  char *path, *lock_path, *new_path; /* made by log_map_open */
  int64_t live_bytes_max;
  atomic_int stopping;
  int lock_file, file; /* -1: not open */
  struct entry_list entries;
  struct map_change* changes; /* of this transaction, in their order */
  size_t changes_count, changes_room;
  struct text record;       /* which says the same */
  int64_t live_bytes, end;  /* end: of the last record that was read or written */
  int64_t rewrite_again_at; /* after a failed one, when the file has grown to this */
};

/* Every other function comes after it, and log_map_close last, also when it fails. */
void log_map_init(struct log_map* map, int64_t live_bytes_max);
/* Makes the folder, and finds out early that nothing can be written there. Opens no file. */
rai_status log_map_open(struct log_map* map, rai_str path, struct problem* problem);
void log_map_close(struct log_map* map);
/* From now on nobody waits for another process. */
void log_map_stop_waiting(struct log_map* map);

/* Everything between begin and commit counts, or nothing of it. After a begin that went well comes
 * one end, which takes back what was not committed. */
rai_status log_map_begin(struct log_map* map, struct problem* problem);
rai_status log_map_commit(struct log_map* map, struct problem* problem); /* on the disk then */
void log_map_end(struct log_map* map);

/* The rest only inside a transaction. What find gives is valid until the entry is changed. */
struct entry* log_map_find(const struct log_map* map, rai_str key);
rai_status log_map_put(struct log_map* map, rai_str key, rai_str value, struct problem* problem);
rai_status log_map_erase(struct log_map* map, rai_str key, struct problem* problem);
rai_status log_map_erase_below(struct log_map* map, rai_str prefix, struct problem* problem);
#endif
