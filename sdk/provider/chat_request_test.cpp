#include <doctest/doctest.h>

#include <functional>
#include <rustic/provider/chat.hpp>
#include <rustic/status.hpp>
#include <string>

namespace {

using namespace rustic;

struct configured {
  provider::instance where;
  provider::chat_options how;
};

configured local(std::string_view members = "{}") {
  json::object object = json::parse(members).as_object();
  if (!object.contains("base_url")) object["base_url"] = "http://127.0.0.1:8080/v1";
  return {provider::read_instance("local", object), provider::read_chat_options("local", object)};
}

json::object build(const configured& one, std::string_view generate) {
  const auto made =
      provider::build_chat_request(one.where, one.how, json::parse(generate).as_object());
  return json::parse(made.body).as_object();
}

json::value messages(std::string_view list, std::string_view config = "{}") {
  return build(local(config), R"({"model":"m","messages":)" + std::string(list) + "}")
      .at("messages");
}

std::string refusal(const std::function<void()>& what) {
  try {
    what();
  } catch (const failure& refused) {
    CHECK(refused.problem().code == status_code::invalid_argument);
    return refused.problem().message;
  }
  return "accepted";
}

}  // namespace

TEST_CASE("a small request") {
  CHECK(
      build(
          local(),
          R"({"model":"m","messages":[{"role":"user","parts":[{"type":"text","text":"hi \"\n\u0001\u00e9"}]}]})") ==
      json::parse(R"({"model":"m","stream":true,"stream_options":{"include_usage":true},
          "messages":[{"role":"user","content":"hi \"\n\u0001\u00e9"}]})")
          .as_object());
  const json::object whole = build(
      local(R"({"model":"configured"})"),
      R"({"stream":false,"messages":[{"role":"user","parts":[{"type":"text","text":"x"}]}]})");
  CHECK(whole.at("model") == "configured");
  CHECK(whole.at("stream") == false);
  CHECK_FALSE(whole.contains("stream_options"));
}

TEST_CASE("results of tools stand right behind their calls") {
  const json::value got = messages(R"([
    {"role":"system","parts":[{"type":"text","text":"s"}]},
    {"role":"assistant","parts":[{"type":"tool_call","id":"a","name":"f","arguments":"{\"x\": 1}"},
                                 {"type":"tool_call","id":"b","name":"g","arguments":""}]},
    {"role":"user","parts":[{"type":"text","text":"before"},{"type":"tool_result","id":"a","name":"f","output":"1"}]},
    {"role":"system","parts":[{"type":"text","text":"note"}]},
    {"role":"user","parts":[{"type":"tool_result","id":"b","name":"g","output":"2","is_error":true},{"type":"text","text":"after"}]},
    {"role":"assistant","parts":[{"type":"text","text":"done"}]}])");
  CHECK(got == json::parse(R"([
    {"role":"system","content":"s"},
    {"role":"assistant","content":null,"tool_calls":[
      {"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\": 1}"}},
      {"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]},
    {"role":"tool","tool_call_id":"a","content":"1"},
    {"role":"tool","tool_call_id":"b","content":"2"},
    {"role":"user","content":"before"},
    {"role":"system","content":"note"},
    {"role":"user","content":"after"},
    {"role":"assistant","content":"done"}])"));
}

TEST_CASE("arguments that are no object go back wrapped, and bounded") {
  const auto arguments = [](const std::string& text) {
    const json::object call{{"type", "tool_call"}, {"id", "a"}, {"name", "f"}, {"arguments", text}};
    const json::value got = messages(json::serialize(
        json::array{json::object{{"role", "assistant"}, {"parts", json::array{call}}}}));
    return std::string(got.at(0).at("tool_calls").at(0).at("function").at("arguments").as_string());
  };
  CHECK(arguments(R"({"a":1})") == R"({"a":1})");
  CHECK(arguments(R"({"a": 1,})") == R"({"malformed_arguments":"{\"a\": 1,}"})");
  CHECK(arguments("[1]") == R"({"malformed_arguments":"[1]"})");
  CHECK(arguments("{\"a\":" + std::string(1 << 20, '[')).size() < 5'000);
}

TEST_CASE("images, files, sound, and several texts") {
  const json::value got = messages(R"([{"role":"user","parts":[
    {"type":"text","text":"see"},
    {"type":"image","media_type":"image/png","data":"QUJD"},
    {"type":"image","url":"https://x/y.png"},
    {"type":"file","name":"a.pdf","media_type":"application/pdf","data":"QUJD"},
    {"type":"file","name":"a.wav","media_type":"audio/wav","data":"QUJD"}]},
    {"role":"user","parts":[{"type":"text","text":"one"},{"type":"text","text":"two"}]}])");
  CHECK(got == json::parse(R"([{"role":"user","content":[
    {"type":"text","text":"see"},
    {"type":"image_url","image_url":{"url":"data:image/png;base64,QUJD"}},
    {"type":"image_url","image_url":{"url":"https://x/y.png"}},
    {"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,QUJD"}},
    {"type":"input_audio","input_audio":{"data":"QUJD","format":"wav"}}]},
    {"role":"user","content":"one\n\ntwo"}])"));
}

