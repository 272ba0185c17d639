// A real directory for tests, with a scope that points to it. Gone with the object.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "file_tools.hpp"

namespace rustic::files {

class test_workspace {
 public:
  explicit test_workspace(const char* session = "s_1") {
    std::string name = (std::filesystem::temp_directory_path() / "rustic-files-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    top = name;
    root = top / "work";
    std::filesystem::create_directory(root);
    scope.session = session;
    scope.workspace = root.string();
  }
  ~test_workspace() {
    std::error_code ignored;
    std::filesystem::permissions(root, std::filesystem::perms::owner_all, ignored);
    std::filesystem::remove_all(top, ignored);
  }
  test_workspace(const test_workspace&) = delete;
  test_workspace& operator=(const test_workspace&) = delete;

  void put(const std::filesystem::path& path, std::string_view content) const {
    const std::filesystem::path whole = root / path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream out(whole, std::ios::binary | std::ios::trunc);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
    out.close();
    REQUIRE(out.good());
  }
  std::string get(const std::filesystem::path& path) const {
    std::ifstream in(root / path, std::ios::binary);
    REQUIRE(in.good());
    return {std::istreambuf_iterator<char>(in), {}};
  }
  bool has(const std::filesystem::path& path) const {
    return std::filesystem::exists(std::filesystem::symlink_status(root / path));
  }
  // How many entries there are beside the ones that a test made: left-over temporary files.
  std::size_t leftovers() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(top)) {
      if (entry.path().filename().string().rfind(".rustic-", 0) == 0) ++count;
    }
    return count;
  }
  // Calls a tool with its arguments as JSON text.
  tool_result call(std::string_view tool, std::string_view arguments) {
    return tools.call(tool, boost::json::parse(std::string(arguments)).as_object(), scope);
  }

  std::filesystem::path top;   // holds the workspace, and what lies outside it
  std::filesystem::path root;  // the workspace
  call_scope scope;
  file_tools tools{test_limits()};

  static limits test_limits() {
    limits bounds;
    bounds.sync = false;
    return bounds;
  }
};

// What `work` returns in a child process, which runs it with the rights of nobody when we are root,
// so that tests of missing rights work everywhere.
template <class Work>
std::string in_child(Work run) {
  int ends[2] = {};
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const std::string text = run();
    const ssize_t written = ::write(ends[1], text.data(), text.size());
    ::_exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string out;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
    out.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  return out;
}

template <class Work>
std::string as_nobody(const test_workspace& work, Work run) {
  std::filesystem::permissions(work.top, std::filesystem::perms(0755));
  return in_child([&]() -> std::string {
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) return "no setuid";
    return run();
  });
}

// Processor time of this thread: what a busy machine does not stretch.
inline double thread_seconds() {
  std::timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

}  // namespace rustic::files
