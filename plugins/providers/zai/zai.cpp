#include "zai.hpp"

#include <array>
#include <rustic/provider/turns.hpp>

namespace rustic::zai {

using namespace rustic::provider;

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
  if (text_or(object_or_empty(changed, "response_format"), "type") == "json_schema") {
    // The API has no schemas.
    request = form_in_words(std::move(request));
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

classifier chat::classify() const {
  return classify_error;
}

verdict classify_error(int http_status, const parsed_error& parsed) {
  constexpr std::array<std::pair<std::string_view, int>, 23> statuses{{
      {"1000", 401}, {"1001", 401}, {"1002", 401}, {"1003", 401}, {"1004", 401}, {"1110", 403},
      {"1111", 403}, {"1112", 403}, {"1121", 403}, {"1220", 403}, {"1311", 403}, {"1113", 402},
      {"1304", 402}, {"1308", 402}, {"1309", 402}, {"1310", 402}, {"1302", 429}, {"1303", 429},
      {"1305", 429}, {"1313", 429}, {"1312", 503}, {"1120", 503}, {"1234", 503},
  }};
  if (parsed.code == "1300" || parsed.code == "1301") {
    return {status_code::permission_denied, "content_filter",
            "the server's content filter stopped the request: change it"};
  }
  if (parsed.code == "1261") {
    return {status_code::invalid_argument, "context_length",
            "shorten or compact the conversation, or choose a model with a larger context window"};
  }
  if (parsed.code == "1211") {
    return {status_code::not_found, "model_not_found", "correct the model's name"};
  }
  for (const auto& [code, status] : statuses) {
    if (parsed.code == code) return provider::classify_error(status, parsed);
  }
  return provider::classify_error(http_status, parsed);
}

}  // namespace rustic::zai
