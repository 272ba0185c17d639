/* Sessions and their messages. A session lies in the map as
 *   {"first":1,"next":1,"id":...,"version":1,"metadata":{...}}
 * and what follows the first two members is also the end of its JSON in an answer. */
#include <stdlib.h>
#include <string.h>

#include "json_text.h"
#include "message_text.h"
#include "operations.h"

struct session {
  rai_str id;
  struct key key;
  rai_str value, tail; /* into the map: all of it; from "id" on */
  int64_t first, next; /* of its messages: seq from first up to next, without gaps */
};

static void take_value(struct session* out, rai_str value) {
  const rai_str next = json_first_member(value, "next");
  const char* const tail = next.ptr + next.len + 1;
  out->value = value;
  out->tail = (rai_str){tail, value.len - (size_t)(tail - value.ptr)};
  out->first = stored_integer(value, "first");
  out->next = stored_integer(value, "next");
}

static rai_status find_session(struct store* store, struct call* call, rai_str id,
                               struct session* out) {
  out->id = id;
  out->key = key_with("session", id);
  const struct entry* const found = log_map_find(&store->map, key_view(&out->key));
  if (!found)
    return FAIL(&call->problem, RAI_NOT_FOUND, "session.list gives those that exist",
                "there is no session \"%.*s\"", SHOWN(id));
  take_value(out, entry_value(found));
  return RAI_OK;
}

static rai_status read_session(struct store* store, struct call* call, rai_str request,
                               const char* key, struct session* out) {
  rai_str id;
  TRY(read_session_id(call, request, key, &id));
  return find_session(store, call, id, out);
}

static rai_status put_session(struct store* store, struct call* call,
                              const struct session* session) {
  text_clear(&call->value);
  text_add_format(&call->value, "{\"first\":%lld,\"next\":%lld,", (long long)session->first,
                  (long long)session->next);
  text_add(&call->value, session->tail);
  return put_value(store, call, &session->key);
}

static void add_session(struct text* out, const struct session* session) {
  text_add_format(out, "{\"message_count\":%lld,", (long long)(session->next - session->first));
  text_add(out, session->tail);
}

static rai_status answer_session(struct call* call, const struct session* session) {
  text_add(&call->out, TEXT("{\"session\":"));
  add_session(&call->out, session);
  text_add(&call->out, TEXT("}"));
  return RAI_OK;
}

/* --- Sessions --- */

enum { TITLE, AGENT, WORKSPACE, PARENT, FIELDS };
static const char* const field_names[FIELDS] = {"title", "agent", "workspace", "parent"};

struct fields {
  rai_str id, texts[FIELDS], metadata; /* as JSON; what is missing has no ptr */
  int64_t created_at_ms, updated_at_ms, version;
};

/* The tail of a session, in memory that goes with the call. */
static rai_status make_tail(struct call* call, const struct fields* with, rai_str* out) {
  struct text text = {0};
  text_add(&text, TEXT("\"id\":"));
  text_add(&text, with->id);
  text_add_format(&text, ",\"created_at_ms\":%lld,\"updated_at_ms\":%lld",
                  (long long)with->created_at_ms, (long long)with->updated_at_ms);
  for (int i = 0; i < FIELDS; ++i) {
    if (!with->texts[i].ptr) continue;
    text_add_format(&text, ",\"%s\":", field_names[i]);
    text_add(&text, with->texts[i]);
  }
  text_add_format(&text, ",\"version\":%lld", (long long)with->version);
  if (with->metadata.len > 0) {
    text_add(&text, TEXT(",\"metadata\":"));
    text_add(&text, with->metadata);
  }
  text_add(&text, TEXT("}"));
  char* const kept = text.failed ? NULL : arena_take(&call->memory, text.length);
  if (kept) memcpy(kept, text.data, text.length);
  *out = (rai_str){kept, text.length};
  text_free(&text);
  return kept ? RAI_OK : FAIL_FOR_MEMORY(&call->problem);
}

