// host/runtime/price_list_test.cpp - prices: which one holds, and what a request then costs.
#include "host/runtime/price_list.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <fstream>
#include <set>
#include <thread>

#include "host/runtime/config/configuration.hpp"

using namespace rustic;
using namespace rustic::runtime;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t november_2026_ms = 1'793'500'000'000;  // 2026-11-01
constexpr std::int64_t january_2027_ms = 1'800'000'000'000;   // 2027-01-15

constexpr const char* small_file = R"({"schema_version": 1, "as_of": "2026-11-01", "services": [
  {"name": "acme", "types": ["acme"], "urls": ["https://api.acme.test/v1"], "source": "https://acme.test",
   "models": [
     {"id": "a", "input": 2, "output": 10, "cached_read": 0.5, "cache_write": 2.5, "cache_write_1h": 4,
      "tiers": [{"from_input_tokens": 1001, "input": 4, "output": 15, "cached_read": 1, "cache_write": 5}]},
     {"id": "a-2024-05-13", "input": 5, "output": 15},
     {"id": "b", "also": ["b-old"], "input": 1, "output": 1},
     {"id": "promo", "input": 1, "output": 1, "until": "2026-12-31"},
     {"id": "promo", "input": 2, "output": 2, "from": "2027-01-01"},
     {"id": "x*", "input": 1, "output": 1},
     {"id": "no-output", "input": 1},
     {"id": "negative", "input": -1, "output": 1},
     {"id": "text", "input": "1", "output": 1},
     {"id": "bad-tier", "input": 1, "output": 1, "tiers": [{"from_input_tokens": 5, "input": 1}]}]}]})";

struct desk {
  explicit desk(const std::string& text = small_file) {
    std::string name = (fs::temp_directory_path() / "rustic-prices-XXXXXX").string();
    home = mkdtemp(name.data());
    file = home / "prices.json";
    std::ofstream(file) << text;
    providers["acme"] = json::object{{"type", "acme"}};
    providers["own"] = json::object{{"type", "acme"}, {"base_url", "http://127.0.0.1:8080/v1"}};
    providers["dialect"] =
        json::object{{"type", "openai"}, {"base_url", "https://api.acme.test/v1/"}};
    providers["ollama"] = json::object{{"type", "ollama"}};
  }
  ~desk() { fs::remove_all(home); }

  std::unique_ptr<price_list> list() {
    return std::make_unique<price_list>(price_list::settings{file, configured, providers});
  }
  bool knows(std::string_view provider, std::string_view model, std::string_view asked = {},
             std::int64_t at_ms = november_2026_ms) {
    return list()->find({provider, model, asked, at_ms}).has_value();
  }
  double input_rate(std::string_view provider, std::string_view model, std::string_view asked = {},
                    std::int64_t at_ms = november_2026_ms) {
    const auto price = list()->find({provider, model, asked, at_ms});
    return price ? price->tiers.front().input : -1;
  }
  std::optional<double> cost(std::string_view provider, std::string_view model,
                             const json::object& usage) {
    return list()->cost_usd({provider, model, {}, november_2026_ms}, usage);
  }

  fs::path home, file;
  json::object configured, providers;
};

json::object usage(std::int64_t input, std::int64_t output, std::int64_t read = 0,
                   std::int64_t written = 0) {
  return {{"input_tokens", input},
          {"output_tokens", output},
          {"cache_read_tokens", read},
          {"cache_write_tokens", written}};
}
}  // namespace

TEST_CASE("what is not known has no price") {
  desk d;
  CHECK(!d.knows("acme", "unknown"));
  CHECK(!d.knows("acme", "a2"));
  CHECK(!d.knows("acme", "a-mini"));
  CHECK(!d.knows("acme", "a-20"));
  CHECK(!d.knows("acme", "a-1234-56-7x"));
  CHECK(!d.knows("acme", "A"));
  CHECK(!d.knows("acme", ""));
  CHECK(!d.knows("nobody", "a"));
  CHECK(!d.knows("ollama", "a"));
  CHECK(!d.knows("acme", "xyz"));               // a pattern is for people's own prices only
  CHECK(!d.knows("acme", "other-model", "a"));  // asked for a, answered by another
}

