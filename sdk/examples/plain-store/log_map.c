/* The file: a line that says what it is, then records: length of the payload (4 bytes), its
 * checksum (8), a checksum of these two (4), payload. A payload is a row of steps: '+' length of
 * the key, length of the value, key, value; or '-' length of the key, 0, key. Numbers are little
 * endian, lengths have 4 bytes. */
#include "log_map.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "limits.h"

#define HEAD_BYTES ((size_t)16)
#define STEP_BYTES ((size_t)9)

static const char first_line[] = "rustic-ai plain-store 1\n";
#define FIRST_LINE_BYTES (sizeof first_line - 1)

struct map_change {
  struct entry* entry;
  enum { ADDED, CHANGED, REMOVED } what; /* REMOVED: it is in no list now */
  char* old_value;                       /* CHANGED */
  size_t old_bytes;
};

static rai_status cannot(struct problem* problem, const char* what, const char* path, int error) {
  const int full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return FAIL(problem, full ? RAI_RESOURCE_EXHAUSTED : RAI_UNAVAILABLE,
              full ? "free disk space and try again"
                   : "set the storage's connection_string to a file in a folder that this user can "
                     "write to",
              "plain-store: %s %s: %s", what, path, strerror(error));
}

/* --- Bytes --- */

static void put_number(char* out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i, value >>= 8) out[i] = (char)(value & 0xff);
}
static uint64_t get_number(const char* from, size_t bytes) {
  uint64_t value = 0;
  while (bytes-- > 0) value = value << 8 | (unsigned char)from[bytes];
  return value;
}

/* FNV-1a: notices what a crash leaves behind. Nobody is kept from writing a false one. */
static uint64_t checksum(const char* bytes, size_t count) {
  uint64_t sum = 0xcbf29ce484222325;
  for (size_t i = 0; i < count; ++i) sum = (sum ^ (unsigned char)bytes[i]) * 0x100000001b3;
  return sum;
}

/* A record begins with room for its head. */
static void add_step(struct text* record, char sign, rai_str key, rai_str value) {
  char head[STEP_BYTES] = {sign};
  static const char no_head[HEAD_BYTES];
  if (record->length == 0) text_add(record, (rai_str){no_head, HEAD_BYTES});
  put_number(head + 1, key.len, 4);
  put_number(head + 5, value.len, 4);
  text_add(record, (rai_str){head, STEP_BYTES});
  text_add(record, key);
  text_add(record, value);
}
static void close_record(struct text* record) {
  const size_t bytes = record->length - HEAD_BYTES;
  put_number(record->data, bytes, 4);
  put_number(record->data + 4, checksum(record->data + HEAD_BYTES, bytes), 8);
  put_number(record->data + 12, checksum(record->data, 12), 4);
}

/* All of it, or 0 and errno. */
static int write_all(int file, const char* bytes, size_t count, int64_t at) {
  while (count > 0) {
    const ssize_t done = pwrite(file, bytes, count, at);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return 0;
    bytes += done;
    count -= (size_t)done;
    at += done;
  }
  return 1;
}
/* As much as there is up to `count`; -1 and errno. */
static ssize_t read_at(int file, char* out, size_t count, int64_t at) {
  size_t got = 0;
  while (got < count) {
    const ssize_t done = pread(file, out + got, count - got, at + (int64_t)got);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return -1;
    if (done == 0) break;
    got += (size_t)done;
  }
  return (ssize_t)got;
}

static int names_this_file(const char* path, int file) {
  struct stat named, ours;
  return stat(path, &named) == 0 && fstat(file, &ours) == 0 && named.st_ino == ours.st_ino &&
         named.st_dev == ours.st_dev;
}

