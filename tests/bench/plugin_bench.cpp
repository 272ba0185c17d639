// What many plugins and new ones cost: listing 100, opening a new generation, and what a generation
// leaves behind.
//
// plugin_bench [RUNS]: the 5th percentile, median and 95th percentile. Files and private copies lie
// in a directory of the current one: a disk, or tmpfs to leave the disk out.
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "host/runtime/runtime.hpp"
#include "kernel/abi/loader.hpp"
#include "kernel/kernel.hpp"

namespace {
namespace fs = std::filesystem;
namespace abi = rustic::kernel::abi;
using clock_type = std::chrono::steady_clock;

constexpr int listed_plugins = 100;
const fs::path build = RUSTIC_BUILD;
const fs::path examples = build / "lib/rustic-ai/examples";

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "plugin_bench: %s\n", what.c_str());
  std::exit(1);
}

struct scratch {
  scratch() {
    std::string name = (fs::current_path() / "plugin-bench-XXXXXX").string();
    if (!mkdtemp(name.data())) fail("cannot make a directory here");
    path = name;
  }
  ~scratch() { fs::remove_all(path); }
  fs::path path;
};

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void put(const fs::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
  fs::permissions(file, fs::perms(0755));
}

// The plugin under another id and other names of its tools, of the same length.
std::string renamed(std::string bytes, const std::string& id, int number) {
  auto digits = std::to_string(number);
  digits.insert(0, 3 - digits.size(), '0');
  for (const char joint : {'-', '_'}) {
    auto name = id;
    std::replace(name.begin(), name.end(), '-', joint);
    auto other = name;
    other.replace(other.size() - digits.size(), digits.size(), digits);
    for (auto at = bytes.find(name); at != std::string::npos; at = bytes.find(name, at + 1))
      bytes.replace(at, name.size(), other);
  }
  return bytes;
}

bool any_is_mapped(const fs::path& below) {
  return text_of("/proc/self/maps").find(below.string()) != std::string::npos;
}