TEST_CASE("reasoning goes back where it came from and nowhere else") {
  const std::string list = R"([{"role":"assistant","parts":[
    {"type":"reasoning","text":"r","provider":"PROVIDER","opaque":{"model":"m","field":"reasoning_content"}},
    {"type":"text","text":"t"}CALL]}])";
  const auto sent = [&](std::string provider, bool call, std::string_view config) {
    std::string text = list;
    text.replace(text.find("PROVIDER"), 8, provider);
    text.replace(text.find("CALL"), 4,
                 call ? R"(,{"type":"tool_call","id":"a","name":"f","arguments":"{}"})" : "");
    return messages(text, config).at(0).as_object().contains("reasoning_content");
  };
  CHECK(sent("local", true, "{}"));
  CHECK_FALSE(sent("local", false, "{}"));
  CHECK(sent("local", false, R"({"reasoning_replay":"always"})"));
  CHECK_FALSE(sent("local", true, R"({"reasoning_replay":"never"})"));
  CHECK_FALSE(sent("another", true, "{}"));
  const json::value details = messages(R"([{"role":"assistant","parts":[
    {"type":"reasoning","text":"r","provider":"local","opaque":{"model":"m","field":"reasoning","details":[{"type":"reasoning.text","signature":"s"}]}},
    {"type":"text","text":"t"}]}])");
  CHECK(details.at(0).at("reasoning_details").at(0).at("signature") == "s");
  CHECK_FALSE(details.at(0).as_object().contains("reasoning"));
  // Thoughts that came as parts of the content go back as such, and additions to a call with it.
  const json::value other = messages(R"([{"role":"assistant","parts":[
    {"type":"reasoning","text":"r","provider":"local","opaque":{"model":"m","field":"content"}},
    {"type":"text","text":"t"},
    {"type":"tool_call","id":"a","name":"f","arguments":"{}","provider":"local","opaque":{"model":"m","extra_content":{"google":{"thought_signature":"S"}}}}]}])");
  CHECK(
      other.at(0).at("content") ==
      json::parse(
          R"([{"type":"thinking","thinking":[{"type":"text","text":"r"}]},{"type":"text","text":"t"}])"));
  CHECK(
      other.at(0).at("tool_calls").at(0).at("extra_content").at("google").at("thought_signature") ==
      "S");
  // Nothing but reasoning is no message.
  CHECK(
      messages(
          R"([{"role":"user","parts":[{"type":"text","text":"x"}]},{"role":"assistant","parts":[{"type":"reasoning","text":"r"}]}])")
          .as_array()
          .size() == 1);
}

