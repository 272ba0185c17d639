// What a plugin in a cell costs: until it is ready, a call, a streamed event, a call of its own.
//
// cell_bench [RUNS]: medians, and the 5th and 95th percentile of the single calls, beside the same
// in the process.
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/abi/loader.hpp"
#include "kernel/error.hpp"
#include "kernel/kernel.hpp"

namespace {
namespace fs = std::filesystem;
using clock_type = std::chrono::steady_clock;
using namespace rustic::kernel;

const fs::path build = RUSTIC_BUILD;

double us_since(clock_type::time_point from) {
  return std::chrono::duration<double, std::micro>(clock_type::now() - from).count();
}

struct caller {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  rai_status status = RAI_OK;
  std::uint64_t events = 0;

  static rai_flow event(void* self, const rai_event*) {
    ++static_cast<caller*>(self)->events;
    return RAI_CONTINUE;
  }
  static void finish(void* self, rai_status status, rai_str) {
    auto& me = *static_cast<caller*>(self);
    const std::lock_guard lock(me.mutex);
    me.status = status;
    me.done = true;
    me.changed.notify_all();
  }
};

struct world {
  kernel k;
  fs::path file;
  bool isolated;
  abi::loader plugins;

  world(fs::path plugin, bool in_cell)
      : file(std::move(plugin)), isolated(in_cell), plugins(k, settings(this)) {
    plugins.add(abi::inspect_plugin(file));
  }

  static abi::loader::settings settings(world* me) {
    abi::loader::settings out;
    out.configuration = [](const abi::manifest&) { return std::string("{}"); };
    out.in_place = [](const abi::plugin_file&) { return true; };
    out.isolate = [me](const abi::plugin_file& plugin, const fs::path& image,
                       const std::string&) -> std::optional<abi::stand_in> {
      if (!me->isolated) return std::nullopt;
      std::string targets;
      for (const auto& one : plugin.about.provides)
        targets += (targets.empty() ? "\"" : ",\"") + one.target() + "\"";
      return abi::stand_in{build / "lib/rustic-ai/plugins/cell.so",
                           "{\"isolated\":{\"id\":\"" + plugin.about.id + "\",\"file\":\"" +
                               image.string() + "\",\"config\":{},\"targets\":[" + targets + "]}}"};
    };
    return out;
  }

  std::uint64_t call(std::string_view target, std::string_view method,
                     std::string_view body = "{}") {
    caller who;
    rai_request request{};
    request.struct_size = sizeof request;
    request.target = str(target);
    request.method = str(method);
    request.body = str(body);
    const rai_observer observer{sizeof observer, 0, &who, &caller::event, &caller::finish};
    k.call(0, request, observer, {});
    std::unique_lock lock(who.mutex);
    who.changed.wait(lock, [&] { return who.done; });
    if (who.status != RAI_OK) {
      std::fprintf(stderr, "a call failed with status %d\n", who.status);
      std::exit(1);
    }
    return who.events;
  }
};

struct spread {
  double low, median, high;
};
spread of(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const auto at = [&](double part) {
    return samples[static_cast<std::size_t>(part * static_cast<double>(samples.size() - 1))];
  };
  return {at(0.05), at(0.5), at(0.95)};
}

void print(const char* what, const char* unit, const spread& s) {
  std::printf("| %s | %s | %.2f | %.2f | %.2f |\n", what, unit, s.low, s.median, s.high);
  std::fflush(stdout);
}

spread ready_ms(const fs::path& plugin, int runs) {
  std::vector<double> samples;
  for (int i = 0; i < runs; ++i) {
    world w(plugin, true);
    const auto id = w.plugins.list().front().file.about.id;
    const auto from = clock_type::now();
    const auto problem = w.plugins.activate(id);
    samples.push_back(us_since(from) / 1'000);
    if (!problem.empty()) {
      std::fprintf(stderr, "%s\n", problem.c_str());
      std::exit(1);
    }
  }
  return of(std::move(samples));
}

spread call_us(world& w, const std::string& target, const std::string& method, int calls,
               std::string_view body = "{}") {
  std::vector<double> samples;
  for (int i = 0; i < 200; ++i) w.call(target, method, body);
  for (int i = 0; i < calls; ++i) {
    const auto from = clock_type::now();
    w.call(target, method, body);
    samples.push_back(us_since(from));
  }
  return of(std::move(samples));
}

spread events_per_s(world& w, int runs, std::uint64_t count) {
  std::vector<double> samples;
  const std::string body = "{\"count\":" + std::to_string(count) + "}";
  for (int i = 0; i < runs; ++i) {
    const auto from = clock_type::now();
    if (w.call("rustic.test/raw", "stream", body) != count) std::exit(1);
    samples.push_back(static_cast<double>(count) / us_since(from) * 1'000'000);
  }
  return of(std::move(samples));
}

}  // namespace

int main(int count, char** words) {
  const int runs = count > 1 ? std::atoi(words[1]) : 40;
  const auto plugin = build / "lib/rustic-ai/test-plugins/hostile.so";
  std::printf("| measured | unit | 5%% | median | 95%% |\n|---|---|---|---|---|\n");
  const auto plain = build / "lib/rustic-ai/examples/hello-c.so";
  if (fs::exists(plain)) print("ready, a plugin in C, in a cell", "ms", ready_ms(plain, runs));
  print("ready, a plugin in C++ with Boost.JSON, in a cell", "ms", ready_ms(plugin, runs));
  for (const bool in_cell : {false, true}) {
    const std::string where = in_cell ? ", in a cell" : ", in the process";
    world w(plugin, in_cell);
    const int calls = runs * (in_cell ? 500 : 2'000);
    print(("a call, answered at once" + where).c_str(), "us",
          call_us(w, "rustic.test/raw", "echo", calls));
    print(("a call, answered by a worker" + where).c_str(), "us",
          call_us(w, "rustic.test/hostile", "echo", calls));
    print(("a call that calls, both in the plugin" + where).c_str(), "us",
          call_us(w, "rustic.test/hostile", "ask", calls / 4));
    const std::string large = "{\"text\":\"" + std::string(1 << 20, 'x') + "\"}";
    print(("a call with 1 MiB in and out" + where).c_str(), "us",
          call_us(w, "rustic.test/raw", "echo", runs, large));
    print(("streamed events" + where).c_str(), "1/s", events_per_s(w, runs / 4 + 1, 1'000'000));
  }
}