TEST_CASE("entries that lack a figure or have a wrong one are none, and that is told") {
  desk d;
  for (const auto* id : {"no-output", "negative", "text", "bad-tier"}) {
    CAPTURE(id);
    CHECK(!d.knows("acme", id));
  }
  CHECK(d.list()->describe().at("problem").is_string());
  CHECK(d.knows("acme", "b"));
}

TEST_CASE("editions by date, aliases, and an edition with a price of its own") {
  desk d;
  CHECK(d.input_rate("acme", "a") == 2);
  CHECK(d.input_rate("acme", "a-2026-01-31") == 2);
  CHECK(d.input_rate("acme", "a-20260131") == 2);
  CHECK(d.input_rate("acme", "a@20260131") == 2);
  CHECK(d.input_rate("acme", "models/a") == 2);
  CHECK(d.input_rate("acme", "a-2024-05-13") == 5);
  CHECK(d.input_rate("acme", "b-old") == 1);
  CHECK(d.input_rate("acme", "", "a") == 2);  // the answer named no model
}

TEST_CASE("a price ends with its last day") {
  desk d;
  CHECK(d.input_rate("acme", "promo") == 1);
  CHECK(d.input_rate("acme", "promo", {}, january_2027_ms) == 2);
}

TEST_CASE("a service's prices hold where it is, and nowhere else") {
  desk d;
  CHECK(d.input_rate("dialect", "a") == 2);
  CHECK(!d.knows("own", "a"));
  for (const auto* url :
       {"http://api.acme.test/v1", "https://api.acme.test", "https://api.acme.test/v12",
        "https://api.acme.test.evil.example/v1", "https://api.acme.test@evil.example/v1",
        "https://eu.api.acme.test/v1", "https://api.acme.test/coding/v1"}) {
    CAPTURE(url);
    d.providers["acme"] = json::object{{"type", "acme"}, {"base_url", url}};
    CHECK(!d.knows("acme", "a"));
  }
  d.providers["acme"] = json::object{{"type", "acme"}, {"base_url", "HTTPS://API.ACME.TEST/v1/x"}};
  CHECK(d.knows("acme", "a"));
}

TEST_CASE("another tier of service has another price") {
  desk d;
  d.providers["acme"] =
      json::object{{"type", "acme"}, {"body", json::object{{"service_tier", "flex"}}}};
  CHECK(!d.knows("acme", "a"));
  d.providers["acme"] =
      json::object{{"type", "acme"}, {"body", json::object{{"service_tier", "default"}}}};
  CHECK(d.knows("acme", "a"));
}

TEST_CASE("what the configuration says wins, the closest name first") {
  desk d;
  d.configured = json::object{{"own/*", {{"input", 1}, {"output", 2}}},
                              {"own/qwen*", {{"input", 3}, {"output", 4}}},
                              {"own/qwen-7b", {{"input", 5}, {"output", 6}}},
                              {"acme/a", {{"input", 7}, {"output", 8}, {"cached_read", 1}}},
                              {"dialect/a", {{"input", 9}, {"output", 9}}},
                              {"org/with/slashes", {{"input", 1}, {"output", 1}}}};
  d.providers["org"] = json::object{{"type", "custom"}, {"base_url", "http://h"}};
  CHECK(d.input_rate("own", "llama") == 1);
  CHECK(d.input_rate("own", "qwen-14b") == 3);
  CHECK(d.input_rate("own", "qwen-7b") == 5);
  CHECK(d.input_rate("acme", "a-2026-01-31") == 7);
  CHECK(d.input_rate("dialect", "a") == 9);
  CHECK(d.input_rate("org", "with/slashes") == 1);
  // The name that was asked for stands for a server that answers with a file's path.
  CHECK(d.input_rate("org", "/models/x.gguf", "with/slashes") == 1);
  // Where caching has no rate of its own it costs as input.
  CHECK(*d.cost("dialect", "a", usage(1'000'000, 0, 500'000, 100'000)) == doctest::Approx(9));
  d.configured = json::object{{"acme/b", {{"input", 7}, {"output", 8}}}};
  CHECK(d.input_rate("dialect", "b") == 7);  // by the service
  d.configured = json::object{{"acme/b", {{"input", 7}}}, {"nothing", {{"input", 7}}}};
  CHECK(d.input_rate("acme", "b") == 1);
}

