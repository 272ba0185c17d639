// tests/e2e/resilience_test.cpp - failing model servers, and what the program makes of them.
#include <doctest/doctest.h>
#include <signal.h>

#include "cli_world.hpp"

using namespace rustic;
using namespace rustic::e2e;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t out = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++out;
  return out;
}

fakes::step refusing(int status, std::vector<std::pair<std::string, std::string>> headers = {}) {
  auto one = fakes::step::failing(status, R"({"error":{"message":"not now","type":"t"}})");
  one.headers = std::move(headers);
  return one;
}

// Two servers, `one` and `two`, with waits too short to be noticed.
struct two_servers : place {
  two_servers(std::vector<fakes::step> first, std::vector<fakes::step> second,
              const std::string& more = {}, const std::string& fallback = R"(["two/other-model"])")
      : one(fakes::script{std::move(first), {}}), two(fakes::script{std::move(second), {}}) {
    const auto server = [](const char* name, const fakes::model_server& at, const char* model) {
      return std::string("[providers.") + name + "]\ntype = \"openai\"\nbase_url = \"" +
             at.base_url() + "\"\napi_key = \"env:TEST_KEY\"\nmodel = \"" + model + "\"\n";
    };
    environment["TEST_KEY"] = planted_key;
    configure((fallback.empty() ? "" : "fallback = " + fallback + "\n") + server("one", one, "m1") +
              server("two", two, "m2") +
              "[resilience]\nbackoff = \"1ms\"\nmax_backoff = \"2ms\"\n" + more);
  }
  ended chat(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "chat");
    return run(*this, std::move(arguments));
  }
  fakes::model_server one, two;
};

json::object body_of(const fakes::model_server& server, std::size_t number) {
  return server.requests().at(number).json();
}
}  // namespace

TEST_CASE("429 and 500 pass by themselves: one quiet line for each wait, and the answer") {
  two_servers w({refusing(429, {{"Retry-After", "0"}}), refusing(500), refusing(503),
                 fakes::step::saying("Here.")},
                {}, {}, {});
  const auto text = w.chat({"Hi"});
  CAPTURE(text.err);
  CHECK(text.status == 0);
  CHECK(text.out == "Here.\n");
  CHECK(count_of(text.err, "again in") == 3);
  CHECK(contains(text.err, "! one/m1: rate limit (429); again in"));
  CHECK(contains(text.err, "! one/m1: server error (500)"));
  CHECK(w.one.requests().size() == 4);

  for (int i = 0; i < 2; ++i) w.one.add(refusing(502));
  w.one.add(fakes::step::saying("Here."));
  const auto quiet = w.chat({"-q", "Hi"});
  CHECK(quiet.status == 0);
  CHECK(quiet.err.empty());
  CHECK(quiet.out == "Here.\n");
}

