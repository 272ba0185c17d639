/* The texts by themselves, then the built provider with a host that stands in for the network. */
#include <dlfcn.h>
#include <rustic/abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_text.h"
#include "model_errors.h"

static int failures;

static void check(int holds, const char* what, const char* shown) {
  if (holds) return;
  fprintf(stderr, "%s: %s\n", what, shown);
  ++failures;
}

struct exchange { /* what the network answers */
  unsigned long long status;
  const char* pieces[4];
  rai_status ends_with;
};

struct world { /* of the host */
  const struct exchange* plays;
  int finishes;
  rai_status status;
  char body[2048], texts[256], sent[1024], prompt[1024];
};

static void keep(char* out, size_t room, rai_str text) {
  snprintf(out, room, "%.*s", (int)text.len, text.ptr ? text.ptr : "");
}

static rai_flow emit(void* self, rai_call call, const rai_event* event) {
  struct world* world = self;
  const size_t used = strlen(world->texts);
  (void)call;
  if (event->kind == RAI_EVENT_TEXT)
    keep(world->texts + used, sizeof world->texts - used, event->text);
  return RAI_CONTINUE;
}

static void finish(void* self, rai_call call, rai_status status, rai_str body) {
  struct world* world = self;
  (void)call;
  world->finishes++;
  world->status = status;
  keep(world->body, sizeof world->body, body);
}

static rai_call call(void* self, rai_call parent, const rai_request* request,
                     const rai_observer* observer) {
  struct world* world = self;
  const struct exchange* plays = world->plays;
  const rai_event head = {.kind = RAI_EVENT_HEAD,
                          .a = plays->status,
                          .text = JSON_TEXT("{\"headers\":[[\"retry-after\",\"7\"]]}")};
  rai_flow flow = RAI_CONTINUE;
  (void)parent;
  keep(world->sent, sizeof world->sent, request->body);
  keep(world->prompt, sizeof world->prompt, request->data);
  observer->event(observer->self, &head);
  for (size_t i = 0; i < 4 && plays->pieces[i] && flow != RAI_STOP; ++i) {
    const rai_event data = {.kind = RAI_EVENT_DATA,
                            .text = {plays->pieces[i], strlen(plays->pieces[i])}};
    flow = observer->event(observer->self, &data);
  }
  if (flow == RAI_STOP)
    observer->finish(observer->self, RAI_CANCELLED, JSON_TEXT("{\"message\":\"cancelled\"}"));
  else
    observer->finish(observer->self, plays->ends_with, JSON_TEXT("{\"message\":\"no server\"}"));
  return 100;
}

static void resume(void* self, rai_call call) {
  (void)self, (void)call;
}

static void ask(struct world* world, const rai_service* service, rai_str body,
                const struct exchange* plays) {
  const rai_request request = {
      .struct_size = sizeof request, .method = JSON_TEXT("generate"), .body = body};
  rai_op op = {.struct_size = sizeof op};
  world->plays = plays;
  world->finishes = 0;
  world->texts[0] = '\0';
  service->call(service->self, &request, 7, &op);
  check(world->finishes == 1, "one finish", world->body);
  if (RAI_HAS(&op, release)) op.release(op.self);
}