/* A name is durable when its folder is. */
static int sync_folder_of(struct log_map* map) {
  char* const slash = strrchr(map->path, '/');
  *slash = '\0';
  const int folder = open(slash == map->path ? "/" : map->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  *slash = '/';
  if (folder < 0) return 0;
  const int done = fsync(folder) == 0;
  const int error = errno;
  close(folder);
  errno = error;
  return done;
}

/* --- Beginning and end --- */

void log_map_init(struct log_map* map, int64_t live_bytes_max) {
  memset(map, 0, sizeof *map);
  map->live_bytes_max = live_bytes_max;
  map->file = map->lock_file = -1;
}

static void free_paths(struct log_map* map) {
  free(map->path);
  free(map->lock_path);
  free(map->new_path);
  map->path = map->lock_path = map->new_path = NULL;
}

/* Each folder of the path that is missing. */
static rai_status make_folders(char* path, struct problem* problem) {
  for (char* slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    struct stat found;
    const int made = stat(path, &found) == 0 || mkdir(path, 0700) == 0 || errno == EEXIST;
    if (!made) cannot(problem, "making the folder", path, errno);
    *slash = '/';
    if (!made) return problem->status;
  }
  return RAI_OK;
}

static char* joined(const char* folder, const char* name) {
  const size_t bytes = strlen(folder) + strlen(name) + 1;
  char* const out = malloc(bytes);
  if (out) strcat(strcpy(out, folder), name);
  return out;
}

/* Links are followed, so that everybody who means this file takes the same lock. */
static rai_status find_real_path(struct log_map* map, char* path, struct problem* problem) {
  map->path = realpath(path, NULL);
  if (map->path) return RAI_OK;
  char* const slash = strrchr(path, '/');
  *slash = '\0';
  char* const folder = realpath(slash == path ? "/" : path, NULL);
  *slash = '/';
  if (!folder && errno != ENOMEM) return cannot(problem, "finding the folder of", path, errno);
  if (folder) map->path = joined(strcmp(folder, "/") == 0 ? "" : folder, slash);
  free(folder);
  return map->path ? RAI_OK : FAIL_FOR_MEMORY(problem);
}

rai_status log_map_open(struct log_map* map, rai_str path, struct problem* problem) {
  char* const given = malloc(path.len + 3);
  free_paths(map); /* of an opening that failed */
  if (!given) return FAIL_FOR_MEMORY(problem);
  const size_t front = path.ptr[0] == '/' ? 0 : 2;
  memcpy(given, "./", front);
  memcpy(given + front, path.ptr, path.len);
  given[front + path.len] = '\0';
  rai_status status = make_folders(given, problem);
  if (status == RAI_OK) status = find_real_path(map, given, problem);
  free(given);
  TRY(status);
  map->lock_path = joined(map->path, ".lock");
  map->new_path = joined(map->path, ".new");
  char* const folder = joined(map->path, "");
  if (!map->lock_path || !map->new_path || !folder) {
    free(folder);
    return FAIL_FOR_MEMORY(problem);
  }
  char* const slash = strrchr(folder, '/');
  slash[slash == folder ? 1 : 0] = '\0';
  if (access(folder, W_OK | X_OK) != 0) status = cannot(problem, "writing into", folder, errno);
  free(folder);
  return status;
}

static void close_file(struct log_map* map) {
  if (map->file >= 0) close(map->file);
  map->file = -1;
  map->end = map->rewrite_again_at = map->live_bytes = 0;
  entry_list_clear(&map->entries);
}

void log_map_close(struct log_map* map) {
  close_file(map);
  if (map->lock_file >= 0) close(map->lock_file);
  free(map->changes);
  text_free(&map->record);
  free_paths(map);
  log_map_init(map, map->live_bytes_max);
}

void log_map_stop_waiting(struct log_map* map) {
  atomic_store(&map->stopping, 1);
}

/* --- One at a time, among all processes --- */

static int64_t clock_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static rai_status lock(struct log_map* map, struct problem* problem) {
  const int64_t until = clock_ms() + LOCK_WAIT_MAX_MS;
  for (;;) {
    /* Somebody may have removed it: a lock on a file without a name excludes nobody. */
    if (map->lock_file >= 0 && !names_this_file(map->lock_path, map->lock_file)) {
      close(map->lock_file);
      map->lock_file = -1;
    }
    if (map->lock_file < 0)
      map->lock_file = open(map->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (map->lock_file < 0) return cannot(problem, "opening", map->lock_path, errno);
    if (flock(map->lock_file, LOCK_EX | LOCK_NB) == 0) {
      if (names_this_file(map->lock_path, map->lock_file)) return RAI_OK;
    } else if (errno != EWOULDBLOCK && errno != EINTR) {
      return cannot(problem, "locking", map->lock_path, errno);
    }
    if (atomic_load(&map->stopping) || clock_ms() > until)
      return FAIL(problem, RAI_UNAVAILABLE, "try again; fuser -v shows who has the file open",
                  "plain-store: another process keeps %s locked", map->lock_path);
    poll(NULL, 0, LOCK_NAP_MS);
  }
}

/* --- Reading --- */

/* Reads the first line, or writes it into a file that has nothing yet. */
static rai_status begin_file(struct log_map* map, int64_t size, struct problem* problem) {
  static const char zeros[FIRST_LINE_BYTES];
  char line[FIRST_LINE_BYTES];
  const ssize_t got = read_at(map->file, line, sizeof line, 0);
  if (got < 0) return cannot(problem, "reading", map->path, errno);
  const size_t bytes = (size_t)got;
  if (bytes < sizeof line || memcmp(line, first_line, bytes) != 0) {
    /* A crash may have left a part of the line, or a size without content. */
    if (size > (int64_t)sizeof line ||
        (memcmp(line, first_line, bytes) != 0 && memcmp(line, zeros, bytes) != 0))
      return FAIL(problem, RAI_FAILED_PRECONDITION,
                  "set the storage's connection_string to another path; this file is untouched",
                  "plain-store: %s was written by another program", map->path);
    if (!write_all(map->file, first_line, FIRST_LINE_BYTES, 0) || fdatasync(map->file) != 0 ||
        !sync_folder_of(map))
      return cannot(problem, "writing", map->path, errno);
  }
  map->end = (int64_t)FIRST_LINE_BYTES;
  return RAI_OK;
}

static int64_t size_of(rai_str key, size_t value_bytes) {
  return ENTRY_BYTES + (int64_t)(key.len + value_bytes);
}

static int apply_step(struct log_map* map, char sign, rai_str key, rai_str value) {
  struct entry* entry = entry_find(&map->entries, key);
  if (entry) map->live_bytes -= size_of(key, entry->value_bytes);
  if (sign != '+') {
    if (entry) entry_unlink(&map->entries, entry);
    entry_free(entry);
    return 1;
  }
  if (entry) {
    if (!entry_set(entry, value)) return 0;
  } else {
    entry = entry_new(&map->entries, key);
    if (!entry || !entry_set(entry, value)) {
      entry_free(entry);
      return 0;
    }
    entry_link(&map->entries, entry);
  }
  map->live_bytes += size_of(key, value.len);
  return 1;
}

/* Only what a checksum has vouched for. Returns 0 when there is no memory. */
static int apply_record(struct log_map* map, const char* payload, size_t bytes) {
  for (size_t at = 0; bytes - at >= STEP_BYTES;) {
    const char sign = payload[at];
    const size_t key_bytes = (size_t)get_number(payload + at + 1, 4);
    const size_t value_bytes = (size_t)get_number(payload + at + 5, 4);
    at += STEP_BYTES;
    if (key_bytes > bytes - at || value_bytes > bytes - at - key_bytes) break;
    if (!apply_step(map, sign, (rai_str){payload + at, key_bytes},
                    (rai_str){payload + at + key_bytes, value_bytes}))
      return 0;
    at += key_bytes + value_bytes;
  }
  return 1;
}

/* A size that reached the disk before the content. */
static int only_zeros(const struct log_map* map, int64_t until) {
  char part[4096];
  for (int64_t at = map->end; at < until;) {
    const ssize_t got = read_at(map->file, part, sizeof part, at);
    for (ssize_t i = 0; i < got; ++i)
      if (part[i] != 0) return 0;
    if (got <= 0) return got == 0;
    at += got;
  }
  return 1;
}

enum record_end { RECORD_TAKEN, RECORD_CUT_SHORT, RECORD_DAMAGED, RECORD_UNREAD, RECORD_TOO_LARGE };

/* The record at map->end, in a file of that size. */
static enum record_end take_record(struct log_map* map, int64_t size) {
  char head[HEAD_BYTES];
  const ssize_t got = read_at(map->file, head, HEAD_BYTES, map->end);
  if (got < 0) return RECORD_UNREAD;
  if (got < (ssize_t)HEAD_BYTES) return RECORD_CUT_SHORT;
  if ((uint32_t)checksum(head, 12) != (uint32_t)get_number(head + 12, 4))
    return only_zeros(map, size) ? RECORD_CUT_SHORT : RECORD_DAMAGED;
  const size_t bytes = (size_t)get_number(head, 4);
  const int64_t begin = map->end + (int64_t)HEAD_BYTES, after = begin + (int64_t)bytes;
  if (after > size) return RECORD_CUT_SHORT;
  char* const payload = malloc(bytes + 1);
  if (!payload) return RECORD_TOO_LARGE;
  enum record_end found = RECORD_TAKEN;
  const ssize_t read = read_at(map->file, payload, bytes, begin);
  if (read < 0)
    found = RECORD_UNREAD;
  else if ((size_t)read < bytes || checksum(payload, bytes) != get_number(head + 4, 8))
    found = after >= size ? RECORD_CUT_SHORT : RECORD_DAMAGED; /* only the last one can be cut */
  else if (!apply_record(map, payload, bytes))
    found = RECORD_TOO_LARGE;
  free(payload);
  if (found == RECORD_TAKEN) map->end = after;
  return found;
}

static rai_status read_new_records(struct log_map* map, struct problem* problem) {
  struct stat found;
  /* Another process may have put a shorter one in its place. */
  if (map->file >= 0 && !names_this_file(map->path, map->file)) close_file(map);
  if (map->file >= 0 && fstat(map->file, &found) == 0 && found.st_size < map->end)
    close_file(map); /* never our doing: all of it again */
  if (map->file < 0) map->file = open(map->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (map->file < 0) return cannot(problem, "opening", map->path, errno);
  if (fstat(map->file, &found) != 0) return cannot(problem, "looking at", map->path, errno);
  if (map->end == 0) TRY(begin_file(map, found.st_size, problem));
  while (map->end < found.st_size) switch (take_record(map, found.st_size)) {
      case RECORD_TAKEN:
        break;
      case RECORD_CUT_SHORT:
        if (ftruncate(map->file, map->end) != 0)
          return cannot(problem, "mending", map->path, errno);
        return RAI_OK;
      case RECORD_UNREAD:
        return cannot(problem, "reading", map->path, errno);
      case RECORD_TOO_LARGE:
        return FAIL_FOR_MEMORY(problem);
      case RECORD_DAMAGED:
        text_clear(&problem->hint_text);
        text_add_format(&problem->hint_text,
                        "what stands before is good: keep a copy, then cut the file there with: "
                        "truncate -s %lld '%s'",
                        (long long)map->end, map->path);
        return FAIL(problem, RAI_DATA_LOSS, NULL, "plain-store: %s is damaged at byte %lld",
                    map->path, (long long)map->end);
    }
  return RAI_OK;
}

rai_status log_map_begin(struct log_map* map, struct problem* problem) {
  TRY(lock(map, problem));
  const rai_status status = read_new_records(map, problem);
  if (status == RAI_OK) return RAI_OK;
  close_file(map); /* a record of which only a part was taken is read again */
  flock(map->lock_file, LOCK_UN);
  return status;
}

/* --- Changes --- */

struct entry* log_map_find(const struct log_map* map, rai_str key) {
  return entry_find(&map->entries, key);
}

/* Room for one more change, in memory and in the record. */
static rai_status make_room(struct log_map* map, rai_str key, size_t value_bytes,
                            struct problem* problem) {
  if (map->record.length + STEP_BYTES + key.len + value_bytes > RECORD_BYTES_MAX)
    return FAIL(problem, RAI_RESOURCE_EXHAUSTED, "make it in smaller steps",
                "plain-store: the change has more than %zu bytes", RECORD_BYTES_MAX);
  if (map->changes_count < map->changes_room) return RAI_OK;
  const size_t room = 2 * map->changes_room + 16;
  struct map_change* const more = realloc(map->changes, room * sizeof *more);
  if (!more) return FAIL_FOR_MEMORY(problem);
  map->changes = more;
  map->changes_room = room;
  return RAI_OK;
}

rai_status log_map_put(struct log_map* map, rai_str key, rai_str value, struct problem* problem) {
  struct entry* entry = entry_find(&map->entries, key);
  const int64_t more = size_of(key, value.len) - (entry ? size_of(key, entry->value_bytes) : 0);
  if (more > map->live_bytes_max - map->live_bytes)
    return FAIL(problem, RAI_RESOURCE_EXHAUSTED, "delete sessions, or raise max_bytes",
                "plain-store: %s is full: %lld of %lld bytes are in use and %lld more are wanted",
                map->path, (long long)map->live_bytes, (long long)map->live_bytes_max,
                (long long)more);
  TRY(make_room(map, key, value.len, problem));
  add_step(&map->record, '+', key, value);
  if (map->record.failed) return FAIL_FOR_MEMORY(problem);
  struct map_change change = {.entry = entry, .what = CHANGED};
  if (entry) {
    change.old_value = entry->value;
    change.old_bytes = entry->value_bytes;
    entry->value = NULL;
    if (!entry_set(entry, value)) {
      entry->value = change.old_value;
      return FAIL_FOR_MEMORY(problem);
    }
  } else {
    change.what = ADDED;
    change.entry = entry = entry_new(&map->entries, key);
    if (!entry || !entry_set(entry, value)) {
      entry_free(entry);
      return FAIL_FOR_MEMORY(problem);
    }
    entry_link(&map->entries, entry);
  }
  map->changes[map->changes_count++] = change;
  map->live_bytes += more;
  return RAI_OK;
}

rai_status log_map_erase(struct log_map* map, rai_str key, struct problem* problem) {
  struct entry* const entry = entry_find(&map->entries, key);
  if (!entry) return RAI_OK;
  TRY(make_room(map, key, 0, problem));
  add_step(&map->record, '-', key, (rai_str){NULL, 0});
  if (map->record.failed) return FAIL_FOR_MEMORY(problem);
  entry_unlink(&map->entries, entry);
  map->changes[map->changes_count++] = (struct map_change){.entry = entry, .what = REMOVED};
  map->live_bytes -= size_of(entry->key, entry->value_bytes);
  return RAI_OK;
}

rai_status log_map_erase_below(struct log_map* map, rai_str prefix, struct problem* problem) {
  for (struct entry* at = entry_from(&map->entries, prefix); entry_is_below(at, prefix);) {
    struct entry* const next = at->next[0];
    TRY(log_map_erase(map, at->key, problem));
    at = next;
  }
  return RAI_OK;
}

static void forget_changes(struct log_map* map) {
  for (size_t i = 0; i < map->changes_count; ++i) {
    free(map->changes[i].old_value);
    if (map->changes[i].what == REMOVED) entry_free(map->changes[i].entry);
  }
  map->changes_count = 0;
  if (map->record.room > REWRITE_STEP_BYTES) text_free(&map->record);
  text_clear(&map->record);
}

static void take_back(struct log_map* map) {
  for (size_t i = map->changes_count; i-- > 0;) {
    struct map_change* const change = &map->changes[i];
    struct entry* const entry = change->entry;
    if (change->what == REMOVED) {
      entry_link(&map->entries, entry);
      map->live_bytes += size_of(entry->key, entry->value_bytes);
      continue;
    }
    map->live_bytes -= size_of(entry->key, entry->value_bytes);
    if (change->what == ADDED) {
      entry_unlink(&map->entries, entry);
      entry_free(entry);
      continue;
    }
    free(entry->value);
    entry->value = change->old_value;
    entry->value_bytes = change->old_bytes;
    map->live_bytes += size_of(entry->key, entry->value_bytes);
  }
  map->changes_count = 0;
  forget_changes(map);
}

/* --- Writing --- */

/* All entries into a new file. Returns 0 when that fails. */
static int write_entries(const struct log_map* map, int file, struct text* record, int64_t* end) {
  if (!write_all(file, first_line, FIRST_LINE_BYTES, 0)) return 0;
  *end = (int64_t)FIRST_LINE_BYTES;
  for (const struct entry* at = map->entries.first[0]; at; at = at->next[0]) {
    add_step(record, '+', at->key, entry_value(at));
    if (record->failed) return 0;
    if (at->next[0] && record->length < REWRITE_STEP_BYTES) continue;
    close_record(record);
    if (!write_all(file, record->data, record->length, *end)) return 0;
    *end += (int64_t)record->length;
    text_clear(record);
  }
  return fsync(file) == 0;
}

/* What counts goes into a new file that takes the name. When that fails, the old one goes on. */
static void rewrite(struct log_map* map) {
  struct text record = {0};
  int64_t end = 0;
  map->rewrite_again_at = 2 * map->end;
  const int made = open(map->new_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (made < 0) return;
  const int good = write_entries(map, made, &record, &end) && rename(map->new_path, map->path) == 0;
  text_free(&record);
  if (!good) {
    close(made);
    unlink(map->new_path);
    return;
  }
  sync_folder_of(map);
  close(map->file);
  map->file = made;
  map->end = end;
  map->rewrite_again_at = 0;
}

rai_status log_map_commit(struct log_map* map, struct problem* problem) {
  if (map->changes_count == 0) return RAI_OK;
  close_record(&map->record);
  if (!write_all(map->file, map->record.data, map->record.length, map->end) ||
      fdatasync(map->file) != 0) {
    const int error = errno;
    /* What is on the disk now nobody knows: cut, and read anew by the next call. */
    const int cut = ftruncate(map->file, map->end) == 0;
    take_back(map);
    close_file(map);
    if (cut) return cannot(problem, "writing", map->path, error);
    return FAIL(problem, RAI_DATA_LOSS, "look at the disk; the change may or may not be there",
                "plain-store: writing %s: %s, and the half of it could not be taken back",
                map->path, strerror(error));
  }
  map->end += (int64_t)map->record.length;
  forget_changes(map);
  if (map->end > 2 * map->live_bytes + OUTDATED_BYTES_KEPT && map->end > map->rewrite_again_at)
    rewrite(map);
  return RAI_OK;
}

void log_map_end(struct log_map* map) {
  take_back(map);
  flock(map->lock_file, LOCK_UN);
}
