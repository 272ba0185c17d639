// plugin.cpp - serves memory_store as rustic.storage/memory.
#include <rustic/plugin.hpp>

#include "memory_store.hpp"

namespace {
rustic::storage::memory_settings read_settings(const rustic::json::object& config) {
  rustic::storage::memory_settings settings;
  settings.max_history_size = rustic::int_or(config, "max_history_size", settings.max_history_size);
  settings.max_bytes = rustic::int_or(config, "max_bytes", settings.max_bytes);
  if (settings.max_history_size < 1 || settings.max_bytes < 1)
    throw rustic::failure(rustic::status_code::invalid_argument,
                          "memory storage: max_history_size and max_bytes must be at least 1");
  return settings;
}

// Each call is short and never waits for anything but the store's mutex.
struct memory_plugin {
  explicit memory_plugin(rustic::setup& setup)
      : host_(setup.host()), store_(read_settings(setup.config())) {
    rai_service service{};
    service.struct_size = sizeof service;
    service.self = this;
    service.call = &call;
    setup.raw("rustic.storage/memory", service);
  }

  static void call(void* self, const rai_request* request, rai_call id, rai_op*) noexcept {
    auto& plugin = *static_cast<memory_plugin*>(self);
    const auto reply =
        plugin.store_.execute(rustic::to_view(request->method), rustic::to_view(request->body));
    plugin.host_.finish(plugin.host_.self, id, static_cast<rai_status>(reply.status),
                        rustic::to_str(reply.body));
  }

  const rai_host& host_;
  rustic::storage::memory_store store_;
};
}  // namespace

RUSTIC_PLUGIN(memory_plugin)
