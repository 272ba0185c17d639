// tests/e2e/cli_test.cpp - the program as its users run it: exit statuses, forms of output, ways to
// give a prompt.
#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "cli_world.hpp"

using namespace rustic;
using namespace rustic::e2e;
namespace fs = std::filesystem;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Nothing can be read from a failed program but what it was asked for.
void check_result(const json::object& result) {
  for (const auto& member : result_members()) {
    CAPTURE(member);
    CHECK(result.contains(member));
  }
  for (const auto* member : {"input_tokens", "output_tokens", "cache_read_tokens",
                             "cache_write_tokens", "reasoning_tokens"})
    CHECK(object_or_empty(result, "usage").contains(member));
  if (const auto* problem = find(result, "error"))
    for (const auto* member : {"code", "message", "hint"})
      CHECK(problem->as_object().contains(member));
}

void check_json(const ended& end, bool failed) {
  CAPTURE(end.out);
  CAPTURE(end.err);
  const auto result = end.object();
  check_result(result);
  CHECK((find(result, "error") != nullptr) == failed);
}

void check_stream(const ended& end, bool failed) {
  static const std::set<std::string, std::less<>> types{
      "session", "text",       "reasoning", "tool_call", "tool_output", "tool_result",
      "usage",   "permission", "notice",    "error",     "done"};
  CAPTURE(end.out);
  CAPTURE(end.err);
  const auto lines = end.lines();
  REQUIRE(!lines.empty());
  for (const auto& line : lines) CHECK(types.contains(text_or(line, "type")));
  CHECK(text_or(lines.back(), "type") == "done");
  check_result(object_or_empty(lines.back(), "result"));
  const auto is = [&](std::string_view type) {
    return std::count_if(lines.begin(), lines.end(),
                         [&](const auto& line) { return text_or(line, "type") == type; });
  };
  CHECK(is("done") == 1);
  CHECK(is("error") == (failed ? 1 : 0));
}

struct failure_case {
  const char* name;
  int status;
  std::vector<fakes::step> steps;
  std::vector<std::string> arguments;
  bool is_error = true;  // false: the turn has a result, which is no success
};

fakes::step malformed() {
  auto one = fakes::step::saying("words \xff\xfe");
  one.malformed = true;
  return one;
}

std::vector<failure_case> failures() {
  const auto refusing = [](int status, const char* body) {
    return always(fakes::step::failing(status, body));
  };
  return {
      {"cut", 1, {always(cut())}, {}},
      {"no JSON", 1, {always(malformed())}, {}},
      {"bad request",
       1,
       {refusing(400, R"({"error":{"message":"bad","code":"invalid_value"}})")},
       {}},
      {"unknown option", 2, {}, {"--no-such-option"}},
      {"wrong value", 2, {}, {"--max-rounds", "many"}},
      {"empty session", 2, {}, {"--session", ""}},
      {"no such session", 2, {}, {"--session", "s_nothing"}},
      {"no session to continue", 2, {}, {"--continue"}},
      {"unknown agent", 3, {}, {"--agent", "nobody"}},
      {"unknown provider", 3, {}, {"--provider", "nobody"}},
      {"unknown key", 3, {}, {"--set", "providers.local.modle=x"}},
      {"unauthorised", 4, {refusing(401, R"({"error":{"message":"bad key"}})")}, {}},
      {"echoed key",
       4,
       {refusing(401,
                 R"({"error":{"message":"Incorrect API key provided: sk-planted-123456789"}})")},
       {}},
      {"forbidden", 4, {refusing(403, R"({"error":{"message":"no"}})")}, {}},
      {"too many requests",
       4,
       {refusing(429, R"({"error":{"message":"slow down","code":"rate_limit_exceeded"}})")},
       {}},
      {"server error", 4, {refusing(500, R"({"error":{"message":"oops"}})")}, {}},
      {"denied", 5, {shell_call("touch made"), fakes::step::saying("Then not.")}, {}, false},
      {"limit", 6, {always(shell_call("true"))}, {"--max-rounds", "1"}, false},
  };
}
}  // namespace

