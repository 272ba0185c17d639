/* plain-model: a provider in C. It turns a request of Rustic-AI into one of a model's API and the
 * answer's lines into events, and leaves the network to rustic.http. The API:
 *
 *   POST BASE/generate  {"model", "messages": [{"role", "text"}], "max_tokens"?}
 *   the answer's body:  {"text": "Hel"}      one object on each line, as the model goes
 *                       {"text": "lo"}
 *                       {"done": "stop", "input_tokens": 3, "output_tokens": 2} */
#include <rustic/abi.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "json_text.h"
#include "model_errors.h"

#define LINE_BYTES_MAX ((size_t)1 << 20)
#define ANSWER_BYTES_MAX ((size_t)16 << 20)

struct plugin;
struct instance { /* one section [providers.NAME]; all texts lie in the plugin's configuration */
  const struct plugin* owner;
  rai_str name, base_url, api_key, model;
};

struct plugin {
  const rai_host* host;
  char* config;
  struct instance* instances;
  size_t count;
};

struct generation { /* one call */
  const struct instance* instance;
  rai_call id;
  _Atomic(rai_call) exchange; /* the call of rustic.http; 0 until it has been made */
  atomic_int resume_due;      /* a resume came before that */

  /* Of the answer, touched by one event at a time. */
  unsigned long long http_status, retry_after_ms;
  int has_retry_after, is_done;
  struct json_out line;                        /* what has come of the next line */
  struct json_out text;                        /* of the whole answer, with its escapes */
  struct json_out decoded;                     /* of the lines that came together */
  struct json_out reason, input, output, said; /* of the last line; of an answer with an error */
  rai_status status;                           /* what has gone wrong with it, or RAI_OK */
};

static const rai_host* host_of(const struct generation* me) {
  return me->instance->owner->host;
}

/* One line that is complete. */
static void take_line(struct generation* me, rai_str line) {
  const rai_str text = json_inside(json_member(line, "text"));
  const rai_str done = json_member(line, "done");
  if (!json_is_value(line) || json_member(line, "error").len > 0) {
    me->status = RAI_DATA_LOSS;
    json_add(&me->said, (rai_str){line.ptr, line.len < 200 ? line.len : 200});
    return;
  }
  if (me->text.length + text.len > ANSWER_BYTES_MAX) {
    me->status = RAI_RESOURCE_EXHAUSTED;
    return;
  }
  json_add(&me->text, text);
  json_add_decoded(&me->decoded, text);
  if (json_inside(done).len == 0) return;
  me->is_done = 1;
  json_add(&me->reason, done);
  json_add(&me->input, json_member(line, "input_tokens"));
  json_add(&me->output, json_member(line, "output_tokens"));
}

/* The head of the answer: its status, and when to come again. */
static void take_head(struct generation* me, const rai_event* event) {
  const rai_str headers = json_member(event->text, "headers");
  rai_str header, part;
  me->http_status = event->a;
  for (size_t at = 0; json_next(headers, &at, &header);) {
    size_t inside = 0;
    if (!json_next(header, &inside, &part) || !json_equal(json_inside(part), "retry-after") ||
        !json_next(header, &inside, &part))
      continue;
    me->has_retry_after = model_seconds(json_inside(part), &me->retry_after_ms);
    me->retry_after_ms *= 1000;
  }
}

static rai_flow on_event(void* self, const rai_event* event) {
  struct generation* me = self;
  if (event->kind == RAI_EVENT_HEAD) take_head(me, event);
  if (event->kind != RAI_EVENT_DATA || me->is_done) return RAI_CONTINUE;
  if (me->http_status != 200) { /* the server's words, as far as they are shown */
    const size_t room = me->said.length < 400 ? 400 - me->said.length : 0;
    json_add(&me->said,
             (rai_str){event->text.ptr, event->text.len < room ? event->text.len : room});
    return RAI_CONTINUE;
  }
  rai_str rest = event->text;
  me->decoded.length = 0;
  for (const char* end; me->status == RAI_OK && !me->is_done && rest.len > 0 &&
                        (end = memchr(rest.ptr, '\n', rest.len)) != NULL;) {
    const size_t bytes = (size_t)(end - rest.ptr);
    json_add(&me->line, (rai_str){rest.ptr, bytes});
    if (me->line.length > 0) take_line(me, (rai_str){me->line.data, me->line.length});
    me->line.length = 0;
    rest = (rai_str){rest.ptr + bytes + 1, rest.len - bytes - 1};
  }
  json_add(&me->line, rest);
  if (me->line.length > LINE_BYTES_MAX) me->status = RAI_DATA_LOSS;
  if (me->line.failed || me->text.failed || me->decoded.failed) me->status = RAI_RESOURCE_EXHAUSTED;
  if (me->status != RAI_OK) return RAI_STOP;
  if (me->decoded.length == 0) return RAI_CONTINUE;
  /* One event for all that came together: so none is left over when the receiver wants a pause. */
  const rai_event words = {.kind = RAI_EVENT_TEXT, .text = {me->decoded.data, me->decoded.length}};
  return host_of(me)->emit(host_of(me)->self, me->id, &words);
}

