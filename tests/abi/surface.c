/* surface.c - the contract as a library has it: functions that take every struct and enum of abi.h,
 * so that abidw can write down what they look like. Never run, only compared: abi_gate.py. */
#include <rustic/abi.h>

#define SHOW(type) \
  RAI_EXPORT void surface_##type(const type *value); \
  void surface_##type(const type *value) { (void)value; }
#define SHOW_ENUM(type) \
  RAI_EXPORT enum type surface_##type(void); \
  enum type surface_##type(void) { return (enum type)0; }

SHOW(rai_str)
SHOW(rai_status)
SHOW(rai_flow)
SHOW(rai_event)
SHOW(rai_call)
SHOW(rai_request)
SHOW(rai_observer)
SHOW(rai_op)
SHOW(rai_service)
SHOW(rai_writer)
SHOW(rai_call_info)
SHOW(rai_host)
SHOW(rai_plugin)
SHOW(rai_handler)
SHOW(rai_listing)
SHOW_ENUM(rai_status_code)
SHOW_ENUM(rai_flow_code)
SHOW_ENUM(rai_event_kind)
SHOW_ENUM(rai_request_flag)
SHOW_ENUM(rai_log_level)

/* The entry, as the host sees it. */
RAI_EXPORT rai_status rai_plugin_entry_v1(uint32_t host_minor, rai_plugin *out) {
  (void)host_minor, (void)out;
  return RAI_UNIMPLEMENTED;
}