TEST_CASE("an answer goes to standard output and the status is 0") {
  world w({fakes::step::saying("Hello there.")});
  const auto end = w.chat({"Hi"});
  CAPTURE(end.err);
  CHECK(end.status == 0);
  CHECK(end.out == "Hello there.\n");
  CHECK(end.err.empty());
}

TEST_CASE("an answer of a given form, asked for once more") {
  world w({fakes::step::saying("Rome, I think"), fakes::step::saying("{\"name\":\"Rome\"}")});
  std::ofstream(w.home() / "city.json") << R"({"type":"object","required":["name"]})";
  const auto schema = (w.home() / "city.json").string();
  const auto end = w.chat({"--output-schema", schema, "Which city?"});
  CAPTURE(end.err);
  CHECK(end.status == 0);
  CHECK(end.out == "{\"name\":\"Rome\"}\n");
  const auto missing = w.chat({"--output-schema", schema + "x", "Which city?"});
  CHECK(missing.status == 2);
  CHECK(contains(missing.err, "--output-schema"));
}

TEST_CASE("every failure has its status, and its form in each form of output") {
  for (const auto& one : failures()) {
    const std::string name = one.name;
    CAPTURE(name);
    for (const std::string form : {"text", "json", "stream-json"}) {
      CAPTURE(form);
      world w(one.steps);
      auto arguments = one.arguments;
      arguments.insert(arguments.end(), {"--output", form, "Go"});
      const auto end = w.chat(arguments);
      CHECK(end.in_time);
      CAPTURE(end.out);
      CAPTURE(end.err);
      CHECK(end.status == one.status);
      if (form == "json") check_json(end, one.is_error);
      if (form == "stream-json") check_stream(end, one.is_error);
      if (form != "text") CHECK(end.err.empty());
      if (form == "text" && one.is_error) {
        CHECK(contains(end.err, "rustic-ai: "));
        CHECK(contains(end.err, "\n  "));  // what to do
        CHECK(end.out.empty() == !contains(end.out, "words"));
      }
      CHECK(w.files_with(planted_key).empty());
      CHECK(!contains(end.out + end.err, planted_key));
    }
  }
}

TEST_CASE("nobody listens: the provider is unreachable") {
  place p;
  p.environment["OPENAI_BASE_URL"] = "http://127.0.0.1:1/v1";
  p.environment["OPENAI_MODEL"] = "m";
  const auto end = run(p, {"chat", "-o", "json", "Hi"});
  CHECK(end.status == 4);
  check_json(end, true);
}

TEST_CASE("a stream cut in the middle keeps what was said") {
  world w({always(cut())});
  const auto result = w.chat({"-o", "json", "Go"}).object();
  CHECK(text_or(result, "text").starts_with("partial "));
  const auto shown = run(w, {"session", "show", std::string(text_or(result, "session_id"))});
  CHECK(shown.status == 0);
  CHECK(contains(shown.out, "partial "));
}

TEST_CASE("the calls of the last allowed round are listed and not run") {
  world w({always(shell_call("touch made"))});
  const auto end = w.chat({"-o", "json", "--max-rounds", "1", "--permission-mode", "bypass", "Go"});
  CHECK(end.status == 6);
  const auto result = end.object();
  const auto& calls = array_or_empty(result, "tool_calls");
  REQUIRE(calls.size() == 1);
  for (const auto* member :
       {"id", "name", "arguments", "success", "output", "error", "duration_ms"})
    CHECK(calls[0].as_object().contains(member));
  CHECK(calls[0].as_object().at("success").is_null());
  CHECK(!fs::exists(w.work() / "made"));

  // So is one that the kernel refuses because there is no policy to ask.
  world bare({shell_call("touch made"), fakes::step::saying("Then not.")});
  bare.environment["RUSTIC_AI_PLUGIN__PERMISSION__ENABLED"] = "false";
  const auto refused = bare.chat({"-o", "json", "Go"});
  CHECK(refused.status == 5);
  CHECK(array_or_empty(refused.object(), "permission_denials").size() == 1);
  CHECK(!fs::exists(bare.work() / "made"));
}