TEST_CASE("tools and options") {
  const std::string_view request =
      R"({"model":"m","messages":[{"role":"user","parts":[{"type":"text","text":"x"}]}],
    "tools":[{"name":"f","description":"d","parameters":{"type":"object","properties":{"a":{"type":"string"}}}},{"name":"g"}],
    "options":{"temperature":0.2,"max_tokens":5,"top_p":1,"top_k":40,"stop_sequences":["x"],"presence_penalty":0,
      "frequency_penalty":0.5,"seed":1,"reasoning_effort":"low","tool_choice":{"name":"f"},"parallel_tool_calls":false,
      "response_format":{"type":"json_schema","name":"n","schema":{"type":"object"}}}})";
  const json::object got = build(local(), request);
  CHECK(
      got.at("tools") ==
      json::parse(
          R"([{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}},
    {"type":"function","function":{"name":"g","parameters":{"type":"object","properties":{}}}}])"));
  CHECK(got.at("tool_choice") == json::parse(R"({"type":"function","function":{"name":"f"}})"));
  CHECK(got.at("response_format") ==
        json::parse(
            R"({"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}})"));
  CHECK(got.at("temperature") == 0.2);
  CHECK(got.at("max_tokens") == 5);
  CHECK(got.at("stop") == json::array{"x"});
  CHECK(got.at("seed") == 1);
  CHECK(got.at("reasoning_effort") == "low");
  CHECK(got.at("parallel_tool_calls") == false);
  CHECK(got.at("top_k") == 40);
  CHECK(got.at("frequency_penalty") == 0.5);

  // What the server does not take is left out with one warning, or renamed.
  const configured strict =
      local(R"({"max_tokens_field":"max_completion_tokens","unknown_options":["top_k","seed"]})");
  const auto made =
      provider::build_chat_request(strict.where, strict.how, json::parse(request).as_object());
  const json::object sent = json::parse(made.body).as_object();
  CHECK_FALSE(sent.contains("top_k"));
  CHECK_FALSE(sent.contains("seed"));
  CHECK(made.warnings.size() == 2);
  CHECK(sent.at("max_completion_tokens") == 5);
  CHECK_FALSE(sent.contains("max_tokens"));
  const auto learnt = provider::chat_learnt::from("max_tokens temperature stop");
  CHECK(learnt.text() == "max_tokens temperature stop");
  const auto other = provider::build_chat_request(strict.where, strict.how,
                                                  json::parse(request).as_object(), learnt);
  CHECK(json::parse(other.body).as_object().contains("max_tokens"));
  CHECK_FALSE(json::parse(other.body).as_object().contains("temperature"));
  // Without tools there is nothing to choose from.
  CHECK_FALSE(
      build(
          local(),
          R"({"model":"m","messages":[{"role":"user","parts":[{"type":"text","text":"x"}]}],"options":{"tool_choice":"auto","parallel_tool_calls":true}})")
          .contains("tool_choice"));
}

TEST_CASE("members of the configuration's body win") {
  const json::object got = build(
      local(
          R"({"body":{"temperature":1,"thinking":{"type":"enabled"},"model":"no"},"system_role":"developer","stream_usage":false})"),
      R"({"model":"m","messages":[{"role":"system","parts":[{"type":"text","text":"x"}]}],"options":{"temperature":0.2}})");
  CHECK(got.at("temperature") == 1);
  CHECK(got.at("thinking").at("type") == "enabled");
  CHECK(got.at("model") == "m");
  CHECK(got.at("messages").at(0).at("role") == "developer");
  CHECK_FALSE(got.contains("stream_options"));
}

TEST_CASE("a request that cannot be sent is refused with its member") {
  const auto no = [](std::string_view text) { return refusal([&] { build(local(), text); }); };
  CHECK(no(R"({"messages":[{"role":"user","parts":[]}]})").find("no model") != std::string::npos);
  CHECK(no(R"({"model":"m","messages":[]})").find("messages is empty") != std::string::npos);
  CHECK(no(R"({"model":"m","messages":["x"]})").find("message must be an object") !=
        std::string::npos);
  CHECK(no(R"({"model":"m","messages":[{"role":"tool","parts":[]}]})").find("'tool'") !=
        std::string::npos);
  CHECK(no(R"({"model":"m","messages":[{"role":"user","parts":[{"type":"video"}]}]})")
            .find("'video'") != std::string::npos);
  CHECK(no(R"({"model":"m","messages":[{"role":"user","parts":[{"type":"tool_result"}]}]})")
            .find("id") != std::string::npos);
  CHECK(no(R"({"model":"m","messages":[{"role":"user","parts":[{"type":"image"}]}]})")
            .find("media_type") != std::string::npos);
}

