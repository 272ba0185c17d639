// tests/e2e/doctor_test.cpp - `models` and `doctor`: what is offered, what is broken, and what they
// say about it.
#include <doctest/doctest.h>
#include <signal.h>

#include <atomic>
#include <filesystem>

#include "cli_world.hpp"

using namespace rustic;
using namespace rustic::e2e;
namespace fs = std::filesystem;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Three configured servers, the middle one of which is not there.
struct three : place {
  three() : one(script_of({"m1", "a-model"})), two(script_of({"m2"})) {
    const auto section = [](const char* name, const std::string& url, const char* model) {
      return std::string("[providers.") + name + "]\ntype = \"openai\"\nbase_url = \"" + url +
             "\"\napi_key = \"env:TEST_KEY\"\nmodel = \"" + model + "\"\n";
    };
    environment["TEST_KEY"] = planted_key;
    configuration = section("one", one.base_url(), "m1") + "context_window = 32000\n" +
                    section("gone", "http://127.0.0.1:9/v1", "m") +
                    section("two", two.base_url(), "not-listed") +
                    "[prices.\"one/m1\"]\ninput = 0.25\noutput = 2\n";
    configure(configuration);
  }
  static fakes::script script_of(std::vector<std::string> ids) {
    fakes::script out;
    for (auto& id : ids) out.models.push_back(boost::json::object{{"id", id}, {"object", "model"}});
    return out;
  }
  fakes::model_server one, two;
  std::string configuration;
};

// One word alone would be ambiguous.
ended rustic_ai(const place& where, std::vector<std::string> arguments) {
  return run(where, std::move(arguments));
}

// The findings whose subject is this.
std::vector<json::object> about(const json::object& report, std::string_view subject) {
  std::vector<json::object> out;
  for (const auto& value : array_or_empty(report, "findings"))
    if (text_or(value.as_object(), "subject") == subject) out.push_back(value.as_object());
  return out;
}
}  // namespace

TEST_CASE("models: what each provider offers, whoever does not answer") {
  three w;
  const auto end = rustic_ai(w, {"models", "--output", "json"});
  CAPTURE(end.err);
  CHECK(end.status == 0);
  const auto report = end.object();
  const auto& list = array_or_empty(report, "providers");
  REQUIRE(list.size() == 3);
  const auto& one = list[0].as_object();
  CHECK(text_or(one, "name") == "one");
  CHECK(bool_or(one, "default"));
  CHECK(one.at("error").is_null());
  const auto& models = array_or_empty(one, "models");
  REQUIRE(models.size() == 2);
  CHECK(models[0].at("id") == "a-model");
  CHECK(models[0].at("price").is_null());
  CHECK_FALSE(models[0].at("default").as_bool());
  CHECK(models[1].at("id") == "m1");
  CHECK(models[1].at("default").as_bool());
  CHECK(models[1].at("price").at("input") == 0.25);
  CHECK(models[1].at("context_window") == 32000);
  CHECK(models[0].at("context_window").is_null());
  const auto& gone = list[1].as_object();
  CHECK(text_or(object_or_empty(gone, "error"), "code") == "UNAVAILABLE");
  CHECK(array_or_empty(gone, "models").empty());
  CHECK(array_or_empty(list[2].as_object(), "models").size() == 1);

  const auto text = rustic_ai(w, {"models"});
  CHECK(text.status == 0);
  CHECK(contains(text.out, "one/m1"));
  CHECK(contains(text.out, "0.25"));
  CHECK(contains(text.err, "127.0.0.1:9"));
  CHECK_FALSE(contains(text.out + text.err, planted_key));
}

TEST_CASE("models: one provider, one that is not there, none at all") {
  three w;
  const auto one = rustic_ai(w, {"models", "--provider", "two", "-o", "json"});
  CHECK(one.status == 0);
  CHECK(array_or_empty(one.object(), "providers").size() == 1);
  CHECK(w.one.requests().empty());
  CHECK(rustic_ai(w, {"models", "--provider", "gone"}).status == 4);
  const auto unknown = rustic_ai(w, {"models", "--provider", "on"});
  CHECK(unknown.status == 3);
  CHECK(contains(unknown.err, "configured are: one, gone, two"));
  place empty;
  CHECK(rustic_ai(empty, {"models"}).status == 3);
}

