// tests/e2e/both_places_test.cpp - every plugin of the build answers from a cell what it answers in
// the process, byte for byte: results, errors, events, files, and what it sends to a server.
#include "both_places.hpp"

#include "host/runtime/root_call.hpp"
#include "host/validator/storage_suite.hpp"

using namespace rustic;
using namespace rustic::e2e;
using fakes::step;

namespace {
void nothing(one_place&) {}

void use_files(one_place& here) {
  here.write("a.txt", "one\ntwo\nthree\n");
  here.write("odd.bin", std::string("\0\1\xff\xfe\r\n", 6));
  here.tool("files_read", {{"path", "a.txt"}});
  here.tool("files_read", {{"path", "a.txt"}, {"offset", 2}, {"limit", 1}});
  here.tool("files_read", {{"path", "odd.bin"}});
  here.tool("files_read", {{"path", "nowhere.txt"}});
  here.tool("files_read", {{"path", "../../etc/passwd"}});
  here.tool("files_read", {{"path", 7}});
  here.tool("files_write", {{"path", "d/e/new.txt"}, {"content", "\xC3\xA4 \xF0\x9F\x91\x8B\n"}});
  here.tool("files_write", {{"path", "a.txt"}, {"content", "never read"}, {"overwrite", false}});
  here.tool("files_edit", {{"path", "a.txt"}, {"old_text", "two"}, {"new_text", "2"}});
  here.tool("files_edit", {{"path", "a.txt"}, {"old_text", "not there"}, {"new_text", "x"}});
  here.tool("files_list", {{"path", "."}, {"depth", 3}});
  here.tool("files_glob", {{"pattern", "**/*.txt"}});
  here.tool("files_grep", {{"pattern", "t.*e"}, {"context", 1}});
  here.tool("files_grep", {{"pattern", "("}});
  here.write("large.txt", std::string(300'000, 'x') + "\n" + std::string(300'000, 'y'));
  here.tool("files_read", {{"path", "large.txt"}});
  here.ask("rustic.tool/files_read", "no such method", {});
  here.note(here.read(here.home() / "w/a.txt") + here.read(here.home() / "w/d/e/new.txt"));
}

void use_shell(one_place& here) {
  for (const auto* command :
       {"echo hello", "printf 'out'; exit 3", "printf 'no newline'", "cat nowhere 2>&1; false",
        "printf '\\377\\376 \\303\\244 \\303'", "kill -9 $$", "pwd; echo \"$HOME $LANG\"; umask",
        "cat", "head -c 300000 /dev/zero | tr '\\0' 'x'", "echo made > made.txt; ls -A",
        "nosuch_c"})
    here.tool("shell", {{"command", command}});
  here.tool("shell", {{"command", "printf err >&2"}});
  here.tool("shell", {{"command", "pwd"}, {"workdir", "missing"}});
  here.tool("shell", {{"command", "echo begun; sleep 30"}, {"timeout_ms", 300}});
  here.tool("shell", {{"command", 3}});
  here.tool("shell", {});
}

// The suite of the storage, each of its cases on a backend of its own. Those calls that come from
// several threads have no order.
void use_storage(one_place& outer, const std::string& backend) {
  int count = 0;
  for (const auto& one : contract::storage_cases()) {
    const bool ordered = one.name != "concurrency";
    const auto made = [&](const contract::storage_setting& with) -> contract::storage_backend {
      const auto place = std::make_shared<one_place>(
          outer.home() / std::to_string(++count), outer.server(), outer.isolated(),
          [&](one_place& inner) {
            inner.options.storage = json::object{{"backend", backend}};
            inner.section(backend)["max_history_size"] = with.max_history_size;
          });
      return [&outer, place, ordered](std::string_view method, std::string_view request) {
        const auto result = runtime::root_call(place->rt().kernel(), "rustic.storage/default",
                                               method, request, "{}")
                                .result();
        if (ordered)
          outer.note(std::string(method) + std::string(request) + "\n" +
                     std::to_string(static_cast<int>(result.status)) + result.body);
        return std::pair{result.status, result.body};
      };
    };
    CAPTURE(one.name);
    CHECK(contract::run_storage_case(one.name, made) == "");
  }
  outer.ask("rustic.storage/" + backend, "stats", {});
  outer.ask("rustic.storage/" + backend, "no such method", {});
}

json::object question() {
  return json::parse(R"({"model":"m","stream":true,"messages":[
    {"role":"system","parts":[{"type":"text","text":"Be brief."}]},
    {"role":"user","parts":[{"type":"text","text":"Add, \u00e4 \ud83d\udc4b"},
      {"type":"image","media_type":"image/png","data":"iVBORw0KGgo="}]},
    {"role":"assistant","parts":[{"type":"tool_call","id":"c9","name":"add","arguments":"{\"a\":1}"}]},
    {"role":"user","parts":[{"type":"tool_result","id":"c9","name":"add","output":"2","is_error":false}]}],
    "tools":[{"name":"add","description":"Adds","parameters":{"type":"object",
      "properties":{"a":{"type":"integer"}}}}]})")
      .as_object();
}
json::object plain_question() {
  return json::parse(R"({"stream":true,"messages":[
    {"role":"user","parts":[{"type":"text","text":"\u00e4 \ud83d\udc4b"}]}]})")
      .as_object();
}

