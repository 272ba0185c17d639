#include "zai.hpp"

#include <rustic/provider/turns.hpp>

namespace rustic::zai {

using namespace rustic::provider;

namespace {

// The API has no schemas: the form is asked for in words, and the answer is checked by whoever
// asked for it.
void ask_in_words(json::object& request, const json::object& format) {
  const json::value* schema = find(format, "schema");
  if (schema == nullptr) refuse_request("options.response_format has no schema");
  const json::object part{
      {"type", "text"},
      {"text", "Answer with one JSON object, and nothing else, that this JSON Schema allows:\n" +
                   json::serialize(*schema)}};
  json::array messages{json::object{{"role", "system"}, {"parts", json::array{part}}}};
  for (const json::value& one : array_or_empty(request, "messages")) messages.push_back(one);
  request["messages"] = std::move(messages);
}

}  // namespace

std::unique_ptr<translator> make(std::string_view name, const json::object& members) {
  instance where = read_instance(name, members, {.base_url = "https://api.z.ai/api/paas/v4"});
  chat_options how;
  how.stream_usage = false;  // it tells the usage unasked
  how.replay = reasoning_replay::always;
  how.unknown_options = {"top_k", "seed", "presence_penalty", "frequency_penalty",
                         "parallel_tool_calls"};
  how = read_chat_options(name, members, std::move(how));
  return std::make_unique<chat>(std::move(where), std::move(how),
                                choice_member(name, members, "thinking", {"auto", "on", "off"}));
}

outgoing chat::generate(const json::object& asked) {
  json::object request = asked;
  json::object changed = object_or_empty(request, "options");
  const std::string effort(text_or(changed, "reasoning_effort"));
  const std::string_view model = model_of(request, configured());
  // Models before GLM-5 know on and off alone.
  const bool graded = model.starts_with("glm-5") && (effort == "low" || effort == "high");
  if (!graded) changed.erase("reasoning_effort");
  if (const json::value* choice = find(changed, "tool_choice")) {
    if (*choice == "none") {
      request.erase("tools");
    } else if (*choice != "auto" && !array_or_empty(request, "tools").empty()) {
      refuse_request("options.tool_choice: provider '" + configured().name +
                     "' takes auto and none alone");
    }
    changed.erase("tool_choice");
  }
  const json::object format = object_or_empty(changed, "response_format");
  if (text_or(format, "type") == "json_schema") {
    ask_in_words(request, format);
    changed["response_format"] = json::object{{"type", "json_object"}};
  }
  request["options"] = std::move(changed);

  outgoing sent = chat_translator::generate(request);
  const auto add = [&](std::string_view key, std::string_view value) {
    if (configured().body.contains(key)) return;
    std::string member = ",\"";
    member.append(key).append("\":").append(value);
    sent.body.insert(sent.body.size() - 1, member);
  };
  const bool off = thinking_ == "off" || (thinking_ == "auto" && effort == "none");
  if (off) {
    add("thinking", R"({"type":"disabled"})");
  } else if (options().replay == reasoning_replay::never) {
    add("thinking", R"({"type":"enabled"})");
  } else {
    // What it thought before stays with it, as it is sent back.
    add("thinking", R"({"type":"enabled","clear_thinking":false})");
  }
  // Without it the arguments of a call come at once after a long silence.
  if (!array_or_empty(request, "tools").empty() && bool_or(request, "stream", true))
    add("tool_stream", "true");
  return sent;
}

}  // namespace rustic::zai
