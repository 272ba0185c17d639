// The cell as a plugin: it is opened in the place of the plugin that it runs.
#include <dlfcn.h>

#include <filesystem>
#include <rustic/plugin.hpp>

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
  explicit cell_plugin(setup& plugin)
      : plugin_(plugin),
        cell_(plugin.host(), read_settings(plugin.config(), plugin_file(), program_file())) {}

  void start() {
    cell_.start();
    for (const auto& target : cell_.offered()) plugin_.raw(target, cell_.service(target));
  }
  void stop() { cell_.stop(); }
  std::string save() { return cell_.save(); }
  void restore(std::string_view state) {
    if (!state.empty()) cell_.restore(state);
  }

 private:
  setup& plugin_;
  cell cell_;
};

}  // namespace
}  // namespace rustic::cell

RUSTIC_PLUGIN(rustic::cell::cell_plugin)
