// tests/e2e/plugin_faults_test.cpp - `rustic-ai plugin ...` when it cannot do what it is asked:
// which status, what is said, what is left behind.
#include <doctest/doctest.h>
#include <signal.h>

#include <fstream>

#include "cli_world.hpp"

using namespace rustic;
using namespace rustic::e2e;
namespace fs = std::filesystem;

namespace {
const fs::path hello_file = HELLO_FILE;

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}
std::string bytes_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
fs::path user_plugins(const place& w) {
  return w.home() / ".local/lib/rustic-ai/plugins";
}
fs::path ledger(const place& w) {
  return w.home() / ".local/state/rustic-ai/plugins.json";
}

std::string changed(std::string bytes, std::string_view from, std::string_view to) {
  const auto at = bytes.find(from);
  REQUIRE(at != std::string::npos);
  REQUIRE(from.size() == to.size());
  return bytes.replace(at, from.size(), to);
}

struct row {
  int status;
  std::vector<std::string> words;  // after "plugin"
  const char* said;                // on standard error; of a success on standard output
};

void check_rows(const place& w, const std::vector<row>& rows) {
  for (const auto& one : rows) {
    auto words = one.words;
    words.insert(words.begin(), "plugin");
    std::string line;
    for (const auto& word : words) line += word + " ";
    CAPTURE(line);
    const auto end = run(w, words);
    CAPTURE(end.out);
    CAPTURE(end.err);
    CHECK(end.status == one.status);
    CHECK(contains(one.status == 0 ? end.out : end.err, one.said));
    if (one.status == 0) continue;
    CHECK(end.err.starts_with("rustic-ai: "));
    CHECK(contains(end.err, "\n  "));  // what to do
  }
}

// A shell command that becomes the program.
ended in_shell(const place& w, const std::string& before, const std::string& words) {
  launch how;
  how.program = "/bin/bash";
  how.arguments = {"-c", before + "exec " RUSTIC_AI " " + words};
  return run(w, how);
}
}  // namespace

TEST_CASE("each plugin command ends with the status that the table of exit statuses names") {
  place w;
  const auto hello = hello_file.string();
  w.write(w.work() / "text.so", "no plugin");
  w.write(w.work() / "foreign.so", changed(bytes_of(hello_file), R"("major": 1)", R"("major": 7)"));
  w.write(w.work() / "cut.so", bytes_of(hello_file).substr(0, 4000));
  fs::create_directory(w.work() / "empty");
  fs::create_directory(w.work() / "taken");
  const auto shipped =
      (fs::path(RUSTIC_AI).parent_path().parent_path() / "lib/rustic-ai/plugins/files.so").string();
  check_rows(w, {
                    {2, {}, "see: rustic-ai plugin --help"},
                    {2, {"frobnicate"}, "see: rustic-ai plugin --help"},
                    {2, {"info"}, "see: rustic-ai plugin info --help"},
                    {2, {"install"}, "see: rustic-ai plugin install --help"},
                    {2, {"list", "--output", "xml"}, "see: rustic-ai plugin list --help"},
                    {2, {"install", "nowhere.so"}, "there is no file nowhere.so"},
                    {2, {"install", "empty"}, "there is no plugin in empty"},
                    {3, {"install", "text.so"}, "not an ELF file"},
                    {3, {"install", "cut.so"}, "installing cut.so: "},
                    {3, {"install", "foreign.so"}, "contract"},
                    {3, {"install", shipped}, "of the program itself"},
                    {0, {"install", hello}, "Installed hello-c 1.0.0"},
                    {0, {"install", hello}, "Installed hello-c 1.0.0"},  // and again
                    {2, {"info", "nobody"}, "there is no plugin \"nobody\""},
                    {2, {"remove", "nobody"}, "there is no plugin \"nobody\""},
                    {2, {"remove", "shell"}, "is not in your plugin directory"},
                    {2, {"enable", "nobody"}, "there is no plugin \"nobody\""},
                    {2, {"disable", "nobody"}, "there is no plugin \"nobody\""},
                    {2, {"reload", "nobody"}, "there is no plugin \"nobody\""},
                    {0, {"disable", "hello-c"}, "hello-c is switched off"},
                    {0, {"disable", "hello-c"}, "hello-c is switched off"},
                    {3, {"reload", "hello-c"}, "switched off"},
                    {0, {"enable", "hello-c"}, "hello-c is switched on"},
                    {0, {"reload", "hello-c"}, "hello-c 1.0.0"},
                    {0, {"list"}, "hello-c"},
                    {0, {"info", "hello-c"}, "in a process of its own"},
                    {0, {"doctor"}, "Nothing keeps plugins from working."},
                    {2, {"validate", "nowhere.so"}, "nowhere.so: No such file"},
                    {2, {"validate", "taken"}, "taken: not a file"},
                    {2, {"validate", hello, "--only", "nonsense"}, "no check is named nonsense"},
                    {2, {"validate", hello, "--strictness", "11"}, "11"},
                    {0, {"validate", hello, "--only", "static,manifest"}, "hello-c 1.0.0: "},
                    {2, {"new", "taken"}, "taken exists already"},
                    {2, {"new", "Bad_Name"}, "is no name for one"},
                    {2, {"new", "--kind", "gadget", "mine"}, "gadget"},
                    {2, {"new", "--lang", "cobol", "mine"}, "cobol"},
                    {0, {"new", "mine"}, "cmake"},
                    {0, {"remove", "hello-c"}, "Removed "},
                    {2, {"remove", "hello-c"}, "there is no plugin \"hello-c\""},
                });
  CHECK(run(w, {"plugin", "validate", (w.work() / "text.so").string()}).status == 1);
  w.write(user_plugins(w) / "text.so", "no plugin");
  CHECK(run(w, {"plugin", "doctor"}).status == 3);
  CHECK(run(w, {"plugin", "list"}).status == 0);
}

