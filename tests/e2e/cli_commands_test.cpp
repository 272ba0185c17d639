// tests/e2e/cli_commands_test.cpp - the commands around a chat: sessions, configuration, plugins,
// lists, help, completion.
#include <doctest/doctest.h>
#include <signal.h>

#include <fstream>

#include "cli_world.hpp"

using namespace rustic;
using namespace rustic::e2e;
namespace fs = std::filesystem;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
ended succeeded(const world& w, std::vector<std::string> arguments) {
  const auto end = run(w, arguments);
  CAPTURE(json::serialize(json::value_from(arguments)));
  CAPTURE(end.out);
  CAPTURE(end.err);
  CHECK(end.status == 0);
  CHECK(!end.out.empty());
  return end;
}
ended failed(const world& w, std::vector<std::string> arguments, int status) {
  const auto end = run(w, arguments);
  CAPTURE(json::serialize(json::value_from(arguments)));
  CAPTURE(end.out);
  CAPTURE(end.err);
  CHECK(end.status == status);
  CHECK(end.err.starts_with("rustic-ai: "));
  return end;
}
}  // namespace

TEST_CASE("sessions are listed, shown, exported and deleted") {
  world w({fakes::step::calling("files_list", "{}"), always(fakes::step::saying("the answer"))});
  const auto chat = w.chat({"-o", "json", "What is here?"}).object();
  const std::string id(text_or(chat, "session_id"));
  CHECK(array_or_empty(chat, "tool_calls").size() == 1);
  REQUIRE(!id.empty());
  CHECK(contains(succeeded(w, {"session", "list"}).out, "What is here?"));
  const auto listed = succeeded(w, {"session", "list", "--output", "json"}).object();
  REQUIRE(array_or_empty(listed, "sessions").size() == 1);
  CHECK(text_or(array_or_empty(listed, "sessions")[0].as_object(), "id") == id);
  CHECK(int_or(array_or_empty(listed, "sessions")[0].as_object(), "message_count") == 4);
  CHECK(contains(succeeded(w, {"-C", "/", "session", "list", "-a"}).out, id));
  CHECK(!contains(succeeded(w, {"-C", "/", "session", "list"}).out, id));

  CHECK(contains(succeeded(w, {"session", "show", id}).out, "the answer"));
  const auto shown = succeeded(w, {"session", "show", id, "-o", "json"}).object();
  CHECK(array_or_empty(shown, "messages").size() == 4);
  CHECK(text_or(object_or_empty(shown, "session"), "id") == id);

  CHECK(contains(succeeded(w, {"session", "export", id}).out, "the answer"));
  const auto document = parse_json(succeeded(w, {"session", "export", id, "--format", "json"}).out);
  CHECK(contains(json::serialize(document), "the answer"));
  CHECK(run(w, {"session", "export", id, "--to", "out.md"}).status == 0);
  CHECK(fs::file_size(w.work() / "out.md") > 0);
  failed(w, {"session", "export", id, "--to", "out.md"}, 2);

  failed(w, {"session", "delete", id}, 2);  // nobody to ask
  succeeded(w, {"session", "delete", id, "--force"});
  for (const auto* command : {"show", "export", "delete"}) failed(w, {"session", command, id}, 2);
  CHECK(
      array_or_empty(succeeded(w, {"session", "list", "-o", "json"}).object(), "sessions").empty());
}

TEST_CASE("configuration is made, changed, explained and checked") {
  world w;
  const auto file = w.home() / ".config/rustic-ai/config.toml";
  succeeded(w, {"config", "init"});
  CHECK(fs::exists(file));
  CHECK(run(w, {"config", "init"}).status != 0);  // a file that is there is not overwritten
  succeeded(w, {"config", "validate"});
  succeeded(w, {"config", "set", "providers.mine.type", "openai"});
  succeeded(w, {"config", "set", "providers.mine.model", "some-model"});
  CHECK(succeeded(w, {"config", "get", "providers.mine.model"}).out == "some-model\n");
  CHECK(parse_json(succeeded(w, {"config", "get", "providers.mine.model", "-o", "json"}).out) ==
        json::value("some-model"));
  CHECK(contains(succeeded(w, {"config", "show"}).out, "providers.mine.model = some-model"));
  CHECK(succeeded(w, {"config", "show", "-o", "json"}).object().contains("providers"));
  w.environment["RUSTIC_AI_PROVIDERS__MINE__MODEL"] = "other";
  const auto explained = succeeded(w, {"config", "explain", "providers.mine.model"}).out;
  CHECK(contains(explained, "RUSTIC_AI_PROVIDERS__MINE__MODEL"));
  CHECK(contains(explained, "config.toml"));
  const auto layers =
      succeeded(w, {"config", "explain", "providers.mine.model", "-o", "json"}).object();
  CHECK(array_or_empty(layers, "layers").size() == 2);
  CHECK(contains(succeeded(w, {"config", "path"}).out, file.string()));
  CHECK(text_or(succeeded(w, {"config", "path", "-o", "json"}).object(), "config") ==
        file.string());
  CHECK(bool_or(succeeded(w, {"config", "validate", "-o", "json"}).object(), "valid"));
  failed(w, {"config", "get", "no.such.key"}, 3);
  w.configure("[agents.a]\ntemprature = 1\n");
  const auto wrong = run(w, {"config", "validate", "-o", "json"});
  CHECK(wrong.status == 3);
  CHECK(!bool_or(wrong.object(), "valid", true));
  CHECK(run(w, {"config", "validate"}).status == 3);
}

