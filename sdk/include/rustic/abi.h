/* rustic/abi.h - the plugin contract of Rustic-AI, ABI major 1. C11 and C++17, needs nothing else.
 *
 * Everything is a service. A service answers calls: one request in, a stream of events out, exactly
 * one finish. The rules below hold wherever a declaration does not say otherwise.
 *
 * Text       UTF-8, pointer and length, not NUL-terminated. Requests and results are JSON objects.
 * Ownership  Every pointer handed over is borrowed until the function returns; the receiver copies
 *            what it keeps. Nobody frees the other side's memory.
 * Errors     rai_status, the canonical gRPC codes. The body that goes with a status other than
 *            RAI_OK is {"message", "hint"?, "retry_after_ms"?, "details"?}. Nothing throws across.
 * Growth     A struct that starts with struct_size is append-only. A function exists only if
 *            struct_size covers it and it is not null: RAI_HAS asks both. The other structs are
 *            frozen for ever.
 * Threads    One tag for each function pointer, about concurrency and never about a thread's name:
 *            RAI_ANY     any thread, concurrently; does not block.
 *            RAI_WORKER  any thread, concurrently for different calls; may block.
 *            RAI_CTL     serialised by the host (for one plugin instance, or for one call), on any
 *                        thread; returns within 50 ms.
 *
 * The reasons stand in docs/architecture.md. */
#ifndef RUSTIC_ABI_H
#define RUSTIC_ABI_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define RAI_ABI_MAJOR 1
#define RAI_ABI_MINOR 0
#define RAI_ANY
#define RAI_WORKER
#define RAI_CTL
#define RAI_EXPORT __attribute__((visibility("default")))
/* Does table p offer member f? */
#define RAI_HAS(p, f) \
  ((p)->struct_size >= offsetof(__typeof__(*(p)), f) + sizeof((p)->f) && (p)->f)

/* Borrowed text. ptr may be null when len is 0. Frozen. */
typedef struct rai_str {
  const char *ptr;
  size_t len;
} rai_str;

typedef int32_t rai_status; /* an enum rai_status_code */
enum rai_status_code {
  RAI_OK = 0,
  RAI_CANCELLED = 1,
  RAI_UNKNOWN = 2,
  RAI_INVALID_ARGUMENT = 3,
  RAI_DEADLINE_EXCEEDED = 4,
  RAI_NOT_FOUND = 5,
  RAI_ALREADY_EXISTS = 6,
  RAI_PERMISSION_DENIED = 7,
  RAI_RESOURCE_EXHAUSTED = 8,
  RAI_FAILED_PRECONDITION = 9,
  RAI_ABORTED = 10,
  RAI_OUT_OF_RANGE = 11,
  RAI_UNIMPLEMENTED = 12,
  RAI_INTERNAL = 13,
  RAI_UNAVAILABLE = 14,
  RAI_DATA_LOSS = 15,
  RAI_UNAUTHENTICATED = 16
};

typedef int32_t rai_flow; /* an enum rai_flow_code: what an emitter does next */
enum rai_flow_code {
  RAI_CONTINUE = 0,
  RAI_PAUSE = 1, /* the event was taken; emit no more until rai_op.resume */
  RAI_STOP = 2   /* the event was not taken and none will be: stop and finish */
};

/* One event of a call's stream. text, a and b mean what kind says. Frozen; new meanings are new
 * kinds, and a receiver passes over the kinds that it does not know. */
