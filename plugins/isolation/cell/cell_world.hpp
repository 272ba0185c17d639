// For the tests of the cell: a kernel and a loader that open every plugin in a cell.
#pragma once
#include <doctest/doctest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <rustic/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "kernel/abi/loader.hpp"
#include "kernel/test_parts.hpp"

namespace rustic::cell::testing {
namespace fs = std::filesystem;
using namespace rustic::kernel;
using namespace rustic::kernel::testing;
namespace abi = rustic::kernel::abi;

inline fs::path build_directory() {
  return RUSTIC_BUILD;
}
inline fs::path shipped(const std::string& name) {
  return build_directory() / "lib/rustic-ai/plugins" / (name + ".so");
}
inline fs::path test_plugin(const std::string& name) {
  return build_directory() / "lib/rustic-ai/test-plugins" / (name + ".so");
}

inline bool eventually(const std::function<bool()>& holds, int seconds = 30) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

// Neither gone nor a zombie.
inline bool runs(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);  // of one that goes away meanwhile nothing can be read
  const auto end = text.rfind(')');
  return end != std::string::npos && text[end + 2] != 'Z' && text[end + 2] != 'X';
}

struct scratch {
  scratch() {
    std::string name = (fs::temp_directory_path() / "rustic-cell-XXXXXX").string();
    path = fs::canonical(mkdtemp(name.data()));
  }
  ~scratch() { fs::remove_all(path); }
  fs::path path;
};

struct world {
  bench b;
  scratch dir;
  mutable std::mutex mutex;
  std::vector<std::string> log;     // guarded by mutex, like what follows
  std::vector<std::string> deaths;  // bodies of rustic.plugin.died
  std::string plugin_config = "{}";
  json::object isolated;  // more members of "isolated"
  json::object section;   // [plugin.cell]
  bool in_cell = true;
  abi::loader plugins;

  world() : plugins(b.k, settings(this)) {
    b.k.events().subscribe(
        "rustic.plugin.died",
        [](void* self, rai_str, rai_str body) {
          auto& me = *static_cast<world*>(self);
          const std::scoped_lock lock(me.mutex);
          me.deaths.emplace_back(view(body));
        },
        this);
  }
  // A plugin that is left running would outlive the kernel that it uses.
  ~world() { CHECK(plugins.stop(20'000).empty()); }

  static abi::loader::settings settings(world* me) {
    abi::loader::settings out;
    out.configuration = [me](const abi::manifest&) { return me->plugin_config; };
    out.generation_directory = me->dir.path / "generations";
    out.isolate = [me](const abi::plugin_file& file, const fs::path& image,
                       const std::string& config) { return me->stand_in(file, image, config); };
    out.log = [me](int, std::string_view plugin, rai_call, std::string_view text) {
      const std::scoped_lock lock(me->mutex);
      me->log.push_back(std::string(plugin) + ": " + std::string(text));
    };
    return out;
  }

  std::optional<abi::stand_in> stand_in(const abi::plugin_file& file, const fs::path& image,
                                        const std::string& config) {
    if (!in_cell) return std::nullopt;
    json::object whole = section;
    json::object about = isolated;
    about["id"] = file.about.id;
    about["file"] = image.string();
    about["config"] = json::parse(config);
    json::array targets;
    for (const auto& one : file.about.provides) targets.emplace_back(one.target());
    about["targets"] = targets;
    whole["isolated"] = about;
    return abi::stand_in{shipped("cell"), json::serialize(whole)};
  }

  // With a name it offers that and nothing else.
  void add(const fs::path& file, const std::string& interface = {}, const std::string& name = {}) {
    auto found = abi::inspect_plugin(file);
    REQUIRE(found.problem == "");
    if (!interface.empty()) {
      found.about.provides.resize(1);
      found.about.provides[0].interface = interface;
      found.about.provides[0].name = name;
    }
    plugins.add(found);
  }

  rai_call call(caller& who, std::string_view target, std::string_view method,
                std::string_view body = "{}") {
    return b.k.call(0, request_for(target, method, body), who.observer(), {});
  }
  std::string ask(std::string_view target, std::string_view method, std::string_view body = "{}",
                  rai_status expected = RAI_OK) {
    caller who;
    call(who, target, method, body);
    REQUIRE(who.wait_finished());
    CAPTURE(method);
    CAPTURE(who.body());
    CHECK(who.status() == expected);
    return who.body();
  }
  std::int64_t number(std::string_view target, std::string_view method,
                      std::string_view body = "{}", std::string_view member = "pid") {
    const auto text = ask(target, method, body);
    return int_or(json::parse(text).as_object(), member, -1);
  }
  bool logged(std::string_view part) const {
    const std::scoped_lock lock(mutex);
    for (const auto& line : log)
      if (line.find(part) != std::string::npos) return true;
    return false;
  }
  std::size_t died() const {
    const std::scoped_lock lock(mutex);
    return deaths.size();
  }
  json::object death(std::size_t number) const {
    const std::scoped_lock lock(mutex);
    return json::parse(deaths.at(number)).as_object();
  }
};

}  // namespace rustic::cell::testing