TEST_CASE("the first file is valid with every example switched on") {
  world w;
  REQUIRE(run(w, {"config", "init"}).status == 0);
  const auto file = w.home() / ".config/rustic-ai/config.toml";
  std::ifstream in(file);
  std::string all, line;
  std::size_t examples = 0;
  while (std::getline(in, line)) {
    const bool example =
        line.starts_with("# [") || (line.starts_with("# ") && contains(line, " = "));
    examples += example;
    all += (example ? line.substr(2) : line) + "\n";
  }
  CHECK(examples > 20);
  w.write(file, all);
  const auto end = run(w, {"config", "validate"});
  CAPTURE(end.out);
  CHECK(end.status == 0);
  CHECK(end.out == "The configuration is valid.\n");
}

TEST_CASE("a key in a file works, and is shown nowhere") {
  world w({always(fakes::step::saying("ok"))});
  w.environment.erase("OPENAI_API_KEY");
  w.environment.erase("OPENAI_BASE_URL");
  w.configure("[providers.mine]\ntype=\"openai\"\nmodel=\"m\"\nbase_url=\"" + w.server.base_url() +
              "\"\napi_key=\"" + planted_key + "\"\n");
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"chat", "Hi"},
           {"config", "show"},
           {"config", "show", "-o", "json"},
           {"config", "get", "providers.mine.api_key"},
           {"config", "get", "providers"},
           {"config", "explain", "providers.mine.api_key"},
           {"config", "validate"},
           {"config", "explain", "providers.mine.api_key", "-o", "json"}}) {
    const auto end = succeeded(w, arguments);
    CHECK(!contains(end.out + end.err, planted_key));
  }
  REQUIRE(!w.server.requests().empty());
  CHECK(w.server.requests()[0].header("authorization") == std::string("Bearer ") + planted_key);
  CHECK(w.files_with(planted_key).size() == 1);
}

TEST_CASE("plugins, tools and agents are listed") {
  world w;
  const auto plugins = succeeded(w, {"plugin", "list", "-o", "json"}).object();
  CHECK(array_or_empty(plugins, "plugins").size() >= 10);
  CHECK(contains(succeeded(w, {"plugin", "list"}).out, "sqlite"));
  CHECK(text_or(succeeded(w, {"plugin", "info", "http", "-o", "json"}).object(), "id") == "http");
  CHECK(contains(succeeded(w, {"plugin", "info", "http"}).out, "rustic.http/default"));
  failed(w, {"plugin", "info", "htpt"}, 2);
  const auto tools = succeeded(w, {"tools", "list", "-o", "json"}).object();
  CHECK(array_or_empty(tools, "tools").size() >= 7);
  CHECK(contains(succeeded(w, {"tools", "list"}).out, "files_read"));
  const auto agents = succeeded(w, {"agents", "list", "-o", "json"}).object();
  CHECK(array_or_empty(agents, "agents").size() == 1);
  succeeded(w, {"agents", "list"});
}

TEST_CASE("a file that is no plugin is listed with its reason and harms nothing") {
  world w({always(fakes::step::saying("ok"))});
  w.write(w.home() / ".local/lib/rustic-ai/plugins/junk.so", "no plugin");
  CHECK(contains(succeeded(w, {"plugin", "list"}).out, "junk.so"));
  CHECK(w.chat({"Hi"}).status == 0);
}

