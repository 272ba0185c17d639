// host/runtime/plugin_watcher.hpp - notices when plugin files or the ledger change.
#pragma once
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace rustic::runtime {

// One thread that sleeps until the kernel tells of a change (inotify): an idle one costs nothing.
// Directories that are not there yet are waited for. A link is watched together with what it leads
// to, one step far.
class plugin_watcher {
 public:
  // Files that somebody is writing now: not to be looked at before they are closed.
  using busy_files = std::set<std::filesystem::path>;
  // To be asked after the directories were read: what was seen of these files may be half of them.
  using ask_busy = std::function<busy_files()>;
  // Called once at the beginning and after every change, on the watcher's thread. What it returns
  // is when it wants to be called again without a change.
  using look = std::function<std::optional<std::chrono::milliseconds>(const ask_busy&)>;

  // Throws failure when the kernel refuses to tell of changes.
  plugin_watcher(std::vector<std::filesystem::path> directories, std::filesystem::path ledger,
                 look changed);
  // Returns when the callback runs no more.
  ~plugin_watcher();
  plugin_watcher(const plugin_watcher&) = delete;
  plugin_watcher& operator=(const plugin_watcher&) = delete;

 private:
  struct watched {
    std::filesystem::path directory;
    bool plugins = false;           // it holds plugins
    std::set<std::string> awaited;  // names below it whose appearance counts
    // Names of files that plugins are links to, and what those are called where plugins lie.
    std::map<std::string, std::filesystem::path> targets;
  };
  void run();
  void arm();
  enum class wanted { plugins, appearance, target };
  void arm_directory(const std::filesystem::path& directory, wanted what,
                     const std::string& file = {}, const std::filesystem::path& link = {});
  void arm_links(const std::filesystem::path& directory);
  bool take_events();
  std::optional<std::chrono::milliseconds> call_look();
  void note_plugin(const std::filesystem::path& path, std::uint32_t mask, bool& look_due);
  void note(const watched& from, std::uint32_t mask, const std::string& name, bool& look_due,
            bool& arm_due);

  const std::vector<std::filesystem::path> directories_;
  const std::filesystem::path ledger_;
  const look look_;
  int inotify_ = -1;
  int stop_ = -1;
  std::map<int, watched> watches_;
  busy_files busy_;
  busy_files changed_;  // since the look began
  bool look_again_ = false;
  int unwatched_ = 0;  // the error, when there was no room for another watch
  std::thread thread_;
};
}  // namespace rustic::runtime
