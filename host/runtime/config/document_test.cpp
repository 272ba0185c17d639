// Parsers against text of every kind; keys and durations.
#include "host/runtime/config/document.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <random>
#include <rustic/status.hpp>

#include "host/runtime/config/key_path.hpp"

using namespace rustic::config;
namespace json = rustic::json;

namespace {
struct outcome {
  document doc;
  std::string problems;
};
outcome parse(std::string_view text, format kind) {
  std::vector<problem> problems;
  outcome result{parse_document(text, kind, "f", problems), {}};
  for (const auto& entry : problems) result.problems += to_text(entry) + "\n";
  return result;
}
bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}
constexpr format formats[] = {format::toml, format::json, format::yaml};
}  // namespace

TEST_CASE("the three formats give the same value and the right places") {
  const auto toml =
      parse("# c\n[a]\nb = 1\nc = [\"x\", 2.5, true]\n[a.\"d e\"]\nf = 'ü'\n", format::toml);
  const auto text = R"({"a":
  {"b": 1,
   "c": ["x", 2.5, true],
   "d e": {"f": "ü"}}})";
  const auto from_json = parse(text, format::json);
  const auto yaml = parse("a:\n  b: 1\n  c: [x, 2.5, true]\n  d e:\n    f: ü\n", format::yaml);
  CHECK(toml.problems == "");
  CHECK(yaml.problems == "");
  CHECK(toml.doc.root == json::parse(text).as_object());
  CHECK(from_json.doc.root == toml.doc.root);
  CHECK(yaml.doc.root == toml.doc.root);
  CHECK(to_text(toml.doc.where("a.b")) == "f:3:1");
  CHECK(to_text(toml.doc.where("a.c[1]")) == "f:4:11");
  CHECK(to_text(toml.doc.where("a.\"d e\".f")) == "f:6:1");
  CHECK(to_text(from_json.doc.where("a.b")) == "f:2:4");
  CHECK(to_text(from_json.doc.where("a.c[2]")) == "f:3:20");
  CHECK(to_text(from_json.doc.where("a.\"d e\".f")) == "f:4:12");
  CHECK(to_text(yaml.doc.where("a.b")) == "f:2:3");
  CHECK(to_text(yaml.doc.where("a.\"d e\".f")) == "f:5:5");
  CHECK(to_text(yaml.doc.where("a.b.nothing")) == "f:2:3");
}

TEST_CASE("an order of appearance that is not the alphabet's") {
  for (const auto kind : formats) {
    const auto text = kind == format::toml   ? "[z.q]\n[b]\n[z.a]\n[m]\n"
                      : kind == format::json ? R"({"z":{"q":{},"a":{}},"b":{},"m":{}})"
                                             : "z: {q: {}, a: {}}\nb: {}\nm: {}\n";
    const auto result = parse(text, kind);
    std::string order;
    for (const auto& entry : result.doc.root) order += std::string(entry.key());
    for (const auto& entry : result.doc.root.at("z").as_object()) order += std::string(entry.key());
    CHECK(order == "zbmqa");
  }
}

TEST_CASE("byte order marks, CRLF and emptiness are fine") {
  CHECK(parse("\xEF\xBB\xBF"
              "a = 1\r\nb = \"x\"\r\n",
              format::toml)
            .doc.root.size() == 2);
  CHECK(parse("\xEF\xBB\xBF{\r\n\"a\": 1}\r\n", format::json).doc.root.size() == 1);
  CHECK(parse("\xEF\xBB\xBF"
              "a: 1\r\nb: x\r\n",
              format::yaml)
            .doc.root.at("b") == json::value("x"));
  for (const auto kind : formats) {
    CHECK(parse("", kind).problems == "");
    CHECK(parse("\n\n", kind).problems == "");
  }
}

