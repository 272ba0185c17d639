/* plain-store: a storage backend in C. Calls wait for the disk, so they run on a thread, one after
 * the other in the order in which they came. The manifest stands in plugin.json. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "limits.h"
#include "plain_store.h"

struct plugin;
struct job { /* one call; the host releases it */
  struct plugin* owner;
  struct job* next;
  rai_call id;
  rai_str method, body;
  char bytes[]; /* of the two */
};

struct plugin {
  const rai_host* host;
  struct store store; /* the thread's */
  pthread_t thread;
  int is_running;

  pthread_mutex_t mutex; /* guards what follows */
  pthread_cond_t changed;
  struct job *first, *last; /* that wait */
  size_t waiting_calls, waiting_bytes;
  int is_stopping;
};

static void refuse(const rai_host* host, rai_call call, rai_status status, rai_str body) {
  host->finish(host->self, call, status, body);
}

static size_t bytes_of(const struct job* job) {
  return job->method.len + job->body.len;
}

/* Takes a job out of those that wait; 0 when it is not among them. With the mutex. */
static int take_out(struct plugin* me, const struct job* job) {
  struct job* before = NULL;
  for (struct job* at = me->first; at; before = at, at = at->next) {
    if (at != job) continue;
    *(before ? &before->next : &me->first) = at->next;
    if (me->last == at) me->last = before;
    --me->waiting_calls;
    me->waiting_bytes -= bytes_of(at);
    return 1;
  }
  return 0;
}

/* After a finish the job belongs to the host. */
static void run_job(struct plugin* me, const struct job* job) {
  const rai_call id = job->id;
  struct call call = {0};
  const rai_status status = store_execute(&me->store, job->method, job->body, &call);
  if (call.out.length > 0)
    me->host->finish(me->host->self, id, status, text_view(&call.out));
  else
    refuse(me->host, id, RAI_RESOURCE_EXHAUSTED,
           TEXT("{\"message\":\"plain-store: out of memory\",\"hint\":\"try again later\"}"));
  call_free(&call);
}

static void* run(void* self) {
  struct plugin* const me = self;
  pthread_mutex_lock(&me->mutex);
  for (;;) {
    while (!me->first && !me->is_stopping) pthread_cond_wait(&me->changed, &me->mutex);
    struct job* const job = me->first;
    if (!job) break;
    const int is_stopping = me->is_stopping;
    take_out(me, job);
    pthread_mutex_unlock(&me->mutex);
    if (is_stopping)
      refuse(me->host, job->id, RAI_CANCELLED,
             TEXT("{\"message\":\"plain-store is being stopped; nothing was changed\"}"));
    else
      run_job(me, job);
    pthread_mutex_lock(&me->mutex);
  }
  pthread_mutex_unlock(&me->mutex);
  return NULL;
}

static void on_cancel(void* self) {
  struct job* const job = self;
  struct plugin* const me = job->owner;
  const rai_call id = job->id;
  pthread_mutex_lock(&me->mutex);
  const int was_waiting = take_out(me, job);
  pthread_mutex_unlock(&me->mutex);
  if (was_waiting)
    refuse(me->host, id, RAI_CANCELLED,
           TEXT("{\"message\":\"the call was cancelled in time; nothing was changed\"}"));
}

static void on_release(void* self) {
  free(self);
}

static struct job* make_job(struct plugin* me, const rai_request* request, rai_call id) {
  const size_t bytes = request->method.len + request->body.len;
  if (request->body.len > REQUEST_BYTES_MAX || request->method.len > REQUEST_BYTES_MAX) return NULL;
  struct job* const job = malloc(sizeof *job + bytes + 1);
  if (!job) return NULL;
  job->owner = me;
  job->next = NULL;
  job->id = id;
  job->method = (rai_str){job->bytes, request->method.len};
  job->body = (rai_str){job->bytes + request->method.len, request->body.len};
  if (request->method.len > 0) memcpy(job->bytes, request->method.ptr, request->method.len);
  if (request->body.len > 0)
    memcpy(job->bytes + request->method.len, request->body.ptr, request->body.len);
  return job;
}

