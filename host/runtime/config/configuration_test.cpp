// Layers, provenance, strictness and trust, with real files in a directory of their own.
#include "host/runtime/config/configuration.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/runtime/config/config_test_support.hpp"
#include "host/runtime/config/trust.hpp"

using namespace rustic::config;
namespace json = rustic::json;

namespace {
std::string all(const std::vector<problem>& problems) {
  std::string text;
  for (const auto& entry : problems) text += to_text(entry) + "\n";
  return text;
}
bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}
std::string shown(const configuration& config, std::string_view key) {
  return json::serialize(config.shown(key));
}
}  // namespace

TEST_CASE("nothing configured: defaults, one agent, no error") {
  test_place place;
  const auto config = configuration::load(place.request());
  CHECK(config.ok());
  CHECK(config.problems().empty());
  CHECK(config.view().agents.size() == 1);
  CHECK(config.view().default_agent == "assistant");
  CHECK(config.view().agents[0].tools == std::vector<std::string>{"*"});
  CHECK(config.view().agents[0].system_prompt.size() > 500);
  CHECK(config.view().providers.empty());
  CHECK(config.view().log.level == "warn");
  CHECK(config.view().storage.backend == "sqlite");
  CHECK(config.view().paths.history_file == place.home() / ".local/state/rustic-ai/history");
}

TEST_CASE("later layers win, tables merge, lists replace, and each value knows its place") {
  test_place place;
  place.write(".config/rustic-ai/config.toml",
              "[log]\nlevel = \"info\"\nformat = \"json\"\n\n[providers.local]\ntype = \"openai\"\n"
              "model = \"a\"\nmodels = [\"a\", \"b\"]\n");
  const auto file =
      place.write("extra.yaml", "log:\n  level: debug\nproviders:\n  local:\n    models: [c]\n");
  auto request = place.request();
  request.config_file = file;
  request.around.env["RUSTIC_AI_PROVIDERS__LOCAL__MODEL"] = "from-env";
  request.flags = {"log.level=error"};
  const auto config = configuration::load(request);
  CHECK(all(config.problems()) == "");
  CHECK(shown(config, "log.level") == "\"error\"");
  CHECK(shown(config, "log.format") == "\"json\"");
  CHECK(shown(config, "providers.local.models") == "[\"c\"]");
  CHECK(shown(config, "providers.local.type") == "\"openai\"");
  CHECK(shown(config, "providers.local.model") == "\"from-env\"");
  CHECK(to_text(config.where("log.format")) ==
        (place.home() / ".config/rustic-ai/config.toml").string() + ":3:1");
  CHECK(to_text(config.where("providers.local.models")) == file.string() + ":5:5");
  CHECK(config.where("providers.local.model").file ==
        "environment RUSTIC_AI_PROVIDERS__LOCAL__MODEL");

  const auto lines = config.explain("log.level");
  REQUIRE(lines.size() == 4);
  CHECK(lines[0].layer == "flags");
  CHECK(lines[0].effective);
  CHECK(lines[0].where.file == "flag log.level");
  CHECK(lines[1].layer == "file");
  CHECK(lines[1].value == json::value("debug"));
  CHECK(lines[1].where.line == 2);
  CHECK(lines[2].value == json::value("info"));
  CHECK(lines[3].layer == "built-in");
  CHECK_FALSE(lines[3].effective);
}

TEST_CASE("the order of appearance is kept") {
  test_place place;
  place.write(".config/rustic-ai/config.toml",
              "[agents.zed]\n[agents.alpha]\n[providers.z]\ntype=\"a\"\n[providers.b]\ntype=\"a\"\n"
              "[agents.mid]\ntools = []\n");
  const auto config = configuration::load(place.request());
  CHECK(all(config.problems()) == "");
  REQUIRE(config.view().agents.size() == 3);
  CHECK(config.view().default_agent == "zed");
  CHECK(config.view().agents[2].name == "mid");
  CHECK(config.view().agents[2].tools.empty());
  CHECK(config.view().default_provider == "z");
}

