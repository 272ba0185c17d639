// kernel/abi/loader_world.hpp - a loader with a kernel and a scratch directory, for its tests.
#pragma once
#include <doctest/doctest.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <thread>

#include "kernel/abi/loader.hpp"
#include "kernel/test_parts.hpp"

namespace rustic::kernel::abi::testing {
using namespace rustic::kernel::testing;
namespace fs = std::filesystem;

inline const fs::path probe_file = PROBE_FILE;

struct scratch {
  scratch() {
    std::string name = (fs::temp_directory_path() / "rustic-loader-XXXXXX").string();
    path = fs::canonical(mkdtemp(name.data()));
  }
  ~scratch() { fs::remove_all(path); }
  fs::path path;
};

// The probe under another id, with targets of its own.
inline plugin_file posing_as(const fs::path& file, const std::string& id,
                             std::vector<std::string> needs = {}) {
  auto out = inspect_plugin(file);
  REQUIRE(out.problem == "");
  out.about.id = id;
  out.about.provides.clear();
  provided entry;
  entry.interface = "rustic.test";
  entry.name = id;
  entry.attributes = "{}";
  out.about.provides.push_back(entry);
  out.about.requires_targets = std::move(needs);
  return out;
}

struct world {
  bench b;
  scratch dir;
  std::mutex mutex;
  std::vector<std::string> created;            // ids, in the order in which they were configured
  std::map<std::string, std::string> configs;  // by id
  std::atomic<int> drained{0};
  loader plugins;

  explicit world(const std::function<void(loader::settings&)>& change = {})
      : plugins(b.k, changed(settings(this), change)) {}

  static loader::settings changed(loader::settings out,
                                  const std::function<void(loader::settings&)>& change) {
    if (change) change(out);
    return out;
  }

  static loader::settings settings(world* me) {
    loader::settings out;
    out.configuration = [me](const manifest& about) {
      std::scoped_lock lock(me->mutex);
      me->created.push_back(about.id);
      const auto found = me->configs.find(about.id);
      if (found != me->configs.end()) return found->second;
      if (about.id == "probe") return std::string("{}");
      return "{\"coroutines\":[\"rustic.test/" + about.id + "\"],\"blockings\":[]}";
    };
    out.generation_directory = me->dir.path / "generations";
    out.on_drained = [me] { ++me->drained; };
    return out;
  }
  std::string ask(std::string_view target, std::string_view method = "echo",
                  std::string_view body = "{}", rai_status expected = RAI_OK) {
    caller who;
    b.k.call(0, request_for(target, method, body), who.observer(), {});
    REQUIRE(who.wait_finished());
    CAPTURE(who.body());
    CHECK(who.status() == expected);
    return who.body();
  }
  const plugin_status state(std::string_view id) {
    for (auto& one : plugins.list())
      if (one.file.about.id == id) return one;
    return {};
  }
};

inline bool is_mapped(const fs::path& file) {
  std::ifstream maps("/proc/self/maps");
  const std::string text((std::istreambuf_iterator<char>(maps)), {});
  return text.find(file.string()) != std::string::npos;
}

inline fs::path copy_of_probe(const scratch& dir, const std::string& name) {
  const auto path = dir.path / name;
  fs::copy_file(probe_file, path, fs::copy_options::overwrite_existing);
  fs::permissions(path, fs::perms::owner_all);
  return path;
}

inline std::size_t entries(const char* directory) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

inline bool eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

// A call counts as in flight until its thread leaves the plugin, a moment after its caller is told.
inline bool drains(world& w, std::string_view id) {
  return eventually([&] {
    w.plugins.reap();
    return w.state(id).draining == 0;
  });
}
}  // namespace rustic::kernel::abi::testing