rai_status session_create(struct store* store, struct call* call, rai_str request) {
  struct session session = {.first = 1, .next = 1};
  struct fields fields = {.version = 1};
  rai_str from;
  TRY(read_json(call, request, "session", '{', &from));
  TRY(read_session_id(call, from, "id", &session.id));
  TRY(read_field(call, from, "id", &fields.id));
  TRY(read_number(call, from, "created_at_ms", &fields.created_at_ms));
  TRY(read_number(call, from, "updated_at_ms", &fields.updated_at_ms));
  for (int i = 0; i < FIELDS; ++i) TRY(read_field(call, from, field_names[i], &fields.texts[i]));
  TRY(read_metadata(call, from, &fields.metadata));
  session.key = key_with("session", session.id);
  if (log_map_find(&store->map, key_view(&session.key)))
    return FAIL(&call->problem, RAI_ALREADY_EXISTS, "choose another id",
                "there is a session \"%.*s\" already", SHOWN(session.id));
  TRY(make_tail(call, &fields, &session.tail));
  TRY(put_session(store, call, &session));
  return answer_session(call, &session);
}

rai_status session_get(struct store* store, struct call* call, rai_str request) {
  struct session session;
  TRY(read_session(store, call, request, "id", &session));
  return answer_session(call, &session);
}

/* What a list or a search is sorted by: the newest first, of equal ones the greater key. */
struct candidate {
  int64_t at_ms;
  const struct entry* entry;
};
static int compare_candidates(const void* one, const void* other) {
  const struct candidate *const a = one, *const b = other;
  if (a->at_ms != b->at_ms) return a->at_ms < b->at_ms ? 1 : -1;
  const rai_str left = a->entry->key, right = b->entry->key;
  const int order = memcmp(left.ptr, right.ptr, left.len < right.len ? left.len : right.len);
  if (order != 0) return order < 0 ? 1 : -1;
  return (left.len < right.len) - (left.len > right.len);
}

/* Room for all entries below a key; their number goes to `count`. */
static rai_status take_candidates(struct store* store, struct call* call, const struct key* below,
                                  size_t* count, struct candidate** out) {
  *count = 0;
  for (const struct entry* at = entry_from(&store->map.entries, key_view(below));
       entry_is_below(at, key_view(below)); at = at->next[0])
    ++*count;
  *out = arena_take(&call->memory, *count * sizeof **out);
  return *out ? RAI_OK : FAIL_FOR_MEMORY(&call->problem);
}

rai_status session_list(struct store* store, struct call* call, rai_str request) {
  const struct key below = key_with("session", (rai_str){NULL, 0});
  struct number before;
  struct candidate* found;
  rai_str before_id, workspace;
  int64_t limit;
  size_t count = 0, room;
  TRY(read_limit(call, request, "limit", ROWS_DEFAULT, ROWS_MAX, &limit));
  TRY(read_optional_number(call, request, "before_updated_at_ms", &before));
  TRY(read_optional_text(call, request, "before_id", &before_id));
  if (before_id.ptr && !before.is_given)
    return INVALID(call, "\"before_id\" needs \"before_updated_at_ms\"");
  TRY(read_field(call, request, "workspace", &workspace));
  TRY(take_candidates(store, call, &below, &room, &found));
  for (const struct entry* at = entry_from(&store->map.entries, key_view(&below));
       entry_is_below(at, key_view(&below)); at = at->next[0]) {
    const rai_str value = entry_value(at), id = key_last_part(at->key);
    const int64_t updated_at_ms = stored_integer(value, "updated_at_ms");
    if (workspace.ptr && !text_same(json_first_member(value, "workspace"), workspace)) continue;
    if (before.is_given && updated_at_ms > before.value) continue;
    if (before.is_given && updated_at_ms == before.value) {
      const size_t shorter = id.len < before_id.len ? id.len : before_id.len;
      const int order = shorter > 0 ? memcmp(id.ptr, before_id.ptr, shorter) : 0;
      if (order > 0 || (order == 0 && id.len >= before_id.len)) continue;
    }
    found[count++] = (struct candidate){updated_at_ms, at};
  }
  if (count > 1) qsort(found, count, sizeof *found, compare_candidates);
  text_add(&call->out, TEXT("{\"sessions\":["));
  for (size_t i = 0; i < count && (int64_t)i < limit; ++i) {
    struct session session;
    take_value(&session, entry_value(found[i].entry));
    if (i > 0) text_add(&call->out, TEXT(","));
    add_session(&call->out, &session);
    TRY(check_answer(call));
  }
  text_add(&call->out, TEXT("]}"));
  return RAI_OK;
}

