// runtime_bench: two things that program_bench needs from inside a process: a long history in a
// database, and the memory of a runtime that has played thousands of turns.
//   runtime_bench history PLUGINS DATABASE WORKSPACE MEGABYTES   prints the session's id
//   runtime_bench turns PLUGINS BASE_URL TURNS STEP              prints TURNS RSS_KIB, a line a
//   step
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <fstream>
#include <string>

#include "host/runtime/runtime.hpp"

namespace {
using namespace rustic;

runtime::options options_for(const std::string& plugins) {
  runtime::options out;
  out.plugin_directories = {plugins};
  out.resolve_secret = [](const std::string& value) { return value; };
  return out;
}

std::size_t resident_kib() {
  std::size_t all = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) / 1024;
}

json::object text_message(std::string_view role, std::string text) {
  json::object part{{"type", "text"}, {"text", std::move(text)}};
  json::object out{{"role", role}, {"created_at_ms", 1'700'000'000'000}};
  out["parts"] = json::array{std::move(part)};
  return out;
}

int history(const std::string& plugins, const std::string& database, const std::string& workspace,
            std::size_t megabytes) {
  constexpr std::size_t message_bytes = 4096;
  constexpr std::size_t batch = 64;
  auto with = options_for(plugins);
  with.storage = {{"backend", "sqlite"}, {"connection_string", database}};
  runtime::runtime rt(std::move(with));
  const auto made = rt.call("rustic.conversation/default", "create", {{"workspace", workspace}});
  const std::string id(text_or(object_or_empty(made, "session"), "id"));
  const std::string words(message_bytes, 'w');
  for (std::size_t bytes = 0; bytes < megabytes << 20; bytes += batch * message_bytes) {
    json::array messages;
    for (std::size_t i = 0; i < batch; ++i)
      messages.push_back(text_message(i % 2 == 0 ? "user" : "assistant", words));
    json::object addition{{"id", id}};
    addition["messages"] = std::move(messages);
    (void)rt.call("rustic.conversation/default", "append", addition);
  }
  std::puts(id.c_str());
  return 0;
}

int turns(const std::string& plugins, const std::string& base_url, int count, int step) {
  auto with = options_for(plugins);
  with.storage = {{"backend", "memory"}};
  with.providers["fake"] =
      json::object{{"type", "openai"}, {"base_url", base_url}, {"model", "fake-model"}};
  with.agents.push_back(json::object{{"name", "default"}, {"provider", "fake"}});
  runtime::runtime rt(std::move(with));
  const json::object context{{"permission_mode", "bypass"}};
  for (int i = 1; i <= count; ++i) {
    const auto made = rt.call("rustic.conversation/default", "create", {});
    const std::string id(text_or(object_or_empty(made, "session"), "id"));
    json::object part{{"type", "text"}, {"text", "Say hello."}};
    json::object body{{"session", id}};
    body["input"] = json::array{std::move(part)};
    (void)rt.call("rustic.agent/default", "turn", body, context);
    (void)rt.call("rustic.conversation/default", "delete", {{"id", id}});
    if (i % step == 0) std::printf("%d %zu\n", i, resident_kib());
  }
  return 0;
}

}  // namespace

int main(int count, char** words) {
  try {
    const std::string what = count > 1 ? words[1] : "";
    if (what == "history" && count == 6)
      return history(words[2], words[3], words[4], std::stoul(words[5]));
    if (what == "turns" && count == 6)
      return turns(words[2], words[3], std::stoi(words[4]), std::stoi(words[5]));
    std::fputs("usage: see the beginning of tests/bench/runtime_bench.cpp\n", stderr);
    return 2;
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "runtime_bench: %s\n", problem.what());
    return 1;
  }
}
