// files_write on real files: atomic, careful with what it did not read, and failing well.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "test_workspace.hpp"
#include "text.hpp"

namespace rustic::files {
namespace {

namespace fs = std::filesystem;

tool_result write(test_workspace& work, const std::string& path, const std::string& content,
                  bool overwrite = false) {
  return work.tools.write({path, content, overwrite}, work.scope);
}
tool_result read(test_workspace& work, const std::string& path) {
  return work.tools.read({path}, work.scope);
}

TEST_CASE("a read-only file keeps its content") {
  test_workspace work;
  work.put("f", "precious\n");
  ::chmod((work.root / "f").c_str(), 0444);
  const tool_result done =
      work.call("files_write", R"({"path":"f","content":"x","overwrite":true})");
  CHECK_FALSE(done.success);
  CHECK(contains(done.error, "'f' is read-only"));
  CHECK(contains(work.call("files_edit", R"({"path":"f","old_text":"p","new_text":"q"})").error,
                 "read-only"));
  CHECK(work.get("f") == "precious\n");
  ::chmod((work.root / "f").c_str(), 0600);
  CHECK(work.call("files_write", R"({"path":"f","content":"x","overwrite":true})").success);
}

TEST_CASE("a new file, with its directories") {
  test_workspace work;
  const tool_result made = write(work, "a/b/c/new.txt", "one\ntwo\n");
  REQUIRE(made.success);
  CHECK(work.get("a/b/c/new.txt") == "one\ntwo\n");
  CHECK(made.output == "Created a/b/c/new.txt (2 lines, 8 B).");
  CHECK(contains(made.metadata.at("diff").as_string(), "--- /dev/null\n+++ a/b/c/new.txt"));
  const mode_t mask = ::umask(0);
  ::umask(mask);
  struct stat info {};
  REQUIRE(::stat((work.root / "a/b/c/new.txt").c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == (0666 & ~mask));
  CHECK(work.leftovers() == 0);
  // What was just written is known, and may be replaced.
  CHECK(write(work, "a/b/c/new.txt", "three\n").success);
  CHECK_FALSE(write(work, "x/", "y").success);
  CHECK_FALSE(write(work, "a", "y", true).success);
  CHECK_FALSE(write(work, ".", "y", true).success);
}

TEST_CASE("an existing file must be known") {
  test_workspace work;
  work.put("f", "old\n");
  const tool_result unseen = write(work, "f", "new\n");
  CHECK_FALSE(unseen.success);
  CHECK(contains(unseen.error, "has not been read"));
  CHECK(work.get("f") == "old\n");
  CHECK(write(work, "f", "new\n", true).success);
  work.put("g", "old\n");
  REQUIRE(read(work, "g").success);
  const tool_result done = write(work, "g", "new\n");
  REQUIRE(done.success);
  CHECK(done.output == "Replaced g (1 line, 4 B, +1 -1).");
  CHECK(contains(done.metadata.at("diff").as_string(), "-old\n+new\n"));
  CHECK(contains(write(work, "g", "new\n").output, "no change"));
}

TEST_CASE("another session's reading does not count") {
  test_workspace work;
  work.put("f", "old\n");
  call_scope other = work.scope;
  other.session = "s_2";
  REQUIRE(work.tools.read({"f"}, other).success);
  CHECK_FALSE(write(work, "f", "x").success);
}

TEST_CASE("a file that changed since it was read is not replaced") {
  test_workspace work;
  work.put("f", "old\n");
  REQUIRE(read(work, "f").success);
  work.put("f", "changed by somebody\n");
  const tool_result stale = write(work, "f", "new\n");
  CHECK_FALSE(stale.success);
  CHECK(contains(stale.error, "changed on disk since it was read"));
  CHECK(work.get("f") == "changed by somebody\n");
  REQUIRE(read(work, "f").success);
  // The same content written anew is no change.
  work.put("f", "changed by somebody\n");
  CHECK(write(work, "f", "new\n").success);
}

TEST_CASE("a file read in part is not replaced") {
  test_workspace work;
  std::string text;
  for (int i = 0; i < 50; ++i) text += "line\n";
  work.put("f", text);
  REQUIRE(work.tools.read({"f", 1, 20}, work.scope).success);
  CHECK(contains(write(work, "f", "x").error, "only in part (up to line 20)"));
  REQUIRE(work.tools.read({"f", 31, 20}, work.scope).success);  // leaves a gap
  CHECK_FALSE(write(work, "f", "x").success);
  REQUIRE(work.tools.read({"f", 21, 30}, work.scope).success);
  CHECK(write(work, "f", "x").success);
}

TEST_CASE("line ends and encoding are kept") {
  test_workspace work;
  work.put("crlf", "a\r\nb\r\n");
  CHECK(contains(write(work, "crlf", "a\nc\n", true).output, "kept CRLF"));
  CHECK(work.get("crlf") == "a\r\nc\r\n");
  work.put("mixed", "a\r\nb\n");
  CHECK(write(work, "mixed", "c\n", true).success);
  CHECK(work.get("mixed") == "c\n");
  work.put("bom",
           "\xEF\xBB\xBF"
           "a\n");
  CHECK(write(work, "bom", "b\n", true).success);
  CHECK(work.get("bom") ==
        "\xEF\xBB\xBF"
        "b\n");
  work.put("wide", encode("a\n", encoding::utf16_be));
  CHECK(write(work, "wide", "\u00FC\n", true).success);
  CHECK(work.get("wide") == encode("\u00FC\n", encoding::utf16_be));
}

TEST_CASE("mode, owner, attributes and links are kept") {
  test_workspace work;
  work.put("f", "old");
  REQUIRE(::chmod((work.root / "f").c_str(), 0751) == 0);
  const bool root = ::geteuid() == 0;
  if (root) REQUIRE(::chown((work.root / "f").c_str(), 1234, 4321) == 0);
  const bool attributes = ::setxattr((work.root / "f").c_str(), "user.note", "n", 1, 0) == 0;
  fs::create_symlink("f", work.root / "link");
  fs::create_symlink("not_yet", work.root / "dangling");
  REQUIRE(write(work, "link", "new", true).success);
  CHECK(fs::is_symlink(work.root / "link"));
  CHECK(work.get("f") == "new");
  struct stat info {};
  REQUIRE(::stat((work.root / "f").c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0751);
  if (root) CHECK((info.st_uid == 1234 && info.st_gid == 4321));
  char value = 0;
  if (attributes) CHECK(::getxattr((work.root / "f").c_str(), "user.note", &value, 1) == 1);
  REQUIRE(write(work, "dangling", "made").success);
  CHECK(work.get("not_yet") == "made");
  fs::create_hard_link(work.root / "f", work.root / "twin");
  CHECK(contains(write(work, "f", "newer", true).output, "2 hard links"));
}

TEST_CASE("places that are not written") {
  test_workspace work;
  work.put(".git/config", "[core]\n");
  fs::create_symlink(".git", work.root / "alias");
  for (const char* path : {".git/hooks/pre-commit", ".git/config", "alias/config", ".GIT/config",
                           "sub/.git/x", ".rustic-ai/config.toml"}) {
    CAPTURE(path);
    const tool_result refused = write(work, path, "x", true);
    CHECK_FALSE(refused.success);
    CHECK(contains(refused.error, "do not write"));
  }
  CHECK(write(work, ".github/x", "x").success);
  CHECK(write(work, ".gitignore", "x").success);
  CHECK(work.get(".git/config") == "[core]\n");
  CHECK_FALSE(write(work, "../outside", "x", true).success);
  CHECK_FALSE(fs::exists(work.top / "outside"));
}

TEST_CASE("a write beyond the limit of file sizes fails and changes nothing") {
  test_workspace work;
  work.put("f", "old\n");
  const std::string errors = in_child([&] {
    const rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    // The signal's default would end this process; it must not even stay pending.
    std::string out = write(work, "f", std::string(100'000, 'x'), true).error + "\n";
    out += write(work, "sub/new", std::string(100'000, 'x')).error + "\n";
    sigset_t pending;
    sigpending(&pending);
    out += sigismember(&pending, SIGXFSZ) ? "pending\n" : "quiet\n";
    out += write(work, "small", "fits").output;
    return out;
  });
  CHECK(contains(errors, "cannot write 'f': File too large"));
  CHECK(contains(errors, "the file keeps its old content"));
  CHECK(contains(errors, "no file was made"));
  CHECK(contains(errors, "quiet"));
  CHECK(contains(errors, "Created small"));
  CHECK(work.get("f") == "old\n");
  CHECK_FALSE(work.has("sub/new"));
  CHECK(work.leftovers() == 0);
}

TEST_CASE("a full disk") {
  test_workspace work;
  fs::create_directory(work.root / "disk");
  const std::string disk = (work.root / "disk").string();
  if (::mount("none", disk.c_str(), "tmpfs", 0, "size=64k") != 0) {
    MESSAGE("no right to mount a small disk: the limit of file sizes stands in for it");
    return;
  }
  work.put("disk/f", "old\n");
  const tool_result full = write(work, "disk/f", std::string(200'000, 'x'), true);
  CHECK_FALSE(full.success);
  CHECK(contains(full.error, "No space left on device"));
  CHECK(work.get("disk/f") == "old\n");
  CHECK(work.leftovers() == 0);
  const tool_result edited =
      work.tools.edit({"disk/f", {{"old", std::string(200'000, 'y'), false}}}, work.scope);
  CHECK_FALSE(edited.success);
  CHECK(work.get("disk/f") == "old\n");
  CHECK(write(work, "disk/f", "fits\n", true).success);
  CHECK(::umount(disk.c_str()) == 0);
}

TEST_CASE("a directory without the right to write") {
  test_workspace work;
  work.put("d/f", "old\n");
  fs::permissions(work.root / "d/f", fs::perms(0666));
  fs::permissions(work.root / "d", fs::perms(0555));
  fs::permissions(work.root, fs::perms(0755));
  const std::string error = as_nobody(work, [&] {
    return write(work, "d/f", "new\n", true).error + write(work, "d/sub/x", "new\n").error;
  });
  CHECK(contains(error, "the directory 'd' must be writable"));
  CHECK(contains(error, "cannot make the directory 'sub'"));
  CHECK(work.get("d/f") == "old\n");
  fs::permissions(work.root / "d", fs::perms(0755));
}

TEST_CASE("a reader sees the old content or the new, never a part") {
  test_workspace work;
  const std::string a(300'000, 'a');
  const std::string b(400'000, 'b');
  work.put("f", a);
  std::atomic<bool> stop{false};
  std::atomic<int> torn{0};
  std::atomic<int> reads{0};
  std::thread reader([&] {
    while (!stop) {
      std::ifstream in(work.root / "f", std::ios::binary);
      const std::string seen{std::istreambuf_iterator<char>(in), {}};
      if (seen != a && seen != b) ++torn;
      ++reads;
    }
  });
  for (int i = 0; i < 100 || reads < 20; ++i) {
    if (!write(work, "f", i % 2 ? a : b, true).success) ++torn;
  }
  stop = true;
  reader.join();
  CHECK(torn == 0);
}

TEST_CASE("two writers at once: one after the other, nothing lost") {
  test_workspace work;
  work.put("f", "0\n");
  const auto append = [&](const char* session, char mark) {
    call_scope scope = work.scope;
    scope.session = session;
    for (int i = 0; i < 50; ++i) {
      const tool_result done =
          work.tools.edit({"f", {{"0\n", std::string("0\n") + mark + "\n", false}}}, scope);
      // A session that never read the file is not held to what it knew; its own writes count.
      if (!done.success) {
        (void)work.tools.read({"f"}, scope);
        --i;
      }
    }
  };
  std::thread one([&] { append("s_a", 'a'); });
  std::thread two([&] { append("s_b", 'b'); });
  one.join();
  two.join();
  const std::string text = work.get("f");
  CHECK(std::count(text.begin(), text.end(), 'a') == 50);
  CHECK(std::count(text.begin(), text.end(), 'b') == 50);
  CHECK(work.leftovers() == 0);
}

TEST_CASE("a cancelled write leaves no trace") {
  test_workspace work;
  work.put("f", "old\n");
  int polls = 0;
  work.scope.cancelled = [&] { return ++polls > 2; };
  const tool_result cancelled = write(work, "f", std::string(4'000'000, 'x'), true);
  CHECK(cancelled.cancelled);
  CHECK(work.get("f") == "old\n");
  CHECK(work.leftovers() == 0);
}

TEST_CASE("what is remembered is bounded") {
  limits bounds = test_workspace::test_limits();
  bounds.seen_files_max = 3;
  file_tools tools(bounds);
  test_workspace work;
  for (int i = 0; i < 4; ++i) {
    work.put("f" + std::to_string(i), "x");
    REQUIRE(tools.read({"f" + std::to_string(i)}, work.scope).success);
  }
  CHECK_FALSE(tools.write({"f0", "y", false}, work.scope).success);  // forgotten: refused, not lost
  CHECK(tools.write({"f3", "y", false}, work.scope).success);
}

}  // namespace
}  // namespace rustic::files
