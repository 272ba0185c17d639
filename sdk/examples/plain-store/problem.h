/* problem.h - what has gone wrong with a call. */
#ifndef PROBLEM_H
#define PROBLEM_H
#include "text.h"

struct problem {
  rai_status status; /* RAI_OK: nothing */
  const char* hint;  /* what to do next; null: nothing to say */
  struct text message, hint_text;
  struct text details; /* members of a JSON object, without its braces */
};

/* Each returns the status, so that a function can end with it. */
#define FAIL(problem, code, words, ...)                                          \
  (text_add_format(&(problem)->message, __VA_ARGS__), (problem)->hint = (words), \
   (problem)->status = (code))
#define FAIL_FOR_MEMORY(problem) \
  FAIL(problem, RAI_RESOURCE_EXHAUSTED, "try again later", "plain-store: out of memory")

/* Leaves the function when a step has failed. */
#define TRY(step)                      \
  do {                                 \
    const rai_status tried = (step);   \
    if (tried != RAI_OK) return tried; \
  } while (0)
#endif
