// The reader by itself, then the built plugin with a stand-in for the HTTP client.
#include "line_model.hpp"

#include <rustic/provider.hpp>
#include <rustic/testing.hpp>

using namespace rustic;

namespace {

testing::answer http_answer(std::uint64_t status, std::vector<std::string> pieces) {
  testing::answer out;
  const char* head = R"({"headers":[["retry-after","7"]]})";
  out.events.push_back({RAI_EVENT_HEAD, head, 0, status});
  for (auto& piece : pieces) out.events.push_back({RAI_EVENT_DATA, std::move(piece)});
  out.body = R"({"status":)" + std::to_string(status) + "}";
  return out;
}

json::object question() {
  generate_request out;
  out.messages.push_back({"user", {}});
  out.messages.back().parts.emplace_back().text = "Hello?";
  return to_object(out);
}
}  // namespace

int main() {
  testing::checks check;
  const provider::subject about{"generate", "lines", "http://127.0.0.1:9", "small"};
  line_model_plugin::reader byte_by_byte(about, 1);
  std::string text;
  for (const char byte : std::string_view("{\"text\":\"h\xC3\xA9\"}\n\n{\"done\":\"stop\"}\n")) {
    byte_by_byte.feed(std::string_view(&byte, 1));
    for (std::size_t i = 0; i < byte_by_byte.events().size(); ++i)
      if (byte_by_byte.events()[i].kind == RAI_EVENT_TEXT)
        text += to_view(byte_by_byte.events()[i].text);
    byte_by_byte.events().clear();
  }
  byte_by_byte.end();
  check.equal(text, "h\xC3\xA9", "an answer that comes byte by byte");
  check(!byte_by_byte.problem(), "and is complete");

  json::object instance{{"type", "line-model"}, {"base_url", "http://127.0.0.1:9"}};
  instance["model"] = "small";
  instance["api_key"] = "env:KEY";
  json::object config;
  config["instances"] = json::object{{"lines", instance}};
  testing::loaded_plugin plugin(PLUGIN_FILE, config);
  const auto ask = [&](testing::answer with_answer) {
    plugin.answer_for("rustic.http/default",
                      [with_answer](const testing::asked&) { return with_answer; });
    return plugin.call("rustic.provider/lines", "generate", question());
  };

  testing::asked sent;
  plugin.answer_for("rustic.http/default", [&](const testing::asked& request) {
    sent = request;
    return http_answer(200, {"{\"text\":\"Hel\"}\n{\"te", "xt\":\"lo\"}\n",
                             "{\"done\":\"stop\",\"input_tokens\":3,\"output_tokens\":2}\n"});
  });
  const auto good = plugin.call("rustic.provider/lines", "generate", question());
  check(good.ok(), "a good answer");
  check.equal(good.joined(RAI_EVENT_TEXT), "Hello", "its text is streamed");
  const auto result = from_json<generate_result>(good.object());
  check(result.usage && result.usage->output_tokens == 2, "its usage");
  check.equal(result.finish_reason, "stop", "its finish reason");
  check(sent.data.find("Hello?") != std::string::npos, "the prompt is sent");
  check(sent.body.find("env:KEY") != std::string::npos, "the key is sent as a reference");

  const auto cut = ask(http_answer(200, {"{\"text\":\"Hel\"}\n"}));
  check(cut.status == status_code::unavailable, "an answer that was cut is an error");
  check(cut.body.find("partial") != std::string::npos, "that keeps what came");
  check(ask(http_answer(401, {"no"})).status == status_code::unauthenticated, "a wrong key");
  const auto full = ask(http_answer(429, {}));
  check(full.status == status_code::resource_exhausted, "too many requests");
  check(full.body.find("\"retry_after_ms\":7000") != std::string::npos, "and when to come again");
  check(ask(http_answer(200, {"<html>\n"})).status == status_code::data_loss, "no such API");
  check(ask({status_code::unavailable, R"({"message":"connection refused"})"}).status ==
            status_code::unavailable,
        "no server");
  plugin.answer_for("rustic.http/default", [](const testing::asked&) {
    return http_answer(200, {R"({"models":["small","large"]})"});
  });
  const auto models = plugin.call("rustic.provider/lines", "models", {});
  check(from_json<models_result>(models.object()).models.size() == 2, "the models");
  json::object inputs;
  inputs["inputs"] = json::array{"a"};
  check(plugin.call("rustic.provider/lines", "embed", inputs).status == status_code::unimplemented,
        "a method that the API does not have");
  return check.failures();
}
