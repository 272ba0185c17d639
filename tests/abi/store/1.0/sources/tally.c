/* tally: counts its calls, tells them on the bus, and hands its count to the next generation. */
#include <rustic/abi.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

RAI_MANIFEST(
    "{\"id\":\"tally\",\"version\":\"1.0.0\",\"description\":\"Counts\",\"license\":\"MIT\","
    "\"abi\":{\"major\":1,\"min_minor\":0},\"provides\":[{\"interface\":\"rustic.test/1\","
    "\"name\":\"tally\",\"attributes\":{}}],\"config\":{\"type\":\"object\",\"properties\":{"
    "\"from\":{\"type\":\"integer\"}}}}");

struct tally {
  const rai_host* host;
  atomic_long count;
};

#define TEXT(literal) ((rai_str){literal, sizeof(literal) - 1})

static int equal(rai_str text, rai_str other) {
  return text.len == other.len && memcmp(text.ptr, other.ptr, text.len) == 0;
}

static void call(void* self, const rai_request* request, rai_call id, rai_op* op) {
  struct tally* me = self;
  const rai_host* host = me->host;
  char body[64];
  long count;
  (void)op;
  if (equal(request->method, TEXT("add"))) {
    count = atomic_fetch_add(&me->count, 1) + 1;
  } else if (equal(request->method, TEXT("get"))) {
    count = atomic_load(&me->count);
  } else {
    host->finish(host->self, id, RAI_UNIMPLEMENTED, TEXT("{\"message\":\"add and get\"}"));
    return;
  }
  const int bytes = snprintf(body, sizeof body, "{\"count\":%ld}", count);
  if (RAI_HAS(host, publish))
    host->publish(host->self, TEXT("abi.tally"), (rai_str){body, (size_t)bytes});
  host->finish(host->self, id, RAI_OK, (rai_str){body, (size_t)bytes});
}

static rai_status create(const rai_host* host, rai_str config, const rai_writer* error,
                         void** self) {
  char text[256];
  if (config.len >= sizeof text) {
    error->append(error->self, TEXT("tally: the configuration is too long"));
    return RAI_INVALID_ARGUMENT;
  }
  memcpy(text, config.ptr, config.len);
  text[config.len] = '\0';
  struct tally* me = calloc(1, sizeof *me);
  if (!me) return RAI_RESOURCE_EXHAUSTED;
  me->host = host;
  const char* from = strstr(text, "\"from\":");
  atomic_store(&me->count, from ? strtol(from + 7, NULL, 10) : 0);
  *self = me;
  return RAI_OK;
}

static rai_status start(void* self, const rai_writer* error) {
  const rai_host* host = ((struct tally*)self)->host;
  (void)error;
  if (RAI_HAS(host, log)) host->log(host->self, RAI_LOG_INFO, 0, TEXT("tally starts"));
  return RAI_OK;
}

static void stop(void* self) {
  (void)self;
}
static void destroy(void* self) {
  free(self);
}

static rai_status service(void* self, rai_str target, rai_service* out) {
  if (!equal(target, TEXT("rustic.test/tally"))) return RAI_NOT_FOUND;
  out->self = self;
  out->call = call;
  return RAI_OK;
}

static rai_status save(void* self, const rai_writer* state) {
  char text[32];
  const int bytes = snprintf(text, sizeof text, "%ld", atomic_load(&((struct tally*)self)->count));
  state->append(state->self, (rai_str){text, (size_t)bytes});
  return RAI_OK;
}

static rai_status restore(void* self, rai_str state, const rai_writer* error) {
  char text[32] = "";
  if (state.len == 0 || state.len >= sizeof text) {
    error->append(error->self, TEXT("tally: no count"));
    return RAI_INVALID_ARGUMENT;
  }
  memcpy(text, state.ptr, state.len);
  atomic_store(&((struct tally*)self)->count, strtol(text, NULL, 10));
  return RAI_OK;
}

RAI_EXPORT rai_status rai_plugin_entry_v1(uint32_t host_minor, rai_plugin* out) {
  (void)host_minor;
  out->create = create;
  out->start = start;
  out->stop = stop;
  out->destroy = destroy;
  out->service = service;
  if (out->struct_size >= offsetof(rai_plugin, restore) + sizeof out->restore) {
    out->save = save;
    out->restore = restore;
  }
  if (out->struct_size > sizeof *out) out->struct_size = sizeof *out;
  return RAI_OK;
}