step answer(std::string body, std::string type = "text/event-stream", int status = 200) {
  step out;
  out.path = "";
  out.body = std::move(body);
  out.content_type = std::move(type);
  out.status = status;
  return out;
}

struct api {
  const char* type;
  const char* answer;
  const char* content_type;
};
constexpr const char* chat_stream =
    "data: {\"id\":\"r\",\"model\":\"m-1\",\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n"
    "data: {\"id\":\"r\",\"choices\":[{\"delta\":{\"content\":\"lo "
    "\\u2600\",\"tool_calls\":[{\"index\""
    ":0,\"id\":\"c1\",\"function\":{\"name\":\"add\",\"arguments\":\"{\\\"a\\\"\"}}]}}]}\n\n"
    "data: {\"id\":\"r\",\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
    "\"arguments\":\":1}\"}}]},\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":7,"
    "\"completion_tokens\":3}}\n\ndata: [DONE]\n\n";
constexpr const char* model_lines =
    "{\"text\":\"Hel\"}\n{\"text\":\"lo\"}\n{\"done\":\"stop\",\"input_tokens\":7,"
    "\"output_tokens\":3}\n";
const api apis[] = {
    {"openai", chat_stream, "text/event-stream"},
    {"azure", chat_stream, "text/event-stream"},
    {"custom", chat_stream, "text/event-stream"},
    {"grok", chat_stream, "text/event-stream"},
    {"zai", chat_stream, "text/event-stream"},
    {"anthropic",
     "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"r\",\"model\":"
     "\"m-1\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n"
     "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
     "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
     "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"
     "\"type\":\"text_delta\",\"text\":\"Hello \\u2600\"}}\n\n"
     "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
     "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
     "\"end_turn\"},\"usage\":{\"output_tokens\":3}}\n\n"
     "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
     "text/event-stream"},
    {"google",
     "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hel\"}],\"role\":\"model\"}}],"
     "\"modelVersion\":\"m-1\",\"responseId\":\"r\"}\r\n\r\n"
     "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"lo "
     "\\u2600\"}],\"role\":\"model\"},"
     "\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":7,"
     "\"candidatesTokenCount\":3}}\r\n\r\n",
     "text/event-stream"},
    {"ollama",
     "{\"model\":\"m-1\",\"message\":{\"role\":\"assistant\",\"content\":\"Hello "
     "\\u2600\"},\"done\":"
     "false}\n{\"model\":\"m-1\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":"
     "true,"
     "\"done_reason\":\"stop\",\"prompt_eval_count\":7,\"eval_count\":3}\n",
     "application/x-ndjson"},
    {"line-model", model_lines, "application/x-ndjson"},
    {"plain-model", model_lines, "application/x-ndjson"},
};