TEST_CASE("syntax errors have a line and leave nothing behind") {
  const auto toml = parse("a = 1\nb = \n", format::toml);
  CHECK(has(toml.problems, "f:2:"));
  CHECK(has(toml.problems, "not valid TOML"));
  CHECK(toml.doc.root.empty());
  CHECK(has(parse("a = 1\n[[[\nb = 1", format::toml).problems, "f:2:1: error: is not valid TOML"));
  CHECK(has(parse("{\"a\": 1,\n \"b\" 2}", format::json).problems,
            "f:2:6: error: is not valid JSON"));
  CHECK(has(parse("a: 1\nb: [1,\n", format::yaml).problems, "not valid YAML"));
  CHECK(has(parse("[1]", format::json).problems, "must be an object"));
  CHECK(has(parse("- 1\n", format::yaml).problems, "must be a mapping"));
  CHECK(has(parse("a = inf", format::toml).problems, "not finite"));
  CHECK(has(parse("a: .inf", format::yaml).problems, "not finite"));
  CHECK(has(parse("{\"a\":1,\n\"a\":2}", format::json).problems,
            "f:2:1: error: has the key a twice"));
  CHECK(has(parse("a: 1\na: 2\n", format::yaml).problems, "f:2:1: error: has the key a twice"));
  CHECK(has(parse("a = 1\na = 2\n", format::toml).problems, "f:2:"));
  CHECK(has(parse("a: 1\n---\nb: 2\n", format::yaml).problems, "more than one document"));
}

TEST_CASE("NUL bytes, invalid UTF-8, too large a file") {
  for (const auto kind : formats) {
    CHECK(has(parse(std::string_view("a\n\0b", 4), kind).problems, "f:2:1: error: has a NUL byte"));
    CHECK(has(parse("ä\nxy\xFFz", kind).problems, "f:2:3: error: is not valid UTF-8"));
    CHECK(has(parse(std::string(2 << 20, ' '), kind).problems, "larger than"));
  }
}

