/* State, journals, leases, figures. */
#include "json_text.h"
#include "operations.h"

/* --- State: small values with versions --- */

struct state_at {
  rai_str scope, name;
  struct key key;
  struct entry* entry; /* null: it does not exist */
  int64_t version;     /* then 0 */
};

static rai_status read_state(struct store* store, struct call* call, rai_str request,
                             struct state_at* at) {
  TRY(read_name(call, request, "scope", &at->scope));
  TRY(read_name(call, request, "key", &at->name));
  at->key = key_with("state", at->scope);
  key_add(&at->key, at->name);
  at->entry = log_map_find(&store->map, key_view(&at->key));
  at->version = at->entry ? stored_integer(entry_value(at->entry), "version") : 0;
  return RAI_OK;
}

static rai_status check_version(struct call* call, rai_str request, const struct state_at* at) {
  struct number expected;
  TRY(read_not_negative(call, request, "expected_version", &expected));
  if (!expected.is_given || expected.value == at->version) return RAI_OK;
  text_add_format(&call->problem.details, "\"version\":%lld", (long long)at->version);
  return FAIL(&call->problem, RAI_ABORTED, "read it again and repeat the change",
              "state \"%.*s\" in scope \"%.*s\" has version %lld, not %lld; 0 is one that does not "
              "exist",
              SHOWN(at->name), SHOWN(at->scope), (long long)at->version, (long long)expected.value);
}

/* A version that was once given out means that value, also after its end. */
rai_status forget_versions(struct store* store, struct call* call, rai_str prefix) {
  int64_t newest = 0;
  for (const struct entry* at = entry_from(&store->map.entries, prefix); entry_is_below(at, prefix);
       at = at->next[0]) {
    const int64_t version = stored_integer(entry_value(at), "version");
    if (version > newest) newest = version;
  }
  return raise_counter(store, call, "versions", newest);
}

rai_status state_get(struct store* store, struct call* call, rai_str request) {
  struct state_at at;
  TRY(read_state(store, call, request, &at));
  if (!at.entry)
    return FAIL(&call->problem, RAI_NOT_FOUND, NULL, "there is no state \"%.*s\" in scope \"%.*s\"",
                SHOWN(at.name), SHOWN(at.scope));
  text_add(&call->out, entry_value(at.entry));
  return RAI_OK;
}

rai_status state_put(struct store* store, struct call* call, rai_str request) {
  struct state_at at;
  rai_str value;
  TRY(read_state(store, call, request, &at));
  TRY(read_value(call, request, &value));
  TRY(check_version(call, request, &at));
  const int64_t next = (at.version == 0 ? counter(store, "versions") : at.version) + 1;
  text_clear(&call->value);
  text_add_format(&call->value, "{\"version\":%lld,\"value\":", (long long)next);
  text_add(&call->value, value);
  text_add(&call->value, TEXT("}"));
  TRY(put_value(store, call, &at.key));
  text_add_format(&call->out, "{\"version\":%lld}", (long long)next);
  return RAI_OK;
}

rai_status state_delete(struct store* store, struct call* call, rai_str request) {
  struct state_at at;
  TRY(read_state(store, call, request, &at));
  TRY(check_version(call, request, &at));
  if (at.entry) {
    TRY(raise_counter(store, call, "versions", at.version));
    TRY(log_map_erase(&store->map, key_view(&at.key), &call->problem));
  }
  text_add(&call->out, at.entry ? TEXT("{\"deleted\":true}") : TEXT("{\"deleted\":false}"));
  return RAI_OK;
}

rai_status state_list(struct store* store, struct call* call, rai_str request) {
  rai_str scope, prefix;
  int64_t limit, count = 0;
  TRY(read_name(call, request, "scope", &scope));
  TRY(read_optional_text(call, request, "prefix", &prefix));
  TRY(read_limit(call, request, "limit", ROWS_DEFAULT, ROWS_MAX, &limit));
  text_add(&call->out, TEXT("{\"entries\":["));
  struct key below = key_below("state", scope);
  key_extend(&below, prefix.len <= NAME_BYTES_MAX ? prefix : (rai_str){NULL, 0});
  const struct entry* at = entry_from(&store->map.entries, key_view(&below));
  if (prefix.len > NAME_BYTES_MAX) at = NULL; /* no key is that long */
  for (; entry_is_below(at, key_view(&below)) && count < limit; at = at->next[0]) {
    const rai_str value = entry_value(at);
    text_add(&call->out, count++ > 0 ? TEXT(",{\"key\":") : TEXT("{\"key\":"));
    text_add_quoted(&call->out, key_last_part(at->key));
    text_add(&call->out, TEXT(",")); /* and then the stored object without its first brace */
    text_add(&call->out, (rai_str){value.ptr + 1, value.len - 1});
    TRY(check_answer(call));
  }
  text_add(&call->out, TEXT("]}"));
  return RAI_OK;
}

