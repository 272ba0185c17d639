/* A plugin in one file, built with one line:
 *   gcc -shared -fPIC hello.c $(pkg-config --cflags --libs rustic-sdk) -o hello.so */
#include <rustic/abi.h>
#include <string.h>

RAI_MANIFEST("{\"id\":\"one-line\",\"version\":\"1.0.0\",\"description\":\"Greets\","
             "\"license\":\"MIT\",\"abi\":{\"major\":1,\"min_minor\":0},\"provides\":[{"
             "\"interface\":\"rustic.tool/1\",\"name\":\"one_line\",\"attributes\":{"
             "\"description\":\"Greets.\",\"parameters\":{\"type\":\"object\"},"
             "\"annotations\":{\"read_only\":true}}}]}");

static int equal(rai_str text, const char *expected) {
  return text.len == strlen(expected) && memcmp(text.ptr, expected, text.len) == 0;
}

static void call(void *self, const rai_request *request, rai_call call, rai_op *op) {
  static const char answer[] = "{\"success\":true,\"output\":\"Hello!\",\"error\":null}";
  static const char unknown[] = "{\"message\":\"one_line has one method, call\"}";
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
  if (!equal(target, "rustic.tool/one_line")) return RAI_NOT_FOUND;
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
