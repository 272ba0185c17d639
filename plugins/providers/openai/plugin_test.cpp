// plugin_test.cpp - the plugin in a kernel, with the real HTTP client and a fake model behind a
// real socket.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "host/runtime/host_services.hpp"
#include "host/runtime/housekeeping.hpp"
#include "host/runtime/root_call.hpp"
#include "host/runtime/timer_thread.hpp"
#include "kernel/abi/loader.hpp"
#include "kernel/kernel.hpp"
#include "model_server.hpp"

namespace {

using namespace rustic;

std::filesystem::path plugin_folder() {
  const char* build = std::getenv("RUSTIC_BUILD_DIR");
  if (build == nullptr) return {};
  const auto folder = std::filesystem::path(build) / "lib/rustic-ai/plugins";
  return std::filesystem::exists(folder / "http.so") ? folder : std::filesystem::path{};
}

// A kernel with the two plugins and the provider "local".
class rig {
 public:
  rig(const std::string& base_url, json::object members)
      : loader_(kernel_,
                {.configuration =
                     [this](const kernel::abi::manifest& about) {
                       if (about.id != "openai") return std::string("{}");
                       return json::serialize(
                           json::object{{"instances", json::object{{"local", section_}}}});
                     },
                 .instance_names =
                     [](const kernel::abi::provided&) { return std::vector<std::string>{"local"}; },
                 .on_drained = [this] { housekeeping_.wake(); }}),
        services_(kernel_),
        section_(std::move(members)) {
    section_["type"] = "openai";
    section_["base_url"] = base_url;
    timer_.serve(kernel_);
    runtime::provide_basics(services_,
                            [](const std::string& reference) { return "value-of-" + reference; },
                            {"http"}, {});
    for (const auto& file : kernel::abi::find_plugins({plugin_folder()})) {
      if (file.about.id == "http" || file.about.id == "openai") loader_.add(file);
    }
  }
  ~rig() {
    kernel_.shut_down();
    housekeeping_.stop();
    CHECK(loader_.stop(5'000).empty());
    timer_.stop();
  }

  std::unique_ptr<runtime::root_call> start(std::string_view method, const json::object& body,
                                            const std::string& scope = "{}") {
    return std::make_unique<runtime::root_call>(kernel_, "rustic.provider/local", method,
                                                json::serialize(body), scope);
  }
  call_result call(std::string_view method, const json::object& body) {
    return start(method, body)->result();
  }

 private:
  runtime::timer_thread timer_;
  runtime::housekeeping housekeeping_{[this] { loader_.reap(); }};
  kernel::kernel kernel_;
  kernel::abi::loader loader_;
  runtime::host_services services_;
  json::object section_;
};

json::object ask(std::string_view extra = "{}") {
  json::object out =
      json::parse(
          R"({"model":"m","messages":[{"role":"user","parts":[{"type":"text","text":"hi"}]}]})")
          .as_object();
  const json::value more = json::parse(extra);
  for (const auto& [key, value] : more.as_object()) out[key] = value;
  return out;
}

}  // namespace

TEST_CASE("generate over a socket") {
  if (plugin_folder().empty()) return;
  fakes::model_server server(fakes::parse_script(R"([
    {"text": ["Hel", "lo"], "reasoning": "hm", "tool_calls": [{"name": "f", "arguments": {"x": 1}}, {"name": "g"}], "gzip": true},
    {"text": "whole"}])"));
  rig one(server.base_url(), {{"api_key", "env:KEY"}});
  const auto call = one.start("generate", ask());
  std::string text;
  std::string arguments;
  int calls = 0;
  while (const auto event = call->next()) {
    if (event->kind == RAI_EVENT_TEXT) text += event->text;
    if (event->kind == RAI_EVENT_TOOL_CALL) ++calls;
    if (event->kind == RAI_EVENT_TOOL_ARGS && event->index == 0) arguments += event->text;
  }
  const json::object result = call->result().object();
  CHECK(text == "Hello");
  CHECK(calls == 2);
  CHECK(arguments == R"({"x":1})");
  CHECK(result.at("finish_reason") == "tool_calls");
  CHECK(result.at("message").at("parts").as_array().size() == 4);
  CHECK(one.call("generate", ask(R"({"stream":false})"))
            .object()
            .at("message")
            .at("parts")
            .at(0)
            .at("text") == "whole");
  const auto records = server.requests();
  REQUIRE(records.size() == 2);
  CHECK(records[0].header("authorization") == "Bearer value-of-env:KEY");
  CHECK(records[0].path == "/v1/chat/completions");
  CHECK(records[0].connection == records[1].connection);
}

TEST_CASE("an option that is left out is told of once in a session") {
  if (plugin_folder().empty()) return;
  fakes::model_server server(
      fakes::parse_script(R"([{"text": "a"}, {"text": "a"}, {"text": "a"}])"));
  rig one(server.base_url(), {{"unknown_options", json::array{"seed"}}});
  const auto warnings = [&](const std::string& scope) {
    const auto call = one.start("generate", ask(R"({"options":{"seed":1}})"), scope);
    int count = 0;
    while (const auto event = call->next())
      if (event->kind == RAI_EVENT_JSON && event->text.find("seed") != std::string::npos) ++count;
    CHECK(call->result().ok());
    return count;
  };
  CHECK(warnings(R"({"session":"a"})") == 1);
  CHECK(warnings(R"({"session":"a"})") == 0);
  CHECK(warnings(R"({"session":"b"})") == 1);
}

TEST_CASE("errors over a socket keep what had come") {
  if (plugin_folder().empty()) return;
  fakes::model_server server(fakes::parse_script(R"([
    {"text": ["half", "lost"], "stall_after_events": 2, "cut_after_bytes": 400},
    {"text": ["half", "lost"], "cut_after_bytes": 400, "cut": "reset"},
    {"text": ["half"], "framing": "until_close", "no_finish": true, "no_done": true},
    {"status": 429, "headers": [["Retry-After", "7"]], "body": {"error": {"message": "slow down"}}},
    {"status": 200, "content_type": "text/html", "body": "<html><title>Login</title></html>"},
    {"text": "x", "malformed": true}])"));
  rig one(server.base_url(), {});
  server.release(1);
  for (int i = 0; i < 3; ++i) {
    CAPTURE(i);
    const call_result got = one.call("generate", ask());
    REQUIRE(got.status == status_code::unavailable);
    const error problem = got.problem();
    CHECK(problem.details.at("kind") == "stream_cut");
    CHECK(problem.details.at("partial").at("parts").at(0).at("text") == "half");
  }
  const call_result limited = one.call("generate", ask());
  CHECK(limited.status == status_code::resource_exhausted);
  CHECK(limited.problem().retry_after_ms == 7'000);
  const call_result html = one.call("generate", ask());
  CHECK(html.status == status_code::data_loss);
  CHECK(html.problem().message.find("Login") != std::string::npos);
  const call_result broken = one.call("generate", ask());
  CHECK(broken.status == status_code::data_loss);
  CHECK(broken.problem().details.at("kind") == "malformed");
  CHECK(broken.problem().details.at("partial").at("parts").at(0).at("text") == "x");
}

TEST_CASE("nobody listens at the address") {
  if (plugin_folder().empty()) return;
  std::string url;
  {
    fakes::model_server gone;
    url = gone.base_url();
  }
  rig one(url, {});
  const call_result got = one.call("generate", ask());
  CHECK(got.status == status_code::unavailable);
  CHECK(got.problem().details.at("kind") == "connect");
  CHECK(got.problem().message.find("'local'") != std::string::npos);
}

TEST_CASE("the name of the token limit is changed once and remembered") {
  if (plugin_folder().empty()) return;
  fakes::model_server server;
  server.answer_with([](const fakes::received_request& request) -> std::optional<fakes::step> {
    if (request.json().contains("max_tokens")) {
      return fakes::step::failing(
          400,
          R"({"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","param":"max_tokens","code":"unsupported_parameter"}})");
    }
    return fakes::step::saying("ok");
  });
  rig one(server.base_url(), {});
  const json::object request = ask(R"({"options":{"max_tokens":5}})");
  CHECK(one.call("generate", request).ok());
  CHECK(one.call("generate", request).ok());
  CHECK(server.requests().size() == 3);
  CHECK(server.requests()[2].json().at("max_completion_tokens") == 5);

  server.answer_with([](const fakes::received_request&) {
    return fakes::step::failing(
        400,
        R"({"error":{"message":"Unsupported parameter: 'max_tokens' and max_completion_tokens"}})");
  });
  CHECK(one.call("generate", request).status == status_code::invalid_argument);
  CHECK(server.requests().size() == 5);
}

TEST_CASE("a cancelled call ends its request") {
  if (plugin_folder().empty()) return;
  fakes::model_server server(
      fakes::parse_script(R"([{"text": ["half", "more"], "stall_after_events": 2}])"));
  rig one(server.base_url(), {});
  const auto call = one.start("generate", ask());
  for (auto event = call->next(); event; event = call->next()) {
    if (event->kind == RAI_EVENT_TEXT) break;
  }
  call->cancel();
  CHECK(call->result().status == status_code::cancelled);
  REQUIRE(server.wait_until_done(1));
  CHECK(server.requests()[0].client_gone);
}

TEST_CASE("a caller who does not read holds the answer up, and loses nothing of it") {
  if (plugin_folder().empty()) return;
  fakes::model_server server(
      fakes::parse_script(R"([{"text": ["0123456789abcdef"], "repeat": 60000}])"));
  rig one(server.base_url(), {});
  const auto call = one.start("generate", ask());
  REQUIRE(server.wait_for_requests(1));
  std::size_t bytes = 0;
  while (const auto event = call->next()) {
    if (event->kind == RAI_EVENT_TEXT) bytes += event->text.size();
  }
  CHECK(call->result().ok());
  CHECK(bytes == 16u * 60'000u);
}

TEST_CASE("models, embed, count_tokens, and a method that is not there") {
  if (plugin_folder().empty()) return;
  fakes::model_server server;
  rig one(server.base_url(), {{"model", "m"}});
  CHECK(one.call("models", {}).object() ==
        json::parse(R"({"models":[{"id":"fake-model","context_window":128000}]})").as_object());
  CHECK(one.call("embed", {{"inputs", json::array{"a", "b"}}})
            .object()
            .at("embeddings")
            .as_array()
            .size() == 2);
  const json::object counted = one.call("count_tokens", ask()).object();
  CHECK(counted.at("estimate") == true);
  CHECK(counted.at("input_tokens").as_int64() > 0);
  CHECK(one.call("dance", {}).status == status_code::unimplemented);
  CHECK(one.call("generate", {{"messages", 1}}).status == status_code::invalid_argument);
  CHECK(one.call("generate", ask(R"({"messages":[]})")).status == status_code::invalid_argument);
}
