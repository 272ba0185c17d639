// Changing files: what moves, what stays, what is refused.
#include "host/runtime/config/edit.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <rustic/status.hpp>
#include <thread>

#include "host/runtime/config/config_test_support.hpp"
#include "host/runtime/config/sha256.hpp"

using namespace rustic::config;

namespace {
std::string after_set(const char* text, std::string_view key, std::string_view value) {
  test_place place;
  const auto file = place.write("c.toml", text);
  set_value(file, key, value);
  return place.read(file);
}
std::string after_unset(const char* text, std::string_view key) {
  test_place place;
  const auto file = place.write("c.toml", text);
  unset_value(file, key);
  return place.read(file);
}
rustic::error refusal(const std::filesystem::path& file, std::string_view key,
                      std::string_view value, std::string_view hash = {}) {
  try {
    set_value(file, key, value, hash);
    return {};
  } catch (const rustic::failure& problem) {
    return problem.problem();
  }
}
}  // namespace

TEST_CASE("an existing value is replaced and nothing else moves") {
  CHECK(after_set("# top\n[log] # here\n  level = \"info\"   # why\nformat='json'\n", "log.level",
                  "debug") == "# top\n[log] # here\n  level = \"debug\"   # why\nformat='json'\n");
  CHECK(after_set("log.level = \"info\" # ü\n", "log.level", "debug") ==
        "log.level = \"debug\" # ü\n");
  CHECK(after_set("[log]\r\nlevel = \"info\"\r\nformat = \"text\"\r\n", "log.level", "debug") ==
        "[log]\r\nlevel = \"debug\"\r\nformat = \"text\"\r\n");
  CHECK(after_set("[agents.a]\ntools = [\n  \"x\", # one\n  \"y\"\n]\nmodel = 'm'\n",
                  "agents.a.tools", "[\"z\"]") == "[agents.a]\ntools = [\"z\"]\nmodel = 'm'\n");
  CHECK(after_set("[agents.a]\ndescription = \"ü\" # ü\nsystem_prompt = \"\"\"\nlong\n\"\"\"\n",
                  "agents.a.system_prompt",
                  "short") == "[agents.a]\ndescription = \"ü\" # ü\nsystem_prompt = \"short\"\n");
  CHECK(after_set("[providers.x]\ntype='a'\nheaders = { A = \"1\", B = \"2\" }\n",
                  "providers.x.headers.B",
                  "3") == "[providers.x]\ntype='a'\nheaders = { A = \"1\", B = \"3\" }\n");
  CHECK(after_set("limits.max_rounds = 10\n", "limits.max_rounds", "20") ==
        "limits.max_rounds = 20\n");
  CHECK(after_set("ui.reasoning = true", "ui.reasoning", "false") == "ui.reasoning = false");
}

TEST_CASE("a new key goes to its table") {
  CHECK(after_set("[log]\nlevel = \"info\" # x\n\n# about ui\n[ui]\n", "log.format", "json") ==
        "[log]\nlevel = \"info\" # x\nformat = \"json\"\n\n# about ui\n[ui]\n");
  CHECK(after_set("[log]\n\n[ui]\ncolor = \"auto\"\n", "log.format", "json") ==
        "[log]\nformat = \"json\"\n\n[ui]\ncolor = \"auto\"\n");
  CHECK(after_set("[providers.x]\ntype='a'\nheaders = { A = \"1\" }\n", "providers.x.headers.B",
                  "3") == "[providers.x]\ntype='a'\nheaders = { A = \"1\", B = \"3\" }\n");
  CHECK(after_set("[providers.x]\ntype = \"a\"\n", "providers.x.headers.B", "3") ==
        "[providers.x]\ntype = \"a\"\n\n[providers.x.headers]\nB = \"3\"\n");
  CHECK(after_set("", "log.level", "debug") == "[log]\nlevel = \"debug\"\n");
  CHECK(after_set("# only a comment", "log.level", "debug") ==
        "# only a comment\n\n[log]\nlevel = \"debug\"\n");
  CHECK(after_set("log.level = \"info\"\n", "log.format", "json") ==
        "log.level = \"info\"\nlog.format = \"json\"\n");
  CHECK(after_set("[providers]\nx.type = \"a\"\n", "providers.x.model", "m")
            .find("x.model = \"m\"") != std::string::npos);
  CHECK(after_set("[[permissions.rules]]\ntool='x'\ndecision='ask'\n", "permissions.mode",
                  "read-only")
            .find("mode = \"read-only\"") != std::string::npos);
  CHECK(after_set("[agents.\"a b\"]\n", "agents.\"a b\".max_rounds", "3") ==
        "[agents.\"a b\"]\nmax_rounds = 3\n");
}

TEST_CASE("values fit the schema") {
  CHECK(after_set("", "providers.x.model", "5") == "[providers.x]\nmodel = \"5\"\n");
  CHECK(after_set("", "agents.a.tools", "x,y") == "[agents.a]\ntools = [\"x\", \"y\"]\n");
}