std::size_t resident_bytes() {
  std::size_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// Private copies that are mapped and have no name any more: their blocks stay until the end.
std::size_t nameless_files(const fs::path& below) {
  std::set<std::string> names;
  std::istringstream maps(text_of("/proc/self/maps"));
  for (std::string line; std::getline(maps, line);) {
    const auto at = line.find(below.string());
    if (at != std::string::npos && line.ends_with("(deleted)")) names.insert(line.substr(at));
  }
  return names.size();
}

double ms_since(clock_type::time_point from) {
  return std::chrono::duration<double, std::milli>(clock_type::now() - from).count();
}

void print(const char* what, const char* unit, const char* goal, std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const auto at = [&](double part) {
    return samples[static_cast<std::size_t>(part * static_cast<double>(samples.size() - 1))];
  };
  std::printf("| %s | %s | %s | %.2f | %.2f | %.2f |\n", what, unit, goal, at(0.05), at(0.5),
              at(0.95));
  std::fflush(stdout);
}

// Half of them small ones in C, half in C++ with Boost.JSON.
void list_many(const fs::path& dir, int runs) {
  fs::create_directories(dir);
  const auto small = text_of(examples / "hello-c.so"), large = text_of(examples / "word-count.so");
  for (int i = 0; i < listed_plugins; ++i) {
    const std::string id = i % 2 == 0 ? "hello-c" : "word-count";
    put(dir / (std::to_string(i) + ".so"), renamed(i % 2 == 0 ? small : large, id, i));
  }
  std::vector<double> found_ms, ready_ms;
  for (int i = 0; i < runs; ++i) {
    auto from = clock_type::now();
    const auto found = abi::find_plugins({dir});
    found_ms.push_back(ms_since(from));
    const auto usable =
        std::count_if(found.begin(), found.end(), [](const auto& one) { return one.usable(); });
    if (usable != listed_plugins) fail(std::to_string(usable) + " of the plugins are usable");
    rustic::kernel::kernel k;
    abi::loader plugins(k, {});
    from = clock_type::now();
    for (const auto& one : found) plugins.add(one);
    if (plugins.list().size() != found.size()) fail("not all plugins are listed");
    ready_ms.push_back(found_ms.back() + ms_since(from));
  }
  if (any_is_mapped(dir)) fail("listing has opened a plugin");
  print("100 plugins listed", "ms", "3", std::move(found_ms));
  print("100 plugins listed and their services declared", "ms", "", std::move(ready_ms));

  std::vector<double> program_ms;
  for (int i = 0; i < runs; ++i) {
    const auto from = clock_type::now();
    const pid_t child = fork();
    if (child == 0) {
      const auto program = (build / "bin/rustic-ai").string();
      if (!freopen("/dev/null", "w", stdout)) _exit(126);
      execl(program.c_str(), program.c_str(), "--plugin-dir", dir.c_str(), "plugin", "list",
            static_cast<char*>(nullptr));
      _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0) fail("rustic-ai plugin list failed");
    program_ms.push_back(ms_since(from));
  }
  print("rustic-ai plugin list with 100 more, wall", "ms", "", std::move(program_ms));
}

// A loader with one plugin, in the process or in a cell.
struct one_plugin {
  one_plugin(const fs::path& plugin, fs::path copies, bool isolated)
      : plugins(k, settings(std::move(copies), isolated)) {
    file = abi::inspect_plugin(plugin);
    plugins.add(file);
    if (const auto problem = plugins.activate(file.about.id); !problem.empty()) fail(problem);
  }
  static abi::loader::settings settings(fs::path copies, bool isolated) {
    abi::loader::settings out;
    out.configuration = [](const abi::manifest&) { return std::string("{}"); };
    out.generation_directory = std::move(copies);
    if (!isolated) return out;
    out.isolate = [](const abi::plugin_file& one, const fs::path& image, const std::string&) {
      std::string targets;
      for (const auto& entry : one.about.provides)
        targets += (targets.empty() ? "\"" : ",\"") + entry.target() + "\"";
      return std::optional(abi::stand_in{build / "lib/rustic-ai/plugins/cell.so",
                                         "{\"isolated\":{\"id\":\"" + one.about.id +
                                             "\",\"file\":\"" + image.string() +
                                             "\",\"config\":{},\"targets\":[" + targets + "]}}"});
    };
    return out;
  }
  void reload() {
    if (const auto problem = plugins.reload(file.about.id, file.path); !problem.empty())
      fail(problem);
  }

  rustic::kernel::kernel k;
  abi::plugin_file file;
  abi::loader plugins;
};

void reload_many(const std::string& name, const char* of, const fs::path& copies, int runs) {
  for (const bool isolated : {false, true}) {
    one_plugin w(examples / (name + ".so"), copies, isolated);
    for (int i = 0; i < 20; ++i) w.reload();
    const auto memory = resident_bytes(), files = nameless_files(copies);
    std::vector<double> samples;
    const int rounds = isolated ? runs : 5 * runs;
    for (int i = 0; i < rounds; ++i) {
      const auto from = clock_type::now();
      w.reload();
      samples.push_back(ms_since(from));
      w.plugins.reap();  // the old generation, whose end nobody waits for
    }
    print((std::string("reload, ") + of + (isolated ? ", in a cell" : "")).c_str(), "ms", "10",
          std::move(samples));
    const auto each_kib = [&](std::size_t bytes) {
      return std::vector{static_cast<double>(bytes) / 1024 / rounds};
    };
    const auto grown = resident_bytes() - std::min(resident_bytes(), memory);
    const auto kept = (nameless_files(copies) - files) * w.file.identity.bytes;
    const bool small = name == "hello-c";
    print((std::string("memory of a generation, ") + of + (isolated ? ", in a cell" : "")).c_str(),
          "KiB", small ? "64" : "", each_kib(grown));
    print((std::string("disk of a generation, ") + of + (isolated ? ", in a cell" : "")).c_str(),
          "KiB", small ? "64" : "", each_kib(kept));
  }
}

// From the rename that puts a file in place until the new generation serves.
void watch_files(const fs::path& dir, int runs) {
  using namespace rustic;
  const auto plugins = dir / "watched";
  fs::create_directories(plugins);
  fs::create_directories(dir / "home");
  const auto bytes = text_of(examples / "hello-c.so");
  put(plugins / "hello.so", bytes);
  runtime::options with;
  with.plugin_directories = {build / "lib/rustic-ai/plugins"};
  with.plugin_directories.emplace_back(plugins, false);
  with.plugin_directories.back().dev = true;
  with.storage = json::object{{"backend", "memory"}};
  with.state_directory = with.data_directory = with.cache_directory = dir / "home";
  runtime::runtime rt(std::move(with));
  std::mutex mutex;
  std::condition_variable changed;
  int served = 0;
  rt.keeper().watch([&](const runtime::plugin_notice& notice) {
    const std::scoped_lock lock(mutex);
    if (notice.text.find("serves") != std::string::npos) ++served;
    changed.notify_all();
  });
  if (const auto problem = rt.plugins().activate("hello-c"); !problem.empty()) fail(problem);
  std::vector<double> samples;
  for (int i = 0; i < runs; ++i) {
    put(dir / "next.so", bytes + std::to_string(i));
    std::unique_lock lock(mutex);
    const auto from = clock_type::now();
    fs::rename(dir / "next.so", plugins / "hello.so");
    if (!changed.wait_for(lock, std::chrono::seconds(20), [&] { return served == i + 1; }))
      fail("the new file was not noticed");
    samples.push_back(ms_since(from));
  }
  rt.keeper().stop_watching();
  print("a file is replaced until it serves, a plugin in C, in a cell", "ms", "10",
        std::move(samples));
}
}  // namespace

int main(int count, char** words) {
  const int runs = count > 1 ? std::max(std::atoi(words[1]), 1) : 40;
  const scratch dir;
  std::printf("| measured | unit | goal | 5%% | median | 95%% |\n|---|---|---|---|---|---|\n");
  list_many(dir.path / "many", runs);
  reload_many("hello-c", "a plugin in C", dir.path / "copies", runs);
  reload_many("word-count", "a plugin in C++", dir.path / "copies", runs);
  watch_files(dir.path, runs);
}
