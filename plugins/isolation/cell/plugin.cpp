// The cell as a plugin: it is opened in the place of the plugin that it runs.
#include <dlfcn.h>

#include <filesystem>
#include <optional>
#include <rustic/plugin.hpp>
#include <rustic/status.hpp>

#include "cell.hpp"

namespace rustic::cell {
namespace {

std::filesystem::path plugin_file() {
  Dl_info info{};
  return ::dladdr(reinterpret_cast<const void*>(&plugin_file), &info) != 0 && info.dli_fname
             ? std::filesystem::path(info.dli_fname)
             : std::filesystem::path();
}

std::filesystem::path program_file() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error);
}

class cell_plugin {
 public:
  explicit cell_plugin(setup& plugin) : plugin_(plugin) {
    if (!object_or_empty(plugin.config(), "isolated").empty())
      cell_.emplace(plugin.host(), read_settings(plugin.config(), plugin_file(), program_file()));
    else
      plugin.coroutine("rustic.loader/cell", refuse);
  }

  void start() {
    if (!cell_) return;
    cell_->start();
    for (const auto& target : cell_->offered()) plugin_.raw(target, cell_->service(target));
  }
  void stop() {
    if (cell_) cell_->stop();
  }
  std::string save() { return cell_ ? cell_->save() : std::string(); }
  void restore(std::string_view state) {
    if (cell_ && !state.empty()) cell_->restore(state);
  }

 private:
  // By itself it runs nothing: the loader opens it in the place of another plugin.
  static task<std::string> refuse(context&) {
    throw failure(status_code::unimplemented, "the cell runs other plugins and is not called",
                  "set isolation = \"process\" for the plugin that is to run in a cell");
    co_return std::string();
  }

  setup& plugin_;
  std::optional<cell> cell_;
};

}  // namespace
}  // namespace rustic::cell

RUSTIC_PLUGIN(rustic::cell::cell_plugin)