TEST_CASE("a plugin that is switched off is not used; without permission no tool runs") {
  world w({always(fakes::step::looping("shell", R"({"command":"touch made"})", 1, "end"))});
  w.configure("[plugin.shell]\nenabled = false\n");
  CHECK(!contains(succeeded(w, {"tools", "list"}).out, "shell"));
  CHECK(contains(succeeded(w, {"plugin", "list"}).out, "enabled = false"));
  w.configure("[plugin.permission]\nenabled = false\n");
  const auto end = w.chat({"--permission-mode", "bypass", "Go"});
  CAPTURE(end.err);
  CHECK(!fs::exists(w.work() / "made"));
}

TEST_CASE("every command has a help") {
  world w;
  const std::vector<std::vector<std::string>> commands{{},
                                                       {"chat"},
                                                       {"run"},
                                                       {"demo"},
                                                       {"session"},
                                                       {"session", "list"},
                                                       {"session", "show"},
                                                       {"session", "resume"},
                                                       {"session", "export"},
                                                       {"session", "delete"},
                                                       {"config"},
                                                       {"config", "init"},
                                                       {"config", "show"},
                                                       {"config", "get"},
                                                       {"config", "set"},
                                                       {"config", "explain"},
                                                       {"config", "validate"},
                                                       {"config", "path"},
                                                       {"plugin"},
                                                       {"plugin", "list"},
                                                       {"plugin", "info"},
                                                       {"plugin", "install"},
                                                       {"plugin", "remove"},
                                                       {"plugin", "enable"},
                                                       {"plugin", "disable"},
                                                       {"plugin", "reload"},
                                                       {"plugin", "validate"},
                                                       {"plugin", "new"},
                                                       {"plugin", "doctor"},
                                                       {"tools"},
                                                       {"tools", "list"},
                                                       {"agents"},
                                                       {"agents", "list"},
                                                       {"trust"},
                                                       {"untrust"},
                                                       {"completion"}};
  for (auto command : commands) {
    command.emplace_back("--help");
    CHECK(contains(succeeded(w, command).out, "--help"));
  }
  CHECK(succeeded(w, {"--version"}).out.starts_with("rustic-ai "));
  CHECK(fs::is_empty(w.home()));
}

TEST_CASE("completion scripts are scripts") {
  world w;
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const auto script = succeeded(w, {"completion", shell}).out;
    CHECK(contains(script, "__complete"));
    const auto checker = "/usr/bin/" + shell;
    if (!fs::exists(checker)) continue;
    w.write(w.work() / "script", script);
    launch how;
    how.program = checker;
    how.arguments = {"-n", "script"};
    const auto end = run(w, how);
    CAPTURE(end.err);
    CHECK(end.status == 0);
  }
  launch how;
  how.program = "/bin/bash";
  how.arguments = {"-c", R"(. ./bash
for line in "session ex" "chat --output = js" "--config x chat --agent r" "config get log.l"; do
  COMP_WORDS=("$RUSTIC_AI" $line); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  _rustic_ai; echo "${COMPREPLY[@]}"
done)"};
  w.configure("[agents.coder]\n[agents.reviewer]\n");
  w.environment["RUSTIC_AI"] = RUSTIC_AI;
  w.write(w.work() / "bash", run(w, {"completion", "bash"}).out);
  CHECK(run(w, how).out == "export\njson\nreviewer\nlog.level\n");
  w.configure("not [ toml");  // nothing to offer, and nothing said
  CHECK(run(w, {"__complete", "chat", "--agent", ""}).err.empty());
  failed(w, {"completion", "tcsh"}, 2);
}

TEST_CASE("a recorded run replays without a server") {
  world w({fakes::step::calling("files_list", "{}"), fakes::step::saying("the answer")});
  const auto first = w.chat({"-o", "json", "--record", "run.jsonl", "What is here?"});
  REQUIRE(first.status == 0);
  const auto requests = w.server.requests().size();
  const auto again = w.chat({"-o", "json", "--replay", "run.jsonl", "What is here?"});
  CAPTURE(again.out);
  CHECK(again.status == 0);
  CHECK(w.server.requests().size() == requests);
  CHECK(text_or(again.object(), "text") == text_or(first.object(), "text"));
  CHECK(json::serialize(array_or_empty(again.object(), "tool_calls")) ==
        json::serialize(array_or_empty(first.object(), "tool_calls")));
}

TEST_CASE("the demo needs no key, no server and no home") {
  world w;
  w.environment.erase("OPENAI_API_KEY");
  w.environment.erase("OPENAI_BASE_URL");
  const auto end = succeeded(w, {"demo"});
  CHECK(contains(end.out, "recording"));
  CHECK(w.server.requests().empty());
}

