#include "shell.hpp"

#include <doctest/doctest.h>

#include <rustic/status.hpp>

#include "recording_listener.hpp"

using namespace rustic::shell;
namespace json = boost::json;
using rustic::failure;
using rustic::status_code;

namespace {

shell_settings settings_from(const char* config) {
  return read_settings(rustic::parse_object(config), {}, {});
}

struct workspace {
  workspace() {
    std::filesystem::create_directories(directory / "inner/deep");
    std::filesystem::create_directory_symlink("/", directory / "escape");
    std::filesystem::create_directory_symlink("inner", directory / "link");
    std::ofstream(directory / "file") << "x";
    scope["workspace"] = directory.path();
  }
  command_spec read(const char* arguments, std::int64_t deadline_ms = INT64_MAX) const {
    return read_command(rustic::parse_object(arguments), scope, settings, deadline_ms);
  }
  status_code refusal(const char* arguments) const {
    try {
      read(arguments);
    } catch (const failure& refused) {
      CHECK(!refused.problem().message.empty());
      return refused.problem().code;
    }
    return status_code::ok;
  }
  scratch_directory directory;
  json::object scope;
  shell_settings settings = settings_from("{}");
};

json::object body_of(const outcome& result) {
  return json::parse(result_body(result, test_command("x", 500))).as_object();
}

}  // namespace

TEST_CASE("configuration: fallbacks and refusals") {
  const auto settings = settings_from("{}");
  CHECK(settings.runner.shell == "/bin/sh");
  CHECK(settings.timeout_ms == 120'000);
  CHECK(settings.runner.environment ==
        std::vector<std::string>{"PATH=/usr/local/bin:/usr/bin:/bin", "TERM=dumb", "LANG=C.UTF-8"});

  const auto given = settings_from(R"({"environment": {"PATH": "/x", "HOME": "/h"}, "timeout": "5s",
                                      "timeout_cap": "3s", "shell": "/bin/bash"})");
  CHECK(given.runner.environment ==
        std::vector<std::string>{"PATH=/x", "HOME=/h", "TERM=dumb", "LANG=C.UTF-8"});
  CHECK(given.timeout_ms == 3000);

  for (const char* bad :
       {R"({"shell": "bash"})", R"({"environment": {"A=B": "x"}})", R"({"environment": {"A": 1}})",
        R"({"environment": {"A": "x\u0000y"}})", R"({"spill_dir": "relative"})",
        R"({"output_bytes": 5})", R"({"timeout": "5"})", R"({"timeout_cap": "48h"})"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(settings_from(bad), failure);
  }
  std::string large = R"({"environment": {"A": ")" + std::string(40'000, 'x') + "\"}}";
  CHECK_THROWS_AS(settings_from(large.c_str()), failure);
}

TEST_CASE("the supervisor is found beside the plugin or the program") {
  scratch_directory prefix;
  std::filesystem::create_directories(prefix / "libexec/rustic-ai");
  const std::string expected = prefix / "libexec/rustic-ai/rustic-ai-supervisor";
  std::ofstream(expected) << "x";
  CHECK(read_settings({}, prefix / "lib/rustic-ai/plugins/shell.so", {}).runner.supervisor ==
        expected);
  CHECK(read_settings({}, "/elsewhere/shell.so", prefix / "bin/rustic-ai").runner.supervisor ==
        expected);
  CHECK(read_settings({{"supervisor", "/mine"}}, {}, {}).runner.supervisor == "/mine");
}