/* --- Journals --- */

struct stream { /* records from first up to next, without gaps */
  rai_str name;
  struct key key;
  int64_t first, next;
};

static rai_status read_stream(struct store* store, struct call* call, rai_str request,
                              struct stream* out) {
  TRY(read_name(call, request, "stream", &out->name));
  out->key = key_with("stream", out->name);
  const struct entry* const found = log_map_find(&store->map, key_view(&out->key));
  out->first = found ? stored_integer(entry_value(found), "first") : 1;
  out->next = found ? stored_integer(entry_value(found), "next") : 1;
  return RAI_OK;
}

static rai_status put_stream(struct store* store, struct call* call, const struct stream* stream) {
  text_clear(&call->value);
  text_add_format(&call->value, "{\"first\":%lld,\"next\":%lld}", (long long)stream->first,
                  (long long)stream->next);
  return put_value(store, call, &stream->key);
}

rai_status journal_append(struct store* store, struct call* call, rai_str request) {
  struct stream stream;
  rai_str records, record;
  int64_t count;
  TRY(read_stream(store, call, request, &stream));
  TRY(read_items(call, request, "records", &records, &count));
  const int64_t first_seq = stream.next;
  if (first_seq + count - 1 > SEQ_MAX)
    return FAIL(&call->problem, RAI_RESOURCE_EXHAUSTED, "go on in a new one",
                "journal \"%.*s\" takes no more records", SHOWN(stream.name));
  for (size_t at = 0; json_next(records, &at, &record);) {
    const struct key key = key_with_seq("record", stream.name, stream.next++);
    TRY(log_map_put(&store->map, key_view(&key), record, &call->problem));
  }
  TRY(put_stream(store, call, &stream));
  text_add_format(&call->out, "{\"first_seq\":%lld,\"last_seq\":%lld}", (long long)first_seq,
                  (long long)(stream.next - 1));
  return RAI_OK;
}

rai_status journal_read(struct store* store, struct call* call, rai_str request) {
  struct stream stream;
  struct number from_seq;
  int64_t limit, given = 0, bytes = 0;
  int reverse;
  TRY(read_stream(store, call, request, &stream));
  TRY(read_not_negative(call, request, "from_seq", &from_seq));
  TRY(read_limit(call, request, "limit", ROWS_DEFAULT, ROWS_MAX, &limit));
  TRY(read_flag(call, request, "reverse", &reverse));
  int64_t first = stream.first, last = stream.next - 1;
  if (from_seq.value > 0 && reverse && from_seq.value < last) last = from_seq.value;
  if (from_seq.value > 0 && !reverse && from_seq.value > first) first = from_seq.value;
  text_add(&call->out, TEXT("{\"records\":["));
  for (; given <= last - first && given < limit; ++given) {
    const int64_t seq = reverse ? last - given : first + given;
    const struct key key = key_with_seq("record", stream.name, seq);
    const struct entry* const found = log_map_find(&store->map, key_view(&key));
    const rai_str record = found ? entry_value(found) : TEXT("{}");
    if (given > 0 && bytes + (int64_t)record.len > ANSWER_BYTES_DEFAULT) break;
    bytes += (int64_t)record.len;
    text_add_format(&call->out, "%s{\"seq\":%lld,\"record\":", given > 0 ? "," : "",
                    (long long)seq);
    text_add(&call->out, record);
    text_add(&call->out, TEXT("}"));
  }
  text_add_format(&call->out, "],\"more\":%s}", given <= last - first ? "true" : "false");
  return RAI_OK;
}

rai_status journal_delete(struct store* store, struct call* call, rai_str request) {
  struct stream stream;
  struct number to_seq;
  TRY(read_stream(store, call, request, &stream));
  TRY(read_not_negative(call, request, "to_seq", &to_seq));
  int64_t deleted = stream.next - stream.first;
  if (!to_seq.is_given) {
    const struct key records = key_below("record", stream.name);
    TRY(log_map_erase(&store->map, key_view(&stream.key), &call->problem));
    TRY(log_map_erase_below(&store->map, key_view(&records), &call->problem));
  } else {
    for (deleted = 0; stream.first < stream.next && stream.first <= to_seq.value; ++deleted) {
      const struct key key = key_with_seq("record", stream.name, stream.first++);
      TRY(log_map_erase(&store->map, key_view(&key), &call->problem));
    }
    if (deleted > 0) TRY(put_stream(store, call, &stream));
  }
  text_add_format(&call->out, "{\"deleted\":%lld}", (long long)deleted);
  return RAI_OK;
}

/* --- Leases --- */

struct lease {
  rai_str name, owner; /* owner: the JSON string */
  struct key key;
  int is_there;
  int64_t token, expires_at_ms;
};

