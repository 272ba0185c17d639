/* The table of methods, apply, errors, keys. */
#include "plain_store.h"

#include <stdlib.h>
#include <string.h>

#include "json_text.h"
#include "operations.h"

/* --- Keys --- */

struct key key_of(const char* kind) {
  struct key key;
  key.length = 0;
  key_extend(&key, (rai_str){kind, strlen(kind)});
  return key;
}

void key_extend(struct key* key, rai_str more) {
  if (more.len == 0 || more.len > sizeof key->bytes - key->length) return;
  memcpy(key->bytes + key->length, more.ptr, more.len);
  key->length += more.len;
}

void key_add(struct key* key, rai_str part) {
  const char separator = SEPARATOR;
  key_extend(key, (rai_str){&separator, 1});
  key_extend(key, part);
}

void key_add_seq(struct key* key, int64_t seq) {
  char digits[16];
  for (size_t i = sizeof digits; i-- > 0; seq >>= 4) digits[i] = "0123456789abcdef"[seq & 15];
  key_add(key, (rai_str){digits, sizeof digits});
}

rai_str key_view(const struct key* key) {
  return (rai_str){key->bytes, key->length};
}

rai_str key_last_part(rai_str key) {
  size_t begin = key.len;
  while (begin > 0 && key.ptr[begin - 1] != SEPARATOR) --begin;
  return (rai_str){key.ptr + begin, key.len - begin};
}

int64_t seq_from(rai_str text) {
  int64_t out = 0;
  for (size_t i = 0; i < text.len; ++i)
    out = out << 4 | (text.ptr[i] <= '9' ? text.ptr[i] - '0' : text.ptr[i] - 'a' + 10);
  return out;
}

struct key key_with(const char* kind, rai_str part) {
  struct key key = key_of(kind);
  key_add(&key, part);
  return key;
}
struct key key_below(const char* kind, rai_str part) {
  struct key key = key_with(kind, part);
  key_add(&key, (rai_str){NULL, 0});
  return key;
}
struct key key_with_seq(const char* kind, rai_str part, int64_t seq) {
  struct key key = key_with(kind, part);
  key_add_seq(&key, seq);
  return key;
}

/* --- Values --- */

int64_t stored_integer(rai_str object, const char* name) {
  int64_t value = 0;
  const rai_str found = json_first_member(object, name);
  return found.len > 0 && json_integer(found, &value) ? value : 0;
}

rai_status put_value(struct store* store, struct call* call, const struct key* key) {
  if (call->value.failed) return FAIL_FOR_MEMORY(&call->problem);
  return log_map_put(&store->map, key_view(key), text_view(&call->value), &call->problem);
}

rai_status check_answer(struct call* call) {
  if (call->out.failed) return FAIL_FOR_MEMORY(&call->problem);
  if (call->out.length <= (size_t)ANSWER_BYTES_MAX) return RAI_OK;
  return FAIL(&call->problem, RAI_RESOURCE_EXHAUSTED, "ask for less at once: set \"limit\"",
              "%.*s: the answer would have more than %lld bytes", SHOWN(call->method),
              (long long)ANSWER_BYTES_MAX);
}

int64_t counter(const struct store* store, const char* name) {
  const struct key key = key_with("counter", (rai_str){name, strlen(name)});
  const struct entry* const found = log_map_find(&store->map, key_view(&key));
  int64_t value = 0;
  return found && json_integer(entry_value(found), &value) ? value : 0;
}

rai_status raise_counter(struct store* store, struct call* call, const char* name,
                         int64_t at_least) {
  if (counter(store, name) >= at_least) return RAI_OK;
  const struct key key = key_with("counter", (rai_str){name, strlen(name)});
  text_clear(&call->value);
  text_add_number(&call->value, at_least);
  return put_value(store, call, &key);
}

/* --- Methods --- */

static const struct {
  const char* name;
  operation* run;
} methods[] = {
    {"session.create", session_create},
    {"session.get", session_get},
    {"session.list", session_list},
    {"session.update", session_update},
    {"session.delete", session_delete},
    {"messages.append", messages_append},
    {"messages.range", messages_range},
    {"messages.search", messages_search},
    {"state.get", state_get},
    {"state.put", state_put},
    {"state.delete", state_delete},
    {"state.list", state_list},
    {"journal.append", journal_append},
    {"journal.read", journal_read},
    {"journal.delete", journal_delete},
    {"lease.acquire", lease_acquire},
    {"lease.renew", lease_renew},
    {"lease.release", lease_release},
    {"stats", stats},
};

static rai_status run_method(struct store* store, struct call* call, rai_str method,
                             rai_str request) {
  call->method = method;
  for (size_t i = 0; i < sizeof methods / sizeof *methods; ++i)
    if (text_equal(method, methods[i].name)) {
      TRY(methods[i].run(store, call, request));
      return check_answer(call);
    }
  return FAIL(&call->problem, RAI_UNIMPLEMENTED, "docs/interfaces/storage.md lists the methods",
              "rustic.storage has no method \"%.*s\"", SHOWN(method));
}

static rai_status run_operation(struct store* store, struct call* call, rai_str request) {
  rai_str method;
  if (json_kind(request) != '{') return INVALID(call, "each of \"operations\" must be an object");
  TRY(read_optional_text(call, request, "method", &method));
  if (!method.ptr) return INVALID(call, "\"method\" is missing");
  if (text_equal(method, "apply")) return INVALID(call, "it cannot stand inside another");
  return run_method(store, call, method, request);
}

