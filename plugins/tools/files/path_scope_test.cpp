// Confinement: every way out that a path can take, and races against it.
#include "path_scope.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <thread>

#include "test_workspace.hpp"

namespace rustic::files {
namespace {

namespace fs = std::filesystem;

path_scope scope_of(const test_workspace& work, const std::vector<std::string>& roots = {}) {
  auto scope = path_scope::open(work.root.string(), roots);
  REQUIRE(scope.has_value());
  return std::move(*scope);
}

TEST_CASE("paths inside are resolved without links") {
  test_workspace work;
  work.put("src/a.txt", "a");
  fs::create_symlink("src", work.root / "link");
  fs::create_symlink(work.root / "src", work.root / "absolute");
  fs::create_symlink("../src/a.txt", work.root / "src" / "up");
  const path_scope scope = scope_of(work);
  const std::string wanted = (fs::canonical(work.root) / "src/a.txt").string();
  for (const std::string& path :
       {std::string("src/a.txt"), std::string("./src//a.txt"), std::string("link/a.txt"),
        std::string("absolute/a.txt"), std::string("src/up"), std::string("src/../link/./a.txt"),
        std::string("../work/src/a.txt"), (work.root / "src/a.txt").string(),
        (work.root / "absolute/up").string()}) {
    CAPTURE(path);
    auto at = scope.locate(path);
    REQUIRE(at.has_value());
    CHECK(at->path == wanted);
    CHECK(at->shown == "src/a.txt");
    CHECK(at->exists);
    CHECK(open_regular(*at).has_value());
  }
  CHECK(scope.locate(".")->shown == ".");
  CHECK(scope.locate("src/..")->path == fs::canonical(work.root).string());
}

TEST_CASE("paths that leave are refused and name the roots") {
  test_workspace work;
  std::ofstream(work.top / "secret") << "secret";
  fs::create_directory(work.top / "workaround");  // shares the beginning of the root's name
  std::ofstream(work.top / "workaround/x") << "x";
  fs::create_symlink("../secret", work.root / "relative");
  fs::create_symlink(work.top / "secret", work.root / "absolute");
  fs::create_symlink(work.top, work.root / "up");
  fs::create_symlink("chain2", work.root / "chain1");
  fs::create_symlink("up/secret", work.root / "chain2");
  fs::create_symlink("/proc/self/root/etc/passwd", work.root / "magic");
  fs::create_directory(work.root / "d");
  const path_scope scope = scope_of(work);
  for (const std::string& path :
       {std::string(".."), std::string("../secret"), std::string("d/../../secret"),
        std::string("relative"), std::string("absolute"), std::string("up/secret"),
        std::string("chain1"), std::string("/etc/passwd"), std::string("/"), std::string("magic"),
        std::string("../workaround/x"), (work.top / "workaround/x").string(),
        std::string("missing/../../secret"), std::string("up/missing"),
        std::string("/proc/self/environ")}) {
    CAPTURE(path);
    auto at = scope.locate(path);
    REQUIRE_FALSE(at.has_value());
    if (path.rfind("missing", 0) != 0) {
      CHECK(at.error().why == reason::outside);
      CHECK(contains(at.error().message, fs::canonical(work.root).string()));
      CHECK(contains(at.error().message, path));
    }
  }
}

TEST_CASE("several roots, and links between them") {
  test_workspace work;
  const fs::path other = work.top / "other";
  fs::create_directory(other);
  std::ofstream(other / "o.txt") << "o";
  fs::create_symlink(other, work.root / "to_other");
  fs::create_symlink(other, work.top / "spelled");
  CHECK_FALSE(scope_of(work).locate("to_other/o.txt").has_value());
  const path_scope scope = scope_of(work, {(work.top / "spelled").string(), "/does/not/exist"});
  for (const std::string& path :
       {std::string("to_other/o.txt"), std::string("../other/o.txt"), (other / "o.txt").string(),
        (work.top / "spelled/o.txt").string()}) {
    CAPTURE(path);
    auto at = scope.locate(path);
    REQUIRE(at.has_value());
    CHECK(at->shown == (fs::canonical(other) / "o.txt").string());
  }
}

TEST_CASE("malformed paths, loops and depth") {
  test_workspace work;
  fs::create_symlink("loop", work.root / "loop");
  work.put("file", "x");
  const path_scope scope = scope_of(work);
  CHECK(scope.locate("").error().why == reason::invalid);
  CHECK(scope.locate(std::string("a\0b", 3)).error().why == reason::invalid);
  CHECK(scope.locate(std::string(5000, 'a')).error().why == reason::invalid);
  CHECK_FALSE(scope.locate(std::string(300, 'a')).has_value());  // longer than a name may be
  CHECK(contains(scope.locate("loop").error().message, "links"));
  CHECK(contains(scope.locate("file/below").error().message, "not a directory"));
  CHECK(contains(scope.locate("~/x").error().message, "not expanded"));
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "d/";
  auto at = scope.locate(deep + "x");
  REQUIRE(at.has_value());
  CHECK_FALSE(at->exists);
  CHECK(at->missing.size() == 1000);
  CHECK_FALSE(path_scope::open("relative", {}).has_value());
  CHECK_FALSE(path_scope::open("/does/not/exist", {}).has_value());
}

TEST_CASE("what is not a regular file is refused without opening it") {
  test_workspace work;
  REQUIRE(::mkfifo((work.root / "fifo").c_str(), 0600) == 0);
  const int socket_fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = (work.root / "socket").string();
  REQUIRE(name.size() < sizeof address.sun_path);
  name.copy(address.sun_path, name.size());
  REQUIRE(::bind(socket_fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  for (const char* path : {"fifo", "socket"}) {
    const tool_result read = work.call("files_read", R"({"path":")" + std::string(path) + "\"}");
    CHECK_FALSE(read.success);
    CHECK(contains(read.error, "only regular files"));
    const tool_result write = work.call(
        "files_write", R"({"path":")" + std::string(path) + R"(","content":"x","overwrite":true})");
    CHECK_FALSE(write.success);
    CHECK_FALSE(
        work.call("files_grep", R"({"pattern":"x","path":")" + std::string(path) + "\"}").success);
  }
  ::close(socket_fd);
  CHECK(work.call("files_grep", R"({"pattern":"x"})").success);  // a walk passes over them
  call_scope all = work.scope;
  all.roots = {"/"};
  for (const char* path : {"/dev/zero", "/proc/self/environ", "/proc/self/fd/0", "/proc/self/exe",
                           "/proc/self/cwd/x", "/proc"}) {
    CAPTURE(path);
    const tool_result read = work.tools.read({path}, all);
    CHECK_FALSE(read.success);
    CHECK(read.output.empty());
  }
  CHECK_FALSE(work.tools.list({"/proc/self"}, all).success);
}

TEST_CASE("a component that is swapped for a link meanwhile never leads outside") {
  test_workspace work;
  std::ofstream(work.top / "secret.txt") << "secret";
  work.put("d/secret.txt", "inside");
  fs::create_symlink(work.top, work.root / "evil");
  std::atomic<bool> stop{false};
  std::thread swapper([&] {
    const std::string d = (work.root / "d").string();
    const std::string evil = (work.root / "evil").string();
    while (!stop) {
      ::renameat2(AT_FDCWD, d.c_str(), AT_FDCWD, evil.c_str(), RENAME_EXCHANGE);
    }
  });
  std::size_t inside = 0;
  std::size_t refused = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while ((inside < 200 || refused < 200) && std::chrono::steady_clock::now() < deadline) {
    const tool_result read =
        work.call("files_read", R"({"path":"d/secret.txt","line_numbers":false})");
    if (read.success) {
      REQUIRE(read.output == "inside\n");
      ++inside;
    } else {
      ++refused;
    }
    const tool_result write =
        work.call("files_write", R"({"path":"d/new.txt","content":"x","overwrite":true})");
    (void)write;
    const tool_result found = work.call("files_grep", R"({"pattern":"secret"})");
    REQUIRE_FALSE(contains(found.output, "secret.txt"));
  }
  stop = true;
  swapper.join();
  CHECK(inside >= 200);
  CHECK(refused >= 200);
  CHECK_FALSE(fs::exists(work.top / "new.txt"));
}

TEST_CASE("a file that is swapped for a link or a FIFO meanwhile") {
  test_workspace work;
  std::ofstream(work.top / "secret") << "secret";
  work.put("f", "inside");
  fs::create_symlink(work.top / "secret", work.root / "l");
  REQUIRE(::mkfifo((work.root / "p").c_str(), 0600) == 0);
  std::atomic<bool> stop{false};
  std::thread swapper([&] {
    const std::string f = (work.root / "f").string();
    const std::string l = (work.root / "l").string();
    const std::string p = (work.root / "p").string();
    while (!stop) {
      ::renameat2(AT_FDCWD, f.c_str(), AT_FDCWD, l.c_str(), RENAME_EXCHANGE);
      ::renameat2(AT_FDCWD, f.c_str(), AT_FDCWD, p.c_str(), RENAME_EXCHANGE);
    }
  });
  std::size_t inside = 0;
  for (int i = 0; i < 3000; ++i) {
    const tool_result read = work.call("files_read", R"({"path":"f","line_numbers":false})");
    if (read.success) {
      REQUIRE(read.output == "inside\n");
      ++inside;
    }
  }
  stop = true;
  swapper.join();
  CHECK(inside > 0);
}

}  // namespace
}  // namespace rustic::files