TEST_CASE("all mistakes are listed with place, expectation and the nearest key") {
  test_place place;
  const auto file = place.write(".config/rustic-ai/config.toml",
                                "[providers.local]\n"            // 1
                                "type = \"openai\"\n"            // 2
                                "timeout = \"10\"\n"             // 3
                                "modle = \"x\"\n"                // 4
                                "[agents.a]\n"                   // 5
                                "temprature = 1\n"               // 6
                                "max_rounds = \"many\"\n"        // 7
                                "permission_mode = \"bypas\"\n"  // 8
                                "provider = \"locl\"\n"          // 9
                                "[loging]\n"                     // 10
                                "[[permissions.rules]]\n"        // 11
                                "tool = \"x\"\n"                 // 12
                                "decision = \"maybe\"\n"         // 13
                                "[[permissions.rules]]\n"        // 14
                                "tol = \"x\"\n");                // 15
  const auto config = configuration::load(place.request());
  CHECK_FALSE(config.ok());
  const auto text = all(config.problems());
  const auto at = [&](int line, std::string_view rest) {
    return has(text, file.string() + ":" + std::to_string(line) + ":1: " + std::string(rest));
  };
  CHECK(at(3, "error: providers.local.timeout: expected a duration with a unit"));
  CHECK(at(4, "warning: providers.local.modle: unknown key; did you mean `model`?"));
  CHECK(at(6, "error: agents.a.temprature: unknown key; did you mean `temperature`?"));
  CHECK(at(7, "error: agents.a.max_rounds: expected a whole number, got a string (\"many\")"));
  CHECK(at(8, "error: agents.a.permission_mode: expected one of"));
  CHECK(has(text, "did you mean \"bypass\"?"));
  CHECK(at(9, "error: agents.a.provider: there is no provider `locl`; did you mean `local`?"));
  CHECK(has(text, ":10:"));
  CHECK(has(text, "loging: unknown key; did you mean `log`?"));
  CHECK(
      at(13, "error: permissions.rules[0].decision: expected one of \"allow\", \"deny\", \"ask\""));
  CHECK(at(15, "error: permissions.rules[1].tol: unknown key; did you mean `tool`?"));
  CHECK(has(text, "permissions.rules[1]: lacks the key `decision`"));
}

TEST_CASE("a misspelt address or key of a provider is an error, for the key would go elsewhere") {
  for (const char* line : {"base_ulr = \"http://127.0.0.1:1/v1\"", "api_keey = \"env:X\""}) {
    test_place place;
    (void)place.write(".config/rustic-ai/config.toml",
                      "[providers.a]\ntype = \"openai\"\n" + std::string(line) + "\n");
    CAPTURE(line);
    CHECK(!configuration::load(place.request()).ok());
  }
}

TEST_CASE("environment: nesting, case, types, near misses") {
  test_place place;
  place.write(".config/rustic-ai/config.toml",
              "[providers.my-Server]\ntype = \"openai\"\nmodel = \"a\"\n[agents.A]\n");
  auto request = place.request();
  auto& env = request.around.env;
  env["RUSTIC_AI_PROVIDERS__MY_SERVER__MODEL"] = "5";
  env["RUSTIC_AI_PROVIDERS__MY_SERVER__MODELS"] = "x, y";
  env["RUSTIC_AI_PROVIDERS__MY_SERVER__CONTEXT_WINDOW"] = "1000";
  env["RUSTIC_AI_AGENTS__A__TEMPERATURE"] = "1";
  env["RUSTIC_AI_AGENTS__A__TOOLS"] = "[\"files_*\"]";
  env["RUSTIC_AI_AGENTS__A__MAX_ROUNDS"] = "lots";
  env["RUSTIC_AI_UI__REASONING"] = "off";
  env["RUSTIC_AI_PROVIDRS__X__TYPE"] = "y";
  env["RUSTIC_AI___BAD"] = "y";
  env["RUSTIC_AI_LOG"] = "debug";
  const auto config = configuration::load(request);
  const auto text = all(config.problems());
  CHECK(shown(config, "providers.my-Server.model") == "\"5\"");
  CHECK(shown(config, "providers.my-Server.models") == "[\"x\",\"y\"]");
  CHECK(shown(config, "providers.my-Server.context_window") == "1000");
  CHECK(shown(config, "agents.A.tools") == "[\"files_*\"]");
  CHECK(shown(config, "ui.reasoning") == "false");
  CHECK(config.view().providers.size() == 1);
  CHECK(has(text,
            "environment RUSTIC_AI_AGENTS__A__MAX_ROUNDS: error: agents.A.max_rounds: "
            "expected a whole number"));
  CHECK(has(text, "environment RUSTIC_AI_PROVIDRS__X__TYPE: warning: ignored"));
  CHECK(has(text, "did you mean `providers`?"));
  CHECK(has(text, "environment RUSTIC_AI___BAD: warning"));
  CHECK(has(text, "environment RUSTIC_AI_LOG: error: log: expected a table"));
}

