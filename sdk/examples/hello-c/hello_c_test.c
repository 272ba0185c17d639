/* Loads the plugin, calls the tool once and looks at its answer. */
#include <dlfcn.h>
#include <rustic/abi.h>
#include <stdio.h>
#include <string.h>

#define TEXT(literal) {literal, sizeof(literal) - 1}

struct outcome {
  int finishes;
  rai_status status;
  char body[1024];
};

static rai_flow emit(void *self, rai_call call, const rai_event *event) {
  (void)self, (void)call, (void)event;
  return RAI_CONTINUE;
}

static void finish(void *self, rai_call call, rai_status status, rai_str body) {
  struct outcome *seen = self;
  (void)call;
  seen->finishes++;
  seen->status = status;
  snprintf(seen->body, sizeof seen->body, "%.*s", (int)body.len, body.ptr);
}

static void write_error(void *self, rai_str text) {
  (void)self;
  fprintf(stderr, "%.*s\n", (int)text.len, text.ptr);
}

int main(void) {
  struct outcome seen = {0};
  const rai_host host = {.struct_size = sizeof host, .self = &seen, .emit = emit, .finish = finish};
  const rai_writer error = {NULL, write_error};
  const rai_str config = TEXT("{}"), method = TEXT("call");
  const rai_str target = TEXT("rustic.tool/hello_c"), other_target = TEXT("rustic.tool/another");
  const char *arguments = "{\"id\":\"call_1\",\"arguments\":{}}";
  rai_plugin plugin = {.struct_size = sizeof plugin};
  rai_service service = {.struct_size = sizeof service};
  rai_op op = {.struct_size = sizeof op};
  void *self = NULL;

  void *file = dlopen(PLUGIN_FILE, RTLD_NOW | RTLD_LOCAL);
  if (!file) return fprintf(stderr, "%s\n", dlerror()), 1;
  rai_status (*entry)(uint32_t, rai_plugin *);
  *(void **)&entry = dlsym(file, "rai_plugin_entry_v1");
  if (!entry || entry(RAI_ABI_MINOR, &plugin) != RAI_OK) return 2;
  if (plugin.create(&host, config, &error, &self) != RAI_OK) return 3;
  if (plugin.service(self, target, &service) != RAI_OK) return 4;

  const rai_request request = {.struct_size = sizeof request, .target = target, .method = method,
                               .body = {arguments, strlen(arguments)}};
  service.call(service.self, &request, 1, &op);
  if (seen.finishes != 1 || seen.status != RAI_OK || !strstr(seen.body, "\"success\":true")) {
    fprintf(stderr, "%d finishes, status %d: %s\n", seen.finishes, seen.status, seen.body);
    return 5;
  }
  if (RAI_HAS(&op, release)) op.release(op.self);

  rai_service other = {.struct_size = sizeof other};
  if (plugin.service(self, other_target, &other) != RAI_NOT_FOUND) return 6;
  if (RAI_HAS(&plugin, stop)) plugin.stop(self);
  if (RAI_HAS(&plugin, destroy)) plugin.destroy(self);
  return 0;
}
