/* sdk/tests/abi_standalone.c - the contract header stands alone, and its macros work in C. */
#include <rustic/abi.h>

RAI_MANIFEST("{\"id\":\"standalone\"}");

int rai_standalone(const rai_host *host);
int rai_standalone(const rai_host *host) {
  return RAI_HAS(host, log) ? RAI_OK : RAI_UNIMPLEMENTED;
}