TEST_CASE("a wait that the server asks for is kept to") {
  two_servers w({refusing(429, {{"Retry-After", "1"}}), fakes::step::saying("Here.")}, {});
  const auto end = w.chat({"--output", "stream-json", "Hi"});
  CAPTURE(end.err);
  CHECK(end.status == 0);
  const auto asked = w.one.requests();
  REQUIRE(asked.size() == 2);
  CHECK(asked[1].received_first_ns - asked[0].sent_last_ns >= 1'000'000'000);
  CHECK(w.two.requests().empty());
  std::size_t notices = 0;
  for (const auto& line : end.lines()) {
    if (text_or(line, "type") != "notice") continue;
    ++notices;
    CHECK(text_or(line, "about") == "retry");
    CHECK(text_or(line, "target") == "one/m1");
    CHECK(text_or(line, "kind") == "rate_limit");
    CHECK(int_or(line, "wait_ms") >= 1000);
    CHECK(int_or(line, "attempt") == 2);
    CHECK_FALSE(text_or(line, "message").empty());
  }
  CHECK(notices == 1);
}

TEST_CASE("a long wait means the next provider, with its own model") {
  two_servers w({refusing(429, {{"Retry-After", "3600"}})}, {fakes::step::saying("From two.")});
  const auto end = w.chat({"--output", "json", "Hi"});
  CAPTURE(end.err);
  CHECK(end.status == 0);
  const auto result = end.object();
  CHECK(text_or(result, "text") == "From two.");
  CHECK(text_or(result, "provider") == "two");
  CHECK(w.one.requests().size() == 1);
  REQUIRE(w.two.requests().size() == 1);
  CHECK(text_or(body_of(w.two, 0), "model") == "other-model");
  const auto& used = array_or_empty(result, "usage_by_model");
  REQUIRE(used.size() == 1);
  CHECK(text_or(used[0].as_object(), "provider") == "two");
}

TEST_CASE("a long wait that nobody sits through: the error at once, and when to come again") {
  for (const auto* after : {"60", "86400", "Fri, 31 Dec 2100 23:59:59 GMT"}) {
    CAPTURE(after);
    two_servers w({always(refusing(429, {{"Retry-After", after}}))}, {}, {}, {});
    const auto end = w.chat({"Hi"});
    CAPTURE(end.err);
    CHECK(end.status == 4);
    CHECK(w.one.requests().size() == 1);
    CHECK(contains(end.err, "again in"));
  }
}

TEST_CASE("a fallback in the second round: the tool has run once, and the turn stays there") {
  two_servers w({shell_call("echo ran >> ran.txt"), refusing(529), refusing(529), refusing(529),
                 refusing(529), refusing(529)},
                {shell_call("echo second >> ran.txt"), fakes::step::saying("Both done.")},
                "retries = 1\n[permissions]\nmode = \"bypass\"\n");
  const auto end = w.chat({"--output", "json", "Go"});
  CAPTURE(end.out);
  CAPTURE(end.err);
  CHECK(end.status == 0);
  const auto result = end.object();
  CHECK(text_or(result, "text") == "Both done.");
  CHECK(array_or_empty(result, "tool_calls").size() == 2);
  CHECK(w.one.requests().size() == 3);
  CHECK(w.two.requests().size() == 2);
  // What the first model did is told to the second.
  const auto asked = json::serialize(body_of(w.two, 0));
  CHECK(contains(asked, "echo ran >> ran.txt"));
  CHECK(contains(asked, "\"tools\""));
  CHECK(text_or(body_of(w.two, 1), "model") == "other-model");
  launch reading;
  reading.program = "/bin/cat";
  reading.arguments = {(w.work() / "ran.txt").string()};
  CHECK(run(w, reading).out == "ran\nsecond\n");
}

TEST_CASE("from one dialect to another in the middle of a turn: the tool's result, no signature") {
  const auto event = [](const char* name, const char* data) {
    return std::string("event: ") + name + "\ndata: " + data + "\n\n";
  };
  fakes::step thinking;
  thinking.path = "/messages";
  thinking.content_type = "text/event-stream";
  thinking.body =
      event("message_start",
            R"({"type":"message_start","message":{"id":"m1","type":"message","role":"assistant",)"
            R"("model":"thinker","content":[],"usage":{"input_tokens":5,"output_tokens":1}}})") +
      event("content_block_start",
            R"({"type":"content_block_start","index":0,)"
            R"("content_block":{"type":"thinking","thinking":"","signature":""}})") +
      event("content_block_delta",
            R"({"type":"content_block_delta","index":0,)"
            R"("delta":{"type":"thinking_delta","thinking":"hidden thought"}})") +
      event("content_block_delta",
            R"({"type":"content_block_delta","index":0,)"
            R"("delta":{"type":"signature_delta","signature":"SIGNED-BY-ONE"}})") +
      event("content_block_stop", R"({"type":"content_block_stop","index":0})") +
      event("content_block_start",
            R"({"type":"content_block_start","index":1,"content_block":)"
            R"({"type":"tool_use","id":"toolu_1","name":"files_list","input":{}}})") +
      event("content_block_stop", R"({"type":"content_block_stop","index":1})") +
      event("message_delta", R"({"type":"message_delta","delta":{"stop_reason":"tool_use"},)"
                             R"("usage":{"output_tokens":9}})") +
      event("message_stop", R"({"type":"message_stop"})");
  auto busy = fakes::step::failing(
      529, R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})");
  busy.path = "/messages";
  fakes::model_server one(fakes::script{{thinking, always(busy)}, {}});
  fakes::model_server two(fakes::script{{fakes::step::saying("From two.")}, {}});
  const auto root = one.base_url().substr(0, one.base_url().rfind("/v1"));
  place w;
  w.environment["TEST_KEY"] = planted_key;
  w.configure(
      "fallback = [\"two/other-model\"]\n[providers.one]\ntype = \"anthropic\"\n"
      "base_url = \"" +
      root +
      "\"\napi_key = \"env:TEST_KEY\"\nmodel = \"thinker\"\n"
      "[providers.two]\ntype = \"openai\"\nbase_url = \"" +
      two.base_url() + "\"\nmodel = \"m2\"\n[resilience]\nbackoff = \"1ms\"\nretries = 1\n");
  w.write(w.work() / "found.txt", "x");
  const auto end = run(w, {"chat", "--output", "json", "What is here?"});
  CAPTURE(end.out);
  CAPTURE(end.err);
  REQUIRE(end.status == 0);
  const auto result = end.object();
  CHECK(text_or(result, "text") == "From two.");
  CHECK(array_or_empty(result, "usage_by_model").size() == 2);
  CHECK(one.requests().size() == 3);
  // Round two went out to its own model with the signature, as it came.
  CHECK(contains(one.requests()[1].body, "SIGNED-BY-ONE"));
  REQUIRE(two.requests().size() == 1);
  const auto asked = two.requests()[0].body;
  CHECK(contains(asked, "found.txt"));
  CHECK(contains(asked, "toolu_1"));
  CHECK_FALSE(contains(asked, "SIGNED-BY-ONE"));
  CHECK_FALSE(contains(asked, "hidden thought"));
}

