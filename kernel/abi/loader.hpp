// kernel/abi/loader.hpp - plugins in a kernel: declared from their manifests, opened at the first
// call, exchanged, stopped.
#pragma once
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
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
  std::string reason;               // of failed, unusable and disabled
  std::uint32_t generation = 0;     // 0: never opened
  std::uint32_t draining = 0;       // older generations with calls in flight
  bool isolated = false;            // the one that serves was opened through a stand-in
  std::string replacement_problem;  // why the latest new generation was refused
  std::vector<std::string> targets;
};

// What is opened in place of a plugin: a plugin that runs it elsewhere and speaks for it.
struct stand_in {
  std::filesystem::path file;
  std::string config;  // for its create
};

// Threads: every function from any thread, but none from inside a plugin's lifecycle functions.
class loader {
 public:
  struct settings {
    // The configuration that a plugin's create gets, a JSON object as text. May throw
    // std::exception: the plugin then fails with that reason.
    std::function<std::string(const manifest&)> configuration = {};
    // The services of an entry with `instances`.
    std::function<std::vector<std::string>(const provided&)> instance_names = {};
    log_sink log = {};
    std::filesystem::path generation_directory = {};  // for private copies
    // Whether the first generation is opened where its file lies, because nobody writes over it
    // while it runs; all others are opened from a private copy. Null: every file is.
    std::function<bool(const plugin_file&)> in_place = {};
    // What is opened in place of the plugin. `image` is its file or the private copy, which goes
    // when the stand-in's start has returned. May throw std::exception: the plugin then fails with
    // that reason. Null: nothing is.
    std::function<std::optional<stand_in>(const plugin_file&, const std::filesystem::path& image,
                                          const std::string& config)>
        isolate = {};
    std::function<void()> on_drained = {};  // an old generation awaits reap(); it only wakes
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

  // Opens `file` as the next generation from a private copy, hands it what the old one saved, binds
  // the names to it, and lets the calls in flight finish on the old one. Empty, or the reason why
  // not; then the old one goes on serving. With `expected` its content has to be that one. A plugin
  // that was unloaded or switched off serves again.
  std::string reload(std::string_view id, const std::filesystem::path& file,
                     const std::optional<file_identity>& expected = std::nullopt);
  // The same for a file that find_plugins gave, which has to be that one still.
  std::string reload(const plugin_file& seen);

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
  class lifecycle;
  struct retired {
    std::unique_ptr<plugin_instance> instance;
    std::vector<std::uint64_t> generations;  // of the registry, to be drained
  };

  std::string activate_locked(record& plugin, std::vector<std::string>& path);
  std::string requirements_locked(record& plugin, std::vector<std::string>& path);
  rai_status activate_target(record& plugin, std::string_view target, rai_service* out,
                             std::string& error);
  struct opening;
  std::string open_locked(const opening& what, std::unique_ptr<plugin_instance>& out,
                          bool& isolated);
  std::optional<std::string> saved_locked(record& plugin);
  std::string exchange(std::string_view id, plugin_file file, const plugin_file* seen,
                       const std::optional<file_identity>& expected);
  std::string replace_locked(record& plugin, const plugin_file& file,
                             std::vector<std::uint64_t>& replaced,
                             std::unique_ptr<plugin_instance>& unwanted);
  std::string bind_locked(record& plugin, plugin_instance& instance,
                          std::vector<std::uint64_t>& replaced);
  record* find_locked(std::string_view id);
  void watch_drain(const std::vector<std::uint64_t>& generations);
  std::vector<std::string> targets_of(const manifest& about,
                                      std::vector<std::string>& attributes) const;

  kernel& kernel_;
  const settings settings_;
  mutable std::mutex mutex_;  // lifecycle: one plugin at a time
  // Mark of the thread that holds the mutex while plugins' functions may run; 0: none.
  std::atomic<std::uintptr_t> lifecycle_thread_{0};
  std::vector<std::unique_ptr<record>> records_;
  std::vector<record*> opened_;  // in the order of activation
  std::vector<retired> retired_;
  bool swept_ = false;  // the directory of private copies
};
}  // namespace rustic::kernel::abi
