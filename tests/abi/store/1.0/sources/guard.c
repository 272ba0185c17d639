/* guard: an interceptor that refuses what holds the word "forbidden" and passes on the rest. */
#include <rustic/abi.h>
#include <string.h>

RAI_MANIFEST(
    "{\"id\":\"guard\",\"version\":\"1.0.0\",\"description\":\"Refuses a word\","
    "\"license\":\"MIT\",\"abi\":{\"major\":1,\"min_minor\":0},\"provides\":[{"
    "\"interface\":\"rustic.interceptor/1\",\"name\":\"guard\",\"attributes\":{}}]}");

#define TEXT(literal) ((rai_str){literal, sizeof(literal) - 1})

static int holds(rai_str text, rai_str word) {
  for (size_t at = 0; at + word.len <= text.len; ++at)
    if (memcmp(text.ptr + at, word.ptr, word.len) == 0) return 1;
  return 0;
}

static void call(void* self, const rai_request* request, rai_call id, rai_op* op) {
  const rai_host* host = self;
  (void)op;
  if (!(request->flags & RAI_INTERCEPTED))
    host->finish(host->self, id, RAI_UNIMPLEMENTED, TEXT("{\"message\":\"nothing to guard\"}"));
  else if (holds(request->body, TEXT("forbidden")))
    host->finish(host->self, id, RAI_PERMISSION_DENIED,
                 TEXT("{\"message\":\"the word is forbidden\",\"hint\":\"choose another\"}"));
  else
    host->forward(host->self, id, request);
}

static rai_status create(const rai_host* host, rai_str config, const rai_writer* error,
                         void** self) {
  (void)config, (void)error;
  *self = (void*)host;
  return RAI_OK;
}

static rai_status service(void* self, rai_str target, rai_service* out) {
  const rai_str name = TEXT("rustic.interceptor/guard");
  if (target.len != name.len || memcmp(target.ptr, name.ptr, name.len) != 0) return RAI_NOT_FOUND;
  out->self = self;
  out->call = call;
  return RAI_OK;
}

RAI_EXPORT rai_status rai_plugin_entry_v1(uint32_t host_minor, rai_plugin* out) {
  (void)host_minor;
  out->create = create;
  out->service = service;
  if (out->struct_size > sizeof *out) out->struct_size = sizeof *out;
  return RAI_OK;
}
