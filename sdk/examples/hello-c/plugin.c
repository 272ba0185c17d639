/* hello-c: a tool in C. The manifest stands in plugin.json; here is what runs. */
#include <rustic/abi.h>
#include <string.h>

static int equal(rai_str text, const char *expected) {
  return text.len == strlen(expected) && memcmp(text.ptr, expected, text.len) == 0;
}

/* One call. It may answer at once, as here, or later from any one thread; it never blocks. */
static void call(void *self, const rai_request *request, rai_call call, rai_op *op) {
  static const char answer[] = "{\"success\":true,\"output\":\"Hello from C!\",\"error\":null}";
  static const char unknown[] = "{\"message\":\"hello_c has one method, call\"}";
  const rai_host *host = self;
  (void)op;
  if (equal(request->method, "call"))
    host->finish(host->self, call, RAI_OK, (rai_str){answer, sizeof answer - 1});
  else
    host->finish(host->self, call, RAI_UNIMPLEMENTED, (rai_str){unknown, sizeof unknown - 1});
}

static rai_status create(const rai_host *host, rai_str config, const rai_writer *e, void **self) {
  (void)config, (void)e;
  *self = (void *)host;
  return RAI_OK;
}

static rai_status service(void *self, rai_str target, rai_service *out) {
  if (!equal(target, "rustic.tool/hello_c")) return RAI_NOT_FOUND;
  out->self = self;
  out->call = call;
  return RAI_OK;
}

RAI_EXPORT rai_status rai_plugin_entry_v1(uint32_t host_minor, rai_plugin *out) {
  (void)host_minor;
  out->create = create;
  out->service = service;
  if (out->struct_size > sizeof *out) out->struct_size = sizeof *out;
  return RAI_OK;
}