static void call(void* self, const rai_request* request, rai_call call, rai_op* op) {
  struct plugin* const me = self;
  struct job* const job = make_job(me, request, call);
  if (!job) {
    refuse(me->host, call, RAI_RESOURCE_EXHAUSTED,
           TEXT("{\"message\":\"plain-store: the request is too large for the memory\","
                "\"hint\":\"try again later, or with less at once\"}"));
    return;
  }
  pthread_mutex_lock(&me->mutex);
  const int is_full = me->waiting_calls >= WAITING_CALLS_MAX ||
                      (me->first && bytes_of(job) > WAITING_BYTES_MAX - me->waiting_bytes);
  const int is_taken = me->is_running && !me->is_stopping && !is_full;
  if (is_taken) {
    op->self = job;
    op->cancel = on_cancel;
    op->release = on_release;
    *(me->first ? &me->last->next : &me->first) = job;
    me->last = job;
    ++me->waiting_calls;
    me->waiting_bytes += bytes_of(job);
    pthread_cond_signal(&me->changed);
  }
  pthread_mutex_unlock(&me->mutex);
  if (is_taken) return;
  free(job);
  if (is_full)
    refuse(me->host, call, RAI_RESOURCE_EXHAUSTED,
           TEXT("{\"message\":\"plain-store: too many calls wait\",\"hint\":\"try again later\"}"));
  else
    refuse(me->host, call, RAI_UNAVAILABLE, TEXT("{\"message\":\"plain-store is not running\"}"));
}

/* --- The life of the plugin --- */

/* Tells the host what has gone wrong, and empties the problem. */
static rai_status report(const rai_writer* error, struct problem* problem, rai_status status) {
  if (status != RAI_OK && error && error->append) {
    const rai_str message =
        problem->message.failed ? TEXT("plain-store: out of memory") : text_view(&problem->message);
    error->append(error->self, message);
    if (problem->hint) {
      error->append(error->self, TEXT("; "));
      error->append(error->self, (rai_str){problem->hint, strlen(problem->hint)});
    }
  }
  text_free(&problem->message);
  text_free(&problem->hint_text);
  text_free(&problem->details);
  return status;
}

static rai_status create(const rai_host* host, rai_str config, const rai_writer* error,
                         void** self) {
  struct problem problem = {0};
  struct plugin* const me = calloc(1, sizeof *me);
  if (!me) return report(error, &problem, FAIL_FOR_MEMORY(&problem));
  const rai_status status = store_init(&me->store, config, &problem);
  if (status != RAI_OK) {
    store_free(&me->store);
    free(me);
    return report(error, &problem, status);
  }
  me->host = host;
  pthread_mutex_init(&me->mutex, NULL);
  pthread_cond_init(&me->changed, NULL);
  *self = me;
  return report(error, &problem, RAI_OK);
}

static rai_status start(void* self, const rai_writer* error) {
  struct plugin* const me = self;
  struct problem problem = {0};
  sigset_t all, before;
  rai_status status = store_open(&me->store, &problem);
  if (status == RAI_OK) {
    sigfillset(&all); /* the program's signals are the program's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    me->is_running = pthread_create(&me->thread, NULL, run, me) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!me->is_running)
      status = FAIL(&problem, RAI_RESOURCE_EXHAUSTED, "end other programs and try again",
                    "plain-store: no thread can be started");
  }
  return report(error, &problem, status);
}

static void stop(void* self) {
  struct plugin* const me = self;
  pthread_mutex_lock(&me->mutex);
  const int is_first = !me->is_stopping;
  me->is_stopping = 1;
  pthread_cond_signal(&me->changed);
  pthread_mutex_unlock(&me->mutex);
  store_stop_waiting(&me->store);
  if (is_first && me->is_running) pthread_join(me->thread, NULL);
}

static void destroy(void* self) {
  struct plugin* const me = self;
  store_free(&me->store);
  pthread_cond_destroy(&me->changed);
  pthread_mutex_destroy(&me->mutex);
  free(me);
}

static rai_status service(void* self, rai_str target, rai_service* out) {
  if (!text_equal(target, "rustic.storage/plain-store")) return RAI_NOT_FOUND;
  out->self = self;
  out->call = call;
  return RAI_OK;
}

RAI_EXPORT rai_status rai_plugin_entry_v1(uint32_t host_minor, rai_plugin* out) {
  (void)host_minor;
  out->create = create;
  out->start = start;
  out->stop = stop;
  out->destroy = destroy;
  out->service = service;
  if (out->struct_size > sizeof *out) out->struct_size = sizeof *out;
  return RAI_OK;
}
