// tests/e2e/recorder_cli_test.cpp - --record and --replay of the program, as a person uses them.
#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <rustic/json.hpp>
#include <string>

#include "model_server.hpp"

using namespace rustic;
namespace fs = std::filesystem;

namespace {

struct ended {
  int code = -1;
  std::string output;
};

struct user {
  user() {
    std::string name = (fs::temp_directory_path() / "rustic-replay-XXXXXX").string();
    home = mkdtemp(name.data());
  }
  ~user() {
    std::error_code ignored;
    fs::remove_all(home, ignored);
  }
  ended run(const std::string& arguments, const std::string& base_url,
            const std::string& key = "sk-planted0123456789abcdef") const {
    const std::string command = "cd '" + home.string() + "' && env -i PATH=/usr/bin:/bin HOME='" +
                                home.string() + "' OPENAI_API_KEY='" + key +
                                "' OPENAI_BASE_URL=" + base_url + " '" PROGRAM "' " + arguments +
                                " 2>err.txt < /dev/null";
    ended out;
    FILE* pipe = popen(command.c_str(), "r");
    REQUIRE(pipe);
    char piece[4096];
    while (const auto got = fread(piece, 1, sizeof(piece), pipe)) out.output.append(piece, got);
    const int status = pclose(pipe);
    out.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return out;
  }
  std::string read(const char* name) const {
    std::ifstream in(home / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  fs::path home;
};
}  // namespace

TEST_CASE("a recorded chat replays with the same session, without its server, in the same home") {
  user u;
  std::string live;
  {
    fakes::model_server server(
        {{fakes::step::calling("files_list", "{}"), fakes::step::saying("One file.")}, {}});
    const auto recorded =
        u.run("chat --model fake-model --output json --record run.jsonl 'What is here?'",
              server.base_url());
    CAPTURE(recorded.output);
    CAPTURE(u.read("err.txt"));
    REQUIRE(recorded.code == 0);
    live = recorded.output;
  }
  CHECK(u.read("run.jsonl").find("planted0123") == std::string::npos);
  const auto first = parse_object(live);
  for (const auto* tools : {"recorded", "live"}) {
    const auto replayed =
        u.run(std::string("chat --model fake-model --output json --replay run.jsonl --tools ") +
                  tools + " 'What is here?'",
              "http://127.0.0.1:9/v1");
    CAPTURE(replayed.output);
    CAPTURE(u.read("err.txt"));
    REQUIRE(replayed.code == 0);
    const auto second = parse_object(replayed.output);
    for (const auto* key : {"session_id", "text", "finish_reason", "rounds", "usage"})
      CHECK(json::serialize(second.at(key)) == json::serialize(first.at(key)));
    if (std::string(tools) == "recorded") CHECK(replayed.output == live);
  }
  // A file that is there is never written over, and one that is not there cannot be replayed.
  CHECK(u.run("chat --model m --record run.jsonl 'x'", "http://127.0.0.1:9/v1").code != 0);
  CHECK(u.run("chat --model m --replay none.jsonl 'x'", "http://127.0.0.1:9/v1").code != 0);
  CHECK(u.read("err.txt").find("none.jsonl") != std::string::npos);
}

TEST_CASE("a key that looks like nothing special is masked because it is known") {
  const std::string key = "plain.words_4711/and_more";
  user u;
  fakes::model_server server({{fakes::step::calling("files_read", R"({"path":"notes.txt"})"),
                               fakes::step::saying("It says " + key + ".")},
                              {}});
  std::ofstream(u.home / "notes.txt") << "the key is " << key << "\n";
  const auto recorded = u.run("chat --model fake-model --output json --record run.jsonl 'Read it'",
                              server.base_url(), key);
  CAPTURE(recorded.output);
  REQUIRE(recorded.code == 0);
  CHECK(recorded.output.find(key) != std::string::npos);
  const auto file = u.read("run.jsonl");
  CHECK(file.find("4711") == std::string::npos);
  CHECK(file.find("the key is xxxx") != std::string::npos);
  CHECK(file.find("It says xxxx") != std::string::npos);
}
