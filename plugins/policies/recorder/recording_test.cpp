#include "recording.hpp"
#include "secrets.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

using namespace rustic;
using namespace rustic::recorder;
namespace fs = std::filesystem;

namespace {
struct scratch {
  scratch() {
    std::string name = (fs::temp_directory_path() / "rustic-record-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~scratch() { fs::remove_all(path); }
  std::string file(const char* name) const { return (path / name).string(); }
  fs::path path;
};

exchange sample(std::string key) {
  exchange one;
  one.key = std::move(key);
  one.events.push_back({RAI_EVENT_TEXT, 1, 2, 1ull << 60, "h\xC3\xA9llo"});
  one.events.push_back({RAI_EVENT_OUTPUT, 0, 0, 0, std::string("\xFF\x00\x01 raw", 7)});
  one.status = RAI_UNAVAILABLE;
  one.body = R"({"message":"x"})";
  return one;
}
}  // namespace

TEST_CASE("an exchange comes back as it was, bytes and large numbers too") {
  const auto one = sample("k");
  const auto back = from_line(to_line(one));
  CHECK(back.key == one.key);
  CHECK(back.status == one.status);
  CHECK(back.body == one.body);
  REQUIRE(back.events.size() == 2);
  CHECK(back.events[0].b == 1ull << 60);
  CHECK(back.events[0].text == one.events[0].text);
  CHECK(back.events[1].text == one.events[1].text);
}

TEST_CASE("a file is written for its owner alone, never over another, and read back") {
  scratch dir;
  {
    writer out(dir.file("r"));
    out.add(sample("a"));
    out.add(sample("b"));
  }
  struct stat status {};
  REQUIRE(stat(dir.file("r").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK_THROWS_AS(writer(dir.file("r")), failure);
  const recording in(dir.file("r"));
  CHECK(in.size() == 2);
  CHECK(in.find("a"));
  CHECK(!in.find("c"));
}

TEST_CASE("torn at any byte, a recording gives its whole exchanges or says what is wrong") {
  scratch dir;
  {
    writer out(dir.file("r"));
    out.add(sample("a"));
    out.add(sample("b"));
  }
  std::ifstream file(dir.file("r"));
  const std::string whole((std::istreambuf_iterator<char>(file)), {});
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    std::ofstream(dir.file("cut")) << whole.substr(0, bytes);
    try {
      const recording in(dir.file("cut"));
      CHECK(in.size() <= 2);
    } catch (const failure& problem) {
      CHECK(bytes < 25);  // inside the first line
    }
  }
}

TEST_CASE("places count what is alike, sessions apart, and tool calls by their id") {
  places run;
  CHECK(run.next({"rustic.provider/a", "generate", "x", "s", ""}) ==
        "rustic.provider/a generate agent=x session=s #1");
  CHECK(run.next({"rustic.provider/a", "generate", "x", "s", ""}) ==
        "rustic.provider/a generate agent=x session=s #2");
  CHECK(run.next({"rustic.provider/a", "generate", "x", "other", ""}) ==
        "rustic.provider/a generate agent=x session=other #1");
  CHECK(run.next({"rustic.provider/a", "generate", "y", "s", ""}) ==
        "rustic.provider/a generate agent=y session=s #1");
  CHECK(run.next({"rustic.tool/shell", "call", "x", "s", "c1"}) !=
        run.next({"rustic.tool/shell", "call", "x", "s", "c2"}));
}

TEST_CASE("keys are masked, where events split them and in JSON too, and nothing else is") {
  const std::string key = "sk-abcdefghijklmnop0123456789";
  const std::string told = "before " + key + " after";
  for (std::size_t cut = 0; cut <= told.size(); ++cut) {
    exchange one;
    one.key = "k";
    one.events.push_back({RAI_EVENT_OUTPUT, 1, 0, 0, told.substr(0, cut)});
    one.events.push_back({RAI_EVENT_OUTPUT, 2, 0, 0, "other stream"});
    one.events.push_back({RAI_EVENT_OUTPUT, 1, 0, 0, told.substr(cut)});
    one.body = R"({"output":"\n)" + key + R"("})";
    CHECK(hide_secrets(one) == 2);
    const auto line = to_line(one);
    CHECK(line.find("abcdef") == std::string::npos);
    CHECK(one.events[0].text.size() == cut);
    CHECK(one.events[1].text == "other stream");
    CHECK(one.events[0].text + one.events[2].text ==
          "before sk-" + std::string(26, 'x') + " after");
    CHECK_NOTHROW(from_line(line));
  }
  for (std::string text : {"ask-me-anything-about-this-and-that-please", "sk-short",
                           "a task-list-of-many-things-to-do", "AKIA", "the Bearer came"}) {
    const auto before = text;
    CHECK(hide_secrets(text) == 0);
    CHECK(text == before);
  }
  std::string block =
      "-----BEGIN RSA PRIVATE KEY-----\\nMIIEow\\nIBAAKC==\\n-----END RSA PRIVATE KEY-----";
  CHECK(hide_secrets(block) == 1);
  CHECK(block ==
        "-----BEGIN RSA PRIVATE KEY-----\\nxxxxxx\\nxxxxxxxx\\n-----END RSA PRIVATE KEY-----");
}

TEST_CASE("a recording of a newer format, or one that was edited, says so") {
  scratch dir;
  const auto problem = [&](const std::string& text) -> std::string {
    std::ofstream(dir.file("r")) << text;
    try {
      return recording(dir.file("r")).torn() ? "torn" : "";
    } catch (const failure& found) {
      return found.problem().message + " | " + found.problem().hint;
    }
  };
  const auto line = to_line(sample("a"));
  CHECK(problem("{\"rustic_recording\":1}\n" + line) == "");
  CHECK(problem("{ \"rustic_recording\" : 1 }\n" + line) == "");
  // An editor may take away the last line's end.
  CHECK(problem("{\"rustic_recording\":1}\n" + line.substr(0, line.size() - 1)) == "");
  CHECK(problem("{\"rustic_recording\":1}\n" + line + line.substr(0, 30)) == "torn");
  CHECK(problem("{\"rustic_recording\":1}\n" + line + line.substr(0, 30) + "\n").find("line 3") !=
        std::string::npos);
  for (const auto* head : {"{\"rustic_recording\":2}\n", "{\"rustic_recording\":10}\n"}) {
    const auto newer = problem(head + line);
    CHECK(newer.find("format") != std::string::npos);
    CHECK(newer.find("version of rustic-ai that made it") != std::string::npos);
  }
  CHECK(problem("{\"other\":1}\n" + line).find("does not begin") != std::string::npos);
}

TEST_CASE("after a full disk the next line is whole") {
  scratch dir;
  writer out(dir.file("r"));
  out.add(sample("a"));
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  signal(SIGXFSZ, SIG_IGN);
  rlimit tight = before;
  tight.rlim_cur = fs::file_size(dir.file("r")) + 20;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &tight) == 0);
  try {
    out.add(sample("b"));
    FAIL("it cannot be written");
  } catch (const failure& problem) {
    CHECK(problem.problem().code == status_code::resource_exhausted);
  }
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  out.add(sample("c"));
  const recording in(dir.file("r"));
  CHECK(in.size() == 2);
  CHECK(in.find("c"));
}

TEST_CASE("what is no recording is refused") {
  scratch dir;
  std::ofstream(dir.file("text")) << "hello\nworld\n";
  CHECK_THROWS_AS(recording(dir.file("text")), failure);
  CHECK_THROWS_AS(recording(dir.file("missing")), failure);
  std::ofstream(dir.file("bad")) << "{\"rustic_recording\":1}\n{\"key\":1}\n";
  CHECK_THROWS_AS(recording(dir.file("bad")), failure);
}
