// files_list, files_glob and files_grep on real trees.
#include <fcntl.h>
#include <sys/stat.h>

#include "line_search.hpp"
#include "test_workspace.hpp"
#include "text.hpp"

namespace rustic::files {
namespace {

namespace fs = std::filesystem;

void set_time(const test_workspace& work, const char* path, long seconds) {
  const timespec times[2] = {{seconds, 0}, {seconds, 0}};
  REQUIRE(::utimensat(AT_FDCWD, (work.root / path).c_str(), times, 0) == 0);
}

TEST_CASE("a listing is a tree with sizes") {
  test_workspace work;
  work.put(".gitignore", "build/\n");
  work.put("build/out.o", "x");
  work.put("README.md", std::string(2000, 'x'));
  work.put("src/main.cpp", "12345");
  work.put("src/deep/er/still.cpp", "1");
  fs::create_symlink("README.md", work.root / "link");
  REQUIRE(::mkfifo((work.root / "pipe").c_str(), 0600) == 0);
  const tool_result all = work.call("files_list", "{}");
  REQUIRE(all.success);
  CHECK(all.output ==
        "README.md  1.9 KB\nlink -> README.md\npipe  (not a regular file)\nsrc/\n  deep/\n"
        "  main.cpp  5 B\n[1 hidden entry left out (set hidden)]\n"
        "[1 entry left out by .gitignore (set ignored)]\n");
  CHECK(contains(work.call("files_list", R"({"depth":4})").output, "      still.cpp  1 B\n"));
  const std::string ignored = work.call("files_list", R"({"hidden":true,"ignored":true})").output;
  CHECK(contains(ignored, ".gitignore  7 B\n"));
  CHECK(contains(ignored, "build/\n  out.o  1 B\n"));
  CHECK(contains(work.call("files_list", R"({"path":"src/main.cpp"})").error, "files_read"));
  CHECK(contains(work.call("files_list", R"({"path":"srv"})").error, "src/"));
  CHECK_FALSE(work.call("files_list", R"({"path":".."})").success);
  fs::create_directory(work.root / "void");
  CHECK(work.call("files_list", R"({"path":"void"})").output == "['void' is empty]\n");
}

TEST_CASE("a listing is bounded, and a crowd does not hide the rest") {
  test_workspace work;
  for (int i = 0; i < 1500; ++i) work.put("a_crowd/f" + std::to_string(i), "");
  work.put("b/x", "");
  const tool_result all = work.call("files_list", "{}");
  CHECK(contains(all.output, "  ... 1300 more\nb/\n  x  0 B\n"));
  const tool_result crowd = work.call("files_list", R"({"path":"a_crowd"})");
  CHECK(contains(crowd.output, "only the first 1000 entries"));
  CHECK(crowd.metadata.at("complete") == false);
  CHECK(crowd.output.size() <= 64 * 1024);
}

TEST_CASE("globs, the newest first") {
  test_workspace work;
  work.put("old.cpp", "");
  work.put("src/new.cpp", "");
  work.put("src/a/middle.cpp", "");
  work.put("src/x.h", "");
  work.put(".github/ci.cpp", "");
  work.put(".git/objects/x.cpp", "");
  work.put("ignored/y.cpp", "");
  work.put(".gitignore", "ignored\n");
  set_time(work, "old.cpp", 1000);
  set_time(work, "src/a/middle.cpp", 2000);
  set_time(work, "src/new.cpp", 3000);
  set_time(work, ".github/ci.cpp", 500);
  CHECK(work.call("files_glob", R"({"pattern":"*.cpp"})").output ==
        "src/new.cpp\nsrc/a/middle.cpp\nold.cpp\n.github/ci.cpp\n");
  CHECK(work.call("files_glob", R"({"pattern":"src/*.cpp"})").output == "src/new.cpp\n");
  CHECK(work.call("files_glob", R"({"pattern":"src/**/*.cpp"})").output ==
        "src/new.cpp\nsrc/a/middle.cpp\n");
  CHECK(work.call("files_glob", R"({"pattern":"**/*.{h,hpp}"})").output == "src/x.h\n");
  CHECK(work.call("files_glob", R"({"pattern":"*.cpp","path":"src"})").output ==
        "src/new.cpp\nsrc/a/middle.cpp\n");
  CHECK(work.call("files_glob", R"({"pattern":")" + (work.root / "src/*.h").string() + "\"}")
            .output == "src/x.h\n");
  CHECK(contains(work.call("files_glob", R"({"pattern":"*.cpp","limit":1})").output,
                 "[the newest 1 of 4 files"));
  CHECK(contains(work.call("files_glob", R"({"pattern":"*.cpp","ignored":true})").output,
                 "ignored/y.cpp"));
  const std::string none = work.call("files_glob", R"({"pattern":"y.cpp"})").output;
  CHECK(contains(none, "no file matches"));
  CHECK(contains(none, "1 entry ignored by .gitignore"));
  CHECK(contains(work.call("files_glob", R"({"pattern":"../*"})").error, "outside"));
  CHECK(contains(work.call("files_glob", R"({"pattern":"/etc/*"})").error, "outside"));
  CHECK(contains(work.call("files_glob", R"({"pattern":"{a"})").error, "without its '}'"));
  CHECK(contains(work.call("files_glob", R"({"pattern":"scr/*"})").error, "src/"));
}

TEST_CASE("grep shows matching lines below the name of their file") {
  test_workspace work;
  work.put("a.txt", "one\nneedle 1\nthree\nfour\nfive\nneedle 2\nneedle 3");
  work.put("b/c.txt", "needle in crlf\r\nend\r\n");
  work.put("b/skip.md", "needle");
  work.put(".hidden", "needle");
  work.put("bin", std::string("needle\0", 7));
  CHECK(work.call("files_grep", R"({"pattern":"needle","glob":"*.txt"})").output ==
        "a.txt\n2:needle 1\n6:needle 2\n7:needle 3\n\nb/c.txt\n1:needle in crlf\n");
  CHECK(work.call("files_grep", R"({"pattern":"^needle [23]$","path":"a.txt"})").output ==
        "a.txt\n6:needle 2\n7:needle 3\n");
  CHECK(work.call("files_grep", R"({"pattern":"crlf$"})").output == "b/c.txt\n1:needle in crlf\n");
  CHECK(work.call("files_grep", R"({"pattern":"needle","context":1,"path":"a.txt"})").output ==
        "a.txt\n1-one\n2:needle 1\n3-three\n--\n5-five\n6:needle 2\n7:needle 3\n");
  CHECK(work.call("files_grep", R"({"pattern":"needle","context":2,"path":"a.txt"})").output ==
        "a.txt\n1-one\n2:needle 1\n3-three\n4-four\n5-five\n6:needle 2\n7:needle 3\n");
  CHECK(work.call("files_grep", R"({"pattern":"NEEDLE","ignore_case":true,"output":"files"})")
            .output == ".hidden\na.txt\nb/c.txt\nb/skip.md\n");
  CHECK(work.call("files_grep", R"({"pattern":"needle","output":"count","glob":"*.txt"})").output ==
        "a.txt: 3\nb/c.txt: 1\n[4 lines in 2 files]\n");
  CHECK(contains(work.call("files_grep", R"({"pattern":"absent"})").output, "no match in 4 files"));
  CHECK(contains(work.call("files_grep", R"({"pattern":"needle","limit":2})").output,
                 "[stopped after 2 matching lines"));
  CHECK_FALSE(
      contains(work.call("files_grep", R"({"pattern":"needle","path":"a.txt","limit":3})").output,
               "stopped"));
  CHECK(contains(work.call("files_grep", R"({"pattern":"x","path":"bin"})").error, "not text"));
}

TEST_CASE("lines are matched one at a time") {
  test_workspace work;
  work.put("f", "foo\nbar\n\nfoo bar\n");
  const auto lines = [&](const char* pattern) {
    return work.tools.grep({pattern, "f"}, work.scope).output;
  };
  CHECK(lines("foo\\s+bar") == "f\n4:foo bar\n");
  CHECK(lines("foo[^x]bar") == "f\n4:foo bar\n");
  CHECK(lines("^$") == "f\n3:\n");
  CHECK(lines("x*") == "f\n1:foo\n2:bar\n3:\n4:foo bar\n");
  CHECK(lines("r$") == "f\n2:bar\n4:foo bar\n");
  CHECK(contains(work.tools.grep({"foo\nbar", "f"}, work.scope).error, "one at a time"));
  work.put("f", "last line without end");
  CHECK(lines("end$") == "f\n1:last line without end\n");
  CHECK(lines("$") == "f\n1:last line without end\n");
}

TEST_CASE("expressions that are wrong are explained") {
  test_workspace work;
  work.put("f", "call(x)");
  const auto error = [&](const char* pattern) {
    return work.tools.grep({pattern}, work.scope).error;
  };
  CHECK(contains(error("call("), "missing )"));
  CHECK(contains(error("call("), "backslash"));
  CHECK(contains(error("[a"), "missing ]"));
  CHECK(contains(error("(?=x)"), "look-around"));
  CHECK(contains(error("(a)\\1"), "back-references"));
  CHECK(contains(error("a{1001}"), "RE2"));
  CHECK(contains(error("((a{100}){100}){100}"), "RE2"));
  CHECK(contains(error(""), "empty"));
  CHECK(contains(error("\xFF"), "UTF-8"));
  CHECK_FALSE(work.tools.grep({std::string(5000, 'a')}, work.scope).success);
  CHECK(contains(work.call("files_grep", R"({"pattern":"a","output":"all"})").error,
                 "content, files or count"));
}

TEST_CASE("long lines are shown around their match") {
  test_workspace work;
  work.put("f", std::string(100'000, '-') + "needle" + std::string(100'000, '\xC3'));
  const tool_result found = work.tools.grep({"needle"}, work.scope);
  CHECK(contains(found.output, "needle"));
  CHECK(contains(found.output, "bytes] ... "));
  CHECK(found.output.size() < 3000);
  CHECK(utf8_valid(found.output));
}

TEST_CASE("more matches than fit") {
  test_workspace work;
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "needle " + std::string(100, 'x') + "\n";
  work.put("a", text);
  work.put("b", text);
  const tool_result found = work.call("files_grep", R"({"pattern":"needle","limit":2000})");
  REQUIRE(found.success);
  CHECK(found.output.size() <= 64 * 1024);
  CHECK(contains(found.output, "narrow the pattern"));
  CHECK(found.metadata.at("complete") == false);
}

TEST_CASE("slices of a large text give the same lines") {
  std::string text;
  std::size_t expected = 0;
  for (int i = 0; i < 400'000; ++i) {
    const bool hit = i % 1000 == 999;
    text += hit ? "needle\n" : "hay " + std::to_string(i) + "\n";
    if (hit) ++expected;
  }
  REQUIRE(text.size() > 3 * slice_bytes);
  for (const char* pattern : {"needle", "^needle$", "n[e]+dle"}) {
    auto search = line_search::make(pattern, false);
    REQUIRE(search.has_value());
    std::size_t hits = 0;
    REQUIRE(search
                ->run(text, {},
                      [&](const line_hit& hit) {
                        ++hits;
                        REQUIRE(hit.number == hits * 1000);
                        return true;
                      })
                .has_value());
    CHECK(hits == expected);
  }
}

TEST_CASE("walks do not follow links, and survive depth and loops") {
  test_workspace work;
  std::ofstream(work.top / "outside.txt") << "needle";
  work.put("real/f.txt", "needle");
  fs::create_symlink(work.top, work.root / "real/out");
  fs::create_symlink("..", work.root / "real/loop");
  fs::create_symlink("f.txt", work.root / "real/alias.txt");
  CHECK(work.call("files_grep", R"({"pattern":"needle"})").output == "real/f.txt\n1:needle\n");
  CHECK(work.call("files_grep", R"({"pattern":"needle","path":"real/alias.txt"})").success);
  CHECK(contains(work.call("files_list", R"({"depth":9})").output, "  loop -> ..\n"));
  int at = ::open(work.root.c_str(), O_PATH | O_DIRECTORY);
  for (int i = 0; i < 600; ++i) {
    REQUIRE(::mkdirat(at, "d", 0755) == 0);
    const int next = ::openat(at, "d", O_PATH | O_DIRECTORY);
    ::close(at);
    at = next;
  }
  ::close(at);
  const tool_result deep = work.call("files_glob", R"({"pattern":"*.none"})");
  CHECK(deep.success);
  CHECK(deep.metadata.at("complete") == false);
}

TEST_CASE("cancellation and the time limit end a walk soon") {
  test_workspace work;
  for (int i = 0; i < 3000; ++i)
    work.put("d" + std::to_string(i % 30) + "/f" + std::to_string(i), "x\n");
  int polls = 0;
  work.scope.cancelled = [&] { return ++polls > 20; };
  for (const char* tool : {"files_list", "files_glob", "files_grep"}) {
    polls = 0;
    const tool_result done =
        work.call(tool, tool == std::string("files_list") ? "{}" : R"({"pattern":"x"})");
    CHECK(done.cancelled);
    CHECK_FALSE(done.success);
    CHECK(polls < 30);
  }
  work.scope.cancelled = {};
  limits bounds = test_workspace::test_limits();
  bounds.walk_time_max_ms = -1;
  const tool_result late = file_tools(bounds).glob({"*"}, work.scope);
  CHECK(late.success);
  CHECK(contains(late.output, "time limit"));
  CHECK(late.metadata.at("complete") == false);
}

TEST_CASE("names and contents that are not UTF-8 come out as valid text") {
  test_workspace work;
  work.put("bad\xFFname", "needle \xFE\n");
  work.put("two\nlines", "needle\n");
  for (const char* call : {"files_grep", "files_glob", "files_list"}) {
    const tool_result done =
        work.call(call, call == std::string("files_list")   ? "{}"
                        : call == std::string("files_glob") ? R"({"pattern":"*"})"
                                                            : R"({"pattern":"needle"})");
    REQUIRE(done.success);
    CHECK(utf8_valid(done.output));
    CHECK(contains(done.output, "two\\x0alines"));
  }
}

TEST_CASE("what a rule withholds is neither shown, searched, read nor changed") {
  test_workspace work;
  work.put("secrets/key.pem", "needle\n");
  work.put("src/a.env", "needle\n");
  work.put("src/a.cpp", "needle\n");
  fs::create_symlink("secrets", work.root / "link");
  const std::string root = fs::canonical(work.root).string();
  work.scope.withheld =
      withheld_paths({"^" + root + "/secrets(?:/[^/]+)*$", R"((?:^|/)[^/]*\.env(?:/|$))"});
  const auto check = [&](const tool_result& done) {
    CHECK(done.success);
    CHECK(contains(done.output, "a.cpp"));
    CHECK_FALSE(contains(done.output, "key.pem"));
    CHECK_FALSE(contains(done.output, "a.env"));
    CHECK(contains(done.output, "2 entries are withheld by a rule"));
  };
  check(work.call("files_grep", R"({"pattern":"needle"})"));
  check(work.call("files_glob", R"({"pattern":"**"})"));
  check(work.call("files_list", R"({"depth":5})"));
  for (const char* path :
       {"secrets", "secrets/key.pem", "link", "link/key.pem", "./src/../secrets/key.pem"}) {
    CAPTURE(path);
    const boost::json::object at{{"path", path}};
    const std::string text = boost::json::serialize(at);
    CHECK(contains(work.call("files_read", text).error, "withheld"));
    CHECK(contains(work.call("files_list", text).error, "withheld"));
    boost::json::object more = at;
    more["pattern"] = "*";
    CHECK(contains(work.call("files_glob", boost::json::serialize(more)).error, "withheld"));
    more["pattern"] = "needle";
    CHECK(contains(work.call("files_grep", boost::json::serialize(more)).error, "withheld"));
    more["content"] = "x";
    CHECK(contains(work.call("files_write", boost::json::serialize(more)).error, "withheld"));
  }
  CHECK(contains(work.call("files_glob", R"({"pattern":"secrets/*"})").error, "withheld"));
  CHECK(work.get("secrets/key.pem") == "needle\n");
  work.scope.withheld = withheld_paths({"("});  // unreadable: everything
  CHECK(contains(work.call("files_read", R"({"path":"src/a.cpp"})").error, "withheld"));
}

}  // namespace
}  // namespace rustic::files
