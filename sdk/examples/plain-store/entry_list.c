#include "entry_list.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

static int compare(rai_str one, rai_str other) {
  const size_t shorter = one.len < other.len ? one.len : other.len;
  const int order = shorter > 0 ? memcmp(one.ptr, other.ptr, shorter) : 0;
  return order != 0 ? order : (one.len > other.len) - (one.len < other.len);
}

/* Every second entry reaches one level higher, of these every second one more, and so on. */
static size_t random_levels(struct entry_list* list) {
  uint64_t bits = list->random + 0x9e3779b97f4a7c15;
  list->random = bits;
  bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
  bits ^= bits >> 31;
  size_t levels = 1;
  for (; levels < ENTRY_LEVELS_MAX && (bits & 1); bits >>= 1) ++levels;
  return levels;
}

struct entry* entry_new(struct entry_list* list, rai_str key) {
  const size_t levels = random_levels(list);
  struct entry* const made = calloc(1, sizeof *made + levels * sizeof(struct entry*) + key.len + 1);
  if (!made) return NULL;
  char* const bytes = (char*)(made->next + levels);
  if (key.len > 0) memcpy(bytes, key.ptr, key.len);
  made->key = (rai_str){bytes, key.len};
  made->levels = levels;
  return made;
}

void entry_free(struct entry* entry) {
  if (entry) free(entry->value);
  free(entry);
}

int entry_set(struct entry* entry, rai_str value) {
  char* const copy = malloc(value.len + 1);
  if (!copy) return 0;
  if (value.len > 0) memcpy(copy, value.ptr, value.len);
  free(entry->value);
  entry->value = copy;
  entry->value_bytes = value.len;
  return 1;
}

rai_str entry_value(const struct entry* entry) {
  return (rai_str){entry->value, entry->value_bytes};
}

/* The links that lead to the first entry whose key is not less: one on each level. */
static void find_links(struct entry_list* list, rai_str key,
                       struct entry** links[ENTRY_LEVELS_MAX]) {
  struct entry** row = list->first;
  for (size_t level = ENTRY_LEVELS_MAX; level-- > 0;) {
    while (row[level] && compare(row[level]->key, key) < 0) row = row[level]->next;
    links[level] = &row[level];
  }
}

struct entry* entry_from(const struct entry_list* list, rai_str key) {
  struct entry* const* row = list->first;
  for (size_t level = ENTRY_LEVELS_MAX; level-- > 0;)
    while (row[level] && compare(row[level]->key, key) < 0) row = row[level]->next;
  return row[0];
}

struct entry* entry_find(const struct entry_list* list, rai_str key) {
  struct entry* const found = entry_from(list, key);
  return found && text_same(found->key, key) ? found : NULL;
}

int entry_is_below(const struct entry* entry, rai_str prefix) {
  return entry && entry->key.len >= prefix.len &&
         memcmp(entry->key.ptr, prefix.ptr, prefix.len) == 0;
}

void entry_link(struct entry_list* list, struct entry* entry) {
  struct entry** links[ENTRY_LEVELS_MAX];
  find_links(list, entry->key, links);
  for (size_t level = 0; level < entry->levels; ++level) {
    entry->next[level] = *links[level];
    *links[level] = entry;
  }
}

void entry_unlink(struct entry_list* list, struct entry* entry) {
  struct entry** links[ENTRY_LEVELS_MAX];
  find_links(list, entry->key, links);
  for (size_t level = 0; level < entry->levels; ++level)
    if (*links[level] == entry) *links[level] = entry->next[level];
}

void entry_list_clear(struct entry_list* list) {
  for (struct entry* at = list->first[0]; at;) {
    struct entry* const next = at->next[0];
    entry_free(at);
    at = next;
  }
  memset(list->first, 0, sizeof list->first);
}