TEST_CASE("cost") {
  desk d;
  CHECK(*d.cost("acme", "a", usage(1000, 100)) == doctest::Approx(0.003));
  CHECK(*d.cost("acme", "a", usage(0, 0)) == 0);
  // 500 fresh at 2, 300 read at 0.5, 200 written at 2.5, 100 out at 10
  CHECK(*d.cost("acme", "a", usage(1000, 100, 300, 200)) == doctest::Approx(0.00265));
  SUBCASE("the whole request has the rates of its size") {
    CHECK(*d.cost("acme", "a", usage(1001, 100)) == doctest::Approx(0.005504));
  }
  SUBCASE("written for an hour") {
    auto counts = usage(1000, 0, 0, 200);
    counts["cache_write_1h_tokens"] = 100;
    CHECK(*d.cost("acme", "a", counts) == doctest::Approx(0.00225));
    counts["input_tokens"] = 2000;  // that tier has no such rate
    CHECK(!d.cost("acme", "a", counts));
  }
  SUBCASE("a rate that is needed and not known") {
    CHECK(d.cost("acme", "b", usage(1000, 0)));
    CHECK(!d.cost("acme", "b", usage(1000, 0, 1)));
    CHECK(!d.cost("acme", "b", usage(1000, 0, 0, 1)));
  }
  SUBCASE("counts that contradict each other or are missing have no cost") {
    CHECK(!d.cost("acme", "a", usage(10, 1, 11)));
    CHECK(!d.cost("acme", "a", usage(10, 1, 5, 6)));
    CHECK(!d.cost("acme", "a", usage(-1, 1)));
    CHECK(!d.cost("acme", "a", usage(1, -1)));
    CHECK(!d.cost("acme", "a", usage(1, 1, -1)));
    CHECK(!d.cost("acme", "a", {}));
    CHECK(!d.cost("acme", "a", {{"input_tokens", 5}}));
    CHECK(!d.cost("acme", "a", {{"input_tokens", nullptr}, {"output_tokens", 1}}));
    CHECK(!d.cost("acme", "a", {{"input_tokens", "5"}, {"output_tokens", 1}}));
    CHECK(!d.cost("acme", "a",
                  {{"input_tokens", INT64_MAX},
                   {"output_tokens", 1},
                   {"cache_read_tokens", INT64_MAX},
                   {"cache_write_tokens", 1}}));
  }
}

TEST_CASE("a file that is missing, broken or of another version gives no prices and a reason") {
  desk d;
  for (const auto* text : {"", "{", "[]", R"({"schema_version": 2, "services": []})"}) {
    CAPTURE(text);
    std::ofstream(d.file, std::ios::trunc) << text;
    const auto list = d.list();
    CHECK(!list->find({"acme", "a", {}, november_2026_ms}));
    CHECK(list->describe().at("problem").is_string());
  }
  fs::remove(d.file);
  d.configured = json::object{{"acme/a", {{"input", 7}, {"output", 8}}}};
  CHECK(d.list()->describe().at("problem").is_string());
  d.file.clear();
  CHECK(d.list()->describe().at("problem").is_null());
}

TEST_CASE("the file is read by the first question, once, from any thread") {
  desk d;
  const auto list = d.list();
  fs::rename(d.file, d.home / "later");
  fs::rename(d.home / "later", d.file);
  std::atomic<int> found{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      if (list->find({"acme", "a", {}, november_2026_ms})) ++found;
    });
  for (auto& one : threads) one.join();
  CHECK(found == 4);
  fs::remove(d.file);
  CHECK(list->find({"acme", "a", {}, november_2026_ms}));
}

