// tests/e2e/cost_test.cpp - what turns cost, as the program tells it: never a wrong figure.
#include <doctest/doctest.h>

#include "cli_world.hpp"

using namespace rustic;
using namespace rustic::e2e;

namespace {

fakes::step using_tokens(fakes::step one, int input, int output, int cached = 0) {
  one.usage = {{"prompt_tokens", input},
               {"completion_tokens", output},
               {"total_tokens", input + output},
               {"prompt_tokens_details", {{"cached_tokens", cached}}}};
  return one;
}

struct priced : place {
  explicit priced(std::vector<fakes::step> first, std::vector<fakes::step> second = {},
                  const std::string& more = {})
      : one(fakes::script{std::move(first), {}}), two(fakes::script{std::move(second), {}}) {
    const auto server = [](const char* name, const fakes::model_server& at) {
      return std::string("[providers.") + name + "]\ntype = \"openai\"\nbase_url = \"" +
             at.base_url() + "\"\nmodel = \"" + name + "-model\"\n";
    };
    configure("fallback = [\"two\"]\n" + server("one", one) + server("two", two) +
              "[resilience]\nbackoff = \"1ms\"\nretries = 0\n"
              "[permissions]\nmode = \"bypass\"\n"
              "[prices.\"one/one-model\"]\ninput = 1000\noutput = 10000\ncached_read = 100\n" +
              more);
  }
  ended chat(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"chat", "--output", "json"});
    return run(*this, std::move(arguments));
  }
  fakes::model_server one, two;
};

double usd(const json::object& result) {
  const auto* cost = find(result, "cost_usd");
  return cost && cost->is_number() ? cost->to_number<double>() : -1;
}
}  // namespace

TEST_CASE("a turn costs the sum of its requests, cached input at its own price") {
  priced w({using_tokens(shell_call("true"), 1000, 10),
            using_tokens(fakes::step::saying("Done."), 2000, 5, 1500)});
  const auto end = w.chat({"Go"});
  CAPTURE(end.err);
  REQUIRE(end.status == 0);
  const auto result = end.object();
  // (1000*1000 + 10*10000 + 500*1000 + 1500*100 + 5*10000) / 10^6
  CHECK(usd(result) == doctest::Approx(1.8));
  const auto& models = array_or_empty(result, "usage_by_model");
  REQUIRE(models.size() == 1);
  CHECK(models[0].at("provider") == "one");
  CHECK(models[0].at("requests") == 2);
  CHECK(models[0].at("input_tokens") == 3000);
  CHECK(models[0].at("cache_read_tokens") == 1500);
}

TEST_CASE("a turn over two providers is summed over both, and unknown when one of them is") {
  const auto steps_one = [] {
    return std::vector<fakes::step>{using_tokens(shell_call("true"), 1000, 0),
                                    always(fakes::step::failing(503, "{}"))};
  };
  const auto steps_two = [] {
    return std::vector<fakes::step>{using_tokens(fakes::step::saying("From two."), 100, 100)};
  };
  priced both(steps_one(), steps_two(), "[prices.\"two/*\"]\ninput = 0\noutput = 2500\n");
  const auto known = both.chat({"Go"});
  REQUIRE(known.status == 0);
  CHECK(usd(known.object()) == doctest::Approx(1.25));
  CHECK(array_or_empty(known.object(), "usage_by_model").size() == 2);

  priced half(steps_one(), steps_two());
  const auto unknown = half.chat({"Go"});
  REQUIRE(unknown.status == 0);
  const auto result = unknown.object();
  CHECK(result.at("cost_usd").is_null());
  const auto& models = array_or_empty(result, "usage_by_model");
  REQUIRE(models.size() == 2);
  CHECK(models[0].at("cost_usd") == 1.0);
  CHECK(models[1].at("cost_usd").is_null());
  CHECK(models[1].at("provider") == "two");
  CHECK(models[1].at("input_tokens") == 100);
}

TEST_CASE("without figures from the server, or with such that contradict each other: no cost") {
  auto silent = fakes::step::saying("Hi.");
  silent.no_usage = true;
  priced none({silent});
  CHECK(none.chat({"Hi"}).object().at("cost_usd").is_null());
  priced odd({using_tokens(fakes::step::saying("Hi."), 10, 1, 5000)});
  CHECK(odd.chat({"Hi"}).object().at("cost_usd").is_null());
  world unlisted({fakes::step::saying("Hi.")});
  const auto elsewhere = unlisted.chat({"--output", "json", "-m", "gpt-4.1", "Hi"}).object();
  CHECK(elsewhere.at("cost_usd").is_null());
}

TEST_CASE("a failed turn tells what it has cost so far, and a session keeps its sums") {
  priced w({using_tokens(shell_call("true"), 1000, 0), fakes::step::failing(400, "{}"),
            using_tokens(fakes::step::saying("Hi."), 500, 0)});
  const auto failed = w.chat({"Go"});
  CHECK(failed.status != 0);
  CHECK(usd(failed.object()) == doctest::Approx(1.0));
  const std::string session(text_or(failed.object(), "session_id"));
  const auto second = w.chat({"-r", session, "Again"});
  REQUIRE(second.status == 0);
  CHECK(usd(second.object()) == doctest::Approx(0.5));
  const auto shown = run(w, {"session", "show", session, "--output", "json"}).object();
  const auto& metadata = object_or_empty(object_or_empty(shown, "session"), "metadata");
  const auto& models = array_or_empty(metadata, "usage_by_model");
  REQUIRE(models.size() == 1);
  CHECK(models[0].at("requests") == 2);
  CHECK(models[0].at("input_tokens") == 1500);
  CHECK(models[0].at("cost_usd").to_number<double>() == doctest::Approx(1.5));
}