TEST_CASE("what would make the file wrong is refused, and the file stays") {
  test_place place;
  const auto text = "[log]\nlevel = \"info\"\n";
  const auto file = place.write("c.toml", text);
  CHECK(refusal(file, "log.levle", "debug").message.find("did you mean `level`") !=
        std::string::npos);
  CHECK(refusal(file, "log.level", "loud").message.find("expected one of") != std::string::npos);
  CHECK(refusal(file, "providers.x.timeout", "10").message.find("duration") != std::string::npos);
  CHECK(refusal(file, "agents.a.tools[0]", "x").code == rustic::status_code::invalid_argument);
  CHECK(refusal(file, "log..x", "x").code == rustic::status_code::invalid_argument);
  CHECK(refusal(file, "log.level", "debug", sha256("other")).code == rustic::status_code::aborted);
  CHECK(refusal(place.write("c.yaml", ""), "log.level", "debug").code ==
        rustic::status_code::failed_precondition);
  CHECK(refusal(place.write("b.toml", "a = ["), "log.level", "debug").code ==
        rustic::status_code::failed_precondition);
  CHECK(place.read(file) == text);
  set_value(file, "log.level", "debug", sha256(text));
  CHECK(place.read(file) != text);
}

TEST_CASE("of two errors one can be mended") {
  CHECK(after_set("[log]\nlevel = \"loud\"\nformat = \"x\"\n", "log.level", "debug") ==
        "[log]\nlevel = \"debug\"\nformat = \"x\"\n");
}

TEST_CASE("unset") {
  CHECK(after_unset("[log]\nlevel = \"info\" # x\nformat = \"json\"\n", "log.level") ==
        "[log]\nformat = \"json\"\n");
  CHECK(after_unset("h = 1\n[providers.x]\ntype='a'\nheaders = { A = \"1\", B = \"2\" }\n",
                    "providers.x.headers.A") ==
        "h = 1\n[providers.x]\ntype='a'\nheaders = { B = \"2\" }\n");
  CHECK(after_unset("[log]\nlevel = \"info\"\n\n[ui]\ncolor = \"auto\"\n", "log") ==
        "[ui]\ncolor = \"auto\"\n");
  test_place place;
  CHECK_THROWS_AS(unset_value(place.write("c.toml", ""), "log.level"), rustic::failure);
}

TEST_CASE("JSON files, links, modes, missing files") {
  test_place place;
  const auto file = place.write("c.json", "{\"log\":{\"level\":\"info\"},\"ui\":{}}");
  set_value(file, "log.level", "debug");
  CHECK(place.read(file) == "{\n  \"log\": {\n    \"level\": \"debug\"\n  },\n  \"ui\": {}\n}\n");
  const auto real = place.write("real.toml", "");
  REQUIRE(chmod(real.c_str(), 0640) == 0);
  std::filesystem::create_symlink(real, place.home() / "link.toml");
  set_value(place.home() / "link.toml", "log.level", "debug");
  CHECK(std::filesystem::is_symlink(place.home() / "link.toml"));
  CHECK(place.read(real).find("debug") != std::string::npos);
  struct stat info {};
  REQUIRE(stat(real.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0640);
  set_value(place.home() / "new/dir/c.toml", "log.level", "debug");
  REQUIRE(stat((place.home() / "new/dir/c.toml").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  REQUIRE(stat((place.home() / "new/dir").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0700);
  for (const auto& entry : std::filesystem::directory_iterator(place.home() / "new/dir"))
    CHECK(entry.path().filename() == "c.toml");
}

TEST_CASE("several writers lose nothing") {
  test_place place;
  const auto file = place.home() / "c.toml";
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i)
    threads.emplace_back(
        [&, i] { set_value(file, "providers.p" + std::to_string(i) + ".type", "x"); });
  for (auto& thread : threads) thread.join();
  const auto text = place.read(file);
  for (int i = 0; i < 6; ++i)
    CHECK(text.find("[providers.p" + std::to_string(i) + "]") != std::string::npos);
}

TEST_CASE("the starter file loads without a problem, also with every example switched on") {
  test_place place;
  const auto file = place.home() / ".config/rustic-ai/config.toml";
  write_starter(file);
  CHECK(configuration::load(place.request()).problems().empty());
  CHECK_THROWS_AS(write_starter(file), rustic::failure);
  struct stat info {};
  REQUIRE(stat(file.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  std::string text, line;
  std::istringstream lines(place.read(file));
  while (std::getline(lines, line)) {
    const auto body = line.size() > 2 ? line.substr(2) : "";
    const bool example = line.starts_with("# ") &&
                         (body[0] == '[' || body.find(" = ") != std::string::npos) &&
                         body.find("`") == std::string::npos;
    text += (example ? body : line) + "\n";
  }
  place.write(".config/rustic-ai/config.toml", text);
  const auto config = configuration::load(place.request());
  std::string problems;
  for (const auto& entry : config.problems()) problems += to_text(entry) + "\n";
  CHECK(problems == "");
  CHECK(config.view().providers.size() == 2);
  CHECK(config.view().default_agent == "reviewer");
  CHECK(config.view().permissions.at("rules").as_array().size() == 2);
  CHECK_FALSE(config.view().is_plugin_enabled("shell"));
}
