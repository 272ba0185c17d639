// embed: Rustic-AI inside a program of one's own: a session, a turn, and a tool of the program.
#include <cstdio>
#include <host/runtime/runtime.hpp>

int main(int count, char** words) try {
  using namespace rustic;
  if (count != 3) return std::fputs("usage: embed BASE_URL PROMPT\n", stderr), 2;
  runtime::options options;
  options.plugin_directories = {PLUGIN_DIRECTORY};
  options.providers["model"] =
      json::object{{"type", "openai"}, {"base_url", words[1]}, {"model", "any"}};
  options.agents.push_back(json::object{{"name", "main"}, {"provider", "model"}});
  options.storage = json::object{{"backend", "memory"}};
  runtime::runtime program(std::move(options));

  const json::object about{{"description", "The temperature in this room."},
                           {"parameters", json::object{{"type", "object"}}},
                           {"annotations", json::object{{"read_only", true}}}};
  const auto measure = [](std::string_view, const json::object&, std::string_view) {
    return std::string(R"({"success": true, "output": "21 degrees"})");
  };
  program.services().provide("rustic.tool/temperature", measure, about);

  const auto made = program.call("rustic.conversation/default", "create", {});
  json::object turn{{"session", text_or(object_or_empty(made, "session"), "id")}};
  turn["input"] = json::array{json::object{{"type", "text"}, {"text", words[2]}}};
  auto call = program.start("rustic.agent/default", "turn", turn);
  while (const auto event = call->next())
    if (event->kind == RAI_EVENT_TEXT) std::fputs(event->text.c_str(), stdout);
  std::printf("\n(%zu tool calls)\n", array_or_empty(call->result().object(), "tool_calls").size());
} catch (const rustic::failure& problem) {
  return std::fprintf(stderr, "embed: %s\n", problem.what()), 1;
}
