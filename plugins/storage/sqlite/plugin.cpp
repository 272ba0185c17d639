// plugin.cpp - serves group_committer as rustic.storage/sqlite: its thread finishes the calls.
#include <memory>
#include <rustic/plugin.hpp>

#include "group_committer.hpp"

namespace {
using namespace rustic::storage;

sqlite_settings read_settings(const rustic::json::object& config) {
  sqlite_settings settings;
  settings.path = sqlite_store::resolve_path(rustic::text_or(config, "connection_string"));
  settings.max_history_size = rustic::int_or(config, "max_history_size", settings.max_history_size);
  const auto* busy_timeout = rustic::find(config, "busy_timeout");
  const auto busy_timeout_ms =
      busy_timeout && busy_timeout->is_string()
          ? rustic::parse_duration_ms(busy_timeout->get_string(), "busy_timeout")
          : rustic::int_or(config, "busy_timeout", busy_timeout_ms_default);
  if (settings.max_history_size < 1 || busy_timeout_ms < 1 || busy_timeout_ms > busy_timeout_ms_max)
    throw rustic::failure(rustic::status_code::invalid_argument,
                          "sqlite storage: max_history_size must be at least 1 and busy_timeout "
                          "must lie in 1 to " +
                              std::to_string(busy_timeout_ms_max) + " ms");
  settings.busy_timeout = std::chrono::milliseconds(busy_timeout_ms);
  return settings;
}

struct sqlite_plugin {
  explicit sqlite_plugin(rustic::setup& setup)
      : host_(setup.host()), settings_(read_settings(setup.config())), committer_(settings_) {
    rai_service service{};
    service.struct_size = sizeof service;
    service.self = this;
    service.call = &call;
    setup.raw("rustic.storage/sqlite", service);
  }

  // The database itself is opened by the first call, on the committer's thread.
  void start() { sqlite_store::prepare_location(settings_.path); }
  void stop() { committer_.stop(); }

  struct pending {
    group_committer& committer;
    group_committer::ticket ticket;
  };

  static void call(void* self, const rai_request* request, rai_call id, rai_op* op) noexcept {
    auto& plugin = *static_cast<sqlite_plugin*>(self);
    const auto& host = plugin.host_;
    try {
      auto made =
          std::make_unique<pending>(pending{plugin.committer_, plugin.committer_.new_ticket()});
      const auto ticket = made->ticket;
      op->struct_size = sizeof(rai_op);
      op->cancel = [](void* me) {
        auto& call = *static_cast<pending*>(me);
        call.committer.cancel(call.ticket);
      };
      op->resume = [](void*) {};
      op->release = [](void* me) { delete static_cast<pending*>(me); };
      op->self = made.release();
      // From here on the call may finish at any moment, and op's object may go with it.
      plugin.committer_.submit(ticket, rustic::to_view(request->method),
                               rustic::to_view(request->body),
                               [&host, id](const sqlite_reply& reply) {
                                 host.finish(host.self, id, static_cast<rai_status>(reply.status),
                                             rustic::to_str(reply.body));
                               });
    } catch (...) {
      // Too little memory, or no thread: words that need neither.
      host.finish(
          host.self, id, RAI_RESOURCE_EXHAUSTED,
          rustic::to_str(
              R"({"message":"the storage could not take the call: no memory or no thread left"})"));
    }
  }

  const rai_host& host_;
  const sqlite_settings settings_;
  group_committer committer_;
};
}  // namespace

RUSTIC_PLUGIN(sqlite_plugin)
