/* entry_list.h - texts under keys, in the order of the keys: a skip list. */
#ifndef ENTRY_LIST_H
#define ENTRY_LIST_H
#include <rustic/abi.h>

#define ENTRY_LEVELS_MAX 20

struct entry {
  rai_str key; /* lies behind next */
  char* value; /* allocated; null when there is nothing in it */
  size_t value_bytes;
  size_t levels;
  struct entry* next[]; /* next[0]: the one with the next greater key */
};
struct entry_list {
  struct entry* first[ENTRY_LEVELS_MAX];
  uint64_t random;
};

/* An entry that is in no list; null when there is no memory. */
struct entry* entry_new(struct entry_list* list, rai_str key);
void entry_free(struct entry* entry);
/* Copies it. Returns 0 when there is no memory; then the old value is still there. */
int entry_set(struct entry* entry, rai_str value);
rai_str entry_value(const struct entry* entry);

/* The first entry whose key is not less. */
struct entry* entry_from(const struct entry_list* list, rai_str key);
struct entry* entry_find(const struct entry_list* list, rai_str key);
int entry_is_below(const struct entry* entry, rai_str prefix); /* also when it is null: no */
/* These need no memory. */
void entry_link(struct entry_list* list, struct entry* entry); /* no other may have its key */
void entry_unlink(struct entry_list* list, struct entry* entry);
void entry_list_clear(struct entry_list* list);
#endif