TEST_CASE("nesting ends in an error, never in a crash") {
  const std::string open(300'000, '['), braces = [] {
    std::string text;
    for (int i = 0; i < 100'000; ++i) text += "{\"a\":";
    return text;
  }();
  CHECK(parse("a = " + open, format::toml).problems != "");
  CHECK(parse("{\"a\":" + open, format::json).problems != "");
  CHECK(parse("a: " + open, format::yaml).problems != "");
  CHECK(parse(braces, format::json).problems != "");
  std::string dots = "a";
  for (int i = 0; i < 300'000; ++i) dots += ".a";
  CHECK(has(parse(dots + " = 1", format::toml).problems, "nests deeper"));
  CHECK(has(parse("[" + dots + "]", format::toml).problems, "nests deeper"));
  std::string tables = "a = ";
  for (int i = 0; i < 1'000; ++i) tables += "{b.c.d.e.f.g = ";
  CHECK(parse(tables, format::toml).problems != "");
  std::string indents;
  for (int i = 0; i < 500; ++i) indents += std::string(i, ' ') + "a:\n";
  CHECK(parse(indents, format::yaml).problems != "");
  std::string questions;
  for (int i = 0; i < 2'000; ++i) questions += "? ";
  CHECK(parse(questions, format::yaml).problems != "");
}

TEST_CASE("YAML aliases copy, and cannot explode or loop") {
  const auto copy = parse("a: &x {b: 1}\nc: *x\n", format::yaml);
  CHECK(copy.doc.root.at("c") == json::parse("{\"b\":1}"));
  CHECK(has(parse("a: &x [*x]\n", format::yaml).problems, "inside itself"));
  std::string laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    const auto before = "*a" + std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int j = 0; j < 9; ++j) laughs += "," + before;
    laughs += "]\n";
  }
  CHECK(has(parse(laughs, format::yaml).problems, "more than"));
  CHECK(parse("a: !!python/object x\n", format::yaml).problems != "");
  CHECK(parse("<<: {a: 1}\n", format::yaml).problems != "");
  CHECK(parse("a: 'true'\nb: 0x1F\nc: ~\nd: 1e3\ne: 12abc\n", format::yaml).doc.root ==
        json::parse(R"({"a":"true","b":31,"c":null,"d":1000.0,"e":"12abc"})").as_object());
}

TEST_CASE("a line of a million bytes") {
  const std::string big(1'000'000, 'x');
  CHECK(parse("a = \"" + big + "\"", format::toml).doc.root.at("a").as_string().size() ==
        1'000'000);
  CHECK(parse("{\"a\": \"" + big + "\"}", format::json).doc.root.size() == 1);
  CHECK(parse("a: " + big, format::yaml).doc.root.size() == 1);
  CHECK(parse(big, format::toml).problems != "");
  std::string many = "{";
  for (int i = 0; i < 40'000; ++i) many += (i ? ",\"k" : "\"k") + std::to_string(i) + "\":1";
  const auto start = std::chrono::steady_clock::now();
  CHECK(has(parse(many + "}", format::json).problems, "more than 20000 values"));
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
}

TEST_CASE("truncated and mangled files never crash") {
  const std::string samples[] = {
      "# c\n[providers.local]\ntype = \"openai\"\nmodels = [ \"a\", 'b', \"\"\"c\n\"\"\" ]\n"
      "headers = { \"x-y\" = \"\\u00e4\" }\n[[permissions.rules]]\ntool = '''x'''\nn = "
      "1979-05-27\n",
      "{\"providers\": {\"a\": {\"models\": [1, 2.5e3, null, \"\\u00e4\\\"\"], \"x\": {}}}}",
      "providers:\n  a: &x\n    models: [1, \"b\\n\", 'c']\n    text: |\n      lines\n  b: *x\n? "
      "q\n: !!str r\n"};
  std::mt19937 random(7);
  int kind = 0;
  for (const auto& sample : samples) {
    for (std::size_t cut = 0; cut <= sample.size(); ++cut)
      (void)parse(std::string_view(sample).substr(0, cut), formats[kind]);
    for (int round = 0; round < 1500; ++round) {
      std::string mangled = sample;
      for (int change = 0; change < 4; ++change) {
        const auto at = random() % mangled.size();
        switch (random() % 3) {
          case 0:
            mangled[at] = static_cast<char>(random() % 256);
            break;
          case 1:
            mangled.erase(at, 1 + random() % 5);
            break;
          default:
            mangled.insert(at, mangled.substr(random() % mangled.size(), 8));
        }
        if (mangled.empty()) mangled = "x";
      }
      const auto result = parse(mangled, formats[kind]);
      if (!result.problems.empty()) REQUIRE(result.doc.root.empty());
    }
    ++kind;
  }
}

TEST_CASE("dotted keys") {
  CHECK(join_all(split_key("a.\"b c\".d[3].e")) == "a.\"b c\".d[3].e");
  CHECK(join_all(split_key("a.'b.c'")) == "a.\"b.c\"");
  CHECK(parent_key("a.\"b.\\\"c\"") == "a");
  CHECK(parent_key("a.b[0]") == "a.b");
  CHECK(parent_key("a") == "");
  for (const char* bad : {"", ".", "a..b", "a.", "a b", "a[", "a[x]", "\"a", "a[99999999999]"})
    CHECK_THROWS_AS((void)split_key(bad), rustic::failure);
}

TEST_CASE("single TOML values, in and out") {
  CHECK(*parse_toml_value("5") == json::value(5));
  CHECK(*parse_toml_value("[1, \"a\"]") == json::parse("[1,\"a\"]"));
  CHECK(*parse_toml_value("1979-05-27") == json::value("1979-05-27"));
  for (const char* no : {"", "abc", "1\nb = 2", "\"", "#x", "[1"})
    CHECK_FALSE(parse_toml_value(no));
  for (const char* text : {R"("a\"b\\\n\u0001ä")", "-5", "2.5", "1e300", "true", "[1,[\"x\"]]",
                           R"({"a b":{"c":1}})"}) {
    const auto value = json::parse(text);
    CHECK(parse_toml_value(to_toml(value)).value() == value);
  }
}