static rai_status run_apply(struct store* store, struct call* call, rai_str request) {
  rai_str list, item;
  int64_t index = 0;
  call->method = TEXT("apply");
  TRY(read_json(call, request, "operations", '[', &list));
  for (size_t at = 0; json_next(list, &at, &item);)
    if (++index > OPERATIONS_PER_APPLY_MAX)
      return INVALID(call, "\"operations\" holds more than %d", OPERATIONS_PER_APPLY_MAX);
  index = 0;
  text_add(&call->out, TEXT("{\"results\":["));
  for (size_t at = 0; json_next(list, &at, &item); ++index) {
    if (index > 0) text_add(&call->out, TEXT(","));
    call->method = TEXT("apply");
    if (run_operation(store, call, item) == RAI_OK) continue;
    if (call->problem.details.length > 0) text_add(&call->problem.details, TEXT(","));
    text_add_format(&call->problem.details, "\"index\":%lld", (long long)index);
    return call->problem.status;
  }
  text_add(&call->out, TEXT("]}"));
  return check_answer(call);
}

static rai_status run(struct store* store, struct call* call, rai_str method, rai_str body) {
  if (body.len > REQUEST_BYTES_MAX)
    return INVALID(call, "the request has %zu bytes; at most %zu are taken", body.len,
                   REQUEST_BYTES_MAX);
  if (body.len == 0) body = TEXT("{}");
  if (!json_is_value(body)) return INVALID(call, "the request is not valid JSON");
  while (json_kind(body) != '{' && memchr(" \t\r\n", body.ptr[0], 4)) ++body.ptr, --body.len;
  if (json_kind(body) != '{') return INVALID(call, "the request must be an object");
  TRY(log_map_begin(&store->map, &call->problem));
  rai_status status = text_equal(method, "apply") ? run_apply(store, call, body)
                                                  : run_method(store, call, method, body);
  if (status == RAI_OK) status = log_map_commit(&store->map, &call->problem);
  log_map_end(&store->map);
  return status;
}

/* The body that goes with an error. */
static void add_error(struct text* out, const struct problem* problem) {
  const rai_str hint = problem->hint ? (rai_str){problem->hint, strlen(problem->hint)}
                                     : text_view(&problem->hint_text);
  text_add(out, TEXT("{\"message\":"));
  text_add_quoted(out, text_view(&problem->message));
  if (hint.len > 0) {
    text_add(out, TEXT(",\"hint\":"));
    text_add_quoted(out, hint);
  }
  if (problem->details.length > 0) {
    text_add(out, TEXT(",\"details\":{"));
    text_add(out, text_view(&problem->details));
    text_add(out, TEXT("}"));
  }
  text_add(out, TEXT("}"));
}

rai_status store_execute(struct store* store, rai_str method, rai_str body, struct call* call) {
  const struct problem* const problem = &call->problem;
  call->method = method;
  rai_status status = run(store, call, method, body);
  if (status == RAI_OK) return RAI_OK;
  text_clear(&call->out);
  add_error(&call->out, problem);
  if (call->out.failed || problem->message.failed || problem->details.failed) {
    text_clear(&call->out);
    status = RAI_RESOURCE_EXHAUSTED;
  }
  return status;
}

/* --- The store --- */

static rai_status read_settings(struct store* store, rai_str config, struct call* call) {
  rai_str path;
  int64_t live_bytes_max = LIVE_BYTES_MAX_DEFAULT;
  call->method = TEXT("plain-store");
  if (config.len > 0 && !json_is_value(config))
    return INVALID(call, "the configuration is no JSON");
  TRY(read_optional_text(call, config, "connection_string", &path));
  if (path.len == 0 || path.ptr[path.len - 1] == '/' || memchr(path.ptr, '\0', path.len))
    return FAIL(&call->problem, RAI_INVALID_ARGUMENT,
                "give the path of a file; it is made when it is missing",
                "plain-store: connection_string \"%.*s\" names no file", SHOWN(path));
  TRY(read_limit(call, config, "max_history_size", HISTORY_SIZE_DEFAULT, SEQ_MAX,
                 &store->max_history_size));
  TRY(read_limit(call, config, "max_bytes", LIVE_BYTES_MAX_DEFAULT, INT64_MAX, &live_bytes_max));
  store->path = calloc(1, path.len + 1);
  if (!store->path) return FAIL_FOR_MEMORY(&call->problem);
  memcpy(store->path, path.ptr, path.len);
  store->map.live_bytes_max = live_bytes_max;
  return RAI_OK;
}

rai_status store_init(struct store* store, rai_str config, struct problem* problem) {
  struct call call = {0};
  store->path = NULL;
  log_map_init(&store->map, LIVE_BYTES_MAX_DEFAULT);
  const rai_status status = read_settings(store, config, &call);
  *problem = call.problem; /* which takes its texts over */
  call.problem = (struct problem){0};
  call_free(&call);
  return status;
}

rai_status store_open(struct store* store, struct problem* problem) {
  return log_map_open(&store->map, (rai_str){store->path, strlen(store->path)}, problem);
}

void store_stop_waiting(struct store* store) {
  log_map_stop_waiting(&store->map);
}

void store_free(struct store* store) {
  log_map_close(&store->map);
  free(store->path);
  store->path = NULL;
}
