/* The texts by themselves, then the built engine with a host that stands in for the provider. */
#include <dlfcn.h>
#include <rustic/abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_text.h"

static int failures;

static void check(int holds, const char* what, const char* shown) {
  if (holds) return;
  fprintf(stderr, "%s: %s\n", what, shown);
  ++failures;
}

struct world { /* of the host */
  int finishes, texts, calls;
  rai_status status, answer_status;
  char body[2048], target[128], question[2048];
  const char* answer;
};

static void keep(char* out, size_t room, rai_str text) {
  snprintf(out, room, "%.*s", (int)text.len, text.ptr ? text.ptr : "");
}

static rai_flow emit(void* self, rai_call call, const rai_event* event) {
  struct world* world = self;
  (void)call;
  world->texts += event->kind == RAI_EVENT_TEXT;
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
  const rai_event words = {.kind = RAI_EVENT_TEXT, .text = JSON_TEXT("Blue.")};
  check(parent == 7, "the provider's call is below the turn", "another parent");
  keep(world->target, sizeof world->target, request->target);
  keep(world->question, sizeof world->question, request->body);
  observer->event(observer->self, &words);
  observer->finish(observer->self, world->answer_status,
                   (rai_str){world->answer, strlen(world->answer)});
  return (rai_call)(100 + ++world->calls);
}

static void resume(void* self, rai_call call) {
  (void)self, (void)call;
}

static void turn(struct world* world, const rai_service* service, rai_str method, rai_str body) {
  const rai_request request = {.struct_size = sizeof request, .method = method, .body = body};
  rai_op op = {.struct_size = sizeof op};
  world->finishes = world->texts = 0;
  service->call(service->self, &request, 7, &op);
  check(world->finishes == 1, "one finish", world->body);
  if (RAI_HAS(&op, release)) op.release(op.self);
}

int main(void) {
  const rai_str object = JSON_TEXT(" {\"a\" : [1, {\"b\":\"}\\\"]\"}] , \"c\":null,\"d\":\"x\"}");
  rai_str item;
  size_t at = 0;
  check(json_equal(json_inside(json_member(object, "d")), "x"), "a member", "not found");
  check(json_equal(json_member(object, "c"), "null"), "a null", "not found");
  check(json_member(object, "e").len == 0, "a member that is not there", "found");
  check(json_next(json_member(object, "a"), &at, &item) && json_equal(item, "1"), "an item", "not");
  check(json_next(json_member(object, "a"), &at, &item) &&
            json_equal(json_inside(json_member(item, "b")), "}\\\"]"),
        "the next", "not");
  check(!json_next(json_member(object, "a"), &at, &item), "the end of the list", "not");
  check(json_member(JSON_TEXT("{\"a\":[1}"), "a").len == 0, "brackets that do not fit", "read");
  check(json_member(JSON_TEXT("{\"a\":\"\\"), "a").len == 0, "a text that breaks off", "read");
  check(json_member(JSON_TEXT("{\"a\":\"\\u12g4\"}"), "a").len == 0, "a wrong escape", "read");
  check(json_member(JSON_TEXT("{\"a\":\"\\u12a4\\n\"}"), "a").len == 10, "a right one", "not read");

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
  if (plugin.create(&host, JSON_TEXT("{}"), NULL, &self) != RAI_OK) return 3;
  if (plugin.service(self, JSON_TEXT("rustic.agent/plain-agent"), &service) != RAI_OK) return 4;

  const rai_str question = JSON_TEXT(
      "{\"session\":\"s\",\"agent\":\"mine\",\"provider\":\"fake\",\"model\":\"m\","
      "\"input\":[{\"type\":\"text\",\"text\":\"What colour is the sky?\"}]}");
  world.answer =
      "{\"message\":{\"role\":\"assistant\",\"parts\":[{\"type\":\"text\",\"text\":\"Bl\"},"
      "{\"type\":\"text\",\"text\":\"ue.\"}]},\"finish_reason\":\"stop\",\"model\":\"m-1\","
      "\"usage\":{\"input_tokens\":1}}";
  turn(&world, &service, JSON_TEXT("turn"), question);
  check(world.status == RAI_OK && world.texts == 1, "the turn ends well", world.body);
  check(strstr(world.body, "\"text\":\"Blue.\"") && strstr(world.body, "\"agent\":\"mine\"") &&
            strstr(world.body, "\"model\":\"m-1\"") && strstr(world.body, "\"input_tokens\":1"),
        "its result", world.body);
  check(strcmp(world.target, "rustic.provider/fake") == 0, "the provider is asked", world.target);
  check(strstr(world.question, "What colour") && strstr(world.question, "one sentence"),
        "with the question and the system prompt", world.question);

  world.answer_status = RAI_UNAVAILABLE;
  world.answer = "{\"message\":\"no server\"}";
  turn(&world, &service, JSON_TEXT("turn"), question);
  check(world.status == RAI_UNAVAILABLE && strstr(world.body, "no server"),
        "a provider's error is the turn's", world.body);
  turn(&world, &service, JSON_TEXT("turn"), JSON_TEXT("{\"session\":\"s\"}"));
  check(world.status == RAI_INVALID_ARGUMENT, "a turn without a provider", world.body);
  turn(&world, &service, JSON_TEXT("dance"), JSON_TEXT("{}"));
  check(world.status == RAI_UNIMPLEMENTED, "a method that is not there", world.body);
  if (RAI_HAS(&plugin, destroy)) plugin.destroy(self);
  return failures != 0;
}