TEST_CASE("an answer that breaks off after it was shown is kept, and not shown twice") {
  two_servers w({cut()}, {fakes::step::saying("never asked")});
  const auto end = w.chat({"Hi"});
  CAPTURE(end.err);
  CHECK(end.status == 1);
  CHECK(count_of(end.out, "partial") == 1);
  CHECK(w.two.requests().empty());
  CHECK(contains(end.err, "closed before the body was complete"));

  SUBCASE("unless it is wished: then the beginning is told to be void") {
    two_servers again({cut(), fakes::step::saying("Whole.")}, {}, "after_text = \"restart\"\n");
    const auto stream = again.chat({"--output", "stream-json", "Hi"});
    CHECK(stream.status == 0);
    bool restarted = false;
    std::string text;
    for (const auto& line : stream.lines()) {
      if (text_or(line, "about") == "restart") {
        restarted = true;
        text.clear();
      }
      if (text_or(line, "type") == "text") text += text_or(line, "text");
      if (text_or(line, "type") == "done")
        CHECK(text_or(object_or_empty(line, "result"), "text") == "Whole.");
    }
    CHECK(restarted);
    CHECK(text == "Whole.");
  }
}

TEST_CASE("another model of the same provider may stand in, also from the environment") {
  world w({fakes::step::failing(404, R"({"error":{"message":"no","code":"model_not_found"}})"),
           fakes::step::saying("From the other model.")});
  w.environment["RUSTIC_AI_FALLBACK"] = "openai/second, openai/third";
  const auto end = w.chat({"--output", "json", "Hi"});
  CAPTURE(end.err);
  CHECK(end.status == 0);
  const auto requests = w.server.requests();
  REQUIRE(requests.size() == 2);
  CHECK(text_or(requests[0].json(), "model") == "fake-model");
  CHECK(text_or(requests[1].json(), "model") == "second");
}

TEST_CASE("a refused key is not tried again; the next provider answers") {
  two_servers w({always(refusing(401))}, {fakes::step::saying("From two.")});
  const auto end = w.chat({"Hi"});
  CAPTURE(end.err);
  CHECK(end.status == 0);
  CHECK(end.out == "From two.\n");
  CHECK(w.one.requests().size() == 1);
  CHECK(contains(end.err, "key refused (401); going on with two/other-model"));
  CHECK_FALSE(contains(end.err, planted_key));

  two_servers alone({always(refusing(401))}, {}, {}, {});
  const auto refused = alone.chat({"Hi"});
  CHECK(refused.status == 4);
  CHECK(alone.one.requests().size() == 1);
}

