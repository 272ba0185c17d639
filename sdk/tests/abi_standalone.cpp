// sdk/tests/abi_standalone.cpp - the contract header stands alone in C++ as well.
#include <rustic/abi.h>

RAI_MANIFEST("{\"id\":\"standalone\"}");

int rai_standalone(const rai_host* host);
int rai_standalone(const rai_host* host) {
  return RAI_HAS(host, log) ? RAI_OK : RAI_UNIMPLEMENTED;
}