static rai_status read_lease(struct store* store, struct call* call, rai_str request,
                             struct lease* out) {
  TRY(read_name(call, request, "name", &out->name));
  out->key = key_with("lease", out->name);
  const struct entry* const found = log_map_find(&store->map, key_view(&out->key));
  out->is_there = found != NULL;
  const rai_str value = found ? entry_value(found) : TEXT("{\"owner\":\"\"}");
  out->token = stored_integer(value, "token");
  out->expires_at_ms = stored_integer(value, "expires_at_ms");
  out->owner = json_first_member(value, "owner");
  return RAI_OK;
}

static rai_status put_lease(struct store* store, struct call* call, const struct lease* lease) {
  text_clear(&call->value);
  text_add_format(&call->value,
                  "{\"token\":%lld,\"expires_at_ms\":%lld,\"owner\":", (long long)lease->token,
                  (long long)lease->expires_at_ms);
  text_add(&call->value, lease->owner);
  text_add(&call->value, TEXT("}"));
  return put_value(store, call, &lease->key);
}

static rai_status read_times(struct call* call, rai_str request, int64_t* ttl_ms, int64_t* now_ms) {
  TRY(read_between(call, request, "ttl_ms", 1, LEASE_TTL_MS_MAX, ttl_ms));
  return read_between(call, request, "now_ms", 0, NOW_MS_MAX, now_ms);
}

rai_status lease_acquire(struct store* store, struct call* call, rai_str request) {
  struct lease lease;
  rai_str name, owner;
  int64_t ttl_ms, now_ms;
  TRY(read_lease(store, call, request, &lease));
  TRY(read_name(call, request, "owner", &name));
  TRY(read_field(call, request, "owner", &owner));
  TRY(read_times(call, request, &ttl_ms, &now_ms));
  const int taken = lease.is_there && lease.expires_at_ms > now_ms;
  if (taken && !text_same(lease.owner, owner)) {
    text_add_format(&call->problem.details, "\"owner\":%.*s,\"expires_at_ms\":%lld",
                    SHOWN(lease.owner), (long long)lease.expires_at_ms);
    return FAIL(&call->problem, RAI_ABORTED, "wait for it to be released or to run out",
                "lease \"%.*s\" is held by %.*s", SHOWN(lease.name), SHOWN(lease.owner));
  }
  if (!taken) lease.token = counter(store, "tokens") + 1;
  TRY(raise_counter(store, call, "tokens", lease.token));
  lease.owner = owner;
  lease.expires_at_ms = now_ms + ttl_ms;
  TRY(put_lease(store, call, &lease));
  text_add_format(&call->out, "{\"token\":%lld}", (long long)lease.token);
  return RAI_OK;
}

rai_status lease_renew(struct store* store, struct call* call, rai_str request) {
  struct lease lease;
  int64_t token, ttl_ms, now_ms;
  TRY(read_lease(store, call, request, &lease));
  TRY(read_number(call, request, "token", &token));
  TRY(read_times(call, request, &ttl_ms, &now_ms));
  if (!lease.is_there || lease.token != token) {
    if (lease.is_there)
      text_add_format(&call->problem.details, "\"owner\":%.*s", SHOWN(lease.owner));
    return FAIL(&call->problem, RAI_ABORTED, "stop what it protected, then acquire it again",
                "lease \"%.*s\" is lost", SHOWN(lease.name));
  }
  lease.expires_at_ms = now_ms + ttl_ms;
  TRY(put_lease(store, call, &lease));
  text_add(&call->out, TEXT("{}"));
  return RAI_OK;
}

rai_status lease_release(struct store* store, struct call* call, rai_str request) {
  struct lease lease;
  int64_t token;
  TRY(read_lease(store, call, request, &lease));
  TRY(read_number(call, request, "token", &token));
  if (lease.is_there && lease.token == token)
    TRY(log_map_erase(&store->map, key_view(&lease.key), &call->problem));
  text_add(&call->out, TEXT("{}"));
  return RAI_OK;
}

/* --- Figures --- */

rai_status stats(struct store* store, struct call* call, rai_str request) {
  (void)request;
  const struct key below = key_with("session", (rai_str){NULL, 0});
  int64_t sessions = 0, messages = 0;
  for (const struct entry* at = entry_from(&store->map.entries, key_view(&below));
       entry_is_below(at, key_view(&below)); at = at->next[0]) {
    const rai_str value = entry_value(at);
    ++sessions;
    messages += stored_integer(value, "next") - stored_integer(value, "first");
  }
  text_add_format(&call->out,
                  "{\"backend\":\"plain-store\",\"sessions\":%lld,\"messages\":%lld,"
                  "\"bytes\":%lld,\"schema_version\":1}",
                  (long long)sessions, (long long)messages, (long long)store->map.end);
  return RAI_OK;
}
