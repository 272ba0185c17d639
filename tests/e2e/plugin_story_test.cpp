// tests/e2e/plugin_story_test.cpp - somebody writes a plugin outside of the tree, against the
// installed SDK, and brings it into a conversation that goes on: new, replaced, crashing, forgiven.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include "repl_world.hpp"

using namespace rustic;
using namespace rustic::e2e;
using fakes::step;
namespace fs = std::filesystem;

namespace {
constexpr int build_ms_max = 240'000;
constexpr auto counted_1 = "1 lines, 2 words, 3 characters";
constexpr auto counted_2 = "2 words were counted by the next version";

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void replace_in(const fs::path& file, std::string_view from, std::string_view to) {
  auto text = text_of(file);
  const auto at = text.find(from);
  REQUIRE(at != npos);
  text.replace(at, from.size(), to);
  std::ofstream(file, std::ios::binary) << text;
}

// A home with a conversation in it, a fake model, and a shell beside it.
struct story : repl_world {
  story() : repl_world({}) {
    with.environment["PATH"] =
        fs::path(RUSTIC_AI).parent_path().string() + ":/usr/local/bin:/usr/bin:/bin";
    with.environment["CMAKE_GENERATOR"] = "Ninja";
    configure("[permissions]\nmode = \"bypass\"\n");
  }
  // A line in a shell of the second terminal; its output, and it has to end well.
  std::string shell(const std::string& line, const fs::path& directory, int status = 0) {
    pty_program::options other = with;
    other.words = {"/bin/sh", "-ec", line};
    other.directory = directory.string();
    other.columns = 200;
    pty_program run(other);
    const int ended = run.wait_exit(build_ms_max);
    CAPTURE(line);
    CAPTURE(run.raw());
    REQUIRE(WIFEXITED(ended));
    REQUIRE(WEXITSTATUS(ended) == status);
    return run.raw();
  }
  std::string shell(const std::string& line) { return shell(line, work); }
  // A turn whose model calls the tool once; what it then read.
  std::string turn(const std::string& text) {
    const auto number = std::to_string(++turns);
    server.add(step::calling("my_words", "{\"text\":\"" + text + "\"}"));
    server.add(step::saying("turn " + number + " is over"));
    const auto shown = repl_world::run("count", "turn " + number + " is over");
    CAPTURE(shown);
    const auto all = server.requests();
    REQUIRE(all.size() == 2 * turns);
    const auto last = all.back().json().at("messages").as_array().back().as_object();
    REQUIRE(last.at("role") == "tool");
    return std::string(last.at("content").as_string());
  }
  fs::path installed() const { return home / ".local/lib/rustic-ai/plugins/my-words.so"; }

  std::size_t turns = 0;
};

// The project and its three versions, built once for all tests of this program.
struct project {
  story w;
  fs::path first, second, crashing;

  project() {
    const auto said = w.shell("rustic-ai plugin new --kind tool --lang cpp my-words");
    const auto folder = w.work / "my-words";
    std::vector<std::string> commands;  // the three that it told
    for (std::size_t at = said.find("\n  "); at != npos; at = said.find("\n  ", at + 1))
      commands.push_back(said.substr(at + 3, said.find_first_of("\r\n", at + 3) - at - 3));
    REQUIRE(commands.size() == 3);
    w.shell(commands[0]);
    w.shell(commands[1], folder);
    CHECK(commands[2] == "rustic-ai plugin install build/my-words.so");
    CHECK(has(w.shell("rustic-ai plugin validate build/my-words.so", folder), "my-words 1.0.0: "));
    first = kept(folder, "first.so");

    const auto build = "cmake --build build --target my-words";
    replace_in(folder / "plugin.json", "\"1.0.0\"", "\"1.1.0\"");
    replace_in(folder / "plugin.cpp", "std::to_string(found.lines) + \" lines, \" +", "");
    replace_in(folder / "plugin.cpp", "\" words, \" +", "\" words were counted\" +");
    replace_in(folder / "plugin.cpp", "std::to_string(found.characters) + \" characters\"",
               "std::string(\" by the next version\")");
    w.shell(build, folder);
    second = kept(folder, "second.so");

    replace_in(folder / "plugin.json", "\"1.1.0\"", "\"1.2.0\"");
    replace_in(folder / "plugin.cpp", "const auto found",
               "if (text == \"crash\") {\n"
               "                         volatile int* nowhere = nullptr;\n"
               "                         *nowhere = 1;\n"
               "                       }\n"
               "                       const auto found");
    w.shell(build, folder);
    crashing = kept(folder, "crashing.so");
  }
  fs::path kept(const fs::path& folder, const char* name) const {
    const auto to = w.home / name;
    fs::copy_file(folder / "build/my-words.so", to);
    return to;
  }
};

const project& built() {
  static const project once;
  return once;
}
}  // namespace

