/* plain-agent: an engine in C. A turn asks the model once, passes its words on as they come, keeps
 * nothing and uses no tools. It has no thread: it answers when the provider does. */
#include <rustic/abi.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "json_text.h"

#define SYSTEM_PROMPT "\"Answer in one sentence.\"" /* for turns that bring none */

struct turn {
  const rai_host* host;
  rai_call id;
  struct json_out begin;      /* of the result: session, agent and provider */
  _Atomic(rai_call) question; /* the provider's call; 0 until it has been made */
  atomic_int resume_due;      /* a resume came before that */
};

static void refuse(const rai_host* host, rai_call call, rai_status status, rai_str body) {
  host->finish(host->self, call, status, body);
}

static void refuse_for_memory(const rai_host* host, rai_call call) {
  refuse(host, call, RAI_RESOURCE_EXHAUSTED,
         JSON_TEXT("{\"message\":\"serving a turn: out of memory\",\"hint\":\"try again later\"}"));
}

/* The model's answer, as it comes. */
static rai_flow on_event(void* self, const rai_event* event) {
  struct turn* turn = self;
  if (event->kind != RAI_EVENT_TEXT && event->kind != RAI_EVENT_REASONING &&
      event->kind != RAI_EVENT_USAGE && event->kind != RAI_EVENT_RESTART)
    return RAI_CONTINUE;
  return turn->host->emit(turn->host->self, turn->id, event);
}

/* Its end is the turn's. */
static void on_finish(void* self, rai_status status, rai_str body) {
  struct turn* turn = self;
  const rai_host* host = turn->host;
  struct json_out out = turn->begin; /* which this makes longer, and frees */
  turn->begin = (struct json_out){0};
  if (status != RAI_OK) {
    free(out.data);
    refuse(host, turn->id, status, body);
    return;
  }
  const rai_str parts = json_member(json_member(body, "message"), "parts");
  rai_str part;
  json_add(&out, JSON_TEXT(",\"model\":"));
  json_add_or(&out, json_member(body, "model"), "\"\"");
  json_add(&out, JSON_TEXT(",\"finish_reason\":"));
  json_add_or(&out, json_member(body, "finish_reason"), "\"other\"");
  json_add(&out, JSON_TEXT(",\"usage\":"));
  json_add_or(&out, json_member(body, "usage"), "null");
  json_add(&out, JSON_TEXT(",\"rounds\":1,\"tool_calls\":[],\"permission_denials\":[],"
                           "\"limit\":null,\"text\":\""));
  for (size_t at = 0; json_next(parts, &at, &part);)
    if (json_equal(json_inside(json_member(part, "type")), "text"))
      json_add(&out, json_inside(json_member(part, "text")));
  json_add(&out, JSON_TEXT("\"}"));
  if (out.failed)
    refuse_for_memory(host, turn->id);
  else
    host->finish(host->self, turn->id, RAI_OK, (rai_str){out.data, out.length});
  free(out.data);
}

/* The provider's call is below the turn and is cancelled with it; its finish is then the turn's. */
static void on_cancel(void* self) {
  (void)self;
}

static void on_resume(void* self) {
  struct turn* turn = self;
  atomic_store(&turn->resume_due, 1);
  const rai_call question = atomic_load(&turn->question);
  if (question != 0 && atomic_exchange(&turn->resume_due, 0))
    turn->host->resume(turn->host->self, question);
}

static void on_release(void* self) {
  struct turn* turn = self;
  free(turn->begin.data);
  free(turn);
}

/* Asks the provider. `provider` is a plain name, which needs no escapes. */
static void ask(struct turn* turn, rai_str body, rai_str provider) {
  const rai_host* host = turn->host;
  const rai_str model = json_member(body, "model"), agent = json_member(body, "agent");
  struct json_out target = {0}, question = {0};
  json_add(&turn->begin, JSON_TEXT("{\"session\":"));
  json_add_or(&turn->begin, json_member(body, "session"), "\"\"");
  json_add(&turn->begin, JSON_TEXT(",\"agent\":"));
  json_add_or(&turn->begin, agent, "\"plain-agent\"");
  json_add(&turn->begin, JSON_TEXT(",\"provider\":\""));
  json_add(&turn->begin, provider);
  json_add(&turn->begin, JSON_TEXT("\""));

  json_add(&target, JSON_TEXT("rustic.provider/"));
  json_add(&target, provider);
  json_add(&question, JSON_TEXT("{\"messages\":[{\"role\":\"system\",\"parts\":[{\"type\":\"text\","
                                "\"text\":"));
  json_add_or(&question, json_member(body, "system"), SYSTEM_PROMPT);
  json_add(&question, JSON_TEXT("}]},{\"role\":\"user\",\"parts\":"));
  json_add_or(&question, json_member(body, "input"), "[]");
  json_add(&question, JSON_TEXT("}]"));
  if (model.len > 0) {
    json_add(&question, JSON_TEXT(",\"model\":"));
    json_add(&question, model);
  }
  json_add(&question, JSON_TEXT("}"));
  if (turn->begin.failed || target.failed || question.failed) {
    refuse_for_memory(host, turn->id);
  } else {
    const rai_request request = {.struct_size = sizeof request,
                                 .revision = 1,
                                 .target = {target.data, target.length},
                                 .method = JSON_TEXT("generate"),
                                 .body = {question.data, question.length}};
    const rai_observer observer = {
        .struct_size = sizeof observer, .self = turn, .event = on_event, .finish = on_finish};
    const rai_call made = host->call(host->self, turn->id, &request, &observer);
    atomic_store(&turn->question, made);
    if (made != 0 && atomic_exchange(&turn->resume_due, 0)) host->resume(host->self, made);
  }
  free(target.data);
  free(question.data);
}

static void call(void* self, const rai_request* request, rai_call call, rai_op* op) {
  const rai_host* host = self;
  if (!json_equal(request->method, "turn")) {
    refuse(host, call, RAI_UNIMPLEMENTED,
           JSON_TEXT("{\"message\":\"rustic.agent/plain-agent has no such method\","
                     "\"hint\":\"it has turn\"}"));
    return;
  }
  const rai_str provider = json_inside(json_member(request->body, "provider"));
  if (provider.len == 0) {
    refuse(host, call, RAI_INVALID_ARGUMENT,
           JSON_TEXT("{\"message\":\"beginning a turn: no provider is named\","
                     "\"hint\":\"give the agent of the configuration a provider\"}"));
    return;
  }
  struct turn* turn = calloc(1, sizeof *turn);
  if (!turn) {
    refuse_for_memory(host, call);
    return;
  }
  turn->host = host;
  turn->id = call;
  op->self = turn;
  op->cancel = on_cancel;
  op->resume = on_resume;
  op->release = on_release;
  ask(turn, request->body, provider);
}

static rai_status create(const rai_host* host, rai_str config, const rai_writer* e, void** self) {
  (void)config, (void)e;
  *self = (void*)host;
  return RAI_OK;
}

static rai_status service(void* self, rai_str target, rai_service* out) {
  if (!json_equal(target, "rustic.agent/plain-agent")) return RAI_NOT_FOUND;
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