void use_provider(one_place& here, const api& of) {
  here.from_a_socket = true;
  auto& server = here.server();
  auto cut = answer(of.answer, of.content_type);
  cut.cut_after_bytes = 60;
  auto slow = answer(of.answer, of.content_type);
  slow.write_bytes = 7;
  auto packed = answer(of.answer, of.content_type);
  packed.gzip = true;
  const auto target = std::string("rustic.provider/") + of.type;
  auto asked = of.answer == std::string_view(model_lines) ? plain_question() : question();
  for (const auto& one :
       {answer(of.answer, of.content_type), slow, packed, cut,
        answer("<html>no JSON</html>", "text/html"),
        answer(R"({"error":{"message":"no such key","type":"x"}})", "application/json", 401),
        answer(R"({"error":{"message":"bad","code":"y"}})", "application/json", 400),
        answer("", "text/plain", 404)}) {
    server.add(one);
    here.ask(target, "generate", asked);
  }
  server.add(answer(of.answer, of.content_type));
  asked["options"] = json::object{{"temperature", 0.5}, {"max_tokens", 9}};
  const auto full = here.ask(target, "generate", asked);
  CAPTURE(full.body);
  CHECK(full.ok());
  here.ask(target, "generate", {{"messages", 3}});
  here.ask(target, "no such method", {});
}

