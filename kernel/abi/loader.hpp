// kernel/abi/loader.hpp - plugins in a kernel: declared from their manifests, opened at the first
// call, exchanged, stopped.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/abi/plugin_files.hpp"
#include "kernel/abi/plugin_instance.hpp"
#include "kernel/kernel.hpp"

namespace rustic::kernel::abi {

enum class plugin_state { declared, active, failed, unusable, disabled };
std::string_view state_name(plugin_state state) noexcept;

struct plugin_status {
  plugin_file file;
  plugin_state state = plugin_state::declared;
  std::string reason;            // of failed, unusable and disabled
  std::uint32_t generation = 0;  // 0: never opened
  std::uint32_t draining = 0;    // older generations with calls in flight
  std::vector<std::string> targets;
};

// Threads: every function from any thread, but none from inside a plugin's lifecycle functions.
class loader {
 public:
  struct settings {
    // The configuration that a plugin's create gets, a JSON object as text. May throw
    // std::exception: the plugin then fails with that reason.
    std::function<std::string(const manifest&)> configuration;
    // The services of an entry with `instances`.
    std::function<std::vector<std::string>(const provided&)> instance_names;
    log_sink log;
    std::filesystem::path generation_directory;  // for the private copies of a reload
    std::function<void()> on_drained;            // an old generation awaits reap(); no lock is held
  };

  loader(kernel& owner, settings with);
  ~loader();
  loader(const loader&) = delete;
  loader& operator=(const loader&) = delete;

  // Declares what the file provides; runs none of its code. An unusable file is only listed. With
  // `disabled_because` it is listed as switched off.
  void add(const plugin_file& file, std::string disabled_because = {});

  std::vector<plugin_status> list() const;

  // Opens the plugin now, its requirements first. Empty, or the reason why not.
  std::string activate(std::string_view id);

  // Opens `file` as the next generation from a private copy, binds the names to it, and lets the
  // calls in flight finish on the old one. Empty, or the reason why not; then the old one goes on
  // serving.
  std::string reload(std::string_view id, const std::filesystem::path& file);

  // Takes the plugin's services away, waits for its calls, cancels what is left after drain_ms, and
  // stops it. Empty, or what is still running.
  std::string unload(std::string_view id, std::uint32_t drain_ms);

  // Stops the old generations whose calls have ended. Not on a plugin's thread.
  void reap();

  // Everything, the last opened first. Calls still in flight after grace_ms keep their plugin: it
  // is named in the result and left alone.
  std::vector<std::string> stop(std::uint32_t grace_ms);

 private:
  struct record;
  class target_activator;
  struct retired {
    std::unique_ptr<plugin_instance> instance;
    std::vector<std::uint64_t> generations;  // of the registry, to be drained
  };

  std::string activate_locked(record& plugin, std::vector<std::string>& path);
  std::string requirements_locked(record& plugin, std::vector<std::string>& path);
  rai_status activate_target(record& plugin, std::string_view target, rai_service* out,
                             std::string& error);
  std::string bind_locked(record& plugin, plugin_instance& instance,
                          std::vector<std::uint64_t>& replaced);
  record* find_locked(std::string_view id);
  void watch_drain(const std::vector<std::uint64_t>& generations);
  std::vector<std::string> targets_of(const manifest& about,
                                      std::vector<std::string>& attributes) const;

  kernel& kernel_;
  const settings settings_;
  mutable std::mutex mutex_;  // lifecycle: one plugin at a time
  std::vector<std::unique_ptr<record>> records_;
  std::vector<record*> opened_;  // in the order of activation
  std::vector<retired> retired_;
};
}  // namespace rustic::kernel::abi
