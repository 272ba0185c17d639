#include "host/runtime/generation_notes.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

using namespace rustic::runtime;
namespace fs = std::filesystem;

namespace {

struct scratch {
  scratch() {
    std::string name = (fs::temp_directory_path() / "rustic-generations-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~scratch() { fs::remove_all(path); }
  std::size_t files() const {
    std::size_t out = 0;
    for (const auto& one : fs::directory_iterator(path)) out += one.is_regular_file();
    return out;
  }
  fs::path path;
};
}  // namespace

TEST_CASE("a generation above the first is told as long as it serves") {
  scratch dir;
  const auto notes_directory = dir.path / "generations";
  {
    generation_notes notes(notes_directory);
    notes.write({{"/p/a.so", 1}, {"/p/b.so", 1}});
    CHECK(!fs::exists(notes_directory));
    notes.write({{"/p/a.so", 2}, {"/p/b.so", 1}, {"/p/c.so", 3}});
    const auto told = generation_notes::read(notes_directory);
    REQUIRE(told.size() == 2);
    CHECK(told[0].path == "/p/c.so");
    CHECK(told[0].generation == 3);
    CHECK(told[0].process == getpid());
    CHECK(told[1].path == "/p/a.so");
    CHECK(told[1].generation == 2);
    notes.write({{"/p/a.so", 1}});
    CHECK(generation_notes::read(notes_directory).empty());
    CHECK(fs::is_empty(notes_directory));
    notes.write({{"/p/a.so", 4}});
    CHECK(generation_notes::read(notes_directory).size() == 1);
  }
  CHECK(fs::is_empty(notes_directory));
  generation_notes nowhere{fs::path()};
  nowhere.write({{"/p/a.so", 2}});
  CHECK(generation_notes::read({}).empty());
}

TEST_CASE("what a killed process said counts no more, and goes when the next one says something") {
  scratch dir;
  int said[2];
  REQUIRE(pipe(said) == 0);
  const pid_t child = fork();
  if (child == 0) {
    generation_notes notes(dir.path);
    notes.write({{"/p/a.so", 7}});
    (void)!write(said[1], "x", 1);
    for (;;) pause();
  }
  REQUIRE(child > 0);
  char byte = 0;
  REQUIRE(read(said[0], &byte, 1) == 1);
  close(said[0]);
  close(said[1]);
  const auto told = generation_notes::read(dir.path);
  REQUIRE(told.size() == 1);
  CHECK(told[0].process == child);
  CHECK(told[0].generation == 7);

  REQUIRE(kill(child, SIGKILL) == 0);
  siginfo_t ended{};
  REQUIRE(waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) == 0);
  CHECK(generation_notes::read(dir.path).empty());  // also before its parent takes notice
  CHECK(waitpid(child, nullptr, 0) == child);
  CHECK(generation_notes::read(dir.path).empty());
  CHECK(dir.files() == 1);
  generation_notes notes(dir.path);
  notes.write({{"/p/a.so", 2}});
  CHECK(dir.files() == 1);
  CHECK(generation_notes::read(dir.path).at(0).process == getpid());
}

TEST_CASE("files that are none of ours, cut or of an earlier process of that number") {
  scratch dir;
  const auto own = std::to_string(getpid());
  std::ofstream(dir.path / "1.json") << "{ half";
  std::ofstream(dir.path / "2.json") << R"({"process":"x","started":7,"plugins":{}})";
  std::ofstream(dir.path / (own + ".json"))
      << R"({"process":)" << own
      << R"(,"started":"1","plugins":[{"path":"/p/a.so","generation":9}]})";
  std::ofstream(dir.path / "text") << "nothing";
  CHECK(generation_notes::read(dir.path).empty());
  CHECK(generation_notes::read(dir.path / "nowhere").empty());
}
