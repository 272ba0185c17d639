/* switchboard: uses every function that the host offers, one method each. A target that a method
 * is about stands in the request's data. */
#include <pthread.h>
#include <rustic/abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

RAI_MANIFEST(
    "{\"id\":\"switchboard\",\"version\":\"1.0.0\",\"description\":\"Uses the host\","
    "\"license\":\"MIT\",\"abi\":{\"major\":1,\"min_minor\":0},\"provides\":[{"
    "\"interface\":\"rustic.test/1\",\"name\":\"switchboard\",\"attributes\":{}}]}");

#define TEXT(literal) ((rai_str){literal, sizeof(literal) - 1})
enum { events_max = 1000 };

struct board {
  const rai_host* host;
  pthread_mutex_t lock; /* guards what follows */
  uint64_t subscription;
  int heard;
};

/* One call that lasts: a stream that may be paused, or a call of another service. */
struct lasting {
  struct board* board;
  pthread_mutex_t lock; /* guards what follows */
  rai_call id, other;
  int sent, running, paused, finished, cancelled;
};

static int equal(rai_str text, rai_str other) {
  return text.len == other.len && memcmp(text.ptr, other.ptr, text.len) == 0;
}

static void finish(struct board* me, rai_call id, rai_status status, const char* body) {
  me->host->finish(me->host->self, id, status, (rai_str){body, strlen(body)});
}

static void on_event(void* self, rai_str topic, rai_str body) {
  struct board* me = self;
  (void)topic, (void)body;
  pthread_mutex_lock(&me->lock);
  me->heard++;
  pthread_mutex_unlock(&me->lock);
}

struct found {
  int count;
  size_t attribute_bytes;
};
static void on_listed(void* self, rai_str target, rai_str attributes) {
  struct found* out = self;
  (void)target;
  out->count++;
  out->attribute_bytes += attributes.len;
}

static void extra_call(void* self, const rai_request* request, rai_call id, rai_op* op) {
  (void)request, (void)op;
  finish(self, id, RAI_OK, "{\"extra\":true}");
}

/* A stream: as many events as the receiver takes, the rest when it wants more. */
static void send_more(struct lasting* call) {
  const rai_host* host = call->board->host;
  pthread_mutex_lock(&call->lock);
  if (call->running || call->finished) {
    pthread_mutex_unlock(&call->lock);
    return;
  }
  call->running = 1;
  while (call->sent < events_max && !call->cancelled && !call->paused) {
    rai_event event = {.kind = RAI_EVENT_PROGRESS, .a = (uint64_t)++call->sent, .b = events_max};
    pthread_mutex_unlock(&call->lock);
    const rai_flow flow = host->emit(host->self, call->id, &event);
    pthread_mutex_lock(&call->lock);
    /* resume may have come before this answer; then paused is below zero. */
    if (flow == RAI_PAUSE) call->paused++;
    if (flow == RAI_STOP) call->cancelled = 1;
  }
  call->running = 0;
  const int over = (call->cancelled || !call->paused) && !call->finished;
  if (over) call->finished = 1;
  const int cancelled = call->cancelled;
  pthread_mutex_unlock(&call->lock);
  if (over && cancelled) finish(call->board, call->id, RAI_CANCELLED, "{\"message\":\"stopped\"}");
  if (over && !cancelled) finish(call->board, call->id, RAI_OK, "{\"sent\":1000}");
}

static void stream_cancel(void* self) {
  struct lasting* call = self;
  pthread_mutex_lock(&call->lock);
  call->cancelled = 1;
  call->paused = 0;
  pthread_mutex_unlock(&call->lock);
  send_more(call);
}
static void stream_resume(void* self) {
  struct lasting* call = self;
  pthread_mutex_lock(&call->lock);
  call->paused--;
  pthread_mutex_unlock(&call->lock);
  send_more(call);
}

/* A call of another service, ended by the caller's cancel with cancel and abandon. */
static rai_flow other_event(void* self, const rai_event* event) {
  struct lasting* call = self;
  const rai_host* host = call->board->host;
  return host->emit(host->self, call->id, event);
}
static void other_finish(void* self, rai_status status, rai_str body) {
  struct lasting* call = self;
  const rai_host* host = call->board->host;
  host->finish(host->self, call->id, status, body);
}
static void other_cancel(void* self) {
  struct lasting* call = self;
  const rai_host* host = call->board->host;
  pthread_mutex_lock(&call->lock);
  const rai_call other = call->other;
  pthread_mutex_unlock(&call->lock);
  host->cancel(host->self, other);
  host->abandon(host->self, other);
}
static void other_resume(void* self) {
  struct lasting* call = self;
  const rai_host* host = call->board->host;
  pthread_mutex_lock(&call->lock);
  const rai_call other = call->other;
  pthread_mutex_unlock(&call->lock);
  host->resume(host->self, other);
}

static void release(void* self) {
  struct lasting* call = self;
  pthread_mutex_destroy(&call->lock);
  free(call);
}

static struct lasting* begin(struct board* me, rai_call id, rai_op* op) {
  struct lasting* call = calloc(1, sizeof *call);
  if (!call) return NULL;
  call->board = me;
  call->id = id;
  pthread_mutex_init(&call->lock, NULL);
  op->self = call;
  op->release = release;
  return call;
}

