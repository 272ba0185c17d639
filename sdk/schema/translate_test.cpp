// Which schemas are understood, which are refused, and with what words.
#include <doctest/doctest.h>

#include <rustic/schema.hpp>
#include <rustic/status.hpp>

using rustic::json_schema;
namespace json = rustic::json;

namespace {
std::string refusal(std::string_view schema) {
  try {
    (void)json_schema::parse(json::parse(schema), "tool x");
    return "(accepted)";
  } catch (const rustic::failure& problem) {
    return problem.problem().message;
  }
}
bool fits(std::string_view schema, std::string_view instance) {
  return json_schema::parse(json::parse(schema)).validate(json::parse(instance)).empty();
}
}  // namespace

TEST_CASE("2020-12 keywords hold") {
  CHECK(fits(R"({"$schema":"https://json-schema.org/draft/2020-12/schema","$id":"https://x/y",
       "properties":{"a":{"$ref":"#/$defs/n"}},"$defs":{"n":{"type":"integer"}}})",
             R"({"a":1})"));
  const auto pair = R"({"prefixItems":[{"type":"string"},{"type":"integer"}],"items":false})";
  CHECK(fits(pair, R"(["a",1])"));
  CHECK_FALSE(fits(pair, R"([1,"a"])"));
  CHECK_FALSE(fits(pair, R"(["a",1,2])"));
  const auto dependent = R"({"dependentRequired":{"a":["b"]},
      "dependentSchemas":{"c":{"properties":{"d":{"type":"integer"}}}}})";
  CHECK_FALSE(fits(dependent, R"({"a":1})"));
  CHECK(fits(dependent, R"({"a":1,"b":1})"));
  CHECK_FALSE(fits(dependent, R"({"c":1,"d":"x"})"));
  const auto sibling = R"({"properties":{"a":{"$ref":"#/definitions/s","maxLength":2}},
      "definitions":{"s":{"type":"string"}}})";
  CHECK_FALSE(fits(sibling, R"({"a":"abc"})"));
  CHECK_FALSE(fits(sibling, R"({"a":1})"));
  CHECK(fits(sibling, R"({"a":"ab"})"));
  CHECK(fits(R"({"type":"object","unevaluatedProperties":true})", "{}"));
  CHECK(fits(R"({"then":{"type":"string"}})", "1"));
  CHECK_FALSE(fits(R"({"if":{"type":"integer"},"then":{"minimum":5}})", "1"));
}

TEST_CASE("property names that look like keywords are names") {
  const auto schema = R"({"properties":{"$ref":{"type":"string"},"id":{"type":"integer"},
     "allOf":{"type":"string"},"description":{"type":"integer"},"items":{"type":"string"}},
     "additionalProperties":false})";
  CHECK(fits(schema, R"({"$ref":"x","id":1,"allOf":"x","description":2,"items":"y"})"));
  CHECK_FALSE(fits(schema, R"({"id":"x"})"));
  CHECK_FALSE(fits(schema, R"({"$ref":3})"));
}

TEST_CASE("what cannot be honoured is refused with its place") {
  CHECK(refusal(R"({"properties":{"a":{"unevaluatedProperties":false}}})") ==
        "tool x: at \"/properties/a/unevaluatedProperties\": is not supported");
  CHECK(refusal(R"({"$ref":"https://example.org/x.json"})").find("only references inside") !=
        std::string::npos);
  CHECK(refusal(R"({"$ref":"other.json#/a"})").find("only references inside") != std::string::npos);
  CHECK(refusal(R"({"$ref":"#/$defs/missing"})").find("reference to nothing") != std::string::npos);
  CHECK(refusal(R"({"$dynamicRef":"#x"})").find("dynamic") != std::string::npos);
  CHECK(refusal(R"({"contains":{},"minContains":2})").find("counting") != std::string::npos);
  CHECK(refusal("3").find("object or a boolean") != std::string::npos);
  CHECK(refusal(R"({"type":"strin"})").find("no type: \"strin\"") != std::string::npos);
  CHECK(refusal(R"({"multipleOf":0})").find("greater than 0") != std::string::npos);
  CHECK(refusal(R"({"minLength":-1})").find("whole number") != std::string::npos);
  CHECK(refusal(R"({"required":true})").find("must be a list") != std::string::npos);
  CHECK(refusal(R"({"pattern":3})").find("must be a string") != std::string::npos);
  CHECK(refusal(R"({"allOf":[]})").find("not empty") != std::string::npos);
}

TEST_CASE("a reference that leads nowhere but to itself is refused") {
  for (const auto* schema :
       {R"({"$ref":"#"})", R"({"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}})",
        R"({"$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"}]},"b":{"not":{"$ref":"#/$defs/a"}}}})"})
    CHECK(refusal(schema).find("leads back to itself") != std::string::npos);
}

TEST_CASE("patterns RE2 cannot do are named, not silently dropped") {
  const auto schema = json_schema::parse(json::parse(R"({"pattern":"^(?=a)b","format":"uri"})"));
  REQUIRE(schema.unchecked().size() == 2);
  CHECK(schema.unchecked()[0].find("/pattern") == 0);
  CHECK(schema.validate(json::value("zzz")).empty());
}

TEST_CASE("patterns of property names are kept simple") {
  CHECK(fits(R"({"patternProperties":{"^x-":{"type":"string"}},"additionalProperties":false})",
             R"({"x-a":"1"})"));
  CHECK_FALSE(fits(R"({"patternProperties":{"^x-":{"type":"string"}}})", R"({"x-a":1})"));
  CHECK_FALSE(
      fits(R"({"patternProperties":{"^[a-z]+$":{}},"additionalProperties":false})", R"({"A":1})"));
  CHECK(refusal(R"({"patternProperties":{"^(a+)+$":{}}})").find("too complex") !=
        std::string::npos);
  CHECK(refusal(R"({"patternProperties":{"a*a*a*b":{}}})").find("too complex") !=
        std::string::npos);
  CHECK(refusal(R"({"patternProperties":{"(":{}}})") != "(accepted)");
}

TEST_CASE("a schema may be hostile") {
  json::value deep = json::object{};
  for (int i = 0; i < 5000; ++i) deep = json::object{{"not", std::move(deep)}};
  CHECK_THROWS_AS((void)json_schema::parse(deep), rustic::failure);
  json::object wide;
  for (int i = 0; i < 30'000; ++i) wide[std::to_string(i)] = json::object{};
  CHECK_THROWS_AS((void)json_schema::parse(json::object{{"properties", wide}}), rustic::failure);
}
