// Secrets, what is shown of them, hashes, trust and the variables of well-known services.
#include "host/runtime/config/secret.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <chrono>
#include <rustic/status.hpp>
#include <thread>

#include "host/runtime/config/config_test_support.hpp"
#include "host/runtime/config/found_providers.hpp"
#include "host/runtime/config/redact.hpp"
#include "host/runtime/config/sha256.hpp"
#include "host/runtime/config/trust.hpp"

using namespace rustic::config;
namespace json = rustic::json;
using clock_type = std::chrono::steady_clock;

namespace {
rustic::error refusal(std::string_view reference, const surroundings& around) {
  try {
    (void)resolve_secret(reference, around);
    return {};
  } catch (const rustic::failure& problem) {
    return problem.problem();
  }
}
}  // namespace

TEST_CASE("variables") {
  test_place place;
  auto around = place.around();
  around.env["KEY"] = "abc\n";
  CHECK(resolve_secret("env:KEY", around).value == "abc");
  CHECK(resolve_secret("plain", around).value == "plain");
  const auto missing = refusal("env:NOPE", around);
  CHECK(missing.code == rustic::status_code::not_found);
  CHECK(missing.message == "the variable NOPE is not set");
  CHECK(missing.hint.find("export NOPE=") != std::string::npos);
}