TEST_CASE("models: servers are asked side by side") {
  three w;
  std::atomic<int> waiting = 0;
  const auto stalls = [&](const fakes::received_request&) {
    ++waiting;
    fakes::step one;
    one.path = "/models";
    one.body = R"({"object":"list","data":[{"id":"late","object":"model"}]})";
    one.stall_before_head = true;
    return std::optional<fakes::step>(one);
  };
  w.one.answer_with(stalls);
  w.two.answer_with(stalls);
  launch how;
  how.arguments = {"models"};
  cli_process program(w, how);
  // Both are asked before either has answered.
  CHECK(eventually([&] { return waiting == 2; }));
  w.one.release();
  w.two.release();
  const auto end = program.wait();
  CHECK(end.status == 0);
  CHECK(contains(end.out, "one/late"));
  CHECK(contains(end.out, "two/late"));

  cli_process again(w, how);
  CHECK(eventually([&] { return waiting == 4; }));
  again.signal(SIGINT);
  CHECK(again.wait(10'000).status == 130);
}

TEST_CASE("doctor: all is well, and where everything comes from") {
  world w;
  const auto end = rustic_ai(w, {"doctor", "--output", "json"});
  CAPTURE(end.out);
  CHECK(end.status == 0);
  CHECK(w.server.requests().empty());
  const auto report = end.object();
  CHECK(bool_or(report, "healthy"));
  const auto provider = about(report, "provider openai");
  REQUIRE(provider.size() == 1);
  CHECK(contains(std::string(text_or(provider[0], "message")), "key from OPENAI_API_KEY"));
  for (const auto* subject : {"configuration", "plugins", "data", "state", "cache", "prices",
                              "storage", "circuits", "TLS"})
    CHECK(about(report, subject).size() == 1);
  CHECK_FALSE(contains(end.out, planted_key));
  CHECK_FALSE(fs::exists(w.database()));
}

TEST_CASE("doctor --try: who answers, how fast, and what to do about who does not") {
  three w;
  const auto end = rustic_ai(w, {"doctor", "--try", "--output", "json"});
  CAPTURE(end.out);
  CHECK(end.status == 0);  // the one that is gone is not needed
  const auto report = end.object();
  CHECK(contains(std::string(text_or(about(report, "trying one").at(0), "message")),
                 "lists 2 models"));
  CHECK(text_or(about(report, "trying gone").at(0), "level") == "note");
  CHECK_FALSE(text_or(about(report, "trying gone").at(0), "hint").empty());
  REQUIRE(about(report, "trying two").size() == 2);
  CHECK(contains(std::string(text_or(about(report, "trying two")[1], "message")), "not-listed"));

  w.configure("fallback = [\"gone\"]\n" + w.configuration);
  const auto text = rustic_ai(w, {"doctor", "--try"});
  CHECK(text.status == 4);
  CHECK(contains(text.out, "problem  trying gone: UNAVAILABLE"));
  CHECK(contains(text.out, "There are problems."));
  CHECK_FALSE(contains(text.out + text.err, planted_key));
}

TEST_CASE("doctor: a service that lists nothing is asked for one token") {
  world w({fakes::step::saying("Hello.")});
  w.server.answer_with([](const fakes::received_request& asked) -> std::optional<fakes::step> {
    if (!asked.path.ends_with("/models")) return std::nullopt;
    auto one = fakes::step::failing(404, "{}");
    one.path = "/models";
    return one;
  });
  const auto end = rustic_ai(w, {"doctor", "--try"});
  CAPTURE(end.out);
  CHECK(end.status == 0);
  CHECK(contains(end.out, "ok       trying openai: it answers, in "));
  const auto requests = w.server.requests();
  REQUIRE(requests.size() == 2);
  CHECK(contains(requests[1].body, "max_"));
}

TEST_CASE("doctor: a broken configuration, a missing key, a missing type: exit status 3") {
  three w;
  w.configure(
      "typo = 1\n[providers.one]\ntype = \"nothing\"\n[providers.two]\ntype = \"openai\"\n"
      "api_key = \"env:NOT_SET_ANYWHERE\"\n[defaults]\nprovider = \"two\"\n");
  const auto end = rustic_ai(w, {"doctor"});
  CAPTURE(end.out);
  CHECK(end.status == 3);
  CHECK(contains(end.out, "typo"));
  CHECK(contains(end.out, "no plugin has the type \"nothing\""));
  CHECK(contains(end.out, "NOT_SET_ANYWHERE"));
  // Nobody answers for a provider whose key is missing.
  w.configure("fallback = [\"two\"]\n" + w.configuration +
              "[providers.unset]\ntype = \"openai\"\nbase_url = \"" + w.one.base_url() +
              "\"\napi_key = \"env:NOT_SET_ANYWHERE\"\n[defaults]\nprovider = \"unset\"\n");
  const auto unset = rustic_ai(w, {"doctor", "--try"});
  CAPTURE(unset.out);
  CHECK(unset.status == 3);
  CHECK(contains(unset.out, "problem  trying unset: NOT_FOUND"));
  CHECK(w.two.requests().size() == 1);
  place empty;
  const auto none = rustic_ai(empty, {"doctor"});
  CHECK(none.status == 3);
  CHECK(contains(none.out, "none is configured"));
  empty.environment["AZURE_OPENAI_API_KEY"] = planted_key;
  const auto half = rustic_ai(empty, {"doctor"});
  CHECK(half.status == 3);
  CHECK(contains(half.out, "AZURE_OPENAI_API_KEY is set, but not where the service is"));
  CHECK(contains(half.out, "AZURE_OPENAI_ENDPOINT"));
  CHECK_FALSE(contains(half.out, planted_key));
}

TEST_CASE("doctor: circuits of programs that run, and of those that have ended") {
  three w;
  auto refusing = fakes::step::failing(500, "{}");
  w.one.add(always(refusing));
  w.two.add(stalling());
  w.configure("fallback = [\"two\"]\n" + w.configuration +
              "[resilience]\ncircuit_failures = 1\ncircuit_cooldown = \"10m\"\n");
  launch how;
  how.arguments = {"chat", "Hi"};
  cli_process program(w, how);
  REQUIRE(w.two.wait_for_requests(1));
  ended seen;
  CHECK(eventually([&] {
    seen = rustic_ai(w, {"doctor"});
    return contains(seen.out, "leaves it alone for another");
  }));
  CAPTURE(seen.out);
  CHECK(seen.status == 0);
  CHECK(contains(seen.out, "note     circuit: one/m1: 1 failures in a row"));
  CHECK(contains(seen.out, "process " + std::to_string(program.id())));
  w.two.release();
  CHECK(program.wait().status == 0);
  CHECK(contains(rustic_ai(w, {"doctor"}).out, "in a run that has ended"));
}
