// tests/e2e/cli_turns_program.cpp - plays turns on a session of its own: BASE_URL HOME PLUGINS
// TURNS. Prints an error and ends with 1 when one fails.
#include <cstdio>
#include <string>

#include "host/runtime/runtime.hpp"

using namespace rustic;

int main(int count, char** words) {
  if (count != 5) return 2;
  const std::filesystem::path home = words[2];
  try {
    runtime::options options;
    options.plugin_directories = {words[3]};
    options.providers["fake"] =
        json::object{{"type", "openai"}, {"base_url", words[1]}, {"model", "fake-model"}};
    options.agents.push_back(json::object{{"name", "tester"}, {"provider", "fake"}});
    options.storage = json::object{{"backend", "sqlite"}};
    options.state_directory = home / "state";
    options.data_directory = home / "data";
    options.cache_directory = home / "cache";
    runtime::runtime rt(std::move(options));
    const auto made = rt.call("rustic.conversation/default", "create", {{"agent", "tester"}});
    const auto id = text_or(object_or_empty(made, "session"), "id");
    for (int i = 0; i < std::stoi(words[4]); ++i) {
      json::object body{{"session", id}};
      body["input"] =
          json::array{json::object{{"type", "text"}, {"text", "turn " + std::to_string(i)}}};
      const auto turn =
          rt.call("rustic.agent/default", "turn", body, {{"workspace", home.string()}});
      if (text_or(turn, "text") != "ok") throw failure(status_code::internal, "another answer");
    }
  } catch (...) {
    const auto problem = current_error();
    std::fprintf(stderr, "%s\n", problem.message.c_str());
    return 1;
  }
  return 0;
}
