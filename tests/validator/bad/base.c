/* base.c - a small plugin without a fault, written so that one fault at a time can be put in: the
 * corpus defines the macros that are empty here (faults.py). It is C and C++ alike.
 *
 * Its tool answers with a text, after three events; it pauses, goes on, stops and is cancelled as
 * the contract asks. With THREAD_US the answer comes from a thread of its own after that time; with
 * TARGET it first asks that service. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <rustic/abi.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"

#ifndef ANSWER
#define ANSWER "{\"success\":true,\"output\":\"said\",\"error\":null}"
#endif
#ifndef STATUS
#define STATUS RAI_OK
#endif
#ifndef GLOBALS
#define GLOBALS
#endif
#ifndef ON_LOAD
#define ON_LOAD
#endif
#ifndef AT_EXIT
#define AT_EXIT
#endif
#ifndef ENTRY
#define ENTRY
#endif
#ifndef ENTRY_END
#define ENTRY_END
#endif
#ifndef CREATE
#define CREATE
#endif
#ifndef START
#define START
#endif
#ifndef STOP
#define STOP
#endif
#ifndef DESTROY
#define DESTROY
#endif
#ifndef SERVICE
#define SERVICE \
  if (!is(target, PROVIDED)) return RAI_NOT_FOUND;
#endif
#ifndef CALL
#define CALL
#endif
#ifndef METHOD
#define METHOD                      \
  if (!is(request->method, "call")) \
    return finish(me, RAI_UNIMPLEMENTED, "{\"message\":\"no such method\"}");
#endif
#ifndef ARGUMENTS
#define ARGUMENTS                        \
  if (!holds(request->body, "\"text\"")) \
    return finish(me, RAI_INVALID_ARGUMENT, "{\"message\":\"text is missing\"}");
#endif
#ifndef EVENT
#define EVENT
#endif
#ifndef FLOW
#define FLOW                     \
  if (flow == RAI_PAUSE) return; \
  if (flow == RAI_STOP) return finish(me, RAI_CANCELLED, "{\"message\":\"stopped\"}");
#endif
#ifndef FINISHED
#define FINISHED
#endif
#ifndef CANCEL
#define CANCEL finish(me, RAI_CANCELLED, "{\"message\":\"cancelled\"}");
#endif
#ifndef RESUME
#define RESUME go_on(me);
#endif
#ifndef ANSWERED
#define ANSWERED go_on(me);
#endif
#ifndef ASKED
#define ASKED
#endif

typedef struct plugin {
  const rai_host* host;
  rai_str config;
  pthread_t thread;
  int started, calls, stopping;
} plugin;

typedef struct state { /* of a call */
  plugin* owner;
  const rai_host* host;
  rai_call id, child;
  pthread_mutex_t lock; /* of finished, and of what is below */
  pthread_t thread;
  rai_str body;
  int finished, next, cancelled, resumed, asking, has_thread;
} state;

static rai_str text(const char* words);
static int is(rai_str one, const char* other);
static int holds(rai_str where, const char* what);
static void finish(state* me, rai_status status, const char* body);
static rai_flow emit(state* me, uint16_t kind, uint32_t index, rai_str words);
static void go_on(state* me);
static void cancel(void* self);
static void call(void* self, const rai_request* request, rai_call id, rai_op* op);

static volatile int never; /* the compiler does not know it */

GLOBALS

static rai_str text(const char* words) {
  rai_str out;
  out.ptr = words;
  out.len = strlen(words);
  return out;
}
static int is(rai_str one, const char* other) {
  return one.len == strlen(other) && memcmp(one.ptr, other, one.len) == 0;
}
static int holds(rai_str where, const char* what) {
  size_t at, len = strlen(what);
  for (at = 0; at + len <= where.len; ++at)
    if (memcmp(where.ptr + at, what, len) == 0) return 1;
  return 0;
}
static void finish(state* me, rai_status status, const char* body) {
  int first;
  pthread_mutex_lock(&me->lock);
  first = !me->finished++;
  pthread_mutex_unlock(&me->lock);
  if (!first) return;
  me->host->finish(me->host->self, me->id, status, text(body));
  FINISHED
}
static rai_flow emit(state* me, uint16_t kind, uint32_t index, rai_str words) {
  rai_event event;
  memset(&event, 0, sizeof event);
  event.kind = kind;
  event.index = index;
  event.text = words;
  return me->host->emit(me->host->self, me->id, &event);
}
static void go_on(state* me) {
  while (me->next < 3) {
    rai_flow flow;
    uint16_t kind = RAI_EVENT_OUTPUT;
    uint32_t index = 1;
    rai_str words = text("a line\n");
    EVENT
    ++me->next;
    flow = emit(me, kind, index, words);
    FLOW
  }
  finish(me, STATUS, ANSWER);
}