static rai_status check_changes(struct call* call, rai_str changes) {
  static const char* const fixed[] = {"id", "created_at_ms", "version", "message_count"};
  for (size_t i = 0; i < sizeof fixed / sizeof *fixed; ++i)
    if (json_member(changes, fixed[i]).len > 0)
      return INVALID(call, "\"changes\" must not hold \"%s\"", fixed[i]);
  return RAI_OK;
}

rai_status session_update(struct store* store, struct call* call, rai_str request) {
  struct session session;
  struct number expected;
  rai_str changes;
  TRY(read_session(store, call, request, "id", &session));
  TRY(read_optional_number(call, request, "expected_version", &expected));
  TRY(read_json(call, request, "changes", '{', &changes));
  TRY(check_changes(call, changes));
  const rai_str old = session.value;
  struct fields fields = {.id = json_first_member(old, "id"),
                          .metadata = json_first_member(old, "metadata"),
                          .created_at_ms = stored_integer(old, "created_at_ms"),
                          .updated_at_ms = stored_integer(old, "updated_at_ms"),
                          .version = stored_integer(old, "version")};
  if (json_member(changes, "updated_at_ms").len > 0)
    TRY(read_number(call, changes, "updated_at_ms", &fields.updated_at_ms));
  for (int i = 0; i < FIELDS; ++i)
    if (json_member(changes, field_names[i]).len > 0)
      TRY(read_field(call, changes, field_names[i], &fields.texts[i]));
    else
      fields.texts[i] = json_first_member(old, field_names[i]);
  if (json_member(changes, "metadata").len > 0) TRY(read_metadata(call, changes, &fields.metadata));
  if (expected.is_given && expected.value != fields.version) {
    text_add_format(&call->problem.details, "\"version\":%lld", (long long)fields.version);
    return FAIL(&call->problem, RAI_ABORTED, "read the session again and repeat the change",
                "session \"%.*s\" has version %lld, not %lld", SHOWN(session.id),
                (long long)fields.version, (long long)expected.value);
  }
  ++fields.version;
  TRY(make_tail(call, &fields, &session.tail));
  TRY(put_session(store, call, &session));
  return answer_session(call, &session);
}

rai_status session_delete(struct store* store, struct call* call, rai_str request) {
  rai_str id;
  TRY(read_session_id(call, request, "id", &id));
  const struct key key = key_with("session", id), messages = key_below("message", id);
  if (!log_map_find(&store->map, key_view(&key))) {
    text_add(&call->out, TEXT("{\"deleted\":false}"));
    return RAI_OK;
  }
  TRY(log_map_erase(&store->map, key_view(&key), &call->problem));
  TRY(log_map_erase_below(&store->map, key_view(&messages), &call->problem));
  /* Its state and its journals. */
  struct key state = key_with("state", TEXT("session:"));
  key_extend(&state, id);
  key_add(&state, (rai_str){NULL, 0});
  TRY(forget_versions(store, call, key_view(&state)));
  TRY(log_map_erase_below(&store->map, key_view(&state), &call->problem));
  static const char* const kinds[] = {"stream", "record"};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
    struct key journals = key_with(kinds[i], TEXT("session:"));
    key_extend(&journals, id);
    key_extend(&journals, TEXT("/"));
    TRY(log_map_erase_below(&store->map, key_view(&journals), &call->problem));
  }
  text_add(&call->out, TEXT("{\"deleted\":true}"));
  return RAI_OK;
}