TEST_CASE("flags: quoted names, values with equals signs, mistakes") {
  test_place place;
  auto request = place.request();
  request.flags = {"providers.\"a=b.c\".type=openai",
                   "providers.x.base_url=http://h/?a=b",
                   "providers.x.type=1",
                   "nonsense",
                   "log..level=x",
                   "agents.a.tools[0]=x"};
  const auto config = configuration::load(request);
  const auto text = all(config.problems());
  REQUIRE(config.view().provider("a=b.c"));
  CHECK(config.view().provider("x")->base_url == "http://h/?a=b");
  CHECK(config.view().provider("x")->type == "1");
  CHECK(has(text, "flag nonsense: error: expected KEY=VALUE"));
  CHECK(has(text, "flag log..level: error"));
  CHECK(has(text, "flag agents.a.tools[0]: error"));
}

TEST_CASE(
    "an untrusted project changes nothing that matters, a trusted one does, an edit revokes") {
  test_place place;
  place.make(".work/repo/.git");
  place.make(".work/repo/deep/er");
  const auto file = place.write(".work/repo/.rustic-ai/config.toml",
                                "[providers.evil]\n"
                                "type = \"openai\"\n"
                                "base_url = \"http://evil\"\n"
                                "[permissions]\nmode = \"bypass\"\n"
                                "[plugins]\npaths = [\"./evil\"]\n"
                                "[plugin.shell]\nenabled = false\n"
                                "[agents.evil]\npermission_mode = \"bypass\"\n"
                                "[ui]\ncolor = \"never\"\n"
                                "[storage]\nconnection_string = \"/evil\"\n"
                                "[log]\nfile = \"/evil\"\n");
  auto request = place.request();
  request.around.cwd = place.home() / ".work/repo/deep/er";
  const auto untrusted = configuration::load(request);
  CHECK(untrusted.ok());
  const auto text = all(untrusted.problems());
  for (const char* key : {"providers", "permissions", "plugins", "plugin", "agents",
                          "storage.connection_string", "log.file"})
    CHECK_MESSAGE(
        (has(text, " " + std::string(key) + ": ignored") ||
         has(text, " " + std::string(key).substr(0, std::string(key).find('.')) + ": ignored")),
        key);
  CHECK(has(text, file.string() + ":1:"));
  CHECK(has(text, "rustic-ai trust " + (place.home() / ".work/repo").string()));
  CHECK(untrusted.view().providers.empty());
  CHECK(untrusted.view().agents[0].name == "assistant");
  CHECK(untrusted.view().is_plugin_enabled("shell"));
  CHECK(shown(untrusted, "permissions.mode") == "\"default\"");
  CHECK(shown(untrusted, "ui.color") == "\"never\"");
  CHECK(untrusted.view().log.file.empty());
  const auto lines = untrusted.explain("permissions.mode");
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].layer == "built-in");
  CHECK(lines[1].ignored);

  REQUIRE(untrusted.project());
  CHECK_FALSE(untrusted.project()->trusted);
  trust_store store(untrusted.view().paths.trust_file);
  store.trust(untrusted.project()->directory, untrusted.project()->hash);
  const auto trusted = configuration::load(request);
  CHECK(trusted.project()->trusted);
  CHECK(trusted.view().provider("evil"));
  CHECK(shown(trusted, "permissions.mode") == "\"bypass\"");
  CHECK(trusted.view().plugin_paths[0].path == place.home() / ".work/repo/.rustic-ai/evil");

  place.append(".work/repo/.rustic-ai/config.toml", "# edited\n");
  CHECK_FALSE(configuration::load(request).project()->trusted);
}

TEST_CASE("an untrusted project with a broken or wrong file cannot stop the program") {
  test_place place;
  auto request = place.request();
  request.around.cwd = place.make(".work/repo");
  for (const char* content :
       {"[[[", "ui = 5", "[ui]\ncolor = 7\n", "\xFF\xFE", "[ui]\ncolour = \"x\"\n"}) {
    place.write(".work/repo/.rustic-ai/config.toml", content);
    const auto config = configuration::load(request);
    CHECK(config.ok());
    CHECK_FALSE(config.problems().empty());
    CHECK(shown(config, "ui.color") == "\"auto\"");
  }
}