TEST_CASE("configurations") {
  const auto is_openai = [](std::string_view url) {
    return local(json::serialize(json::object{{"base_url", url}})).where.is_at("api.openai.com");
  };
  CHECK(is_openai("https://api.openai.com"));
  CHECK(is_openai("https://eu.api.openai.com/v1/"));
  CHECK_FALSE(is_openai("https://api.openai.com.evil.example/v1"));
  CHECK_FALSE(is_openai("https://notapi.openai.com/v1"));
  CHECK_FALSE(is_openai("http://x/api.openai.com"));
  CHECK(local(R"({"base_url":"http://x/v1//"})").where.base_url == "http://x/v1");
  const auto no = [](std::string_view text) { return refusal([&] { local(text); }); };
  CHECK(no(R"({"base_url":"localhost:1"})").find("base_url") != std::string::npos);
  CHECK(no(R"({"base_url":"http://"})").find("base_url") != std::string::npos);
  CHECK(no(R"({"base_url":"http://:80/v1"})").find("names no host") != std::string::npos);
  CHECK(no(R"({"max_tokens_field":"tokens"})").find("max_tokens_field") != std::string::npos);
  CHECK(no(R"({"headers":{"a":1}})").find("headers") != std::string::npos);
  const std::string key = no(R"({"api_key":"sk-secret"})");
  CHECK(key.find("reference") != std::string::npos);
  CHECK(key.find("secret") == std::string::npos);
}

TEST_CASE("the HTTP request carries the key as a reference") {
  const json::value request = json::parse(provider::http_request(
      local(R"({"api_key":"env:KEY","headers":{"X-Title":"t"},"idle_timeout":"10s"})").where,
      {.path = "/chat/completions",
       .body = "{}",
       .accept = "text/event-stream",
       .headers = {{"X-Own", "o"}}}));
  CHECK(request.at("url") == "http://127.0.0.1:8080/v1/chat/completions");
  CHECK(request.at("headers") ==
        json::parse(R"([["Content-Type","application/json"],["Accept","text/event-stream"],
    ["Authorization",{"prefix":"Bearer ","secret":"env:KEY"}],["X-Own","o"],["X-Title","t"]])"));
  CHECK(request.at("idle_timeout_ms") == 10'000);
  // What the provider's section does not say, that of the transport does.
  CHECK(!request.as_object().contains("connect_timeout_ms"));
  CHECK(!request.as_object().contains("first_byte_timeout_ms"));
  CHECK(request.at("method") == "POST");
  const std::string plain = provider::http_request(local().where, {.path = "/models"});
  CHECK(plain.find("Authorization") == std::string::npos);
  CHECK(json::parse(plain).at("method") == "GET");
}

TEST_CASE("tokens are estimated") {
  const auto tokens = [](std::string_view text) {
    return provider::estimate_tokens(json::parse(text).as_object());
  };
  const std::size_t small =
      tokens(R"({"messages":[{"role":"user","parts":[{"type":"text","text":"hello world"}]}]})");
  CHECK(small >= 3);
  CHECK(small < 20);
  CHECK(tokens(R"({"messages":[{"role":"user","parts":[{"type":"text","text":")" +
               std::string(40'000, 'x') + R"("}]}]})") > 9'000);
  CHECK(tokens(R"({"messages":["odd",{"parts":[1]}],"tools":[{"name":"t"}]})") > 0);
}

TEST_CASE("models and embeddings") {
  const provider::subject about{"models", "local", "http://x", ""};
  const auto list = [&](std::string_view body) {
    json::array models;
    provider::read_model_list(about, body, models);
    return models;
  };
  CHECK(
      list(
          R"({"data":[{"id":"a","context_length":10,"top_provider":{"max_completion_tokens":5}},{"id":"b","max_model_len":7},{"id":"c","meta":{"n_ctx":3}},{"object":"x"}]})") ==
      json::parse(
          R"([{"id":"a","context_window":10,"max_output_tokens":5},{"id":"b","context_window":7},{"id":"c","context_window":3}])"));
  CHECK_THROWS_AS(list("<html>"), failure);
  CHECK_THROWS_AS(list(R"({"error":{"message":"m"}})"), failure);

  CHECK(json::parse(provider::build_embeddings_request(
            json::parse(R"({"model":"e","inputs":["x"]})").as_object())) ==
        json::parse(R"({"model":"e","input":["x"],"encoding_format":"float"})"));
  CHECK(
      provider::read_embedding_list(
          about,
          R"({"data":[{"index":1,"embedding":[2.5]},{"index":0,"embedding":"AACAPwAAAMA="}],"usage":{"prompt_tokens":4}})",
          2) ==
      json::parse(R"({"embeddings":[[1.0,-2.0],[2.5]],"usage":{"input_tokens":4}})").as_object());
  CHECK_THROWS_AS(
      provider::read_embedding_list(about, R"({"data":[{"index":0,"embedding":[1]}]})", 2),
      failure);
  CHECK_THROWS_AS(
      provider::read_embedding_list(
          about, R"({"data":[{"index":0,"embedding":"!"},{"index":-1,"embedding":[1]}]})", 1),
      failure);
}