static void add_message(struct json_out* out, const struct generation* me) {
  json_add(out, JSON_TEXT("{\"role\":\"assistant\",\"parts\":[{\"type\":\"text\",\"text\":\""));
  json_add(out, (rai_str){me->text.data, me->text.length});
  json_add(out, JSON_TEXT("\"}]}"));
}

static void add_result(struct json_out* out, const struct generation* me) {
  const rai_str reason = {me->reason.data, me->reason.length};
  const char* word = json_equal(json_inside(reason), "stop")     ? "\"stop\""
                     : json_equal(json_inside(reason), "length") ? "\"length\""
                                                                 : "\"other\"";
  json_add(out, JSON_TEXT("{\"message\":"));
  add_message(out, me);
  json_add(out, JSON_TEXT(",\"finish_reason\":"));
  json_add_or(out, (rai_str){NULL, 0}, word);
  json_add(out, JSON_TEXT(",\"raw_finish_reason\":"));
  json_add(out, reason);
  if (me->input.length + me->output.length == 0) {
    json_add(out, JSON_TEXT(",\"usage\":null}"));
    return;
  }
  json_add(out, JSON_TEXT(",\"usage\":{\"input_tokens\":"));
  json_add_or(out, (rai_str){me->input.data, me->input.length}, "0");
  json_add(out, JSON_TEXT(",\"output_tokens\":"));
  json_add_or(out, (rai_str){me->output.data, me->output.length}, "0");
  json_add(out, JSON_TEXT("}}"));
}

/* The exchange is over: its end is the call's. */
static void on_finish(void* self, rai_status status, rai_str body) {
  struct generation* me = self;
  const rai_host* host = host_of(me);
  struct json_out out = {0};
  struct model_problem problem = {.instance = me->instance->name,
                                  .http_status = me->http_status,
                                  .said = {me->said.data, me->said.length}};
  if (me->has_retry_after) problem.retry_after_ms = &me->retry_after_ms;
  if (status == RAI_OK && me->http_status == 200 && me->status == RAI_OK && !me->is_done &&
      me->line.length > 0) { /* the last line may have no end */
    me->decoded.length = 0;
    take_line(me, (rai_str){me->line.data, me->line.length});
    const rai_event words = {.kind = RAI_EVENT_TEXT,
                             .text = {me->decoded.data, me->decoded.length}};
    if (me->decoded.length > 0) (void)host->emit(host->self, me->id, &words);
    problem.said = (rai_str){me->said.data, me->said.length};
  }
  if (me->status != RAI_OK) {
    status = me->status;
    problem.kind = status == RAI_DATA_LOSS ? "malformed" : "answer_too_large";
  } else if (status != RAI_OK) {
    host->finish(host->self, me->id, status, body); /* the transport knows best */
    return;
  } else if (me->http_status != 200) {
    status = model_status(me->http_status, &problem.kind);
  } else if (!me->is_done) {
    status = RAI_UNAVAILABLE;
    problem.kind = "stream_cut";
  }
  if (status == RAI_OK) {
    add_result(&out, me);
  } else {
    struct json_out partial = {0};
    if (me->text.length > 0) add_message(&partial, me);
    problem.partial = (rai_str){partial.data, partial.length};
    model_error_body(&out, &problem);
    free(partial.data);
  }
  if (out.failed) {
    status = RAI_RESOURCE_EXHAUSTED;
    out.length = 0;
  }
  host->finish(host->self, me->id, status, (rai_str){out.data, out.length});
  free(out.data);
}