int main(void) {
  struct json_out text = {0};
  json_add_decoded(&text, JSON_TEXT("a\\n\\u00e9\\ud83d\\ude00\\ud83d!"));
  json_add(&text, (rai_str){"", 1});
  check(text.data && strcmp(text.data, "a\n\xC3\xA9\xF0\x9F\x98\x80\xEF\xBF\xBD!") == 0,
        "what escapes stand for", text.data ? text.data : "");
  free(text.data);
  check(json_is_value(JSON_TEXT(" {\"a\":\"\xC3\xA9\"} ")), "a line", "refused");
  check(!json_is_value(JSON_TEXT("{\"a\":\"\xC3\"}")), "a line that is no UTF-8", "taken");
  check(!json_is_value(JSON_TEXT("{\"a\":\"\xED\xA0\x80\"}")), "half a pair in UTF-8", "taken");
  check(!json_is_value(JSON_TEXT("{} {}")), "two values", "taken");

  struct world world = {0};
  const rai_host host = {.struct_size = sizeof host,
                         .self = &world,
                         .emit = emit,
                         .finish = finish,
                         .call = call,
                         .resume = resume};
  rai_plugin plugin = {.struct_size = sizeof plugin};
  rai_service service = {.struct_size = sizeof service};
  void* self = NULL;
  void* file = dlopen(PLUGIN_FILE, RTLD_NOW | RTLD_LOCAL);
  if (!file) return fprintf(stderr, "%s\n", dlerror()), 1;
  rai_status (*entry)(uint32_t, rai_plugin*);
  *(void**)&entry = dlsym(file, "rai_plugin_entry_v1");
  if (!entry || entry(RAI_ABI_MINOR, &plugin) != RAI_OK) return 2;
  check(plugin.create(&host, JSON_TEXT("{\"instances\":{\"a\":{}}}"), NULL, &self) ==
            RAI_INVALID_ARGUMENT,
        "a section without an address", "taken");
  const rai_str config = JSON_TEXT(
      "{\"instances\":{\"lines\":{\"type\":\"plain-model\",\"base_url\":\"http://127.0.0.1:9\","
      "\"api_key\":\"env:KEY\",\"model\":\"small\"}}}");
  if (plugin.create(&host, config, NULL, &self) != RAI_OK) return 3;
  if (plugin.service(self, JSON_TEXT("rustic.provider/lines"), &service) != RAI_OK) return 4;

  const rai_str question = JSON_TEXT(
      "{\"messages\":[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"text\":\"Say "
      "\\\"h\\u00e9\\\"\"}]}]}");
  const struct exchange good = {200,
                                {"{\"text\":\"h\\u00e9\"}\n{\"te", "xt\":\"llo\"}\n\n",
                                 "{\"done\":\"stop\",\"input_tokens\":3,\"output_tokens\":2}"},
                                RAI_OK};
  ask(&world, &service, question, &good);
  check(world.status == RAI_OK && strcmp(world.texts, "h\xC3\xA9llo") == 0, "the text",
        world.texts);
  check(strstr(world.body, "\"text\":\"h\\u00e9llo\"") &&
            strstr(world.body, "\"output_tokens\":2") &&
            strstr(world.body, "\"finish_reason\":\"stop\""),
        "the result", world.body);
  check(strstr(world.sent, "http://127.0.0.1:9/generate") && strstr(world.sent, "env:KEY"),
        "where it is sent", world.sent);
  check(strstr(world.prompt, "\"model\":\"small\"") && strstr(world.prompt, "Say \\\"h\\u00e9\\\""),
        "what is sent", world.prompt);

  const struct exchange cut = {200, {"{\"text\":\"Hel\"}\n"}, RAI_OK};
  ask(&world, &service, question, &cut);
  check(world.status == RAI_UNAVAILABLE && strstr(world.body, "\"partial\":{\"role\""),
        "an answer that was cut keeps what came", world.body);
  const struct exchange full = {429, {"slow \"down\""}, RAI_OK};
  ask(&world, &service, question, &full);
  check(world.status == RAI_RESOURCE_EXHAUSTED && strstr(world.body, "\"retry_after_ms\":7000") &&
            strstr(world.body, "slow  down"),
        "too many requests", world.body);
  const struct exchange page = {200, {"<html>\n", "more\n"}, RAI_OK};
  ask(&world, &service, question, &page);
  check(world.status == RAI_DATA_LOSS, "no such API", world.body);
  const struct exchange key = {401, {NULL}, RAI_OK};
  ask(&world, &service, question, &key);
  check(world.status == RAI_UNAUTHENTICATED, "a wrong key", world.body);
  const struct exchange none = {0, {NULL}, RAI_UNAVAILABLE};
  ask(&world, &service, question, &none);
  check(world.status == RAI_UNAVAILABLE && strstr(world.body, "no server"), "no server",
        world.body);
  ask(&world, &service,
      JSON_TEXT("{\"messages\":[{\"role\":\"user\",\"parts\":[{\"type\":\"image\"}]}]}"), &good);
  check(world.status == RAI_INVALID_ARGUMENT, "what it cannot read", world.body);
  if (RAI_HAS(&plugin, destroy)) plugin.destroy(self);
  return failures != 0;
}
