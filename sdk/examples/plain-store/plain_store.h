/* plain_store.h - the methods of rustic.storage on an ordered map of texts. */
#ifndef PLAIN_STORE_H
#define PLAIN_STORE_H
#include "log_map.h"
#include "requests.h"

struct store {
  struct log_map map;
  char* path; /* as it was configured */
  int64_t max_history_size;
};

/* Reads the configuration. store_free comes last, also when it fails. */
rai_status store_init(struct store* store, rai_str config, struct problem* problem);
rai_status store_open(struct store* store, struct problem* problem);
void store_stop_waiting(struct store* store); /* from any thread */
void store_free(struct store* store);

/* One call: what it changed is on the disk when it returns, or nothing is changed. One thread at a
 * time. The body is call->out; empty when there was no memory for it. `call` begins zeroed. */
rai_status store_execute(struct store* store, rai_str method, rai_str body, struct call* call);
#endif
