/* model_errors.h - what goes wrong with a model's server, in the words of rustic.provider. */
#ifndef MODEL_ERRORS_H
#define MODEL_ERRORS_H
#include "json_text.h"

/* The status for an HTTP status other than 200, and the kind that goes with it. */
rai_status model_status(unsigned long long http_status, const char** kind);

struct model_problem {
  rai_str instance;                         /* of the configuration */
  const char* kind;                         /* docs/interfaces/provider.md lists them */
  unsigned long long http_status;           /* 0: no answer has begun */
  const unsigned long long* retry_after_ms; /* or null */
  rai_str said;                             /* by the server; any bytes */
  rai_str partial;                          /* the message so far, a JSON object; or empty */
};
/* Adds {"message", "hint", "retry_after_ms"?, "details"}. */
void model_error_body(struct json_out* out, const struct model_problem* problem);

/* A whole number of seconds, such as that of Retry-After; 0 when it is none. */
int model_seconds(rai_str text, unsigned long long* seconds);
#endif