// The file that is shipped.
TEST_CASE("the shipped prices can all be used") {
  const fs::path file = PRICES_FILE;
  json::object providers;
  for (const auto* type : {"openai", "anthropic", "google", "grok", "zai", "mistral", "groq",
                           "ollama", "custom", "azure", "deepseek", "openrouter"})
    providers[type] = json::object{{"type", type}};
  price_list list({file, {}, providers});
  CHECK(list.describe().at("problem").is_null());

  std::ifstream in(file);
  const auto all = parse_object(std::string(std::istreambuf_iterator<char>(in), {}));
  for (const auto& value : array_or_empty(all, "services")) {
    const auto& service = value.as_object();
    const auto name = text_or(service, "name");
    CAPTURE(name);
    CHECK(text_or(service, "source").starts_with("https://"));
    CHECK(text_or(service, "as_of").size() == 10);
    std::set<std::string> seen;
    for (const auto& entry : array_or_empty(service, "models")) {
      const auto& model = entry.as_object();
      const std::string id(text_or(model, "id"));
      CAPTURE(id);
      CHECK(seen.insert(id + std::string(text_or(model, "from"))).second);
      const auto price = list.find({name, id, {}, november_2026_ms});
      REQUIRE(price);
      for (const auto& tier : price->tiers) {
        CHECK(tier.output >= tier.input);
        CHECK(tier.cached_read.value_or(0) <= tier.input);
        CHECK(tier.cache_write.value_or(tier.input) >= tier.input);
      }
      static const std::set<std::string_view> known{
          "id",    "also", "input", "output", "cached_read", "cache_write", "cache_write_1h",
          "tiers", "from", "until", "source"};
      for (const auto& member : model) CHECK(known.contains(std::string_view(member.key())));
    }
  }
  CHECK(list.find({"openai", "gpt-4.1-mini-2025-04-14", {}, november_2026_ms}));
  CHECK(list.find({"anthropic", "claude-sonnet-4-5-20250929", {}, november_2026_ms}));
  CHECK(!list.find({"google", "gemini-3.8-flash", {}, january_2027_ms}));
  for (const auto* type : {"ollama", "custom", "azure", "deepseek", "openrouter"})
    CHECK(!list.find({type, "gpt-4.1-mini", {}, november_2026_ms}));
  // What a person can work out by hand from the vendor's page.
  CHECK(*list.cost_usd({"openai", "gpt-4.1-mini", {}, november_2026_ms},
                       usage(1'000'000, 1'000'000, 400'000)) ==
        doctest::Approx(0.6 * 0.4 + 0.4 * 0.1 + 1.6));
  CHECK(*list.cost_usd({"anthropic", "claude-haiku-4-5", {}, november_2026_ms},
                       usage(10'000, 1'000, 4'000, 5'000)) ==
        doctest::Approx((1'000 * 1 + 4'000 * 0.1 + 5'000 * 1.25 + 1'000 * 5) / 1e6));
  CHECK(*list.cost_usd({"google", "gemini-2.5-pro", {}, november_2026_ms}, usage(200'000, 0)) ==
        doctest::Approx(0.25));
  CHECK(*list.cost_usd({"google", "gemini-2.5-pro", {}, november_2026_ms}, usage(200'001, 0)) ==
        doctest::Approx(0.5000025));
}

TEST_CASE("prices in the configuration are checked") {
  desk d;
  const auto check = [&](const std::string& toml) {
    std::ofstream(d.home / "c.toml", std::ios::trunc) << toml;
    config::load_request request;
    request.around = {{}, d.home, d.home};
    request.config_file = d.home / "c.toml";
    const auto loaded = config::configuration::load(request);
    std::string out;
    for (const auto& one : loaded.problems()) out += config::to_text(one) + "\n";
    return out;
  };
  CHECK(check("[prices.\"local/qwen3:8b\"]\ninput = 0.1\noutput = 0.4\n") == "");
  CHECK(check("[prices.\"local/*\"]\ninput = 0\noutput = 0\n") == "");
  CHECK(check("[prices.\"local/a.b\"]\ninput = 0\noutput = 0\n"
              "tiers = [{from_input_tokens = 5, input = 1, output = 1}]\n") == "");
  const auto wrong = [&](const std::string& toml, const std::string& part) {
    const auto said = check(toml);
    CAPTURE(said);
    CAPTURE(part);
    CHECK(said.find(part) != std::string::npos);
  };
  wrong("[prices.\"local/a\"]\ninput = 1\n", "lacks the key `output`");
  wrong("[prices.qwen]\ninput = 1\noutput = 1\n", "PROVIDER/qwen");
  wrong("[prices.\"local/a\"]\ninput = -1\noutput = 1\n", "input");
  wrong("[prices.\"local/a\"]\ninput = \"1\"\noutput = 1\n", "input");
  wrong("[prices.\"local/a\"]\ninputs = 1\noutput = 1\n", "input");
  wrong(
      "[prices.\"local/a\"]\ninput = 1\noutput = 1\n"
      "tiers = [{from_input_tokens = 5, input = 1, output = 1}, "
      "{from_input_tokens = 5, input = 1, output = 1}]\n",
      "ascending");
}