TEST_CASE("a file that is copied in is announced, accepted, replaced, and crashes for one call") {
  const auto& files = built();
  story w;
  auto& t = w.at_prompt();

  // Nothing is used before the person says so; the directory is made meanwhile.
  w.shell("mkdir -p ~/.local/lib/rustic-ai/plugins && cp " + files.first.string() + " " +
          w.installed().string());
  REQUIRE(t.wait_for("* new plugin my-words 1.0.0: /plugin accept my-words uses it") != npos);
  CHECK(has(w.turn("a b"), "There is no tool named"));
  CHECK(has(w.run("/plugin accept my-words", "ready"), "my-words 1.0.0 is ready."));
  CHECK(w.turn("a b") == counted_1);

  auto from = t.mark();
  CHECK(has(w.shell("rustic-ai plugin install " + files.second.string()), "my-words 1.1.0"));
  REQUIRE(t.wait_for("* plugin my-words 1.1.0: generation 2 serves", from) != npos);
  CHECK(w.turn("a b") == counted_2);

  from = t.mark();
  w.shell("cp " + files.crashing.string() + " " + w.installed().string());
  REQUIRE(t.wait_for("* changed plugin my-words 1.2.0: /plugin accept my-words", from) != npos);
  CHECK(w.turn("crash") == "1 words were counted by the next version");  // it waits: the old one
  CHECK(has(w.run("/plugin accept my-words", "serves"), "1.2.0: generation 3 serves."));
  CHECK(w.turn("a b") == counted_2);

  // One call each; the third death is the last.
  for (int death = 1; death <= 3; ++death) {
    CAPTURE(death);
    const auto read = w.turn("crash");
    CHECK(has(read, "plugin my-words died: SIGSEGV"));
    if (death < 3) CHECK(w.turn("a b") == counted_2);
  }
  CHECK(has(w.turn("a b"), "plugin my-words is quarantined"));
  CHECK(has(w.run("/plugins", "my-words"), "quarantined"));
  CHECK(has(w.shell("rustic-ai plugin list"), "quarantined"));
  from = t.mark();
  CHECK(has(w.shell("rustic-ai plugin enable my-words"), "forgotten"));
  REQUIRE(t.wait_for("generation 4 serves", from) != npos);
  CHECK(w.turn("a b") == counted_2);

  t.send("/exit\r");
  CHECK(t.wait_exit() == 0);
}

TEST_CASE("a file that is installed is used at once, and gone when it is removed") {
  const auto& files = built();
  story w;
  auto& t = w.at_prompt();
  w.shell("rustic-ai plugin install " + files.first.string());
  REQUIRE(t.wait_for("* new plugin my-words 1.0.0: my_words") != npos);
  CHECK(w.turn("a b") == counted_1);
  auto from = t.mark();
  w.shell("rustic-ai plugin install " + files.crashing.string());
  REQUIRE(t.wait_for("generation 2 serves", from) != npos);
  CHECK(has(w.turn("crash"), "plugin my-words died: SIGSEGV"));
  CHECK(w.turn("a b") == counted_2);
  from = t.mark();
  w.shell("rustic-ai plugin remove my-words");
  REQUIRE(t.wait_for("* plugin my-words is gone", from) != npos);
  CHECK(has(w.turn("a b"), "There is no tool named"));
  t.send("/exit\r");
  CHECK(t.wait_exit() == 0);
}