typedef struct rai_event {
  uint16_t kind;
  uint16_t flags; /* 0 */
  uint32_t index;
  uint64_t a;
  uint64_t b;
  rai_str text;
} rai_event;
enum rai_event_kind {
  RAI_EVENT_TEXT = 1,      /* text: a piece of the answer */
  RAI_EVENT_REASONING = 2, /* text: a piece of the reasoning */
  RAI_EVENT_TOOL_CALL = 3, /* a tool call begins: index, text {"id","name"} */
  RAI_EVENT_TOOL_ARGS = 4, /* index, text: a piece of its arguments */
  RAI_EVENT_USAGE = 5,     /* text {"input_tokens", ...}, the newest holds */
  RAI_EVENT_PROGRESS = 6,  /* a of b done (b 0: unknown), text: what */
  RAI_EVENT_OUTPUT = 7,    /* text: raw bytes; index 1 standard output, 2 standard error */
  RAI_EVENT_HEAD = 8,      /* a: HTTP status, text {"headers":[[name, value], ...]} */
  RAI_EVENT_DATA = 9,      /* text: raw bytes of a body */
  RAI_EVENT_RESTART = 10,  /* a: attempt; all earlier events of the call are void */
  RAI_EVENT_JSON = 100     /* text: an object whose member "type" tells what it is */
};

/* A call, for its caller, for its service and as the parent of others. Never reused: a late or
 * repeated use of a finished call is recognised and does nothing. 0 is no call. */
typedef uint64_t rai_call;

typedef struct rai_request {
  uint32_t struct_size;
  uint32_t flags;      /* of enum rai_request_flag */
  uint32_t revision;   /* of the interface, as the caller speaks it */
  uint32_t timeout_ms; /* 0: the parent's deadline alone */
  rai_str target;      /* "interface/name" */
  rai_str method;
  rai_str body;    /* a JSON object */
  rai_str data;    /* raw bytes beside it, for methods that take some */
  rai_str context; /* a JSON object that replaces the inherited context; empty: inherit */
} rai_request;
enum rai_request_flag {
  RAI_SHIELDED = 1,    /* not cancelled with its parent; needs timeout_ms */
  RAI_NEXT = 2,        /* goes on along the chain of the intercepted call that is the parent */
  RAI_INTERCEPTED = 4 /* set by the host: this request may be passed on with RAI_NEXT */
};

/* The caller's side of a call. finish comes exactly once, after the last event, possibly before
 * `call` has returned. Events of one call arrive in order and never concurrently. */
typedef struct rai_observer {
  uint32_t struct_size;
  uint32_t reserved;
  void *self;
  RAI_CTL rai_flow (*event)(void *self, const rai_event *event); /* null: events are not wanted */
  RAI_CTL void (*finish)(void *self, rai_status status, rai_str body);
} rai_observer;

/* The service's side of one call, filled while `call` runs. cancel and resume reach a service that
 * waits; release comes once, last, after finish, and only then self may go. */
typedef struct rai_op {
  uint32_t struct_size;
  uint32_t reserved;
  void *self;
  RAI_CTL void (*cancel)(void *self); /* at most once; finish must still come */
  RAI_CTL void (*resume)(void *self); /* after RAI_PAUSE */
  RAI_CTL void (*release)(void *self);
} rai_op;

/* Something that answers calls. It answers from `call` or later, from one thread at a time. */
typedef struct rai_service {
  uint32_t struct_size;
  uint32_t reserved;
  void *self;
  RAI_ANY void (*call)(void *self, const rai_request *request, rai_call call, rai_op *op);
} rai_service;

/* Takes text in pieces. */
typedef struct rai_writer {
  void *self;
  RAI_CTL void (*append)(void *self, rai_str text);
} rai_writer;

typedef struct rai_call_info {
  uint32_t struct_size;
  uint32_t cancelled;
  uint64_t trace_high, trace_low; /* W3C trace id */
  uint64_t root;                  /* the call at the root of the tree */
  int64_t deadline_ms;            /* from now; INT64_MAX: none */
  rai_str context;                /* borrowed until the call finishes */
  rai_str caller;                 /* plugin id that made the call; empty: the program itself */
} rai_call_info;

enum rai_log_level {
  RAI_LOG_TRACE = 0,
  RAI_LOG_DEBUG = 1,
  RAI_LOG_INFO = 2,
  RAI_LOG_WARN = 3,
  RAI_LOG_ERROR = 4
};