TEST_CASE("a denial is told with the call and its reason") {
  world w({shell_call("touch made"), fakes::step::saying("Then not.")});
  const auto end = w.chat({"-o", "json", "Go"});
  CHECK(end.status == 5);
  const auto result = end.object();
  REQUIRE(array_or_empty(result, "permission_denials").size() == 1);
  const auto& denial = array_or_empty(result, "permission_denials")[0].as_object();
  CHECK(text_or(denial, "name") == "shell");
  CHECK(!text_or(denial, "reason").empty());
  CHECK(!fs::exists(w.work() / "made"));
}

TEST_CASE("signals end a turn with their status and keep the partial text") {
  for (const auto& [number, status] : {std::pair{SIGINT, 130}, std::pair{SIGTERM, 143}}) {
    for (const std::string form : {"text", "json", "stream-json"}) {
      CAPTURE(number);
      CAPTURE(form);
      world w({stalling()});
      launch how;
      how.arguments = {"chat", "--output", form, "Go"};
      cli_process process(w, how);
      if (form == "json")
        REQUIRE(w.server.wait_for_requests(1, 20'000));
      else
        REQUIRE(
            process.read_until([](const ended& so_far) { return contains(so_far.out, "words"); }));
      process.signal(number);
      const auto end = process.wait();
      CAPTURE(end.err);
      CHECK(end.status == status);
      if (form == "json") check_json(end, true);
      if (form == "stream-json") check_stream(end, true);
      const auto listed = run(w, {"session", "list", "--output", "json"}).object();
      REQUIRE(array_or_empty(listed, "sessions").size() == 1);
    }
  }
}

TEST_CASE("a signal while standard input is awaited ends it") {
  world w;
  launch how;
  how.arguments = {"chat", "Go"};
  how.input = input_kind::pipe;
  how.input_text = std::string(1, 'x');
  how.input_open = true;
  cli_process process(w, how);
  REQUIRE(process.read_until(
      [](const ended& so_far) { return contains(so_far.err, "standard input"); }));
  process.signal(SIGINT);
  CHECK(process.wait().status == 130);
}

TEST_CASE("usage errors name what is wrong and touch nothing") {
  world w;
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"chat", "--output", "xml", "Hi"},
                                             {"chat", "--max-rounds", "0", "Hi"},
                                             {"chat", "-c", "-r", "abcdef", "Hi"},
                                             {"chat", ""},
                                             {"chat"},
                                             {"nonsense"},
                                             {"session"},
                                             {"-C", "/no/such/directory", "chat", "Hi"},
                                             {"chat", "--tools", "live", "Hi"},
                                             {"--provider", "chat", "--session", "", "-p", "Hi"}}) {
    const auto end = run(w, arguments);
    CAPTURE(json::serialize(json::value_from(arguments)));
    CAPTURE(end.err);
    CHECK(end.status == 2);
    CHECK(end.err.starts_with("rustic-ai: "));
    CHECK(end.out.empty());
  }
  CHECK(!fs::exists(w.database()));
  CHECK(w.server.requests().empty());
  CHECK(run(w, {"chta", "Hi"}).err.find("unknown command \"chta\"; is \"chat\" meant?") !=
        std::string::npos);
  CHECK(run(w, {"session", "lst"}).err.find("unknown command \"lst\"; is \"list\" meant?") !=
        std::string::npos);
  CHECK(run(w, {"chat", "--modle", "x"}).err.find("unknown option \"--modle\"; is \"--model\"") !=
        std::string::npos);
  CHECK(run(w, {"demo", "a\x1b[2J"}).err.find('\x1b') == std::string::npos);
}

