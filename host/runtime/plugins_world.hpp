// host/runtime/plugins_world.hpp - a program with plugins in a scratch directory, for tests: real
// files, a real loader and a real kernel.
#pragma once
#include <doctest/doctest.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <fstream>
#include <rustic/json.hpp>
#include <rustic/status.hpp>
#include <string>
#include <utility>
#include <vector>

#include "host/runtime/plugin_keeper.hpp"
#include "kernel/kernel.hpp"

namespace rustic::runtime::testing {
using namespace std::chrono_literals;
namespace fs = std::filesystem;
namespace abi = rustic::kernel::abi;

inline const fs::path probe_file = PROBE_FILE;
inline const fs::path hello_file = HELLO_FILE;

struct scratch {
  scratch() {
    std::string name = (fs::temp_directory_path() / "rustic-plugins-XXXXXX").string();
    path = fs::canonical(mkdtemp(name.data()));
  }
  ~scratch() { fs::remove_all(path); }
  fs::path path;
};

inline std::string bytes_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The plugin as another file: what follows the last section is nobody's.
inline std::string version_of(const fs::path& file, int number) {
  return bytes_of(file) + "version " + std::to_string(number);
}

inline void put(const fs::path& file, const std::string& bytes) {
  const auto beside = file.string() + ".new";
  std::ofstream(beside, std::ios::binary) << bytes;
  fs::permissions(beside, fs::perms::owner_all);
  fs::rename(beside, file);
}

// A program with plugins from two directories: the first is the user's, the second is configured.
struct world {
  explicit world(const std::function<void(options&)>& change = {}) {
    user = dir.path / "user";
    other = dir.path / "other";
    fs::create_directory(user);
    fs::create_directory(other);
    with.plugin_directories.emplace_back(user, false);
    with.plugin_directories.emplace_back(other, false);
    for (auto& one : with.plugin_directories) one.isolation = "none";
    with.state_directory = dir.path / "state";
    fs::create_directory(with.state_directory);
    if (change) change(with);
  }
  ~world() {
    if (keeper) keeper->stop_watching();
    if (plugins) plugins->stop(1000);
  }
  void begin() {
    keeper = std::make_unique<plugin_keeper>(with, k, [this] { ++deaths_told; });
    abi::loader::settings settings;
    settings.configuration = [this](const abi::manifest&) { return config; };
    settings.generation_directory = dir.path / "generations";
    settings.in_place = [this](const auto& file) { return keeper->in_place(file); };
    settings.isolate = [this](const auto& file, const auto& image, const auto& text) {
      return keeper->isolate(file, image, text);
    };
    plugins = std::make_unique<abi::loader>(k, std::move(settings));
    keeper->begin(*plugins, abi::find_plugins(paths_of(with.plugin_directories)),
                  [](const abi::manifest& about) {
                    std::vector<std::string> out;
                    for (const auto& entry : about.provides) out.push_back(entry.target());
                    return out;
                  });
  }
  void watch() {
    begin();
    keeper->watch([this](plugin_notice notice) {
      std::scoped_lock lock(mutex);
      told.push_back((notice.problem ? "! " : "* ") + notice.text);
      changed.notify_all();
    });
  }
  // The first line that holds this, waiting for it; empty when none came.
  std::string line_with(const std::string& part) {
    std::unique_lock lock(mutex);
    std::string found;
    changed.wait_for(lock, 20s, [&] {
      for (const auto& one : told)
        if (one.find(part) != std::string::npos) found = one;
      return !found.empty();
    });
    if (found.empty())
      for (const auto& one : told) MESSAGE(one);
    return found;
  }
  void forget_lines() {
    std::scoped_lock lock(mutex);
    told.clear();
  }
  bool wait_lines(std::size_t count) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, 20s, [&] { return told.size() >= count; });
  }
  std::size_t lines() {
    std::scoped_lock lock(mutex);
    return told.size();
  }
  bool has_line(const std::string& part) {
    std::scoped_lock lock(mutex);
    return std::any_of(told.begin(), told.end(),
                       [&](const auto& one) { return one.find(part) != std::string::npos; });
  }
  plugin_report report(const std::string& id) {
    for (auto& one : keeper->list())
      if (one.status.file.about.id == id && one.status.file.usable()) return one;
    return {};
  }
  std::uint32_t generation(const std::string& id) { return report(id).status.generation; }
  // The status and body of a call.
  std::pair<rai_status, std::string> ask(std::string_view target, std::string_view method) {
    struct answer {
      std::mutex mutex;
      std::condition_variable changed;
      bool done = false;
      rai_status status = RAI_UNKNOWN;
      std::string body;
    } out;
    rai_request request{};
    request.struct_size = sizeof request;
    request.target = to_str(target);
    request.method = to_str(method);
    request.body = to_str("{}");
    const rai_observer observer{sizeof observer, 0, &out, nullptr,
                                [](void* self, rai_status status, rai_str body) {
                                  auto& me = *static_cast<answer*>(self);
                                  std::scoped_lock lock(me.mutex);
                                  me.status = status;
                                  me.body = to_view(body);
                                  me.done = true;
                                  me.changed.notify_all();
                                }};
    k.call(0, request, observer, {});
    std::unique_lock lock(out.mutex);
    REQUIRE(out.changed.wait_for(lock, 20s, [&] { return out.done; }));
    return {out.status, out.body};
  }
  plugin_ledger ledger() const { return plugin_ledger(ledger_file(with)); }

  scratch dir;
  fs::path user, other;
  options with;
  std::string config = "{}";
  std::atomic<int> deaths_told{0};
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> told;
  kernel::kernel k;
  std::unique_ptr<plugin_keeper> keeper;
  std::unique_ptr<abi::loader> plugins;
};

inline void dev(options& with) {
  for (auto& one : with.plugin_directories) one.dev = true;
}

inline void published(world& w, const std::string& body) {
  (void)w.k.events().publish("rustic.plugin.died", body);
}
}  // namespace rustic::runtime::testing