TEST_CASE("what cannot be written is no success") {
  world w({always(fakes::step::saying("ok"))});
  REQUIRE(w.chat({"Hi"}).status == 0);
  w.environment["RUSTIC_AI"] = RUSTIC_AI;
  const auto shell = [&](const std::string& script) {
    launch how;
    how.program = "/bin/sh";
    how.arguments = {"-c", script};
    return run(w, how);
  };
  for (const std::string command :
       {"--version", "--help", "session list", "tools list -o json", "config show", "plugin list",
        "completion bash", "chat Hi", "chat -o json Hi", "chat -o stream-json Hi"}) {
    CAPTURE(command);
    const auto end = shell("\"$RUSTIC_AI\" " + command + " >/dev/full");
    CHECK(end.status == 1);
    CHECK(contains(end.err, "writing to standard output"));
  }
  // Nobody there is no success either, and the database is not written into instead.
  for (const std::string closed : {">&-", ">&- 2>&-", "<&- >&- 2>&-"}) {
    CAPTURE(closed);
    CHECK(shell("\"$RUSTIC_AI\" chat Hi " + closed).status == 1);
  }
  CHECK(contains(succeeded(w, {"session", "list"}).out, "Hi"));
}

TEST_CASE("Ctrl-C ends a command whose output nobody takes") {
  world w({always(fakes::step::saying(std::string(400'000, 'x')))});
  const auto id = std::string(text_or(w.chat({"-o", "json", "Hi"}).object(), "session_id"));
  launch how;
  how.arguments = {"session", "export", id};
  cli_process process(w, how);
  // It has filled the pipe and waits.
  CHECK(eventually([&] {
    std::ifstream in("/proc/" + std::to_string(process.id()) + "/wchan");
    std::string where;
    in >> where;
    return contains(where, "pipe");
  }));
  process.signal(SIGINT);
  CHECK(process.wait().status == 128 + SIGINT);
}

TEST_CASE("a project is trusted from anywhere, as the message says") {
  world w;
  w.write(w.work() / ".rustic-ai/config.toml", "[log]\nlevel = \"debug\"\n");
  const auto told = run(w, {"config", "validate"}).out;
  CHECK(contains(told, "rustic-ai trust " + w.work().string()));
  succeeded(w, {"-C", "/", "trust", w.work().string()});
  CHECK(succeeded(w, {"config", "get", "log.level"}).out == "debug\n");
  succeeded(w, {"untrust", w.work().string()});
  CHECK(succeeded(w, {"config", "get", "log.level"}).out == "warn\n");
}

TEST_CASE("numbers are written as they were given") {
  world w;
  succeeded(w, {"config", "set", "agents.a.temperature", "0.2"});
  CHECK(!w.files_with("temperature = 0.2\n").empty());
  CHECK(succeeded(w, {"config", "get", "agents.a.temperature"}).out == "0.2\n");
}

TEST_CASE("the log tells of a turn with trace ids, and a file that cannot be written is told") {
  world w({fakes::step::calling("files_list", "{}"), always(fakes::step::saying("ok"))});
  const auto file = w.work() / "run.log";
  REQUIRE(w.chat({"--log-level", "debug", "--log-format", "json", "--log-file", file.string(),
                  "Private words"})
              .status == 0);
  std::ifstream in(file);
  std::string line, all;
  bool traced = false;
  while (std::getline(in, line)) {
    traced = traced || parse_object(line).contains("trace_id");
    all += line + "\n";
  }
  CHECK(traced);
  for (const auto* part : {"turn of session", "round 2", "files_list", "succeeded after", "ended"})
    CHECK(contains(all, part));
  CHECK(!contains(all, "Private words"));
  CHECK(contains(w.chat({"-v", "-q", "Hi"}).err, "turn of session"));
  failed(w, {"chat", "--log-file", "/proc/no/such.log", "Hi"}, 2);
}

TEST_CASE("a recording that cannot be used is told before anything is done") {
  world w({always(fakes::step::saying("ok"))});
  failed(w, {"chat", "--replay", "missing.jsonl", "Hi"}, 2);
  failed(w, {"chat", "--record", "no/such/run.jsonl", "Hi"}, 2);
  w.write(w.work() / "there", "x");
  failed(w, {"chat", "--record", "there", "Hi"}, 2);
  CHECK(w.server.requests().empty());
  CHECK(fs::is_empty(w.home()));
}