void use_http(one_place& here) {
  auto& server = here.server();
  auto moved = answer("moved", "text/plain", 302);
  moved.headers = {{"Location", "/there?x=1"}};
  auto packed = answer(std::string(200'000, 'z'), "text/plain");
  packed.gzip = true;
  auto cut = answer(std::string(1000, 'c'));
  cut.cut_after_bytes = 500;
  auto lengthy = answer(std::string(300'000, 'l'));
  lengthy.frame = fakes::framing::until_close;
  const auto url = server.base_url() + "/some/path?q=%20";
  for (const auto& one : {answer("{}", "application/json"), moved, answer("arrived"), packed, cut,
                          lengthy, answer("gone", "text/plain", 503)})
    server.add(one);
  for (int i = 0; i < 6; ++i)
    here.ask("rustic.http/default", "request",
             {{"url", url}, {"headers", json::array{json::array{"X-Mine", "v"}}}});
  here.ask("rustic.http/default", "request", {{"url", url}, {"max_body_bytes", 10}});
  here.ask("rustic.http/default", "request", {{"url", "http://127.0.0.1:1/"}});
  here.ask("rustic.http/default", "request", {{"url", "nonsense"}});
  here.ask("rustic.http/default", "request",
           {{"url", url}, {"headers", json::array{json::array{"A\nB", "v"}}}});
}

json::object scripted(json::array steps) {
  return {{"type", "fake"}, {"model", "fake-1"}, {"script", std::move(steps)}};
}
json::object says(const char* text) {
  return {{"text", json::array{text, " \xC3\xA4"}},
          {"usage", {{"input_tokens", 10}, {"output_tokens", 3}}}};
}
json::object calls(std::initializer_list<json::object> all) {
  return {{"tool_calls", json::array(all.begin(), all.end())},
          {"usage", {{"input_tokens", 100}, {"output_tokens", 7}}}};
}
json::object a_call(const char* id, const char* name, const char* arguments) {
  return {{"id", id}, {"name", name}, {"arguments", arguments}};
}

// Turns with tools, questions to the person, a second provider, and a recording of all of it.
void configure_turns(one_place& here, const char* backend) {
  const auto steps = json::array{
      calls({a_call("a", "look", R"({"word":"1"})")}),
      calls({a_call("b", "change", R"({"word":"x"})"), a_call("b", "change", R"({"word":"y"})")}),
      calls({a_call("c", "chatter", "{}")}),
      calls({a_call("d", "throws", "{}"), a_call("e", "change", "{\"word\":"),
             a_call("f", "nothing", "{}"), a_call("g", "hello", R"({"name":"Ada"})")}),
      says("It is done.")};
  here.options.providers["fake"] = scripted(steps);
  here.options.providers["none"] =
      json::object{{"type", "openai"}, {"base_url", "http://127.0.0.1:1/v1"}, {"model", "m"}};
  here.options.agents.push_back(
      json::object{{"name", "tester"}, {"provider", "fake"}, {"system_prompt", "Be brief."}});
  here.options.agents.push_back(
      json::object{{"name", "poor"}, {"provider", "none"}, {"fallback", json::array{"fake"}}});
  here.options.resilience = json::object{{"retries", 0}};
  here.options.storage = json::object{{"backend", backend}};
  here.options.permissions =
      json::object{{"mode", "default"},
                   {"rules", json::array{json::object{{"tool", "hello"}, {"decision", "deny"}}}}};
  here.options.recorder =
      json::object{{"mode", "record"}, {"file", (here.home() / "w/run.jsonl").string()}};
  here.section("recorder")["cell"] =
      json::object{{"write_paths", json::array{(here.home() / "w").string()}}};
}

void take_turns(one_place& here) {
  here.rt().services().provide(
      "rustic.ask/default", [&here](auto, const json::object& body, std::string_view caller) {
        here.note_aside("asked by " + std::string(caller) + ": " + json::serialize(body));
        return R"({"answer":"once"})";
      });
  const auto talk = [&](const char* method, json::object body) {
    return here.ask("rustic.conversation/default", method, body);
  };
  const auto made = talk("create", {{"agent", "tester"}, {"title", "\xC3\xA4"}});
  CAPTURE(made.body);
  REQUIRE(made.ok());
  const std::string session(text_or(object_or_empty(made.object(), "session"), "id"));
  for (const auto* agent : {"tester", "tester", "poor"}) {
    json::object body{{"session", session}, {"agent", agent}};
    body["input"] = json::array{json::object{{"type", "text"}, {"text", "Go \xE2\x98\x80"}}};
    const auto turn = here.ask("rustic.agent/default", "turn", body,
                               {{"interactive", true}, {"session", session}});
    CAPTURE(turn.body);
    CHECK(turn.ok());
  }
  here.ask("rustic.agent/default", "turn", {{"session", session}, {"agent", "nobody"}});
  here.ask("rustic.agent/default", "turn", {{"session", session}, {"input", 3}});
  here.ask("rustic.agent/default", "list", {});
  here.ask("rustic.agent/default", "describe", {{"name", "tester"}});
  here.ask("rustic.resilience/default", "status", {});
  talk("history", {{"id", session}, {"limit", 1000}});
  talk("context", {{"id", session}, {"max_bytes", 1200}});
  talk("export", {{"id", session}, {"format", "markdown"}});
  talk("export", {{"id", session}, {"format", "json"}});
  talk("resume", {{"latest", true}});
  talk("list", {});
  talk("get", {{"id", "nobody"}});
  talk("delete", {{"id", session}});
  here.note(here.read(here.home() / "w/run.jsonl"));
}

void use_examples(one_place& here) {
  here.tool("hello", {{"name", "Ada \xC3\xA4"}});
  here.tool("hello", {{"name", 3}});
  here.tool("hello_c", {});
  here.tool("word_count", {{"text", "a b\n\xC3\xA4"}});
  here.tool("word_count", {});
  json::object turn{{"session", "s"}, {"provider", "fake"}};
  turn["input"] = json::array{json::object{{"type", "text"}, {"text", "Go"}}};
  for (const auto* engine : {"rustic.agent/brief-agent", "rustic.agent/plain-agent"}) {
    turn["provider"] = "fake";
    CHECK(here.ask(engine, "turn", turn).ok());
    turn["provider"] = "nobody";
    here.ask(engine, "turn", turn);
  }
  REQUIRE(
      here.rt().kernel().names().intercept("rustic.tool/word_count", 1, "size-limit", true).ok());
  here.tool("word_count", {{"text", "a b"}});
  here.tool("word_count", {{"text", std::string(300'000, 'x')}});
  REQUIRE(here.rt().kernel().names().intercept("rustic.tool/hello_c", 1, "call-budget", true).ok());
  for (int i = 0; i < 4; ++i) here.tool("hello_c", {}, {{"session", "s"}});
  here.tool("hello_c", {}, {{"session", "other"}});
}

void use_probes(one_place& here) {
  std::string all_bytes;
  for (int i = 1; i < 128; ++i) all_bytes += static_cast<char>(i);
  for (const auto* target : {"rustic.test/co", "rustic.test/block", "rustic.test/hostile"}) {
    here.ask(target, "echo", {{"text", all_bytes + std::string(1 << 20, 'x')}});
    here.ask(target, "emit", {{"count", 5000}});
    for (const auto* method : {"throw", "throw_number", "refuse", "tag", "nonsense"})
      here.ask(target, method, {});
    here.ask(target, "ask", {{"target", "rustic.test/raw"}, {"method", "echo"}, {"count", 3}});
    here.ask(target, "ask", {{"target", "rustic.test/nobody"}});
    here.ask(target, "pass", {{"target", "rustic.test/co"}, {"method", "emit"}, {"count", 2000}});
    here.ask(target, "emit", {{"count", 100'000}}, {}, 3);
  }
  here.ask("rustic.test/raw", "stream", {{"count", 5000}});
  here.ask("rustic.test/raw", "twice", {});
}

std::vector<conversation_with> everything() {
  std::vector<conversation_with> out{
      {"files", {"files"}, nothing, use_files},
      {"shell", {"shell"}, nothing, use_shell},
      {"http", {"http"}, nothing, use_http},
      {"examples",
       {"hello", "hello-c", "word-count", "brief-agent", "plain-agent", "call-budget", "size-limit",
        "fake-provider"},
       [](one_place& here) {
         here.options.providers["fake"] = scripted({says("Yes.")});
         here.section("call-budget")["calls"] = 2;
       },
       use_examples},
      {"probes", {"probe", "hostile"}, nothing, use_probes},
  };
  for (const auto* backend : {"memory", "sqlite", "file-store", "plain-store"}) {
    out.push_back({std::string("storage: ") + backend,
                   {backend},
                   [=](one_place& here) { here.options.storage["backend"] = backend; },
                   [=](one_place& here) { use_storage(here, backend); }});
    out.push_back({std::string("turns: ") + backend,
                   {"agent", "conversation", "permission", "recorder", "resilience", "openai",
                    "http", "fake-provider", backend},
                   [=](one_place& here) { configure_turns(here, backend); },
                   take_turns});
  }
  for (const auto& of : apis)
    out.push_back({std::string("provider: ") + of.type,
                   {of.type, "http"},
                   [&](one_place& here) {
                     here.options.resilience = json::object{{"retries", 0}};
                     here.options.providers[of.type] = json::object{
                         {"type", of.type}, {"model", "m"}, {"base_url", here.server().base_url()}};
                   },
                   [&](one_place& here) { use_provider(here, of); }});
  return out;
}
}  // namespace

TEST_CASE("what a plugin answers from a cell is what it answers in the process") {
  for (const auto& one : everything()) compare_places(one);
}

TEST_CASE("every plugin of the build is among those that are compared") {
  std::set<std::string> compared;
  for (const auto& one : everything()) compared.insert(one.plugins.begin(), one.plugins.end());
  CHECK(compared == plugins_of_the_build());
}
