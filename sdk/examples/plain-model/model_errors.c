#include "model_errors.h"

#include <string.h>

#define SECONDS_MAX 86400ull

rai_status model_status(unsigned long long http_status, const char** kind) {
  static const struct {
    unsigned long long http;
    rai_status status;
    const char* kind;
  } known[] = {
      {400, RAI_INVALID_ARGUMENT, "bad_request"}, {401, RAI_UNAUTHENTICATED, "bad_key"},
      {403, RAI_PERMISSION_DENIED, "permission"}, {404, RAI_NOT_FOUND, "not_found"},
      {422, RAI_INVALID_ARGUMENT, "bad_request"}, {429, RAI_RESOURCE_EXHAUSTED, "rate_limit"},
      {503, RAI_UNAVAILABLE, "overloaded"}};
  for (size_t i = 0; i < sizeof known / sizeof *known; ++i)
    if (known[i].http == http_status) {
      *kind = known[i].kind;
      return known[i].status;
    }
  *kind = http_status >= 500 ? "server_error" : "bad_request";
  return http_status >= 500 ? RAI_UNAVAILABLE : RAI_INVALID_ARGUMENT;
}

static const char* hint_for(const char* kind) {
  if (strcmp(kind, "bad_key") == 0) return "check api_key in its section of the configuration";
  if (strcmp(kind, "not_found") == 0) return "check base_url in its section of the configuration";
  if (strcmp(kind, "malformed") == 0) return "check that base_url leads to this kind of server";
  if (strcmp(kind, "bad_request") == 0) return "check model in its section of the configuration";
  return "try again later";
}

/* The server's words: what could break the JSON text around them becomes a space. */
static void add_said(struct json_out* out, rai_str said) {
  for (size_t at = 0; at < said.len; ++at) {
    const unsigned char c = (unsigned char)said.ptr[at];
    const int plain = c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
    json_add(out, plain ? (rai_str){said.ptr + at, 1} : JSON_TEXT(" "));
  }
}

void model_error_body(struct json_out* out, const struct model_problem* problem) {
  json_add(out, JSON_TEXT("{\"message\":\"generate on "));
  json_add(out, problem->instance);
  if (problem->http_status != 0 && problem->http_status != 200) {
    json_add(out, JSON_TEXT(": the server answered with status "));
    json_add_number(out, problem->http_status);
  } else if (strcmp(problem->kind, "stream_cut") == 0) {
    json_add(out, JSON_TEXT(": the answer broke off before its end"));
  } else if (strcmp(problem->kind, "malformed") == 0) {
    json_add(out, JSON_TEXT(": the server's answer cannot be read"));
  } else {
    json_add(out, JSON_TEXT(": the answer is too large"));
  }
  if (problem->said.len > 0) json_add(out, JSON_TEXT(": "));
  add_said(out, problem->said);
  json_add(out, JSON_TEXT("\",\"hint\":"));
  json_add(out, JSON_TEXT("\""));
  json_add_or(out, (rai_str){NULL, 0}, hint_for(problem->kind));
  json_add(out, JSON_TEXT("\""));
  if (problem->retry_after_ms) {
    json_add(out, JSON_TEXT(",\"retry_after_ms\":"));
    json_add_number(out, *problem->retry_after_ms);
  }
  json_add(out, JSON_TEXT(",\"details\":{\"kind\":\""));
  json_add_or(out, (rai_str){NULL, 0}, problem->kind);
  json_add(out, JSON_TEXT("\""));
  if (problem->http_status != 0) {
    json_add(out, JSON_TEXT(",\"http_status\":"));
    json_add_number(out, problem->http_status);
  }
  if (problem->partial.len > 0) {
    json_add(out, JSON_TEXT(",\"partial\":"));
    json_add(out, problem->partial);
  }
  json_add(out, JSON_TEXT("}}"));
}

int model_seconds(rai_str text, unsigned long long* seconds) {
  *seconds = 0;
  if (text.len == 0 || text.len > 6) return 0;
  for (size_t at = 0; at < text.len; ++at) {
    if (text.ptr[at] < '0' || text.ptr[at] > '9') return 0;
    *seconds = *seconds * 10 + (unsigned long long)(text.ptr[at] - '0');
  }
  return *seconds <= SECONDS_MAX;
}