/* --- Messages --- */

static rai_status put_message(struct store* store, struct call* call, rai_str message,
                              const struct key* key) {
  rai_str role, parts, metadata;
  int64_t created_at_ms;
  TRY(read_role(call, message, &role));
  TRY(read_json(call, message, "parts", '[', &parts));
  TRY(read_number(call, message, "created_at_ms", &created_at_ms));
  TRY(read_optional_json(call, message, "metadata", '{', &metadata));
  text_clear(&call->value);
  text_add_format(&call->value, "{\"role\":\"%.*s\",\"created_at_ms\":%lld", SHOWN(role),
                  (long long)created_at_ms);
  if (metadata.len > 0) {
    text_add(&call->value, TEXT(",\"metadata\":"));
    text_add(&call->value, metadata);
  }
  text_add(&call->value, TEXT(",\"parts\":"));
  text_add(&call->value, parts);
  text_add(&call->value, TEXT("}"));
  return put_value(store, call, key);
}

rai_status messages_append(struct store* store, struct call* call, rai_str request) {
  struct session session;
  struct number expected;
  rai_str messages, message;
  int64_t count;
  TRY(read_session(store, call, request, "session", &session));
  TRY(read_optional_number(call, request, "expected_next_seq", &expected));
  TRY(read_items(call, request, "messages", &messages, &count));
  const int64_t first_seq = session.next;
  if (expected.is_given && expected.value != first_seq) {
    text_add_format(&call->problem.details, "\"next_seq\":%lld", (long long)first_seq);
    return FAIL(&call->problem, RAI_ABORTED, "somebody else wrote to the session: load it again",
                "the next message of session \"%.*s\" has seq %lld, not %lld", SHOWN(session.id),
                (long long)first_seq, (long long)expected.value);
  }
  if (first_seq + count - 1 > SEQ_MAX)
    return FAIL(&call->problem, RAI_RESOURCE_EXHAUSTED, "go on in a new one",
                "session \"%.*s\" takes no more messages", SHOWN(session.id));
  for (size_t at = 0; json_next(messages, &at, &message);) {
    const struct key key = key_with_seq("message", session.id, session.next++);
    TRY(put_message(store, call, message, &key));
  }
  for (; session.next - session.first > store->max_history_size; ++session.first) {
    const struct key key = key_with_seq("message", session.id, session.first);
    TRY(log_map_erase(&store->map, key_view(&key), &call->problem));
  }
  TRY(put_session(store, call, &session));
  text_add_format(&call->out, "{\"first_seq\":%lld,\"last_seq\":%lld}", (long long)first_seq,
                  (long long)(session.next - 1));
  return RAI_OK;
}

static void add_message(struct text* out, int64_t seq, rai_str value) {
  const rai_str metadata = json_first_member(value, "metadata");
  text_add_format(out, "{\"seq\":%lld,\"role\":%.*s,\"parts\":", (long long)seq,
                  SHOWN(json_first_member(value, "role")));
  text_add(out, json_first_member(value, "parts"));
  text_add_format(out, ",\"created_at_ms\":%lld,\"metadata\":",
                  (long long)stored_integer(value, "created_at_ms"));
  text_add(out, metadata.len > 0 ? metadata : TEXT("{}"));
  text_add(out, TEXT("}"));
}