TEST_CASE("stream-json tells a turn with tools as it happens") {
  auto both = shell_call("echo to-out; echo to-err >&2");
  both.reasoning = {"thinking"};
  world w({both, fakes::step::saying("Done.")});
  const auto end = w.chat({"-o", "stream-json", "--permission-mode", "bypass", "Go"});
  CHECK(end.status == 0);
  check_stream(end, false);
  std::map<std::string, std::string> of_type;
  std::string order;
  for (const auto& line : end.lines()) {
    const std::string type(text_or(line, "type"));
    if (!of_type.contains(type)) order += type + " ";
    of_type[type] += json::serialize(line) + "\n";
  }
  CAPTURE(order);
  CHECK(order.starts_with("session reasoning usage "));
  CHECK(order.ends_with("tool_call tool_output tool_result text done "));
  CHECK(contains(of_type["tool_output"], "to-out"));
  CHECK(contains(of_type["tool_output"], "to-err"));
  const auto result = parse_object(of_type["tool_result"]);
  for (const auto* member : {"id", "name", "success", "output", "error", "duration_ms"})
    CHECK(result.contains(member));
}

TEST_CASE("of a flood of output a part is shown while it runs") {
  world w({shell_call("head -c 5000000 /dev/zero | tr '\\0' x"), fakes::step::saying("Done.")});
  const auto end = w.chat({"-o", "stream-json", "--permission-mode", "bypass", "Go"});
  CHECK(end.status == 0);
  std::string shown;
  for (const auto& line : end.lines())
    if (text_or(line, "type") == "tool_output") shown += text_or(line, "text");
  CHECK(shown.size() > 1'000'000);
  CHECK(shown.size() < 1'100'000);
  CHECK(shown.ends_with("[... more is not shown ...]\n"));
}

TEST_CASE("arguments that are no JSON are told as the model wrote them") {
  world w({fakes::step::calling("shell", R"({"command":)"), fakes::step::saying("I give up.")});
  const auto result = w.chat({"-o", "json", "Go"}).object();
  REQUIRE(array_or_empty(result, "tool_calls").size() == 1);
  const auto& call = array_or_empty(result, "tool_calls")[0].as_object();
  CHECK(text_or(call, "arguments") == R"({"command":)");
  CHECK(!bool_or(call, "success", true));
  CHECK(!text_or(call, "error").empty());
}

TEST_CASE("quiet says nothing but the answer, and the configuration may choose the form") {
  world w({shell_call("true"), fakes::step::saying("Done."), always(fakes::step::saying("ok"))});
  const auto quiet = w.chat({"--quiet", "--permission-mode", "bypass", "Go"});
  CHECK(quiet.out == "Done.\n");
  CHECK(quiet.err.empty());
  w.configure("[defaults]\noutput = \"json\"\n");
  check_json(w.chat({"Go"}), false);
  CHECK(w.chat({"--output", "text", "Go"}).out == "ok\n");
  CHECK(run(w, {"-p", "Go", "-otext"}).out == "ok\n");
  CHECK(run(w, {"chat", "-p", "Go", "--output=text"}).out == "ok\n");
}

TEST_CASE("a wrong file is told with its line and the nearest key") {
  world w;
  w.configure("[storage]\nbackend = \"sqlite\"\nconection_string = \"x.db\"\n");
  const auto end = w.chat({"Hi"});
  CAPTURE(end.err);
  CHECK(end.status == 3);
  CHECK(contains(end.err, "config.toml:3"));
  CHECK(contains(end.err, "did you mean `connection_string`"));
  check_json(w.chat({"-o", "json", "Hi"}), true);
  w.configure("[providers.local\n");
  const auto broken = w.chat({"Hi"});
  CHECK(broken.status == 3);
  CHECK(contains(broken.err, "config.toml:1"));
}

TEST_CASE("the first minute: without a model it says how to set one up") {
  place p;
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"chat", "Hi"}, {"-p", "Hi"}}) {
    const auto end = run(p, arguments);
    CAPTURE(end.err);
    CHECK(end.status == 3);
    CHECK(contains(end.err, "OPENAI_API_KEY"));
    CHECK(contains(end.err, "OPENAI_BASE_URL"));
    CHECK(contains(end.err, "config init"));
    CHECK(contains(end.err, "rustic-ai demo"));
  }
  const auto end = run(p, {"chat", "-o", "json", "Hi"});
  CHECK(end.status == 3);
  check_json(end, true);
}