TEST_CASE("what shows things in JSON shows failures so too") {
  place w;
  const auto of = [&](std::vector<std::string> words, int status) {
    std::string line;
    for (const auto& word : words) line += word + " ";
    CAPTURE(line);
    auto end = run(w, std::move(words));
    CAPTURE(end.out);
    CAPTURE(end.err);
    CHECK(end.status == status);
    const auto object = end.object();  // one and nothing else
    const auto& problem = object_or_empty(object, "error");
    CHECK(problem.empty() == (status == 0));
    if (status != 0) {
      CHECK(text_or(problem, "message") != "");
      CHECK(text_or(problem, "code") != "");
      CHECK(text_or(problem, "hint") != "");
    }
    return object;
  };
  of({"plugin", "info", "nobody", "-o", "json"}, 2);
  of({"plugin", "validate", "nowhere.so", "-o", "json"}, 2);
  of({"plugin", "validate", hello_file.string(), "--only", "nonsense", "-o", "json"}, 2);
  const auto short_of_id = of({"plugin", "info", "-o", "json"}, 2);
  CHECK(text_or(object_or_empty(short_of_id, "error"), "hint") ==
        "see: rustic-ai plugin info --help");
  of({"plugin", "list", "extra", "-o", "json"}, 2);
  of({"plugin", "list", "-o", "json"}, 0);
  of({"plugin", "info", "shell", "-o", "json"}, 0);
  of({"plugin", "validate", hello_file.string(), "--only", "static", "-o", "json"}, 0);
  // What is broken is no reason to say nothing.
  w.write(ledger(w), "{ broken");
  w.write(user_plugins(w) / std::string("\xff\n.so"), "no plugin");
  w.configure("[plugin.shell]\nnonsense ] [");
  CHECK(!array_or_empty(of({"plugin", "list", "-o", "json"}, 0), "plugins").empty());
  of({"plugin", "info", "shell", "-o", "json"}, 0);
  const auto ill = run(w, {"plugin", "doctor", "-o", "json"});
  CHECK(ill.status == 3);
  CHECK(!bool_or(ill.object(), "healthy", true));
}

