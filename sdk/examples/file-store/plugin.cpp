// plugin.cpp - serves the store as rustic.storage/file-store.
#include <rustic/plugin.hpp>

#include "file_store.hpp"

namespace {
using namespace rustic;

class plugin {
 public:
  explicit plugin(setup& setup) : store_(file_store_plugin::settings::read(setup.config())) {
    // Calls wait for the disk, so they run on a worker, and one is enough: they take turns anyway.
    setup.limit_threads(1);
    setup.blocking("rustic.storage/file-store", [this](context& ctx) {
      if (ctx.cancelled()) throw failure(status_code::cancelled, "the call was cancelled in time");
      return store_.execute(ctx.request().method, ctx.request().body);
    });
  }
  void start() { store_.prepare(); }
  void stop() { store_.stop_waiting(); }

 private:
  file_store_plugin::file_store store_;
};
}  // namespace

RUSTIC_PLUGIN(plugin)
