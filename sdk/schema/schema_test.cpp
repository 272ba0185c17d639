// Checking instances: what fits, what does not, what is said about it, and what it may cost.
#include <doctest/doctest.h>

#include <chrono>
#include <rustic/schema.hpp>
#include <rustic/status.hpp>
#include <thread>

using rustic::json_schema;
namespace json = rustic::json;

namespace {
std::string errors_of(std::string_view schema, std::string_view instance) {
  return to_text(json_schema::parse(json::parse(schema)).validate(json::parse(instance)));
}
bool fits(std::string_view schema, std::string_view instance) {
  return errors_of(schema, instance).empty();
}
}  // namespace

TEST_CASE("types are named, expected and found") {
  CHECK(errors_of(R"({"type":"integer"})", R"("5")") ==
        "(the whole value): expected an integer, got a string");
  CHECK(errors_of(R"({"properties":{"a/b":{"type":["string","null"]}}})", R"({"a/b":[]})") ==
        "/a~1b: expected a string or null, got an array");
  CHECK(fits(R"({"type":"integer"})", "1.0"));
  CHECK_FALSE(fits(R"({"type":"integer"})", "1.5"));
  CHECK(fits(R"({"type":"number"})", "7"));
  CHECK(fits(R"({"type":"integer"})", "18446744073709551615"));
  CHECK(fits(R"({"type":"string","nullable":true})", "null"));
}

TEST_CASE("unknown properties and wrong words get the nearest known one") {
  CHECK(errors_of(R"({"properties":{"path":{}},"additionalProperties":false})",
                  R"({"pth":1,"zzz":2})") ==
        "(the whole value): unknown property \"pth\", did you mean \"path\"?; unknown property "
        "\"zzz\"");
  CHECK(errors_of(R"({"enum":["allow","deny"]})", R"("allwo")") ==
        "(the whole value): expected one of \"allow\", \"deny\", got \"allwo\"; did you mean "
        "\"allow\"?");
  CHECK(errors_of(R"({"type":"object","required":["path"]})", "{}") ==
        "(the whole value): required property \"path\" is missing");
}

TEST_CASE("all errors are reported, not the first") {
  const auto text = errors_of(
      R"({"properties":{"a":{"type":"string"},"b":{"items":{"minimum":3}},"c":{"const":1}},
          "required":["d"]})",
      R"({"a":1,"b":[5,1,2],"c":2})");
  CHECK(text.find("/a: expected a string, got an integer") != std::string::npos);
  CHECK(text.find("/b/1: expected at least 3, got 1") != std::string::npos);
  CHECK(text.find("/b/2: expected at least 3, got 2") != std::string::npos);
  CHECK(text.find("/c: expected 1") != std::string::npos);
  CHECK(text.find("\"d\" is missing") != std::string::npos);
  CHECK(text.find("associated") == std::string::npos);
}

TEST_CASE("bounds, lengths, patterns, formats, uniqueness") {
  CHECK_FALSE(fits(R"({"exclusiveMinimum":0})", "0"));
  CHECK_FALSE(fits(R"({"minimum":0,"exclusiveMinimum":true})", "0"));
  CHECK(fits(R"({"maxLength":2})", R"("üü")"));
  CHECK_FALSE(fits(R"({"multipleOf":0.5})", "0.75"));
  CHECK(fits(R"({"multipleOf":0.5})", "1.5"));
  CHECK(errors_of(R"({"pattern":"^a+$"})", R"("ab")").find("^a+$") != std::string::npos);
  CHECK(fits(R"({"pattern":"^\\u00e4$"})", R"("ä")"));
  CHECK(fits(R"({"format":"date"})", R"("2024-02-29")"));
  CHECK_FALSE(fits(R"({"format":"date"})", R"("2023-02-29")"));
  CHECK(fits(R"({"format":"date-time"})", R"("2023-02-28T23:59:60.5+01:00")"));
  CHECK_FALSE(fits(R"({"format":"time"})", R"("25:00:00Z")"));
  CHECK_FALSE(fits(R"({"uniqueItems":true})", R"([{"a":1,"b":2},{"b":2,"a":1.0}])"));
  CHECK(fits(R"({"uniqueItems":true})", R"([1,"1",true,null])"));
}

TEST_CASE("a pattern cannot hang or overflow the checker") {
  const auto schema = json_schema::parse(json::parse(R"({"pattern":"^(a+)+$"})"));
  std::string text(1 << 20, 'a');
  text += '!';
  const auto start = std::chrono::steady_clock::now();
  CHECK(schema.validate(json::value(text)).size() == 1);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
  const auto dates = json_schema::parse(json::parse(R"({"format":"date"})"));
  CHECK(dates.validate(json::value(std::string(1 << 20, '1'))).size() == 1);
}

TEST_CASE("recursive definitions work, exponential ones end") {
  const std::string tree = R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object",
      "properties":{"next":{"$ref":"#/$defs/node"}},"additionalProperties":false}}})";
  CHECK(fits(tree, R"({"next":{"next":{}}})"));
  CHECK(errors_of(tree, R"({"next":{"next":3}})") ==
        "/next/next: expected an object, got an integer");
  json::value deep = 1;
  for (int i = 0; i < 50; ++i) deep = json::object{{"a", std::move(deep)}};
  const auto twice = json_schema::parse(json::parse(
      R"({"anyOf":[{"type":"string"},{"properties":{"a":{"$ref":"#"}},"required":["y"]},
                      {"properties":{"a":{"$ref":"#"}},"required":["z"]}]})"));
  CHECK(to_text(twice.validate(deep)).find("too many steps") != std::string::npos);
}

TEST_CASE("an instance that nests too deeply is an error, not a crash") {
  json::value deep = 1;
  for (int i = 0; i < 2000; ++i) deep = json::array{std::move(deep)};
  const auto errors = json_schema::parse(json::parse("{}")).validate(deep);
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].message.find("nests deeper") != std::string::npos);
}

TEST_CASE("errors are bounded") {
  json::array many(1000, json::value("x"));
  CHECK(json_schema::parse(json::parse(R"({"items":{"type":"integer"}})")).validate(many).size() ==
        64);
}

TEST_CASE("two threads may use one schema") {
  const auto schema = json_schema::parse(json::parse(R"({"items":{"type":"integer"}})"));
  const json::value good = json::array(200, json::value(1)), bad = json::array{"x"};
  int wrong[2] = {0, 0};
  const auto run = [&](int& count) {
    for (int i = 0; i < 200; ++i) {
      if (!schema.validate(good).empty()) ++count;
      if (schema.validate(bad).size() != 1) ++count;
    }
  };
  std::thread other([&] { run(wrong[1]); });
  run(wrong[0]);
  other.join();
  CHECK(wrong[0] + wrong[1] == 0);
}

TEST_CASE("the nearest word") {
  using rustic::nearest_word;
  CHECK(nearest_word("modle", {"model", "mode"}) == "model");
  CHECK(nearest_word("base-url", {"base_url"}) == "base_url");
  CHECK(nearest_word("temprature", {"temperature"}) == "temperature");
  CHECK(nearest_word("logging", {"log", "ui"}) == "log");
  CHECK(nearest_word("perm", {"permissions"}) == "permissions");
  CHECK(nearest_word("xyz", {"model"}).empty());
  CHECK(nearest_word("", {"a"}).empty());
  CHECK(nearest_word(std::string(1000, 'a'), {"aaaa"}).empty());
}