static void cancel(void* self) {
  state* me = (state*)self;
  me->cancelled = 1;
  CANCEL
}
static void resume(void* self) {
  state* me = (state*)self;
  me->resumed = 1;
  RESUME
}
static void release(void* self) {
  state* me = (state*)self;
  if (me->has_thread) pthread_join(me->thread, NULL);
  pthread_mutex_destroy(&me->lock);
  free(me);
}

#ifdef THREAD_US
#ifndef THREAD
#define THREAD go_on(me);
#endif
static void* serve(void* self) {
  state* me = (state*)self;
  usleep(THREAD_US);
  THREAD
  return NULL;
}
#endif

#ifdef TARGET
static void answered(void* self, rai_status status, rai_str body) {
  state* me = (state*)self;
  (void)status, (void)body;
  ANSWERED
}
static void ask(state* me) {
  rai_request request;
  rai_observer observer;
  rai_call parent = me->id;
  memset(&request, 0, sizeof request);
  memset(&observer, 0, sizeof observer);
  request.struct_size = sizeof request;
  observer.struct_size = sizeof observer;
  observer.self = me;
  observer.finish = answered;
  request.target = text(TARGET);
  request.method = text("now");
  request.body = text("{}");
#ifdef PARENT
  parent = PARENT;
#endif
  me->asking = 1;
  me->child = me->host->call(me->host->self, parent, &request, &observer);
  me->asking = 0;
  ASKED
}
#endif

static void serve_call(state* me, const rai_request* request) {
  CALL METHOD ARGUMENTS
#if defined TARGET
      ask(me);
#elif defined THREAD_US
      me->has_thread = pthread_create(&me->thread, NULL, serve, me) == 0;
#else
      go_on(me);
#endif
}

static void call(void* self, const rai_request* request, rai_call id, rai_op* op) {
  plugin* owner = (plugin*)self;
  state* me = (state*)calloc(1, sizeof *me);
  if (me == NULL) {
    owner->host->finish(owner->host->self, id, RAI_RESOURCE_EXHAUSTED,
                        text("{\"message\":\"memory\"}"));
    return;
  }
  ++owner->calls;
  me->owner = owner;
  me->host = owner->host;
  me->id = id;
  pthread_mutex_init(&me->lock, NULL);
  op->self = me;
  op->cancel = cancel;
  op->resume = resume;
  op->release = release;
  serve_call(me, request);
}

static rai_status create(const rai_host* host, rai_str config, const rai_writer* error,
                         void** self) {
  plugin* me;
  (void)config, (void)error;
  CREATE
  me = (plugin*)calloc(1, sizeof *me);
  if (me == NULL) return RAI_RESOURCE_EXHAUSTED;
  me->host = host;
  me->config = config;
  *self = me;
  return RAI_OK;
}
static rai_status start(void* self, const rai_writer* error) {
  plugin* me = (plugin*)self;
  (void)error;
  me->started = 1;
  START
  return RAI_OK;
}
static void stop(void* self) {
  plugin* me = (plugin*)self;
  me->stopping = 1;
  STOP
}
static void destroy(void* self) {
  plugin* me = (plugin*)self;
  DESTROY
  free(me);
}
static rai_status service(void* self, rai_str target, rai_service* out) {
  (void)target;
  SERVICE
  out->self = self;
  out->call = call;
  return RAI_OK;
}

#ifdef SAVE
static rai_status save(void* self, const rai_writer* state) {
  (void)self, (void)state;
  SAVE return RAI_OK;
}
static rai_status restore(void* self, rai_str state, const rai_writer* error) {
  (void)self, (void)state, (void)error;
  RESTORE
  return RAI_OK;
}
#endif

__attribute__((constructor)) static void on_load(void) {
  ON_LOAD
}
__attribute__((destructor)) static void at_exit(void) {
  AT_EXIT
}

#ifdef __cplusplus
extern "C"
#endif
    RAI_EXPORT rai_status
    rai_plugin_entry_v1(uint32_t host_minor, rai_plugin* out) {
  rai_plugin table;
  uint32_t size = out->struct_size < sizeof table ? out->struct_size : (uint32_t)sizeof table;
  (void)host_minor;
  ENTRY
  memset(&table, 0, sizeof table);
  table.struct_size = size;
  table.create = create;
  table.start = start;
  table.stop = stop;
  table.destroy = destroy;
  table.service = service;
#ifdef SAVE
  table.save = save;
  table.restore = restore;
#endif
  memcpy(out, &table, size);
  ENTRY_END
  return RAI_OK;
}

MANIFEST_NOTE;
