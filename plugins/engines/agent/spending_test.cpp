#include "spending.hpp"

#include <doctest/doctest.h>

#include "limits.hpp"

using namespace rustic;
using namespace rustic::agent;

namespace {
const json::object some{{"input_tokens", 10}, {"output_tokens", 2}, {"cache_read_tokens", 4}};
}

TEST_CASE("requests are summed model by model, in their order") {
  spending all;
  CHECK_FALSE(all.cost_usd());
  all.add("a", "m", some, 0.5);
  all.add("b", "m", some, 0.25);
  all.add("a", "m", some, 0.125);
  const auto list = all.to_json();
  REQUIRE(list.size() == 2);
  CHECK(list[0].at("provider") == "a");
  CHECK(list[0].at("requests") == 2);
  CHECK(list[0].at("input_tokens") == 20);
  CHECK(list[0].at("cache_read_tokens") == 8);
  CHECK(list[0].at("cost_usd") == 0.625);
  CHECK(list[1].at("cost_usd") == 0.25);
  CHECK(all.cost_usd() == 0.875);
}

TEST_CASE("one request without a price makes the sum unknown, and stays so") {
  spending all;
  all.add("a", "m", some, 0.5);
  all.add("b", "local", some, std::nullopt);
  all.add("b", "local", some, 0.5);
  CHECK_FALSE(all.cost_usd());
  CHECK(all.to_json()[0].at("cost_usd") == 0.5);
  CHECK(all.to_json()[1].at("cost_usd").is_null());
  all.add("c", "m", some, 1.0 / 0.0);
  CHECK(all.to_json()[2].at("cost_usd").is_null());
}

TEST_CASE("what was kept goes on, and what is not of that form adds nothing") {
  spending first;
  first.add("a", "m", some, 0.5);
  first.add("b", "x", some, std::nullopt);
  spending second;
  second.add("a", "m", some, 0.25);
  second.add(first.to_json());
  CHECK(second.to_json()[0].at("cost_usd") == 0.75);
  CHECK(second.to_json()[0].at("requests") == 2);
  CHECK(second.to_json()[1].at("cost_usd").is_null());
  CHECK(second.to_json()[1].at("output_tokens") == 2);
  spending odd;
  odd.add(json::parse(R"([1, null, {}, {"requests": -3}, {"requests": "x"}, []])").as_array());
  CHECK(odd.to_json().empty());
}

TEST_CASE("the number of models is bounded") {
  spending all;
  for (int i = 0; i < 500; ++i) all.add("p", "m" + std::to_string(i), some, 0.001);
  const auto list = all.to_json();
  CHECK(list.size() == models_counted_max);
  std::int64_t requests = 0;
  for (const auto& one : list) requests += one.at("requests").as_int64();
  CHECK(requests == 500);
}
