#include "project_notes.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

#include "limits.hpp"

using namespace rustic::agent;
namespace fs = std::filesystem;

namespace {
struct scratch {
  scratch() {
    std::string name = (fs::temp_directory_path() / "rustic-notes-XXXXXX").string();
    path = fs::canonical(mkdtemp(name.data()));
  }
  ~scratch() { fs::remove_all(path); }
  void write(const fs::path& name, std::string_view text) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name) << text;
  }
  fs::path path;
};
}  // namespace

TEST_CASE("the nearest file wins, and the search ends at the repository") {
  scratch top;
  top.write("AGENTS.md", "outside");
  top.write("repo/.git/HEAD", "x");
  top.write("repo/a/b/code.c", "x");
  CHECK(find_notes(top.path / "repo/a/b").text.empty());
  top.write("repo/CLAUDE.md", "root notes");
  CHECK(find_notes(top.path / "repo/a/b").text == "root notes");
  top.write("repo/a/AGENTS.md", "near notes");
  const auto found = find_notes(top.path / "repo/a/b");
  CHECK(found.text == "near notes");
  CHECK(found.file == top.path / "repo/a/AGENTS.md");
}

TEST_CASE("AGENTS.md goes before CLAUDE.md, and an include line is followed") {
  scratch top;
  top.write(".git/HEAD", "x");
  top.write("CLAUDE.md", "@NOTES.md\n");
  top.write("NOTES.md", "followed");
  CHECK(find_notes(top.path).text == "followed");
  top.write("AGENTS.md", "agents");
  CHECK(find_notes(top.path).text == "agents");
}

TEST_CASE("a directory above that anybody may write to is not looked at") {
  scratch top;
  top.write("open/AGENTS.md", "planted");
  top.write("open/mine/file", "x");
  CHECK(find_notes(top.path / "open/mine").text == "planted");
  fs::permissions(top.path / "open", fs::perms::all);
  CHECK(find_notes(top.path / "open/mine").text.empty());
  CHECK(find_notes(top.path / "open").text == "planted");
}

TEST_CASE("huge, binary and strange files do no harm") {
  scratch top;
  top.write(".git/HEAD", "x");
  top.write("AGENTS.md", std::string(1 << 20, 'x'));
  CHECK(find_notes(top.path).text.size() < project_notes_bytes_max + 100);
  top.write("AGENTS.md", "bad \xFF\xFE bytes");
  CHECK(find_notes(top.path).text == "bad \xEF\xBF\xBD\xEF\xBF\xBD bytes");
  fs::remove(top.path / "AGENTS.md");
  REQUIRE(mkfifo((top.path / "AGENTS.md").c_str(), 0600) == 0);
  CHECK(find_notes(top.path).text.empty());
}