TEST_CASE("what is piped is appended to the prompt") {
  world w({always(fakes::step::saying("ok"))});
  const auto piped = [&](std::vector<std::string> arguments, std::string text) {
    launch how;
    how.arguments = std::move(arguments);
    how.input = input_kind::pipe;
    how.input_text = std::move(text);
    const auto end = run(w, how);
    CAPTURE(end.err);
    CHECK(end.status == 0);
    return w.server.requests().back().body;
  };
  CHECK(contains(piped({"chat", "Review this"}, "the change\n"), R"(Review this\n\nthe change)"));
  CHECK(contains(piped({"chat"}, "only piped"), "only piped"));
  CHECK(contains(piped({"-p", "short form"}, ""), "short form"));
  CHECK(contains(piped({"chat", "--", "--no-option"}, ""), "--no-option"));
  CHECK(contains(piped({"chat", "Bytes"},
                       "a\xff\xfe"
                       "b"),
                 "\xEF\xBF\xBD"));
}

TEST_CASE("ten megabytes of prompt are sent whole") {
  world w({always(fakes::step::saying("ok"))});
  const auto file = [&](const std::string& window) {
    w.configure("[providers.a]\ntype=\"openai\"\nmodel=\"m\"\nbase_url=\"" + w.server.base_url() +
                "\"\n" + window);
  };
  file("context_window=20000000\n");
  launch how;
  how.arguments = {"chat", "-o", "json", "Read"};
  how.input = input_kind::pipe;
  how.input_text.assign(10'000'000, 'x');
  how.input_text += "the end";
  const auto end = run(w, how);
  CAPTURE(end.out.substr(0, 400));
  CAPTURE(end.err);
  CHECK(end.status == 0);
  REQUIRE(!w.server.requests().empty());
  CHECK(w.server.requests().back().body.size() > 10'000'000);
  CHECK(contains(w.server.requests().back().body, "the end"));
  // Without a window of that size the model gets both ends, and the person is told.
  file("");
  how.arguments = {"chat", "Read"};
  const auto large = run(w, how);
  CHECK(large.status == 0);
  CHECK(contains(large.err, "its middle is left out"));
  CHECK(contains(w.server.requests().back().body, "the end"));
  CHECK(w.server.requests().back().body.size() < 5'000'000);
}

TEST_CASE("no standard input, or one that is closed") {
  world w({always(fakes::step::saying("ok"))});
  for (const auto kind : {input_kind::device, input_kind::closed}) {
    launch how;
    how.arguments = {"chat", "Hi"};
    how.input = kind;
    const auto end = run(w, how);
    CAPTURE(end.err);
    CHECK(end.status == 0);
    CHECK(end.out == "ok\n");
  }
}

TEST_CASE("a reader that has gone ends the turn, and not with 0") {
  auto many = fakes::step::saying("words and words\n");
  many.repeat = 20'000;
  for (const std::string form : {"text", "stream-json", "json"}) {
    CAPTURE(form);
    world w({always(many)});
    launch how;
    how.arguments = {"chat", "--output", form, "Go"};
    how.output_gone = true;
    const auto end = run(w, how);
    CHECK(end.in_time);
    CHECK(end.status == 1);  // no signal ended it
    if (form == "text") CHECK(contains(end.err, "standard output was closed"));
  }
}

TEST_CASE("sessions go on: by id, by its beginning, the latest of the directory") {
  world w({always(fakes::step::saying("ok"))});
  const auto id = std::string(text_or(w.chat({"-o", "json", "first"}).object(), "session_id"));
  REQUIRE(!id.empty());
  const auto goes_on = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"-o", "json", "next"});
    const auto end = w.chat(arguments);
    CAPTURE(end.out);
    CHECK(end.status == 0);
    CHECK(contains(w.server.requests().back().body, "first"));
    return std::string(text_or(end.object(), "session_id"));
  };
  CHECK(goes_on({"--session", id}) == id);
  CHECK(goes_on({"-r", id.substr(0, id.size() - 2)}) == id);
  CHECK(goes_on({"-c"}) == id);
  CHECK(goes_on({"--continue"}) == id);
  fs::create_directories(w.work() / "other");
  CHECK(w.chat({"-C", "other", "-c", "x"}).status == 2);  // no session of that directory
}

