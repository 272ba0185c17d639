#include "host/runtime/circuit_notes.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

using namespace rustic::runtime;
namespace fs = std::filesystem;

namespace {

struct scratch {
  scratch() {
    std::string name = (fs::temp_directory_path() / "rustic-circuits-XXXXXX").string();
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

constexpr auto open_a = R"({"target":"a/m","state":"open","failures":5,"retry_in_ms":30000})";
constexpr auto closed_a = R"({"target":"a/m","state":"closed","failures":0,"retry_in_ms":0})";
}  // namespace

TEST_CASE("an open circuit is told while it is open, with the process that has it") {
  scratch dir;
  int wakes = 0;
  circuit_notes notes(dir.path, [&] { ++wakes; });
  notes.write();
  CHECK(dir.files() == 0);
  notes.take(open_a);
  CHECK(wakes == 1);
  notes.write();
  const auto told = circuit_notes::read(dir.path);
  REQUIRE(told.size() == 1);
  CHECK(told[0].target == "a/m");
  CHECK(told[0].failures == 5);
  CHECK(told[0].until_unix_ms - told[0].since_unix_ms == 30'000);
  CHECK(told[0].process == getpid());
  CHECK(told[0].running);
  notes.take(closed_a);
  notes.write();
  CHECK(dir.files() == 0);
}

TEST_CASE("a process that has ended leaves its word, and is told to have ended") {
  scratch dir;
  const pid_t child = fork();
  if (child == 0) {
    circuit_notes notes(dir.path, [] {});
    notes.take(open_a);
    notes.write();
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  const auto told = circuit_notes::read(dir.path);
  REQUIRE(told.size() == 1);
  CHECK(told[0].process == child);
  CHECK_FALSE(told[0].running);
  // After a day it is swept away by whoever writes.
  const auto file = dir.path / (std::to_string(child) + ".json");
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(25));
  circuit_notes notes(dir.path, [] {});
  notes.take(open_a);
  notes.write();
  CHECK_FALSE(fs::exists(file));
  CHECK(dir.files() == 1);
}

TEST_CASE("what is no event and no file of this form is passed over") {
  scratch dir;
  circuit_notes notes(dir.path, [] {});
  for (const auto* text : {"", "[]", "{", "null"}) notes.take(text);
  notes.write();
  CHECK(dir.files() == 0);
  std::ofstream(dir.path / "1.json") << "{\"process\":1,\"circuits\":[3,{}]}";
  std::ofstream(dir.path / "2.json") << "half a fi";
  std::ofstream(dir.path / "3.json") << R"({"process":"x","started":7,"circuits":{}})";
  std::ofstream(dir.path / "other.txt") << "{}";
  fs::create_directories(dir.path / "4.json");
  CHECK(circuit_notes::read(dir.path).empty());
  CHECK(circuit_notes::read(dir.path / "nowhere").empty());
  circuit_notes nowhere({}, [] { FAIL("nothing to write"); });
  nowhere.take(open_a);
  nowhere.write();
}

TEST_CASE("the number of circuits is bounded") {
  scratch dir;
  circuit_notes notes(dir.path, [] {});
  for (int i = 0; i < 1000; ++i)
    notes.take(R"({"target":"a/)" + std::to_string(i) + R"(","state":"open","failures":1})");
  notes.write();
  CHECK(circuit_notes::read(dir.path).size() == 256);
}
