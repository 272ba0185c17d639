/* The decision by itself, then the built interceptor with a small call and a large one. */
#include "size_limit.h"

#include <dlfcn.h>
#include <rustic/abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(literal) \
  { literal, sizeof(literal) - 1 }

struct outcome {
  int finishes, forwards;
  rai_status status;
  char body[1024];
};

static void finish(void* self, rai_call call, rai_status status, rai_str body) {
  struct outcome* seen = self;
  (void)call;
  seen->finishes++;
  seen->status = status;
  snprintf(seen->body, sizeof seen->body, "%.*s", (int)body.len, body.ptr);
}

static void forward(void* self, rai_call call, const rai_request* request) {
  struct outcome* seen = self;
  (void)call, (void)request;
  seen->forwards++;
}

static int check(int holds, const char* what, const struct outcome* seen) {
  if (holds) return 0;
  fprintf(stderr, "%s: %d finishes, %d forwards, status %d: %s\n", what, seen->finishes,
          seen->forwards, seen->status, seen->body);
  return 1;
}

int main(void) {
  struct outcome seen = {0};
  const rai_host host = {
      .struct_size = sizeof host, .self = &seen, .finish = finish, .forward = forward};
  const rai_str config = TEXT("{}"), target = TEXT("rustic.interceptor/size-limit");
  rai_plugin plugin = {.struct_size = sizeof plugin};
  rai_service service = {.struct_size = sizeof service};
  rai_op op = {.struct_size = sizeof op};
  void* self = NULL;
  int failures = 0;
  failures += check(!size_limit_exceeded(SIZE_LIMIT_BYTES), "as much as is allowed", &seen);
  failures += check(size_limit_exceeded(SIZE_LIMIT_BYTES + 1), "one byte too many", &seen);

  void* file = dlopen(PLUGIN_FILE, RTLD_NOW | RTLD_LOCAL);
  if (!file) return fprintf(stderr, "%s\n", dlerror()), 1;
  rai_status (*entry)(uint32_t, rai_plugin*);
  *(void**)&entry = dlsym(file, "rai_plugin_entry_v1");
  if (!entry || entry(RAI_ABI_MINOR, &plugin) != RAI_OK) return 2;
  if (plugin.create(&host, config, NULL, &self) != RAI_OK) return 3;
  if (plugin.service(self, target, &service) != RAI_OK) return 4;

  rai_request request = {.struct_size = sizeof request,
                         .flags = RAI_INTERCEPTED,
                         .target = TEXT("rustic.tool/echo"),
                         .method = TEXT("call"),
                         .body = TEXT("{\"id\":\"call_1\",\"arguments\":{}}")};
  service.call(service.self, &request, 1, &op);
  failures += check(seen.forwards == 1 && seen.finishes == 0, "a small call is passed on", &seen);

  char* large = calloc(1, SIZE_LIMIT_BYTES + 1);
  if (!large) return 5;
  request.body = (rai_str){large, SIZE_LIMIT_BYTES + 1};
  service.call(service.self, &request, 2, &op);
  free(large);
  failures += check(seen.forwards == 1 && seen.status == RAI_RESOURCE_EXHAUSTED &&
                        strstr(seen.body, "rustic.tool/echo") && strstr(seen.body, "\"hint\""),
                    "a large one is refused with words", &seen);

  request.flags = 0;
  service.call(service.self, &request, 3, &op);
  failures += check(seen.status == RAI_UNIMPLEMENTED, "it is no service by itself", &seen);
  if (RAI_HAS(&plugin, stop)) plugin.stop(self);
  if (RAI_HAS(&plugin, destroy)) plugin.destroy(self);
  return failures;
}