TEST_CASE("two files with one id: the first by name is used, the other is named") {
  place w;
  w.write(user_plugins(w) / "a.so", bytes_of(hello_file));
  w.write(user_plugins(w) / "b.so", bytes_of(hello_file) + "other bytes");
  const auto list = run(w, {"plugin", "list"});
  CHECK(list.status == 0);
  CHECK(contains(list.out, (user_plugins(w) / "b.so").string()));
  CHECK(contains(list.out, (user_plugins(w) / "a.so").string() + " comes first"));
  const auto about = run(w, {"plugin", "info", "hello-c", "-o", "json"}).object();
  CHECK(text_or(about, "path") == (user_plugins(w) / "a.so").string());
  // An installation goes over the one that is used.
  CHECK(run(w, {"plugin", "install", hello_file.string()}).status == 0);
  CHECK(fs::exists(user_plugins(w) / "b.so"));
  CHECK(!fs::exists(user_plugins(w) / "hello-c.so"));
  CHECK(run(w, {"plugin", "remove", "a.so"}).status == 0);
  CHECK(text_or(run(w, {"plugin", "info", "hello-c", "-o", "json"}).object(), "path") ==
        (user_plugins(w) / "b.so").string());
}

TEST_CASE("a full disk leaves the old file, and nothing half written") {
  place w;
  REQUIRE(run(w, {"plugin", "install", hello_file.string()}).status == 0);
  const auto file = user_plugins(w) / "hello-c.so";
  const auto next = w.work() / "next.so";
  w.write(next, bytes_of(hello_file) + "version 2");
  const auto known = bytes_of(ledger(w));
  const auto end = in_shell(w, "ulimit -f 4; ", "plugin install " + next.string());
  CAPTURE(end.err);
  CHECK(end.status == 1);
  CHECK(contains(end.err, "rustic-ai: writing "));
  CHECK(bytes_of(file) == bytes_of(hello_file));
  CHECK(bytes_of(ledger(w)) == known);
  for (const auto& entry : fs::directory_iterator(user_plugins(w)))
    CHECK(entry.path().filename() == "hello-c.so");
  // What is only remembered.
  const auto off = in_shell(w, "ulimit -f 0; ", "plugin disable hello-c");
  CAPTURE(off.err);
  CHECK(off.status != 0);
  CHECK(off.err.starts_with("rustic-ai: "));
  CHECK(bytes_of(ledger(w)) == known);
}

TEST_CASE("a plugin directory that cannot be made or is none is named") {
  place w;
  w.write(w.home() / ".local/lib/rustic-ai/plugins", "a file");
  const auto end = run(w, {"plugin", "install", hello_file.string()});
  CHECK(end.status == 3);
  CHECK(contains(end.err, "is no directory"));
  CHECK(run(w, {"plugin", "list"}).status == 0);
  fs::remove(w.home() / ".local/lib/rustic-ai/plugins");
  w.environment["HOME"] = "/proc/self";  // where nobody can make anything
  const auto nowhere = run(w, {"plugin", "install", hello_file.string()});
  CAPTURE(nowhere.err);
  CHECK(nowhere.status == 1);
  CHECK(contains(nowhere.err, "/proc/self/.local"));
}

TEST_CASE("Ctrl-C ends a validation and all that it started") {
  place w;
  w.write(w.work() / "tried.so", bytes_of(hello_file));
  launch how;
  how.arguments = {"plugin", "validate", "--strictness", "10", (w.work() / "tried.so").string()};
  cli_process validating(w, how);
  REQUIRE(validating.read_until([](const ended& e) { return contains(e.out, "ok    load."); }));
  validating.signal(SIGINT);  // to it alone, as a supervisor may do it
  const auto end = validating.wait(10'000);
  CHECK(end.in_time);
  CHECK(end.status == 130);
  CHECK(eventually([&] { return processes_with((w.work() / "tried.so").string()).empty(); }));
}
