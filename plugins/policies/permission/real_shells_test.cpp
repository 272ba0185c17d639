// What the reader sees is what real shells run: random lines go through both.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "argv_match.hpp"
#include "shell_command.hpp"

using namespace rustic::permission;
namespace fs = std::filesystem;

namespace {

// A directory with one program, `zz`, that leaves a mark when it runs.
class marked_world {
 public:
  marked_world() {
    std::string name = (fs::temp_directory_path() / "rustic-shells-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    base_ = name;
    fs::create_directory(base_ / "bin");
    fs::create_directory(base_ / "cwd");
    std::ofstream(base_ / "bin/zz") << "#!/bin/sh\n: > '" << mark().string() << "'\n";
    fs::permissions(base_ / "bin/zz", fs::perms::owner_all);
  }
  ~marked_world() {
    std::error_code ignored;
    fs::remove_all(base_, ignored);
  }
  marked_world(const marked_world&) = delete;
  marked_world& operator=(const marked_world&) = delete;

  bool marks(const std::string& shell, const std::string& line) const {
    std::error_code ignored;
    fs::remove(mark(), ignored);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions, 0, 1);
    posix_spawn_file_actions_adddup2(&actions, 0, 2);
    const std::string cwd = (base_ / "cwd").string();
    posix_spawn_file_actions_addchdir_np(&actions, cwd.c_str());
    std::string path = "PATH=" + (base_ / "bin").string() + ":/usr/bin:/bin";
    char* environment[] = {path.data(), nullptr};
    std::string program = shell;
    std::string option = "-c";
    std::string text = line;
    char* arguments[] = {program.data(), option.data(), text.data(), nullptr};
    pid_t pid = 0;
    const int error = ::posix_spawn(&pid, shell.c_str(), &actions, nullptr, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    REQUIRE(error == 0);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return fs::exists(mark());
  }

 private:
  fs::path mark() const { return base_ / "mark"; }
  fs::path base_;
};

}  // namespace

TEST_CASE("no shell runs a program that a complete reading did not see") {
  static constexpr std::string_view pieces[] = {"zz",         " zz ",       " zz ",
                                                "echo ",      " x ",        "\"",
                                                "\"",         "'",          "'",
                                                "\\",         "\\\n",       "$",
                                                "$(",         ")",          "`",
                                                "${",         "}",          "{ ",
                                                "; }",        "<<EOF\n",    "<<'EOF'\n",
                                                "<<-E\n",     "\nEOF\n",    "\nE\n",
                                                "EOF",        "\n",         ";",
                                                " && ",       " || ",       "|",
                                                "&",          "&>",         "&>/dev/null ",
                                                ">",          "<",          ">&",
                                                "<&",         "2>&1 ",      "1",
                                                "<(",         "((",         "$'",
                                                "\\x7a",      "\\'",        "{",
                                                "[[ ",        "[ ",         "if ",
                                                "then ",      "fi",         "for x in ",
                                                "case x in ", " esac ",     "=",
                                                "A=1 ",       "A+=1 ",      "A[0]=1 ",
                                                "sh -c ",     "env ",       "$X",
                                                "$1",         "#",          " #",
                                                "~",          "*",          "2>",
                                                "time ",      "! ",         "eval ",
                                                "\t",         "\r",         "$\"",
                                                "$[",         "]",          ">|",
                                                "<>",         "<<<",        "\xff",
                                                "\x01",       ",",          "..",
                                                "-",          "@(",         "f()",
                                                "${X:-",      "|&",         ";;",
                                                "(",          "\xc2\xa0",   "command ",
                                                "nohup ",     "timeout 5 ", "\\\\",
                                                "/dev/null "};
  const marked_world world;
  std::mt19937 random(20260801);
  for (int round = 0; round < 6000; ++round) {
    std::string line;
    for (auto left = 2 + random() % 14; left > 0; --left)
      line += pieces[random() % std::size(pieces)];
    const shell_command parsed = parse_shell_command(line);
    // Only such lines can be allowed by a rule; they write to no file.
    if (!parsed.complete || occurs_in(parsed, {"zz"}) != likeness::no) continue;
    CAPTURE(line);
    for (const char* shell : {"/bin/sh", "/bin/bash"})
      if (fs::exists(shell)) CHECK_FALSE(world.marks(shell, line));
  }
}
