// tests/e2e/demo_test.cpp - the shipped demo: from an empty home, without a network, also after an
// installation.
#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace fs = std::filesystem;

namespace {

struct scratch {
  scratch() {
    std::string name = (fs::temp_directory_path() / "rustic-demo-test-XXXXXX").string();
    path = mkdtemp(name.data());
    fs::create_directories(path / "home");
    fs::create_directories(path / "tmp");
  }
  ~scratch() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  fs::path path;
};

struct ended {
  int code = -1;
  std::string output;
};

// In an environment of its own, with no route to anywhere when the system allows that to be set up.
ended run_demo(const fs::path& program, const scratch& in) {
  const std::string alone =
      system("unshare -rn true 2>/dev/null") == 0 ? "unshare -rn " : std::string();
  const std::string command =
      "cd '" + (in.path / "home").string() + "' && env -i PATH=/usr/bin:/bin HOME='" +
      (in.path / "home").string() + "' TMPDIR='" + (in.path / "tmp").string() + "' " + alone + "'" +
      program.string() + "' demo 2>&1 < /dev/null";
  ended out;
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe);
  char piece[4096];
  while (const auto got = fread(piece, 1, sizeof(piece), pipe)) out.output.append(piece, got);
  const int status = pclose(pipe);
  out.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return out;
}

void check_demo(const fs::path& program) {
  const scratch in;
  const auto run = run_demo(program, in);
  CAPTURE(run.output);
  CHECK(run.code == 0);
  CHECK(run.output.find("This is a recording.") != std::string::npos);
  CHECK(run.output.find("shell") != std::string::npos);
  CHECK(run.output.find("-.-") != std::string::npos);     // what the lamp really showed
  CHECK(run.output.find("O  ---") != std::string::npos);  // and shows now
  CHECK(run.output.find("failed") == std::string::npos);
  CHECK(fs::is_empty(in.path / "tmp"));  // the scratch directory is gone
}
}  // namespace

TEST_CASE("the demo plays from an empty home and cleans up") {
  check_demo(PROGRAM);
}

TEST_CASE("the demo plays from where it was installed") {
  const scratch in;
  const auto prefix = in.path / "prefix";
  const std::string command = "cmake --install '" BUILD_DIRECTORY "' --prefix '" + prefix.string() +
                              "' > '" + (in.path / "log").string() + "' 2>&1";
  std::ifstream log(in.path / "log");
  REQUIRE(system(command.c_str()) == 0);
  check_demo(prefix / "bin/rustic-ai");
}

TEST_CASE("the recording names no place of the machine that it was made on") {
  std::ifstream in(fs::path(DEMO_DIRECTORY) / "demo.jsonl");
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  REQUIRE(text.size() > 1000);
  for (const auto* place : {"/tmp", "/home", "/root", "/work", "127.0.0.1", "rustic-demo-record"})
    CHECK(text.find(place) == std::string::npos);
}
