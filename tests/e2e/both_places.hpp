// both_places.hpp - for tests: the same requests with every plugin in the process, and then with
// every plugin in a cell. What was answered has to be the same, byte for byte.
#pragma once
#include <doctest/doctest.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "host/runtime/runtime.hpp"
#include "model_server.hpp"

namespace rustic::e2e {
namespace fs = std::filesystem;

inline const std::vector<fs::path>& plugin_folders() {
  static const std::vector<fs::path> all{PLUGIN_DIRECTORY, EXAMPLE_DIRECTORY,
                                         TEST_PLUGIN_DIRECTORY};
  return all;
}

// The plugins of this build; what isolates the others cannot be isolated.
inline std::set<std::string> plugins_of_the_build() {
  std::set<std::string> out;
  for (const auto& file : kernel::abi::find_plugins(plugin_folders()))
    if (file.about.id != "cell") out.insert(file.about.id);
  return out;
}

// Durations that a plugin has measured: no two runs agree, wherever they take place.
inline std::string without_durations(const std::string& text) {
  static const std::regex measured(R"re("(duration_ms|elapsed_ms)":[0-9]+)re");
  return std::regex_replace(text, measured, "\"$1\":0");
}

// One of the two runs: a runtime in an empty home, with a clock and ids that repeat themselves.
class one_place {
 public:
  // `change` has the last word about the options.
  one_place(const fs::path& home, fakes::model_server& server, bool isolated,
            const std::function<void(one_place&)>& change)
      : home_(home), isolated_(isolated), server_(server) {
    fs::remove_all(home);
    for (const auto* below : {"w", "state", "data", "cache"}) fs::create_directories(home / below);
    for (const auto& folder : plugin_folders()) options.plugin_directories.emplace_back(folder);
    for (const auto& id : plugins_of_the_build())
      options.plugin_sections[id] = json::object{{"isolation", isolated ? "process" : "none"}};
    options.storage = json::object{{"backend", "memory"}};
    options.permissions = json::object{{"mode", "bypass"}};
    options.working_directory = home / "w";
    options.state_directory = home / "state";
    options.data_directory = home / "data";
    options.cache_directory = home / "cache";
    options.environment = {{"PATH", "/usr/bin:/bin"}, {"HOME", home.string()}, {"LANG", "C.UTF-8"}};
    change(*this);
    requests_before_ = server.requests().size();
    rt_ = std::make_unique<runtime::runtime>(options);
    auto& services = rt_->services();
    for (const auto* target : {"rustic.clock/default", "rustic.id/default"})
      services.withdraw(target);
    services.provide("rustic.clock/default", [this](auto&&...) {
      return "{\"unix_ms\":" + std::to_string(1'764'000'000'000 + ++ticks_) + "}";
    });
    services.provide("rustic.id/default",
                     [this](std::string_view, const json::object& body, std::string_view) {
                       const auto digits = std::to_string(++ids_);
                       return "{\"id\":\"" + std::string(text_or(body, "prefix")) +
                              std::string(26 - digits.size(), '0') + digits + "\"}";
                     });
  }