typedef void (*rai_handler)(void *self, rai_str topic, rai_str body);
typedef void (*rai_listing)(void *self, rai_str target, rai_str attributes);

/* What the host offers to one plugin instance. Valid from create until destroy returns. */
typedef struct rai_host {
  uint32_t struct_size;
  uint32_t abi_minor;
  void *self;
  /* As a service: answer. */
  RAI_ANY rai_flow (*emit)(void *self, rai_call call, const rai_event *event);
  RAI_ANY void (*finish)(void *self, rai_call call, rai_status status, rai_str body);
  RAI_ANY rai_status (*call_info)(void *self, rai_call call, rai_call_info *out);
  /* As a caller: call. parent is the call being served, or 0 for the plugin's own account. */
  RAI_ANY rai_call (*call)(void *self, rai_call parent, const rai_request *request,
                           const rai_observer *observer);
  RAI_ANY void (*cancel)(void *self, rai_call call);
  RAI_ANY void (*resume)(void *self, rai_call call);
  RAI_ANY void (*abandon)(void *self, rai_call call); /* a cancelled call: finish it now */
  /* Interceptors: answer `call` with whatever the rest of its chain answers to request. */
  RAI_ANY void (*forward)(void *self, rai_call call, const rai_request *request);
  /* Events between plugins. Delivery is synchronous, in the order of subscription. */
  RAI_ANY void (*publish)(void *self, rai_str topic, rai_str body);
  RAI_ANY uint64_t (*subscribe)(void *self, rai_str pattern, rai_handler handler, void *context);
  RAI_ANY void (*unsubscribe)(void *self, uint64_t subscription); /* waits for running handlers */
  /* The registry. pattern: "rustic.tool/x", or "rustic.tool" and a slash and a star for all. */
  RAI_ANY void (*list)(void *self, rai_str pattern, rai_listing listing, void *listing_self);
  RAI_ANY rai_status (*provide)(void *self, rai_str target, rai_str attributes,
                                const rai_service *service);
  RAI_ANY void (*withdraw)(void *self, rai_str target);
  RAI_ANY void (*log)(void *self, int32_t level, rai_call call, rai_str text);
} rai_host;

/* One plugin, filled by its entry. create, start: an error's message goes to `error`. */
typedef struct rai_plugin {
  uint32_t struct_size;
  uint32_t reserved;
  RAI_CTL rai_status (*create)(const rai_host *host, rai_str config, const rai_writer *error,
                               void **self);
  RAI_CTL rai_status (*start)(void *self, const rai_writer *error); /* makes no calls */
  RAI_CTL void (*stop)(void *self);                                 /* joins every thread */
  RAI_CTL void (*destroy)(void *self);
  /* The service for one entry of the manifest's "provides"; out arrives zeroed, with its size. */
  RAI_CTL rai_status (*service)(void *self, rai_str target, rai_service *out);
  /* Optional. What a plugin hands to the generation that replaces it: any text. save: on the old
   * one while it still serves; restore: on the new one between create and start. */
  RAI_CTL rai_status (*save)(void *self, const rai_writer *state);
  RAI_CTL rai_status (*restore)(void *self, rai_str state, const rai_writer *error);
} rai_plugin;

/* The one exported symbol. Pure: no thread, no I/O, may run more than once. out arrives zeroed with
 * struct_size as the host knows it; the plugin lowers struct_size to what it fills. */
RAI_EXPORT rai_status rai_plugin_entry_v1(uint32_t host_minor, rai_plugin *out);

/* The manifest: a JSON literal in an ELF note that is read without loading the plugin. */
#define RAI_MANIFEST(json)                                                          \
  __attribute__((used, section(".note.rustic.manifest"), aligned(4))) static const \
      struct { uint32_t namesz, descsz, type; char name[8]; char desc[sizeof(json)]; } \
  rai_manifest_note = {7, sizeof(json), 1, "Rustic", json}

#ifdef __cplusplus
}
#endif
#endif