/* The exchange is below the call and is cancelled with it; its finish is then the call's. */
static void on_cancel(void* self) {
  (void)self;
}

static void on_resume(void* self) {
  struct generation* me = self;
  atomic_store(&me->resume_due, 1);
  const rai_call exchange = atomic_load(&me->exchange);
  if (exchange != 0 && atomic_exchange(&me->resume_due, 0))
    host_of(me)->resume(host_of(me)->self, exchange);
}

static void on_release(void* self) {
  struct generation* me = self;
  struct json_out* const all[] = {&me->line,  &me->text,   &me->decoded, &me->reason,
                                  &me->input, &me->output, &me->said};
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) free(all[i]->data);
  free(me);
}

/* {"role", "text"} for one message. Returns 0 for one that this API cannot take. */
static int add_turn(struct json_out* out, rai_str message) {
  const rai_str parts = json_member(message, "parts");
  rai_str part;
  json_add(out, JSON_TEXT("{\"role\":"));
  json_add_or(out, json_member(message, "role"), "\"user\"");
  json_add(out, JSON_TEXT(",\"text\":\""));
  for (size_t at = 0; json_next(parts, &at, &part);) {
    if (!json_equal(json_inside(json_member(part, "type")), "text")) return 0;
    json_add(out, json_inside(json_member(part, "text")));
  }
  json_add(out, JSON_TEXT("\"}"));
  return 1;
}

/* What is sent to the API. */
static rai_status add_question(struct json_out* out, const struct instance* to, rai_str request) {
  const rai_str messages = json_member(request, "messages");
  const rai_str model = json_member(request, "model");
  const rai_str tokens = json_member(json_member(request, "options"), "max_tokens");
  rai_str message;
  size_t at = 0;
  int count = 0;
  json_add(out, JSON_TEXT("{\"model\":"));
  json_add_or(out, model.len > 0 ? model : to->model, "\"\"");
  json_add(out, JSON_TEXT(",\"messages\":["));
  while (json_next(messages, &at, &message)) {
    if (count++ > 0) json_add(out, JSON_TEXT(","));
    if (!add_turn(out, message)) return RAI_INVALID_ARGUMENT;
  }
  json_add(out, JSON_TEXT("]"));
  if (tokens.len > 0) {
    json_add(out, JSON_TEXT(",\"max_tokens\":"));
    json_add(out, tokens);
  }
  json_add(out, JSON_TEXT("}"));
  if (out->failed) return RAI_RESOURCE_EXHAUSTED;
  return count > 0 ? RAI_OK : RAI_INVALID_ARGUMENT;
}

/* The request of rustic.http: the key is a reference, which the transport resolves. */
static void add_exchange(struct json_out* out, const struct instance* to) {
  json_add(out, JSON_TEXT("{\"method\":\"POST\",\"url\":\""));
  json_add(out, json_inside(to->base_url));
  json_add(out, JSON_TEXT("/generate\",\"headers\":[[\"content-type\",\"application/json\"]"));
  if (json_inside(to->api_key).len > 0) {
    json_add(out, JSON_TEXT(",[\"authorization\",{\"prefix\":\"Bearer \",\"secret\":"));
    json_add(out, to->api_key);
    json_add(out, JSON_TEXT("}]"));
  }
  json_add(out, JSON_TEXT("]}"));
}

static void generate(struct generation* me, const rai_request* request) {
  const rai_host* host = host_of(me);
  struct json_out question = {0}, exchange = {0};
  const rai_status status = add_question(&question, me->instance, request->body);
  add_exchange(&exchange, me->instance);
  if (status != RAI_OK || exchange.failed) {
    const rai_str words =
        status == RAI_INVALID_ARGUMENT
            ? JSON_TEXT(
                  "{\"message\":\"generate: this model takes a list of messages with texts, and "
                  "nothing else\",\"hint\":\"leave out files, images and tool calls\","
                  "\"details\":{\"kind\":\"bad_request\"}}")
            : JSON_TEXT("{\"message\":\"generate: out of memory\",\"hint\":\"try again later\"}");
    host->finish(host->self, me->id, status == RAI_OK ? RAI_RESOURCE_EXHAUSTED : status, words);
  } else {
    const rai_request sent = {.struct_size = sizeof sent,
                              .revision = 1,
                              .target = JSON_TEXT("rustic.http/default"),
                              .method = JSON_TEXT("request"),
                              .body = {exchange.data, exchange.length},
                              .data = {question.data, question.length}};
    const rai_observer observer = {
        .struct_size = sizeof observer, .self = me, .event = on_event, .finish = on_finish};
    const rai_call made = host->call(host->self, me->id, &sent, &observer);
    atomic_store(&me->exchange, made);
    if (made != 0 && atomic_exchange(&me->resume_due, 0)) host->resume(host->self, made);
  }
  free(question.data);
  free(exchange.data);
}