TEST_CASE("what a turn is made of can be said on the command line") {
  world w({always(fakes::step::saying("ok"))});
  w.configure(
      "[providers.a]\ntype=\"openai\"\nbase_url=\"http://127.0.0.1:1/v1\"\nmodel=\"m\"\n"
      "[providers.b]\ntype=\"openai\"\nbase_url=\"" +
      w.server.base_url() +
      "\"\nmodel=\"mb\"\n[agents.one]\nprovider=\"a\"\n[agents.two]\nprovider=\"b\"\n");
  const auto sent = [&](std::vector<std::string> arguments) {
    const auto end = run(w, arguments);
    CAPTURE(end.err);
    CAPTURE(json::serialize(json::value_from(arguments)));
    REQUIRE(end.status == 0);
    return w.server.requests().back().json();
  };
  CHECK(text_or(sent({"chat", "--agent", "two", "Hi"}), "model") == "mb");
  CHECK(text_or(sent({"chat", "-m", "b/other", "Hi"}), "model") == "other");
  CHECK(text_or(sent({"-m", "b/vendor/other", "-p", "Hi"}), "model") == "vendor/other");
  CHECK(text_or(sent({"chat", "Hi", "--provider", "b"}), "model") == "mb");
  CHECK(text_or(sent({"chat", "--provider", "b", "--model", "x/y", "Hi"}), "model") == "x/y");
  const auto told =
      json::serialize(sent({"chat", "--agent", "two", "--system", "Be a bird.", "Hi"}));
  CHECK(contains(told, "Be a bird."));
  CHECK(text_or(sent({"--set", "agents.two.model=set", "chat", "--agent", "two", "Hi"}), "model") ==
        "set");
  CHECK(text_or(sent({"chat", "--agent", "two", "--set", "agents.two.model=set", "Hi"}), "model") ==
        "set");
  w.environment["RUSTIC_AI_PROVIDERS__B__MODEL"] = "nested";
  CHECK(text_or(sent({"chat", "--agent", "two", "Hi"}), "model") == "nested");
  fs::create_directories(w.work() / "deeper");
  CHECK(
      contains(json::serialize(sent({"chat", "-C", "deeper", "--agent", "two", "Hi"})), "/deeper"));
  CHECK(
      contains(json::serialize(sent({"-C", "deeper", "chat", "--agent", "two", "Hi"})), "/deeper"));
}

TEST_CASE("no key reaches a tool, the log, the database or a recording") {
  // A tool may also look into the environment of the processes above it.
  world w({shell_call("env; echo ${OPENAI_API_KEY:-none}; p=$PPID; while [ $p -gt 1 ]; do "
                      "tr '\\0' '\\n' </proc/$p/environ; read -r _ _ _ p _ </proc/$p/stat; done"),
           fakes::step::saying("Done.")});
  const auto end = w.chat({"--permission-mode", "bypass", "--record", "run.jsonl", "--log-level",
                           "trace", "-vv", "-o", "stream-json", "Go"});
  CAPTURE(end.err);
  CHECK(end.status == 0);
  CHECK(!contains(end.out, planted_key));
  CHECK(!contains(end.err, planted_key));
  CHECK(contains(end.out, "none"));
  CHECK(fs::exists(w.work() / "run.jsonl"));
  CHECK(w.files_with(planted_key).empty());
  REQUIRE(!w.server.requests().empty());  // the server does get it
  CHECK(w.server.requests()[0].header("authorization") == std::string("Bearer ") + planted_key);
}

TEST_CASE("what the model says in one round and in the next are two lines, in a pipe too") {
  auto first = fakes::step::calling("files_list", "{}");
  first.text = {"I look."};
  world w({first, fakes::step::saying("Nothing there.")});
  const auto end = w.chat({"What is here?"});
  CHECK(end.status == 0);
  CHECK(end.out == "I look.\nNothing there.\n");
}