TEST_CASE("arguments: limits and refusals") {
  const workspace here;
  CHECK(here.read(R"({"command": "ls"})").timeout_ms == 120'000);
  CHECK(here.read(R"({"command": "ls", "timeout_ms": 500})").timeout_ms == 500);
  CHECK(here.read(R"({"command": "ls", "timeout_ms": 500.0})").timeout_ms == 500);
  CHECK(here.read(R"({"command": "ls", "timeout_ms": 1e300})").timeout_ms ==
        timeout_ms_cap_default);
  CHECK(here.read(R"({"command": "ls", "timeout_ms": 999999999})").timeout_ms ==
        timeout_ms_cap_default);
  CHECK(here.read(R"({"command": "ls"})", 10'000).timeout_ms == 7500);
  CHECK(here.read(R"({"command": "ls"})", 1000).timeout_ms == 500);
  CHECK(here.read(R"({"command": "ls"})", -5).timeout_ms == 1);

  CHECK(here.refusal(R"({})") == status_code::invalid_argument);
  CHECK(here.refusal(R"({"command": 7})") == status_code::invalid_argument);
  CHECK(here.refusal(R"({"command": " \n"})") == status_code::invalid_argument);
  CHECK(here.refusal(R"({"command": "a\u0000b"})") == status_code::invalid_argument);
  CHECK(here.refusal(R"({"command": "ls", "timeout_ms": 0})") == status_code::invalid_argument);
  CHECK(here.refusal(R"({"command": "ls", "timeout_ms": -1})") == status_code::invalid_argument);
  const std::string large = R"({"command": ")" + std::string(command_bytes_max + 1, 'x') + "\"}";
  CHECK(here.refusal(large.c_str()) == status_code::invalid_argument);
}

TEST_CASE("workdir stays inside the workspace and its roots") {
  workspace here;
  const std::string real = std::filesystem::canonical(here.directory.path()).string();
  CHECK(here.read(R"({"command": "ls"})").directory == real);
  CHECK(here.read(R"({"command": "ls", "workdir": "inner/deep"})").directory ==
        real + "/inner/deep");
  CHECK(here.read(R"({"command": "ls", "workdir": "link/deep/.."})").directory == real + "/inner");
  CHECK(here.read(R"({"command": "ls", "workdir": "."})").directory == real);

  CHECK(here.refusal(R"({"command": "ls", "workdir": "missing"})") == status_code::not_found);
  CHECK(here.refusal(R"({"command": "ls", "workdir": "file"})") == status_code::invalid_argument);
  CHECK(here.refusal(R"({"command": "ls", "workdir": ".."})") == status_code::permission_denied);
  CHECK(here.refusal(R"({"command": "ls", "workdir": "/"})") == status_code::permission_denied);
  CHECK(here.refusal(R"({"command": "ls", "workdir": "escape/usr"})") ==
        status_code::permission_denied);
  std::filesystem::create_directory(real + "-sibling");
  const std::string sibling = R"({"command": "ls", "workdir": ")" + real + R"(-sibling"})";
  CHECK(here.refusal(sibling.c_str()) == status_code::permission_denied);
  here.scope["roots"] = json::array{real + "-sibling"};
  CHECK(here.read(sibling.c_str()).directory == real + "-sibling");
  std::filesystem::remove(real + "-sibling");

  here.scope.erase("workspace");
  CHECK(here.refusal(R"({"command": "ls"})") == status_code::failed_precondition);
  here.scope["workspace"] = "relative";
  CHECK(here.refusal(R"({"command": "ls"})") == status_code::failed_precondition);
  here.scope["workspace"] = "/no/such/place";
  CHECK(here.refusal(R"({"command": "ls"})") == status_code::not_found);
}

TEST_CASE("results say what happened and what to do") {
  outcome result;
  result.exit_code = 0;
  result.output = "fine\n";
  json::object body = body_of(result);
  CHECK(body["success"] == true);
  CHECK(body["output"] == "fine\n");
  CHECK(body["error"].is_null());
  CHECK(body["metadata"].at("exit_code") == 0);
  CHECK(body["metadata"].at("truncated") == false);
  CHECK(body["metadata"].at("remaining_processes").as_array().empty());

  result.exit_code = 127;
  body = body_of(result);
  CHECK(body["success"] == false);
  CHECK(body["error"] == "The command ended with exit status 127 (a program was not found).");

  result.exit_code = 137;
  CHECK(body_of(result)["error"] == "The command ended with exit status 137 (probably SIGKILL).");

  result.exit_code.reset();
  result.signal = SIGSEGV;
  body = body_of(result);
  CHECK(body["error"] == "The shell was ended by signal 11 (SIGSEGV).");
  CHECK(body["metadata"].at("signal") == 11);
  CHECK(!body["metadata"].as_object().contains("exit_code"));

  result.timed_out = true;
  body = body_of(result);
  CHECK(body["success"] == false);
  CHECK(body["metadata"].at("timed_out") == true);
  CHECK(std::string(body["error"].as_string()).find("500 ms") != std::string::npos);
}

TEST_CASE("a success at the deadline is still a time-out, processes that remain are listed") {
  outcome result;
  result.exit_code = 0;
  result.timed_out = true;
  CHECK(body_of(result)["success"] == false);

  result.timed_out = false;
  result.output = "no newline";
  result.remaining_count = 3;
  result.remaining = {{12, "sleep"}, {13, "node"}};
  result.spill_file = "/state/shell-1.txt";
  const json::object body = body_of(result);
  CHECK(body.at("success") == true);
  CHECK(body.at("output") ==
        "no newline\n[3 processes are still running: sleep (12), node (13), .... They end with "
        "this program at the latest. Their further output is kept in /state/shell-1.txt]\n");
  CHECK(body.at("metadata").at("remaining_processes").as_array().size() == 2);
  CHECK(body.at("metadata").at("remaining_count") == 3);
}

TEST_CASE("a command that never ran is an error, not a result") {
  outcome result;
  result.failure = "no process";
  CHECK_THROWS_AS(body_of(result), failure);
  result.output = "it wrote something";
  CHECK(body_of(result)["success"] == false);
}