TEST_CASE("when nothing is left the error names each that was asked") {
  two_servers w({always(refusing(503))}, {always(refusing(500))}, "retries = 1\n");
  const auto end = w.chat({"--output", "json", "Hi"});
  CAPTURE(end.out);
  CHECK(end.status == 4);
  const auto result = end.object();
  const std::string message(text_or(object_or_empty(result, "error"), "message"));
  CHECK(contains(message, "one/m1: "));
  CHECK(contains(message, "two"));
  CHECK(contains(message, "tried 2 times"));
  CHECK(w.one.requests().size() == 2);
  CHECK(w.two.requests().size() == 2);
  CHECK(result.at("cost_usd").is_null());
}

TEST_CASE("a circuit opens after failures in a row and the rest of the turn spares the server") {
  two_servers w({always(refusing(500))}, {always(fakes::step::saying("ok"))},
                "retries = 10\ncircuit_failures = 3\n");
  const auto end = w.chat({"Hi"});
  CAPTURE(end.err);
  CHECK(end.status == 0);
  CHECK(w.one.requests().size() == 3);
  CHECK(w.two.requests().size() == 1);
}

TEST_CASE("Ctrl-C ends a wait at once") {
  two_servers w({always(refusing(429, {{"Retry-After", "25"}}))}, {}, {}, {});
  launch how;
  how.arguments = {"chat", "Hi"};
  cli_process program(w, how);
  REQUIRE(program.read_until([](const ended& so_far) { return contains(so_far.err, "again in"); }));
  program.signal(SIGINT);
  const auto end = program.wait(5000);
  CHECK(end.in_time);
  CHECK(end.status == 130);
  CHECK(w.one.requests().size() == 1);
}

TEST_CASE("a recording holds what the agent saw: no server, no wait, the same answer") {
  two_servers w({refusing(500), shell_call("echo hi"), refusing(401)},
                {fakes::step::saying("From two.")}, "[permissions]\nmode = \"bypass\"\n");
  const auto live = w.chat({"--output", "stream-json", "--record", "r.jsonl", "Hi"});
  CAPTURE(live.err);
  REQUIRE(live.status == 0);
  const auto asked = w.one.requests().size() + w.two.requests().size();
  CHECK(asked == 4);
  const auto again = w.chat({"--output", "stream-json", "--replay", "r.jsonl", "Hi"});
  CAPTURE(again.err);
  CHECK(again.status == 0);
  CHECK(w.one.requests().size() + w.two.requests().size() == asked);
  const auto without_times = [](const ended& end) {
    std::string out;
    for (auto line : end.lines()) {
      if (auto* result = line.if_contains("result")) result->as_object().erase("duration_ms");
      out += json::serialize(line) + "\n";
    }
    return out;
  };
  CHECK(without_times(live) == without_times(again));
  CHECK(contains(live.out, "\"about\":\"fallback\""));
}

TEST_CASE("a wrong section is refused, with every mistake in it") {
  place w;
  w.configure(R"(fallback = ["nowhere/m", "one/"]
[providers.one]
type = "openai"
base_url = "http://127.0.0.1:9/v1"
model = "m"
[agents.a]
fallback = ["on"]
[resilience]
retries = 99
turn_wait = "soon"
backof = "1s"
fallback = ["one"]
)");
  const auto end = run(w, {"config", "validate"});
  CAPTURE(end.out);
  CHECK(end.status == 3);
  const auto all = end.out + end.err;
  CHECK(contains(all, "there is no provider `nowhere`"));
  CHECK(contains(all, "fallback[1]: names no model behind the slash"));
  CHECK(contains(all, "there is no provider `on`; did you mean `one`?"));
  CHECK(contains(all, "expected at most 20, got 99"));
  CHECK(contains(all, "resilience.turn_wait: expected a duration"));
  CHECK(contains(all, "did you mean `backoff`?"));
  CHECK(contains(all, "keep one of them"));
}