TEST_CASE("the search for a project ends at the checkout's root and never takes home") {
  test_place place;
  place.write(".rustic-ai/config.toml", "[ui]\ncolor = \"never\"\n");
  auto request = place.request();
  CHECK_FALSE(configuration::load(request).project());
  request.around.cwd = place.make("sub");
  CHECK_FALSE(configuration::load(request).project());
  place.write("outer/.rustic-ai/config.toml", "");
  place.make("outer/repo/.git");
  request.around.cwd = place.make("outer/repo/x");
  CHECK_FALSE(configuration::load(request).project());
  request.around.cwd = place.make("outer/plain");
  CHECK(configuration::load(request).project());
}

TEST_CASE("a project file that everybody may write is ignored") {
  test_place place;
  const auto file = place.write("p/.rustic-ai/config.toml", "[ui]\ncolor = \"never\"\n");
  REQUIRE(chmod(file.c_str(), 0666) == 0);
  auto request = place.request();
  request.around.cwd = place.home() / "p";
  const auto config = configuration::load(request);
  CHECK_FALSE(config.project());
  CHECK(has(all(config.problems()), "belongs to somebody else"));
}

TEST_CASE("secrets are not shown anywhere") {
  test_place place;
  place.write(".config/rustic-ai/config.toml",
              "[providers.a]\ntype = \"openai\"\napi_key = \"literal-key-value\"\n"
              "headers = { Authorization = \"Bearer abcdefgh\", X-Trace = \"on\" }\n"
              "[providers.b]\ntype = \"openai\"\napi_key = \"env:KEY\"\n");
  const auto config = configuration::load(place.request());
  CHECK(config.ok());
  const auto text = all(config.problems()) + json::serialize(config.shown()) +
                    json::serialize(config.explain("providers.a.api_key")[0].value);
  CHECK_FALSE(has(text, "literal-key-value"));
  CHECK_FALSE(has(text, "abcdefgh"));
  CHECK(has(text, "holds the key itself"));
  CHECK(has(text, "env:KEY"));
  CHECK(shown(config, "providers.a.headers.X-Trace") == "\"on\"");
  CHECK(config.view().providers[0].api_key == "literal-key-value");
  REQUIRE(config.check_secrets().size() == 1);
  CHECK(has(to_text(config.check_secrets()[0]), "the variable KEY is not set"));
}

TEST_CASE("plugin sections are checked by the plugin's schema") {
  test_place place;
  place.write(".config/rustic-ai/config.toml",
              "[plugin.web]\nenabled = true\ntimout = \"5s\"\nname = \"A\"\nport = \"x\"\n"
              "[plugin.web.inner]\nbad = 1\n");
  auto request = place.request();
  request.around.env["RUSTIC_AI_PLUGIN__WEB__LABEL"] = "5";
  auto config = configuration::load(request);
  CHECK(config.ok());
  const auto schema = json::parse(R"({"type":"object","additionalProperties":false,
    "required":["host"],"properties":{"timeout":{"type":"string","format":"duration"},
    "host":{"type":"string"},"name":{"type":"string","pattern":"^[a-z]+$"},
    "port":{"type":"integer"},"label":{"type":"string"},
    "inner":{"type":"object","additionalProperties":false,"properties":{"good":{}}}}})");
  const auto text = all(config.validate_plugin_section("web", schema));
  CHECK_FALSE(config.ok());
  CHECK(
      has(text, "config.toml:3:1: error: plugin.web.timout: unknown key; did you mean `timeout`?"));
  CHECK(has(text, "config.toml:4:1: error: plugin.web.name: expected a string that matches"));
  CHECK(has(text, "config.toml:5:1: error: plugin.web.port: expected a whole number"));
  CHECK(has(text, "plugin.web.inner.bad: unknown key"));
  CHECK(has(text, "plugin.web: lacks the key `host`"));
  CHECK(shown(config, "plugin.web.label") == "\"5\"");
  CHECK(all(config.validate_plugin_section("absent", json::parse("{\"type\":\"object\"}"))) == "");
}

TEST_CASE(
    "a file that is asked for and absent is an error, a second one beside the first a warning") {
  test_place place;
  auto request = place.request();
  request.config_file = "nowhere.toml";
  CHECK(has(all(configuration::load(request).problems()), "nowhere.toml: error: cannot read"));
  request.config_file = "strange.ini";
  CHECK(has(all(configuration::load(request).problems()), ".toml, .json or .yaml"));
  request.config_file.reset();
  place.write(".config/rustic-ai/config.toml", "");
  place.write(".config/rustic-ai/config.json", "{\"log\":{\"level\":\"trace\"}}");
  const auto config = configuration::load(request);
  CHECK(config.ok());
  CHECK(has(all(config.problems()), "config.json: warning: ignored"));
  CHECK(config.view().log.level == "warn");
}