rai_status messages_range(struct store* store, struct call* call, rai_str request) {
  struct session session;
  struct number from_seq, to_seq;
  int64_t limit, max_bytes, given = 0, bytes = 0;
  int reverse;
  TRY(read_session(store, call, request, "session", &session));
  TRY(read_not_negative(call, request, "from_seq", &from_seq));
  TRY(read_not_negative(call, request, "to_seq", &to_seq));
  TRY(read_limit(call, request, "limit", ROWS_DEFAULT, ROWS_MAX, &limit));
  TRY(read_limit(call, request, "max_bytes", ANSWER_BYTES_DEFAULT, ANSWER_BYTES_MAX, &max_bytes));
  TRY(read_flag(call, request, "reverse", &reverse));
  int64_t first = session.first, last = session.next - 1;
  if (from_seq.is_given && from_seq.value > first) first = from_seq.value;
  if (to_seq.is_given && to_seq.value < last) last = to_seq.value;
  text_add(&call->out, TEXT("{\"messages\":["));
  for (; given <= last - first && given < limit; ++given) {
    const int64_t seq = reverse ? last - given : first + given;
    const struct key key = key_with_seq("message", session.id, seq);
    const struct entry* const found = log_map_find(&store->map, key_view(&key));
    const size_t before = call->out.length;
    if (!found) break; /* only a file that somebody edited has gaps */
    if (given > 0) text_add(&call->out, TEXT(","));
    const size_t begin = call->out.length;
    add_message(&call->out, seq, entry_value(found));
    bytes += (int64_t)(call->out.length - begin);
    if (call->out.failed) return FAIL_FOR_MEMORY(&call->problem);
    if (given > 0 && bytes > max_bytes) {
      call->out.length = before;
      break;
    }
  }
  text_add_format(&call->out, "],\"more\":%s}", given <= last - first ? "true" : "false");
  return RAI_OK;
}

static void add_hit(struct text* out, const struct entry* entry, rai_str snippet) {
  const rai_str seq = key_last_part(entry->key);
  const rai_str before = {entry->key.ptr, entry->key.len - seq.len - 1};
  text_add(out, TEXT("{\"session\":"));
  text_add_quoted(out, key_last_part(before));
  text_add_format(out, ",\"seq\":%lld,\"role\":%.*s,\"snippet\":", (long long)seq_from(seq),
                  SHOWN(json_first_member(entry_value(entry), "role")));
  text_add_quoted(out, snippet);
  text_add(out, TEXT("}"));
}

rai_status messages_search(struct store* store, struct call* call, rai_str request) {
  struct session session;
  struct text_query query;
  struct candidate* found;
  rai_str words, id;
  int64_t limit, hits = 0;
  size_t count = 0, room;
  TRY(read_query(call, request, &words));
  TRY(read_optional_text(call, request, "session", &id));
  TRY(read_limit(call, request, "limit", HITS_DEFAULT, HITS_MAX, &limit));
  if (id.ptr) TRY(read_session(store, call, request, "session", &session));
  const struct key below =
      id.ptr ? key_below("message", id) : key_with("message", (rai_str){NULL, 0});
  TRY(take_candidates(store, call, &below, &room, &found));
  for (const struct entry* at = entry_from(&store->map.entries, key_view(&below));
       count < room && entry_is_below(at, key_view(&below)); at = at->next[0]) {
    /* Within one session the greatest seq is the newest, across sessions the latest time. */
    const int64_t at_ms = id.ptr ? 0 : stored_integer(entry_value(at), "created_at_ms");
    found[count++] = (struct candidate){at_ms, at};
  }
  if (count > 1) qsort(found, count, sizeof *found, compare_candidates);
  text_query_init(&query, words);
  text_add(&call->out, TEXT("{\"hits\":["));
  for (size_t i = 0; i < count && hits < limit && !query.failed; ++i) {
    const rai_str parts = json_first_member(entry_value(found[i].entry), "parts");
    if (!text_query_match(&query, parts)) continue;
    if (hits++ > 0) text_add(&call->out, TEXT(","));
    add_hit(&call->out, found[i].entry, text_view(&query.snippet));
  }
  const int failed = query.failed;
  text_query_free(&query);
  text_add(&call->out, TEXT("]}"));
  return failed ? FAIL_FOR_MEMORY(&call->problem) : RAI_OK;
}