static void call(void* self, const rai_request* request, rai_call call, rai_op* op) {
  const struct instance* instance = self;
  const rai_host* host = instance->owner->host;
  struct generation* me = NULL;
  if (!json_equal(request->method, "generate")) {
    host->finish(host->self, call, RAI_UNIMPLEMENTED,
                 JSON_TEXT("{\"message\":\"this provider has one method, generate\"}"));
    return;
  }
  me = calloc(1, sizeof *me);
  if (!me) {
    host->finish(
        host->self, call, RAI_RESOURCE_EXHAUSTED,
        JSON_TEXT("{\"message\":\"generate: out of memory\",\"hint\":\"try again later\"}"));
    return;
  }
  me->instance = instance;
  me->id = call;
  op->self = me;
  op->cancel = on_cancel;
  op->resume = on_resume;
  op->release = on_release;
  generate(me, request);
}

static void destroy(void* self) {
  struct plugin* me = self;
  free(me->instances);
  free(me->config);
  free(me);
}

static rai_status refuse(const rai_writer* error, struct plugin* me, rai_status status,
                         rai_str words) {
  if (error && error->append) error->append(error->self, words);
  if (me) destroy(me);
  return status;
}

static rai_status create(const rai_host* host, rai_str config, const rai_writer* error,
                         void** self) {
  struct plugin* me = calloc(1, sizeof *me);
  rai_str sections, name, section;
  if (!me || !(me->config = malloc(config.len + 1)))
    return refuse(error, me, RAI_RESOURCE_EXHAUSTED, JSON_TEXT("out of memory"));
  if (config.len > 0) memcpy(me->config, config.ptr, config.len);
  config.ptr = me->config;
  if (config.len > 0 && !json_is_value(config))
    return refuse(error, me, RAI_INVALID_ARGUMENT, JSON_TEXT("the configuration is no JSON"));
  me->host = host;
  sections = json_member(config, "instances");
  for (size_t at = 0; json_next_member(sections, &at, &name, &section);) {
    struct instance* more = realloc(me->instances, (me->count + 1) * sizeof *more);
    if (!more) return refuse(error, me, RAI_RESOURCE_EXHAUSTED, JSON_TEXT("out of memory"));
    me->instances = more;
    more[me->count++] =
        (struct instance){me, name, json_member(section, "base_url"),
                          json_member(section, "api_key"), json_member(section, "model")};
    if (json_inside(more[me->count - 1].base_url).len == 0)
      return refuse(error, me, RAI_INVALID_ARGUMENT,
                    JSON_TEXT("a [providers] section of this type needs a base_url"));
  }
  *self = me;
  return RAI_OK;
}

static rai_status service(void* self, rai_str target, rai_service* out) {
  static const char interface[] = "rustic.provider/";
  const size_t prefix = sizeof interface - 1;
  struct plugin* me = self;
  if (target.len < prefix || memcmp(target.ptr, interface, prefix) != 0) return RAI_NOT_FOUND;
  for (size_t i = 0; i < me->count; ++i) {
    const rai_str name = me->instances[i].name;
    if (name.len != target.len - prefix || memcmp(name.ptr, target.ptr + prefix, name.len) != 0)
      continue;
    out->self = &me->instances[i];
    out->call = call;
    return RAI_OK;
  }
  return RAI_NOT_FOUND;
}

RAI_EXPORT rai_status rai_plugin_entry_v1(uint32_t host_minor, rai_plugin* out) {
  (void)host_minor;
  out->create = create;
  out->destroy = destroy;
  out->service = service;
  if (out->struct_size > sizeof *out) out->struct_size = sizeof *out;
  return RAI_OK;
}