TEST_CASE("a file given as a FIFO does not block") {
  test_place place;
  place.make(".config/rustic-ai");
  REQUIRE(mkfifo((place.home() / ".config/rustic-ai/config.toml").c_str(), 0600) == 0);
  CHECK(has(all(configuration::load(place.request()).problems()), "not a regular file"));
}

TEST_CASE("prompts from files, relative to the file that names them") {
  test_place place;
  place.write(".config/rustic-ai/prompts/a.md", "Be kind.");
  place.write(".config/rustic-ai/config.toml",
              "[agents.a]\nsystem_prompt_file = \"prompts/a.md\"\n"
              "[agents.b]\nsystem_prompt_file = \"missing.md\"\n");
  const auto config = configuration::load(place.request());
  CHECK(config.view().agents[0].system_prompt == "Be kind.");
  CHECK_FALSE(config.view().agents[0].section.contains("system_prompt_file"));
  CHECK(has(all(config.problems()), "agents.b.system_prompt_file: cannot read"));
}

TEST_CASE("providers come from the environment only when none is configured") {
  test_place place;
  auto request = place.request();
  request.around.env["OPENAI_API_KEY"] = "k";
  auto config = configuration::load(request);
  CHECK(config.view().default_provider == "openai");
  CHECK(config.view().providers[0].from_environment);
  CHECK(config.view().providers[0].api_key == "env:OPENAI_API_KEY");
  request.flags = {"providers.x.type=ollama"};
  config = configuration::load(request);
  REQUIRE(config.view().providers.size() == 1);
  CHECK(config.view().providers[0].name == "x");
}

TEST_CASE("a known service needs its name alone") {
  test_place place;
  place.write(".config/rustic-ai/config.toml",
              "[providers.router]\ntype = \"openrouter\"\n"
              "[providers.own]\ntype = \"mistral\"\nbase_url = \"http://127.0.0.1:1/v1\"\n"
              "model = \"mine\"\nstream_usage = true\n"
              "[providers.claude]\ntype = \"anthropic\"\n"
              "[providers.near]\ntype = \"llamacpp\"\n"
              "[providers.home]\ntype = \"ollama\"\n"
              "[providers.there]\ntype = \"ollama\"\nbase_url = \"http://there\"\n");
  auto request = place.request();
  request.around.env = {{"OPENROUTER_API_KEY", "k"},
                        {"MISTRAL_API_KEY", "k"},
                        {"ANTHROPIC_API_KEY", "k"},
                        {"LLAMACPP_BASE_URL", "http://box:1/v1"},
                        {"OLLAMA_HOST", "box:2"}};
  const auto read = configuration::load(request);
  const auto& view = read.view();
  const auto* router = view.provider("router");
  REQUIRE(router);
  CHECK(router->type == "custom");
  CHECK(router->preset == "openrouter");
  CHECK(router->base_url == "https://openrouter.ai/api/v1");
  CHECK(router->api_key == "env:OPENROUTER_API_KEY");
  CHECK(router->model == "openrouter/auto");
  // A key is never sent to another address than its service's.
  const auto* own = view.provider("own");
  CHECK(own->base_url == "http://127.0.0.1:1/v1");
  CHECK(own->api_key.empty());
  CHECK(own->model == "mine");
  CHECK(own->section.at("stream_usage") == true);
  CHECK(view.provider("claude")->type == "anthropic");
  CHECK(view.provider("claude")->preset.empty());
  CHECK(view.provider("claude")->api_key == "env:ANTHROPIC_API_KEY");
  CHECK(view.provider("near")->base_url == "http://box:1/v1");
  CHECK(view.provider("near")->api_key.empty());
  CHECK(view.provider("home")->base_url == "http://box:2");
  CHECK(view.provider("there")->base_url == "http://there");
}

TEST_CASE("a file that is meant to be there and is not is told, never passed over") {
  test_place place;
  std::filesystem::create_symlink("nowhere.toml", place.make(".config/rustic-ai") / "config.toml");
  const auto loaded = configuration::load(place.request());
  CHECK_FALSE(loaded.ok());
  CHECK(has(all(loaded.problems()), "config.toml"));
}