static void call(void* self, const rai_request* request, rai_call id, rai_op* op) {
  struct board* me = self;
  const rai_host* host = me->host;
  char body[256];
  if (equal(request->method, TEXT("info"))) {
    rai_call_info info = {.struct_size = sizeof info};
    const rai_status status = host->call_info(host->self, id, &info);
    snprintf(body, sizeof body,
             "{\"status\":%d,\"cancelled\":%u,\"is_root\":%s,\"context_bytes\":%zu}", (int)status,
             info.cancelled, info.root == id ? "true" : "false", info.context.len);
    finish(me, id, RAI_OK, body);
  } else if (equal(request->method, TEXT("subscribe"))) {
    const uint64_t made = host->subscribe(host->self, TEXT("abi.*"), on_event, me);
    pthread_mutex_lock(&me->lock);
    me->subscription = made;
    pthread_mutex_unlock(&me->lock);
    finish(me, id, RAI_OK, "{}");
  } else if (equal(request->method, TEXT("unsubscribe"))) {
    pthread_mutex_lock(&me->lock);
    const uint64_t made = me->subscription;
    pthread_mutex_unlock(&me->lock);
    host->unsubscribe(host->self, made);
    finish(me, id, RAI_OK, "{}");
  } else if (equal(request->method, TEXT("publish"))) {
    host->publish(host->self, TEXT("abi.switchboard"), request->body);
    finish(me, id, RAI_OK, "{}");
  } else if (equal(request->method, TEXT("heard"))) {
    pthread_mutex_lock(&me->lock);
    snprintf(body, sizeof body, "{\"heard\":%d}", me->heard);
    pthread_mutex_unlock(&me->lock);
    finish(me, id, RAI_OK, body);
  } else if (equal(request->method, TEXT("list"))) {
    struct found found = {0};
    host->list(host->self, request->data, on_listed, &found);
    snprintf(body, sizeof body, "{\"count\":%d,\"attributes\":%s}", found.count,
             found.attribute_bytes >= 2 ? "true" : "false");
    finish(me, id, RAI_OK, body);
  } else if (equal(request->method, TEXT("provide"))) {
    const rai_service extra = {.struct_size = sizeof extra, .self = me, .call = extra_call};
    snprintf(body, sizeof body, "{\"status\":%d}",
             (int)host->provide(host->self, request->data, TEXT("{\"extra\":1}"), &extra));
    finish(me, id, RAI_OK, body);
  } else if (equal(request->method, TEXT("withdraw"))) {
    host->withdraw(host->self, request->data);
    finish(me, id, RAI_OK, "{}");
  } else if (equal(request->method, TEXT("log"))) {
    host->log(host->self, RAI_LOG_WARN, id, TEXT("switchboard was told to log"));
    finish(me, id, RAI_OK, "{}");
  } else if (equal(request->method, TEXT("stream"))) {
    struct lasting* made = begin(me, id, op);
    if (!made) return finish(me, id, RAI_RESOURCE_EXHAUSTED, "{\"message\":\"no memory\"}");
    op->cancel = stream_cancel;
    op->resume = stream_resume;
    send_more(made);
  } else if (equal(request->method, TEXT("call"))) {
    struct lasting* made = begin(me, id, op);
    if (!made) return finish(me, id, RAI_RESOURCE_EXHAUSTED, "{\"message\":\"no memory\"}");
    op->cancel = other_cancel;
    op->resume = other_resume;
    const rai_request asked = {.struct_size = sizeof asked,
                               .target = request->data,
                               .method = TEXT("call"),
                               .body = request->body};
    const rai_observer observer = {
        .struct_size = sizeof observer, .self = made, .event = other_event, .finish = other_finish};
    pthread_mutex_lock(&made->lock);
    made->other = host->call(host->self, id, &asked, &observer);
    pthread_mutex_unlock(&made->lock);
  } else {
    finish(me, id, RAI_UNIMPLEMENTED, "{\"message\":\"switchboard has no such method\"}");
  }
}

static rai_status create(const rai_host* host, rai_str config, const rai_writer* error,
                         void** self) {
  struct board* me = calloc(1, sizeof *me);
  (void)config, (void)error;
  if (!me) return RAI_RESOURCE_EXHAUSTED;
  me->host = host;
  pthread_mutex_init(&me->lock, NULL);
  *self = me;
  return RAI_OK;
}

static void destroy(void* self) {
  struct board* me = self;
  pthread_mutex_destroy(&me->lock);
  free(me);
}

static rai_status service(void* self, rai_str target, rai_service* out) {
  if (!equal(target, TEXT("rustic.test/switchboard"))) return RAI_NOT_FOUND;
  out->self = self;
  out->call = call;
  return RAI_OK;
}

RAI_EXPORT rai_status rai_plugin_entry_v1(uint32_t host_minor, rai_plugin* out) {
  (void)host_minor;
  out->create = create;
  out->destroy = destroy;
  out->service = service;
  if (out->struct_size > sizeof *out) out->struct_size = sizeof *out;
  return RAI_OK;
}
