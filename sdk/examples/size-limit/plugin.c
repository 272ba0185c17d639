/* size-limit: a policy in C. It stands in front of every tool call, refuses what is too large, and
 * passes on the rest. The manifest stands in plugin.json; here is what runs. */
#include <rustic/abi.h>
#include <string.h>

#include "size_limit.h"

static int equal(rai_str text, const char* expected) {
  return text.len == strlen(expected) && memcmp(text.ptr, expected, text.len) == 0;
}

/* One call on its way to a tool: target, method and body are those of the tool's call. */
static void call(void* self, const rai_request* request, rai_call call, rai_op* op) {
  static const char nothing[] = "{\"message\":\"size-limit answers no calls of its own\"}";
  const rai_host* host = self;
  char refusal[512];
  (void)op;
  if (!(request->flags & RAI_INTERCEPTED)) {
    host->finish(host->self, call, RAI_UNIMPLEMENTED, (rai_str){nothing, sizeof nothing - 1});
  } else if (size_limit_exceeded(request->body.len)) {
    const size_t length = size_limit_refusal(refusal, sizeof refusal, request->target.ptr,
                                             request->target.len, request->body.len);
    host->finish(host->self, call, RAI_RESOURCE_EXHAUSTED, (rai_str){refusal, length});
  } else {
    host->forward(host->self, call, request); /* whatever the tool answers, its caller gets */
  }
}

static rai_status create(const rai_host* host, rai_str config, const rai_writer* e, void** self) {
  (void)config, (void)e;
  *self = (void*)host;
  return RAI_OK;
}

static rai_status service(void* self, rai_str target, rai_service* out) {
  if (!equal(target, "rustic.interceptor/size-limit")) return RAI_NOT_FOUND;
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