TEST_CASE("files") {
  test_place place;
  const auto file = place.write("key", "abc\r\n");
  REQUIRE(chmod(file.c_str(), 0600) == 0);
  auto got = resolve_secret("file:~/key", place.around());
  CHECK(got.value == "abc");
  CHECK(got.warnings.empty());
  REQUIRE(chmod(file.c_str(), 0644) == 0);
  got = resolve_secret("file:" + file.string(), place.around());
  REQUIRE(got.warnings.size() == 1);
  CHECK(got.warnings[0].find("chmod 600") != std::string::npos);
  CHECK(refusal("file:~/none", place.around()).code == rustic::status_code::not_found);
  place.write("empty", "\n");
  CHECK(refusal("file:~/empty", place.around()).code == rustic::status_code::not_found);
  place.write("big", std::string(70'000, 'x'));
  CHECK(refusal("file:~/big", place.around()).code == rustic::status_code::resource_exhausted);
  place.write("binary", std::string_view("a\0b", 3));
  CHECK(refusal("file:~/binary", place.around()).message.find("not text") != std::string::npos);
}

TEST_CASE("commands") {
  test_place place;
  auto around = place.around();
  around.env = {{"PATH", "/usr/bin:/bin"}, {"WORD", "abc"}};
  CHECK(resolve_secret("cmd:echo $WORD", around).value == "abc");
  CHECK(resolve_secret("cmd:cat; echo end", around).value == "end");  // stdin is at its end
  const auto failed = refusal("cmd:echo hidden; echo why >&2; exit 3", around);
  CHECK(failed.message == "the command of a secret failed with status 3: why");
  CHECK(refusal("cmd:true", around).code == rustic::status_code::not_found);
  CHECK(refusal("cmd:kill -9 $$", around).message.find("status 137") != std::string::npos);
  CHECK(refusal("cmd:head -c 100000 /dev/zero | tr '\\0' x", around).code ==
        rustic::status_code::resource_exhausted);
  CHECK(refusal("cmd:yes >&2 & sleep 0.1; exit 1", around).code == rustic::status_code::not_found);
}

TEST_CASE("a command's background child does not hold us up, an endless one is ended") {
  test_place place;
  auto around = place.around();
  around.env = {{"PATH", "/usr/bin:/bin"}};
  const auto start = clock_type::now();
  CHECK(resolve_secret("cmd:sleep 60 & echo x", around).value == "x");
  CHECK(refusal("cmd:yes", around).code == rustic::status_code::resource_exhausted);
  CHECK(clock_type::now() - start < std::chrono::seconds(8));
}

TEST_CASE("a command that hangs is ended after ten seconds" * doctest::timeout(20)) {
  test_place place;
  auto around = place.around();
  around.env = {{"PATH", "/usr/bin:/bin"}};
  const auto start = clock_type::now();
  const auto hung = refusal("cmd:trap '' TERM; sleep 60", around);
  CHECK(hung.code == rustic::status_code::deadline_exceeded);
  CHECK(clock_type::now() - start < std::chrono::seconds(15));
}

TEST_CASE("what is hidden and what is not") {
  const auto shown = [](const char* text) { return json::serialize(redact(json::parse(text))); };
  CHECK(shown(R"({"api_key":"x"})") == R"({"api_key":"***"})");
  CHECK(shown(R"({"api_key":"env:X","max_tokens":5,"token":"t","clientSecret":"s"})") ==
        R"({"api_key":"env:X","max_tokens":5,"token":"***","clientSecret":"***"})");
  CHECK(shown(R"({"headers":{"X-Goog-Api-Key":"x","Key":"y","Accept":"json","Auth":"z"}})") ==
        R"({"headers":{"X-Goog-Api-Key":"***","Key":"***","Accept":"json","Auth":"***"}})");
  CHECK(shown(R"({"connection_string":"postgres://u:pw@h/db?password=x"})") ==
        R"({"connection_string":"postgres://u:***@h/db?password=***"})");
  CHECK(shown(R"({"connection_string":"host=h password=pw user=u"})") ==
        R"({"connection_string":"host=h password=*** user=u"})");
  CHECK(shown(R"({"api_key":"cmd:pass show x"})") == R"({"api_key":"cmd:pass ***"})");
  CHECK(shown(R"({"note":"sk-0123456789abcdef"})") == R"({"note":"***"})");
  CHECK(shown(R"({"secrets":{"a":"x"},"tokens":["env:A"]})") ==
        R"({"secrets":{"a":"x"},"tokens":["env:A"]})");
  CHECK(is_secret_name("auth-token"));
  CHECK_FALSE(is_secret_name("max_tokens"));
  CHECK_FALSE(is_secret_name("key"));
}

TEST_CASE("SHA-256 of the standard's examples") {
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256(std::string(1'000'000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  CHECK(sha256(std::string(55, 'a')) ==
        "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
  CHECK(sha256(std::string(64, 'a')) ==
        "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
}

TEST_CASE("trust") {
  test_place place;
  const auto file = place.home() / "state/trust.json";
  trust_store store(file);
  const auto project = place.make("p");
  CHECK_FALSE(store.is_trusted(project, "h"));
  store.trust(project, "h");
  store.trust(place.make("q"), "i");
  CHECK(store.is_trusted(project, "h"));
  CHECK(store.is_trusted(place.home() / "q/../p/", "h"));
  CHECK_FALSE(store.is_trusted(project, "other"));
  CHECK_FALSE(store.is_trusted(project, ""));
  std::filesystem::create_directory_symlink(project, place.home() / "link");
  CHECK(store.is_trusted(place.home() / "link", "h"));
  store.untrust(project);
  CHECK_FALSE(store.is_trusted(project, "h"));
  CHECK(store.is_trusted(place.home() / "q", "i"));
  struct stat info {};
  REQUIRE(stat(file.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  place.write("state/trust.json", "{ broken");
  CHECK_FALSE(store.is_trusted(place.home() / "q", "i"));
  CHECK_THROWS_AS(store.trust(project, "h"), rustic::failure);
  CHECK(place.read(file) == "{ broken");
}

TEST_CASE("trust given by several threads at once is not lost") {
  test_place place;
  trust_store store(place.home() / "trust.json");
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    const auto project = place.make("p" + std::to_string(i));
    threads.emplace_back([&store, project] { store.trust(project, "h"); });
  }
  for (auto& thread : threads) thread.join();
  for (int i = 0; i < 8; ++i)
    CHECK(store.is_trusted(place.home() / ("p" + std::to_string(i)), "h"));
}

TEST_CASE("one hash for several files") {
  test_place place;
  place.write("a", "1");
  place.write("b", "2");
  const auto hash = hash_of_files(place.home(), {"a", "b", "c"}, 100);
  CHECK(hash_of_files(place.home(), {"c", "b", "a"}, 100) == hash);
  place.write("c", "");
  CHECK(hash_of_files(place.home(), {"a", "b", "c"}, 100) != hash);
  CHECK_THROWS_AS((void)hash_of_files(place.home(), {"a"}, 0), rustic::failure);
}

TEST_CASE("providers of the environment, in their order") {
  surroundings around;
  CHECK(find_providers(around).empty());
  for (const char* name : {"OPENROUTER_API_KEY", "OPENAI_API_KEY", "GOOGLE_API_KEY", "XAI_API_KEY",
                           "ZAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_OPENAI_API_KEY"})
    around.env[name] = "k";
  around.env["OPENAI_MODEL"] = "m";
  around.env["OPENAI_BASE_URL"] = "http://h/v1";
  around.env["OLLAMA_HOST"] = "0.0.0.0";
  std::string order;
  for (const auto& entry : find_providers(around)) order += entry.name + " ";
  CHECK(order == "openai anthropic google grok zai openrouter ollama ");
  const auto found = find_providers(around);
  CHECK(found[0].base_url == "http://h/v1");
  CHECK(found[0].model == "m");
  CHECK(found[2].api_key == "env:GOOGLE_API_KEY");
  CHECK(found[2].type == "google");
  CHECK(found[3].type == "grok");
  CHECK(found[6].base_url == "http://127.0.0.1:11434");
  around.env["AZURE_OPENAI_ENDPOINT"] = "https://a";
  around.env["AZURE_OPENAI_DEPLOYMENT"] = "d";
  CHECK(find_providers(around)[5].model == "d");
  around.env = {{"OPENAI_BASE_URL", "http://localhost:8080/v1"}};
  REQUIRE(find_providers(around).size() == 1);
  CHECK(find_providers(around)[0].name == "local");
  CHECK(find_providers(around)[0].api_key.empty());
  around.env = {{"GOOGLE_API_KEY", "k"},       {"GOOGLE_GEMINI_BASE_URL", "http://g"},
                {"XAI_API_KEY", "k"},          {"GROK_BASE_URL", "http://x/v1"},
                {"AZURE_OPENAI_API_KEY", "k"}, {"AZURE_OPENAI_BASE_URL", "http://z"},
                {"OLLAMA_BASE_URL", "box:1"}};
  const auto elsewhere = find_providers(around);
  REQUIRE(elsewhere.size() == 4);
  CHECK(elsewhere[0].base_url == "http://g");
  CHECK(elsewhere[1].base_url == "http://x/v1");
  CHECK(elsewhere[2].base_url == "http://z");
  CHECK(elsewhere[3].base_url == "http://box:1");
  CHECK(elsewhere[3].because == "OLLAMA_BASE_URL");
  around.env = {{"GROQ_API_KEY", "k"}, {"VLLM_BASE_URL", "http://v/v1"}, {"DEEPSEEK_API_KEY", "k"}};
  const auto presets = find_providers(around);
  REQUIRE(presets.size() == 3);
  CHECK(presets[0].name == "deepseek");
  CHECK(presets[1].type == "custom");
  CHECK(presets[1].base_url == "https://api.groq.com/openai/v1");
  CHECK(presets[2].name == "vllm");
  CHECK(presets[2].because == "VLLM_BASE_URL");
  const auto ollama = [](const char* host) {
    surroundings only;
    only.env["OLLAMA_HOST"] = host;
    return find_providers(only)[0].base_url;
  };
  CHECK(ollama("box:1") == "http://box:1");
  CHECK(ollama("https://box/") == "https://box");
  CHECK(ollama(":1") == "http://127.0.0.1:1");
  CHECK(ollama("[::1]:5") == "http://[::1]:5");
  CHECK(ollama("[::]") == "http://127.0.0.1:11434");
}
