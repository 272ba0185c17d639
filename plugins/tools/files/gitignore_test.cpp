// Wildcards and .gitignore rules: known cases, and agreement with git itself.
#include "gitignore.hpp"

#include <spawn.h>
#include <sys/wait.h>

#include <set>

#include "glob_pattern.hpp"
#include "test_workspace.hpp"
#include "text.hpp"
#include "tree_walk.hpp"

extern char** environ;

namespace rustic::files {
namespace {

namespace fs = std::filesystem;

TEST_CASE("wildcards") {
  struct row {
    const char* pattern;
    const char* path;
    bool matches;
  };
  for (const row& each : std::initializer_list<row>{{"a", "a", true},
                                                    {"a", "b", false},
                                                    {"a", "a/b", false},
                                                    {"*", "abc", true},
                                                    {"*", "a/b", false},
                                                    {"*.c", "x.c", true},
                                                    {"*.c", ".c", true},
                                                    {"a*b*c", "a-b-b-c", true},
                                                    {"a*b*c", "acb", false},
                                                    {"*a*a*a*b", "aaaaaaaaaaaaaaaa", false},
                                                    {"?", "\u00FC", true},
                                                    {"??", "\u00FC", false},
                                                    {"a?b", "a/b", false},
                                                    {"**", "a/b/c", true},
                                                    {"**/c", "c", true},
                                                    {"**/c", "a/b/c", true},
                                                    {"a/**", "a/b/c", true},
                                                    {"a/**", "a", false},
                                                    {"a/**/c", "a/c", true},
                                                    {"a/**/c", "a/x/y/c", true},
                                                    {"a/**/c", "a/x/cc", false},
                                                    {"**/b/**/d/*.x", "a/b/b/c/d/e.x", true},
                                                    {"**/b/*/d", "b/b/c/d", true},
                                                    {"**/a/*b", "a/a/xb", true},
                                                    {"a**b", "axxb", true},
                                                    {"a**b", "ax/b", false},
                                                    {"[a-c]x", "bx", true},
                                                    {"[!a-c]x", "bx", false},
                                                    {"[^a-c]x", "dx", true},
                                                    {"[]-]", "]", true},
                                                    {"[]-]", "-", true},
                                                    {"[a-]", "-", true},
                                                    {"[[:digit:]]", "7", true},
                                                    {"[[:digit:]]", "x", false},
                                                    {"[a/]b", "/b", false},
                                                    {"[abc", "[abc", false},
                                                    {"[\u00E0-\u00FF]", "\u00FC", true},
                                                    {"\\*", "*", true},
                                                    {"\\*", "x", false},
                                                    {"a\\[b", "a[b", true},
                                                    {"*/", "a", false},
                                                    {"", "", true},
                                                    {"", "a", false}}) {
    CAPTURE(each.pattern);
    CAPTURE(each.path);
    CHECK(wildcard_match(each.pattern, each.path) == each.matches);
  }
}

TEST_CASE("hostile wildcards end soon") {
  std::string pattern;
  for (int i = 0; i < 500; ++i) pattern += "*a";
  pattern += "b";
  std::string deep;
  for (int i = 0; i < 300; ++i) deep += "**/a*/";
  deep += "b";
  std::string path;
  for (int i = 0; i < 1000; ++i) path += "aa/";
  path += "a";
  const double start = thread_seconds();
  CHECK_FALSE(wildcard_match(pattern, std::string(4000, 'a')));
  CHECK_FALSE(wildcard_match(deep, path));
  CHECK(thread_seconds() - start < 2);
}

TEST_CASE("globs with braces") {
  const auto glob = [](const char* pattern, const char* path) {
    auto parsed = glob_pattern::parse(pattern);
    REQUIRE(parsed.has_value());
    return parsed->matches(path);
  };
  CHECK(glob("*.{c,h}", "src/a.h"));
  CHECK_FALSE(glob("*.{c,h}", "src/a.cpp"));
  CHECK(glob("{src,test}/**/*.{c,h}", "test/x/a.c"));
  CHECK(glob("a{b{c,d},e}", "abd"));
  CHECK(glob("a{b{c,d},e}", "ae"));
  CHECK(glob("a{,b}", "a"));
  CHECK(glob("\\{a", "{a"));
  CHECK(glob("**", "a/b"));
  CHECK(glob("./src/*.c", "src/a.c"));
  CHECK(glob("a.c", "deep/below/a.c"));
  CHECK_FALSE(glob_pattern::parse("{a").has_value());
  CHECK_FALSE(glob_pattern::parse("").has_value());
  CHECK_FALSE(glob_pattern::parse(std::string(3000, 'a')).has_value());
  std::string bomb;
  for (int i = 0; i < 30; ++i) bomb += "{a,b}";
  CHECK_FALSE(glob_pattern::parse(bomb).has_value());
}

TEST_CASE("one .gitignore") {
  const ignore_rules rules = ignore_rules::parse(
      "\xEF\xBB\xBF# comment\r\n\r\n*.o\r\n!keep.o\nbuild/\n/top\ndoc/*.txt\n**/deep\nabc/**\n"
      "trailing   \nkept\\ \n\\#hash\n\\!bang\n/\n!\nfoo/bar/\na/**/z\n");
  const auto ignored = [&](const char* path, bool directory = false) {
    return rules.match(path, directory) == ignore_verdict::ignored;
  };
  CHECK(ignored("a.o"));
  CHECK(ignored("x/a.o"));
  CHECK(rules.match("x/keep.o", false) == ignore_verdict::kept);
  CHECK(ignored("x/build", true));
  CHECK_FALSE(ignored("build", false));
  CHECK(ignored("top"));
  CHECK_FALSE(ignored("x/top"));
  CHECK(ignored("doc/a.txt"));
  CHECK_FALSE(ignored("doc/x/a.txt"));
  CHECK_FALSE(ignored("x/doc/a.txt"));
  CHECK(ignored("x/y/deep"));
  CHECK(ignored("abc/x/y"));
  CHECK_FALSE(ignored("abc", true));
  CHECK(ignored("trailing"));
  CHECK(ignored("kept "));
  CHECK_FALSE(ignored("kept"));
  CHECK(ignored("#hash"));
  CHECK(ignored("!bang"));
  CHECK(ignored("foo/bar", true));
  CHECK_FALSE(ignored("x/foo/bar", true));
  CHECK(ignored("a/z"));
  CHECK(ignored("a/b/c/z"));
}

// The files below a directory as a walk sees them.
std::set<std::string> walked(test_workspace& work, const std::string& from = ".") {
  std::set<std::string> out;
  auto scope = path_scope::open(work.root.string(), {});
  REQUIRE(scope.has_value());
  auto at = scope->locate(from);
  REQUIRE(at.has_value());
  auto report = walk_tree(*at, {}, test_workspace::test_limits(), {}, [&](const walk_entry& entry) {
    if (entry.kind != entry_kind::directory) out.insert(entry.path);
    return walk_step::go_on;
  });
  REQUIRE(report.has_value());
  return out;
}

TEST_CASE("nested files, negation and directories that stay closed") {
  test_workspace work;
  work.put(".gitignore", "*.log\n!important.log\nout/\n/only_top\n");
  work.put("a.log", "");
  work.put("important.log", "");
  work.put("out/important.log", "");  // cannot come back: its directory is ignored
  work.put("src/.gitignore", "!a.log\n*.tmp\n/local\n");
  work.put("src/a.log", "");
  work.put("src/b.log", "");
  work.put("src/x.tmp", "");
  work.put("src/local", "");
  work.put("src/deep/local", "");
  work.put("src/only_top", "");
  work.put("only_top", "");
  work.put("x.tmp", "");
  CHECK(walked(work) == std::set<std::string>{".gitignore", "important.log", "src/.gitignore",
                                              "src/a.log", "src/deep/local", "src/only_top",
                                              "x.tmp"});
  // From below, the rules above still hold.
  CHECK(walked(work, "src") ==
        std::set<std::string>{".gitignore", "a.log", "deep/local", "only_top"});
  // An ignored directory that is asked for by name is shown.
  CHECK(walked(work, "out") == std::set<std::string>{"important.log"});
}

TEST_CASE("a repository inside starts anew and brings its own excludes") {
  test_workspace work;
  work.put(".gitignore", "*.x\n");
  work.put("inner/.git/info/exclude", "*.y\n");
  work.put("inner/.git/config", "");
  work.put("inner/a.x", "");
  work.put("inner/a.y", "");
  work.put("b.x", "");
  work.put("b.y", "");
  CHECK(walked(work) == std::set<std::string>{".gitignore", "b.y", "inner/a.x"});
}

TEST_CASE("a .gitignore that is no plain file is passed over") {
  test_workspace work;
  work.put("rules", "*.x\n");
  work.put("a.x", "");
  fs::create_symlink("rules", work.root / ".gitignore");
  CHECK(walked(work).count("a.x") == 1);
  fs::remove(work.root / ".gitignore");
  REQUIRE(::mkfifo((work.root / ".gitignore").c_str(), 0600) == 0);
  CHECK(walked(work).count("a.x") == 1);
}

int run(std::vector<std::string> words) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  if (::posix_spawnp(&child, argv[0], nullptr, nullptr, argv.data(), environ) != 0) return -1;
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_CASE("random rules mean to us what they mean to git") {
  test_workspace work;
  const std::string root = work.root.string();
  if (run({"git", "-C", root, "init", "-q"}) != 0) {
    MESSAGE("git is not installed: nothing to compare with");
    return;
  }
  // What the user ignores everywhere is not part of this.
  REQUIRE(run({"git", "-C", root, "config", "core.excludesFile", "/dev/null"}) == 0);
  for (const char* a : {"a", "b", "ab"}) {
    for (const char* b : {"a", "b", "c.x"}) {
      for (const char* c : {"a", "b.x", "ab"}) work.put(fs::path(a) / b / c / "f.x", "");
      work.put(fs::path(a) / b / "g", "");
    }
    work.put(fs::path(a) / "a.x", "");
  }
  work.put("f.x", "");
  work.put("g", "");
  std::uint32_t seed = 11;
  const auto random = [&](std::uint32_t below) {
    seed = seed * 1664525 + 1013904223;
    return (seed >> 16) % below;
  };
  const char* pieces[] = {"a", "b", "ab", "*", "**", "?", "*.x", "[ab]", "g", "f.x", "a*", "c.x"};
  const auto random_rules = [&] {
    std::string out;
    for (std::uint32_t lines = 1 + random(5); lines > 0; --lines) {
      if (random(3) == 0) out += "!";
      if (random(3) == 0) out += "/";
      for (std::uint32_t parts = 1 + random(3); parts > 0; --parts) {
        out += pieces[random(12)];
        if (parts > 1) out += "/";
      }
      if (random(4) == 0) out += "/";
      out += "\n";
    }
    return out;
  };
  const std::string listing = (work.top / "listing").string();
  for (int round = 0; round < 60; ++round) {
    const std::string top = random_rules();
    const std::string nested = random_rules();
    work.put(".gitignore", top);
    work.put("a/.gitignore", nested);
    REQUIRE(run({"sh", "-c",
                 "git -C '" + root + "' ls-files --others --exclude-standard > '" + listing +
                     "'"}) == 0);
    std::ifstream in(listing);
    std::set<std::string> git;
    for (std::string line; std::getline(in, line);) git.insert(line);
    std::set<std::string> ours;
    for (const std::string& path : walked(work)) ours.insert(path);
    CAPTURE(top);
    CAPTURE(nested);
    REQUIRE(ours == git);
  }
}

}  // namespace
}  // namespace rustic::files