  // Configuration of a plugin, for `change`.
  json::object& section(const std::string& id) { return options.plugin_sections[id].as_object(); }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(home_ / "w" / name, std::ios::binary) << content;
  }
  std::string read(const fs::path& file) const {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  // Makes a call and writes down all that comes of it. With `stop_after` events it is cancelled.
  call_result ask(std::string_view target, std::string_view method, const json::object& body,
                  json::object context = {}, int stop_after = 0) {
    if (!context.contains("workspace")) context["workspace"] = (home_ / "w").string();
    note("> " + std::string(target) + " " + std::string(method));
    auto call = rt_->start(target, method, body, context, call_ms_max);
    std::string joined;
    int seen = 0;
    for (auto event = call->next(); event; event = call->next()) {
      if (stop_after > 0 && ++seen == stop_after) call->cancel();
      if (stop_after > 0) continue;
      const auto head = std::to_string(event->kind) + "/" + std::to_string(event->index) + "/" +
                        std::to_string(event->a) + "/" + std::to_string(event->b) + " ";
      const bool piece = event->kind == RAI_EVENT_OUTPUT || event->kind == RAI_EVENT_DATA ||
                         (from_a_socket && event->kind <= RAI_EVENT_TOOL_ARGS &&
                          event->kind != RAI_EVENT_TOOL_CALL);
      if (piece && head == joined)
        transcript.back() += event->text;
      else
        note(head + event->text);
      joined = piece ? head : "";
    }
    auto result = call->result();
    note("= " + std::to_string(static_cast<int>(result.status)) + " " + result.body);
    return result;
  }
  call_result tool(const std::string& name, json::object arguments, json::object context = {}) {
    json::object body{{"id", "call_1"}};
    body["arguments"] = std::move(arguments);
    return ask("rustic.tool/" + name, "call", body, std::move(context));
  }
  void note(const std::string& line) { transcript.push_back(without_durations(line)); }

  // From any thread, with an order of its own.
  void note_aside(std::string line) {
    const std::scoped_lock lock(mutex_);
    aside_.push_back(std::move(line));
  }
  // What was noted aside, and what the model's server was sent in this run.
  void note_the_rest() {
    for (const auto& line : aside_) note(line);
    const auto all = server_.requests();
    for (auto i = requests_before_; i < all.size(); ++i) {
      std::string headers;
      for (const auto& [name, value] : all[i].headers) headers += name + ": " + value + "\n";
      note("sent " + all[i].method + " " + all[i].path + "\n" + headers + all[i].body);
    }
  }

  const fs::path& home() const { return home_; }
  bool isolated() const { return isolated_; }
  fakes::model_server& server() { return server_; }
  runtime::runtime& rt() { return *rt_; }

  runtime::options options;
  std::vector<std::string> transcript;
  // Where a read of a pipe or a socket ended is chance: then pieces of one text are one text.
  bool from_a_socket = false;

 private:
  static constexpr std::uint32_t call_ms_max = 60'000;

  const fs::path home_;
  const bool isolated_;
  fakes::model_server& server_;
  std::size_t requests_before_ = 0;
  std::atomic<std::int64_t> ticks_{0}, ids_{0};
  std::mutex mutex_;
  std::vector<std::string> aside_;
  std::unique_ptr<runtime::runtime> rt_;
};

// What is asked of some plugins.
struct conversation_with {
  std::string name;
  std::set<std::string> plugins;  // those that have to have served
  std::function<void(one_place&)> options;
  std::function<void(one_place&)> ask;
};

// Both runs, and their comparison.
inline void compare_places(const conversation_with& what) {
  CAPTURE(what.name);
  std::string name = (fs::temp_directory_path() / "rustic-places-XXXXXX").string();
  const fs::path home = fs::canonical(mkdtemp(name.data()));
  fakes::model_server server;
  std::vector<std::string> seen[2];
  for (const bool isolated : {false, true}) {
    CAPTURE(isolated);
    one_place here(home, server, isolated, what.options);
    what.ask(here);
    here.note_the_rest();
    std::set<std::string> served;
    for (const auto& one : here.rt().keeper().list()) {
      if (one.status.generation == 0 || one.status.file.about.id == "cell") continue;
      CAPTURE(one.status.file.about.id);
      CHECK(one.where.isolated == isolated);
      CHECK(one.known.deaths_unix_ms.empty());
      served.insert(one.status.file.about.id);
    }
    for (const auto& id : what.plugins) {
      CAPTURE(id);
      CHECK(served.contains(id));
    }
    const auto answered = std::count_if(here.transcript.begin(), here.transcript.end(),
                                        [](const auto& line) { return line.starts_with("= 0 {"); });
    CHECK(answered > 0);
    seen[isolated ? 1 : 0] = std::move(here.transcript);
  }
  fs::remove_all(home);
  CHECK(seen[0].size() == seen[1].size());
  for (std::size_t i = 0; i < std::min(seen[0].size(), seen[1].size()); ++i) {
    if (seen[0][i] == seen[1][i]) continue;
    CAPTURE(i);
    CHECK(seen[0][i].substr(0, 4000) == seen[1][i].substr(0, 4000));
    CHECK(seen[0][i].size() == seen[1][i].size());
  }
}
}  // namespace rustic::e2e
