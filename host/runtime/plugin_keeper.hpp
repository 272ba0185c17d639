// host/runtime/plugin_keeper.hpp - decides about plugins while a program runs: how each is opened,
// what a changed file means, what is remembered.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/runtime/generation_notes.hpp"
#include "host/runtime/options.hpp"
#include "host/runtime/plugin_ledger.hpp"
#include "host/runtime/plugin_placement.hpp"
#include "host/runtime/plugin_watcher.hpp"
#include "kernel/abi/loader.hpp"
#include "kernel/bus.hpp"

namespace rustic::kernel {
class kernel;
}

namespace rustic::runtime {

// For the person, one line.
struct plugin_notice {
  bool problem = false;
  std::string text;
};

struct plugin_report {
  kernel::abi::plugin_status status;
  placement where;
  ledger_plugin known;
  bool removed = false;  // its file is gone, and so it was unloaded
  std::string pending;   // a changed file waits for the person's word: what it is
};

// Threads: every function from any thread, but none from inside a plugin's functions, except
// in_place and isolate.
class plugin_keeper {
 public:
  // `options` and the kernel outlive it. `wake` asks for a call of write_deaths on a thread that
  // may wait for the disk.
  plugin_keeper(const options& with, kernel::kernel& owner, std::function<void()> wake);
  ~plugin_keeper();
  plugin_keeper(const plugin_keeper&) = delete;
  plugin_keeper& operator=(const plugin_keeper&) = delete;

  // For the loader's settings; used once a loader has been attached.
  bool in_place(const kernel::abi::plugin_file& file) const;
  std::optional<kernel::abi::stand_in> isolate(const kernel::abi::plugin_file& file,
                                               const std::filesystem::path& image,
                                               const std::string& config);

  // `targets` are what a manifest offers as configured.
  using targets_function =
      std::function<std::vector<std::string>(const kernel::abi::manifest& about)>;
  // Adds the files to the loader.
  void begin(kernel::abi::loader& plugins, const std::vector<kernel::abi::plugin_file>& found,
             targets_function targets);
  void write_deaths();

  // From now on changes of files and of the ledger take effect; `told` gets a line for each and for
  // each death, on whichever thread noticed it, until stop_watching: it waits for nothing and calls
  // nothing here. Throws failure when changes cannot be watched; then deaths are told all the same.
  void watch(std::function<void(plugin_notice)> told);
  void stop_watching();

  // Opens the plugin's file anew, whatever is known about it. Throws failure with the reason; then
  // what served before goes on.
  void reload(std::string_view id);
  // Takes up the file that waits for the person's word, and remembers it. Throws failure.
  void accept(std::string_view id);
  std::vector<plugin_report> list() const;

 private:
  using files = std::vector<kernel::abi::plugin_file>;
  using statuses = std::vector<kernel::abi::plugin_status>;
  struct removal {
    std::chrono::steady_clock::time_point since;
  };

  std::optional<std::chrono::milliseconds> look(const plugin_watcher::ask_busy& ask_busy);
  void follow_ledger(const ledger_state& before, const files& found);
  void follow_due(const files& found);
  void take_up_asked(const kernel::abi::plugin_file& file);
  void follow_file(const kernel::abi::plugin_file& file, const statuses& known);
  void follow_broken(const kernel::abi::plugin_file& file, const statuses& known);
  void follow_gone(const statuses& known, const files& found,
                   const plugin_watcher::busy_files& busy);
  bool is_welcome(const kernel::abi::plugin_file& file) const;
  std::string take_up(const kernel::abi::plugin_file& file, bool known);
  void announce_taken(const kernel::abi::plugin_file& file, bool known, const std::string& problem);
  void trust(const kernel::abi::plugin_file& file, std::string_view how);
  ledger_plugin forgive(const std::string& id);
  std::string unload(const std::string& id);
  void note_generations();
  void tell(bool problem, std::string text) const;
  void show(plugin_notice notice) const;
  void look_again_in(std::chrono::milliseconds time);
  bool shipped(const kernel::abi::plugin_file& file) const;
  ledger_state ledger() const;
  static void on_death(void* self, rai_str topic, rai_str body) noexcept;

  const options& options_;
  const std::vector<std::filesystem::path> directories_;
  const plugin_ledger file_;
  const std::function<void()> wake_;
  kernel::abi::loader* loader_ = nullptr;
  targets_function targets_;
  std::optional<std::filesystem::path> cell_;

  // One look, reload or acceptance at a time.
  mutable std::mutex work_mutex_;
  std::map<std::string, kernel::abi::file_identity> refused_;  // by path, told already
  std::map<std::string, removal, std::less<>> removals_;       // by id
  // Files that wait until older generations are done, told already; by path.
  std::map<std::string, kernel::abi::file_identity> delayed_;
  // The same of what the ledger asked for; by id.
  std::map<std::string, kernel::abi::file_identity> reloads_due_;
  std::optional<std::chrono::milliseconds> again_;
  generation_notes notes_;

  // Held while it runs, so that it runs no more after stop_watching.
  mutable std::mutex told_mutex_;
  std::function<void(plugin_notice)> told_;

  // Short, also taken below the loader's lock.
  mutable std::mutex state_mutex_;
  ledger_state ledger_;
  std::map<std::string, kernel::abi::plugin_file, std::less<>> pending_;  // by id
  std::map<std::string, ledger_plugin, std::less<>> deaths_;  // not in the file yet, by id

  kernel::subscription deaths_told_;
  std::unique_ptr<plugin_watcher> watcher_;
};
}  // namespace rustic::runtime
