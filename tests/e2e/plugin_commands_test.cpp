// tests/e2e/plugin_commands_test.cpp - `rustic-ai plugin ...` as a process, with real files.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "cli_world.hpp"

using namespace rustic;
using namespace rustic::e2e;
namespace fs = std::filesystem;

namespace {
const fs::path hello_file = HELLO_FILE;
const fs::path probe_file = PROBE_FILE;

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

ended succeeded(const place& w, std::vector<std::string> words) {
  auto end = run(w, std::move(words));
  CAPTURE(end.out);
  CAPTURE(end.err);
  CHECK(end.status == 0);
  return end;
}
ended failed(const place& w, std::vector<std::string> words, int status) {
  auto end = run(w, std::move(words));
  CAPTURE(end.out);
  CAPTURE(end.err);
  CHECK(end.status == status);
  CHECK(end.err.starts_with("rustic-ai: "));
  return end;
}

std::string bytes_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
// The plugin as another file: what follows the last section is nobody's.
fs::path version_of(const place& w, const fs::path& file, int number) {
  const auto out = w.work() / ("v" + std::to_string(number) + ".so");
  w.write(out, bytes_of(file) + "version " + std::to_string(number));
  return out;
}
fs::path user_plugins(const place& w) {
  return w.home() / ".local/lib/rustic-ai/plugins";
}
fs::path ledger(const place& w) {
  return w.home() / ".local/state/rustic-ai/plugins.json";
}

json::object info(const place& w, const std::string& id) {
  return succeeded(w, {"plugin", "info", id, "-o", "json"}).object();
}
}  // namespace

TEST_CASE("a plugin is installed, shown, used, upgraded and removed") {
  world w({always(fakes::step::looping("hello_c", "{}", 1, "done"))});
  CHECK(contains(succeeded(w, {"plugin", "install", hello_file.string()}).out,
                 "Installed hello-c 1.0.0 as "));
  const auto file = user_plugins(w) / "hello-c.so";
  struct stat of_file {};
  struct stat of_directory {};
  REQUIRE(stat(file.c_str(), &of_file) == 0);
  REQUIRE(stat(user_plugins(w).c_str(), &of_directory) == 0);
  CHECK((of_file.st_mode & 0777) == 0644);
  CHECK((of_directory.st_mode & 0777) == 0755);
  CHECK(bytes_of(file) == bytes_of(hello_file));
  auto about = info(w, "hello-c");
  CHECK(text_or(about, "state") == "ready");
  CHECK(text_or(about, "isolation") == "process");
  CHECK(text_or(about, "from") == "user");
  CHECK(text_or(about, "directory") == user_plugins(w).string());
  CHECK(contains(succeeded(w, {"tools", "list"}).out, "hello_c"));
  CHECK(contains(succeeded(w, {"plugin", "list"}).out, "in a cell"));

  const auto end = w.chat({"--permission-mode", "bypass", "Go"});
  CAPTURE(end.err);
  CHECK(end.status == 0);
  const auto requests = w.server.requests();
  REQUIRE(requests.size() >= 2);
  CHECK(contains(requests[1].body, "Hello from C!"));

  // Another version of it goes over it, whatever its file is called.
  fs::rename(file, user_plugins(w) / "other.so");
  const auto next = version_of(w, hello_file, 2);
  succeeded(w, {"plugin", "install", next.string()});
  CHECK(bytes_of(user_plugins(w) / "other.so") == bytes_of(next));
  CHECK(!fs::exists(file));
  const auto remembered = parse_object(bytes_of(ledger(w)));
  CHECK(object_or_empty(remembered, "trusted").size() == 2);
  for (const auto& entry : fs::directory_iterator(user_plugins(w)))
    CHECK(entry.path().filename() == "other.so");

  succeeded(w, {"plugin", "remove", "hello-c"});
  CHECK(fs::is_empty(user_plugins(w)));
  failed(w, {"plugin", "info", "hello-c"}, 2);
  CHECK(object_or_empty(parse_object(bytes_of(ledger(w))), "trusted").empty());
}

TEST_CASE("a directory of plugins is installed; what is none is named and harms nothing") {
  place w;
  const auto from = w.work() / "built";
  w.write(from / "hello.so", bytes_of(hello_file));
  w.write(from / "probe.so", bytes_of(probe_file));
  w.write(from / "broken.so", bytes_of(probe_file).substr(0, 5000));
  w.write(from / "readme.txt", "no plugin");
  const auto end = run(w, {"plugin", "install", from.string()});
  CHECK(end.status == 3);
  CHECK(contains(end.err, "broken.so"));
  CHECK(fs::exists(user_plugins(w) / "hello-c.so"));
  CHECK(fs::exists(user_plugins(w) / "probe.so"));
  CHECK(!fs::exists(user_plugins(w) / "broken.so"));
  failed(w, {"plugin", "install", (w.work() / "nowhere.so").string()}, 2);
  w.write(w.work() / "text.so", "no plugin");
  CHECK(contains(failed(w, {"plugin", "install", (w.work() / "text.so").string()}, 3).err,
                 "not an ELF file"));
  fs::create_directory(w.work() / "empty");
  failed(w, {"plugin", "install", (w.work() / "empty").string()}, 2);
}

TEST_CASE("install does not take another plugin's place unless it is told to") {
  place w;
  w.write(user_plugins(w) / "hello-c.so", bytes_of(probe_file));
  CHECK(contains(failed(w, {"plugin", "install", hello_file.string()}, 3).err,
                 "is the plugin \"probe\""));
  CHECK(bytes_of(user_plugins(w) / "hello-c.so") == bytes_of(probe_file));
  succeeded(w, {"plugin", "install", "--force", hello_file.string()});
  CHECK(bytes_of(user_plugins(w) / "hello-c.so") == bytes_of(hello_file));
  // One of the program's own.
  const auto files =
      fs::path(RUSTIC_AI).parent_path().parent_path() / "lib/rustic-ai/plugins/files.so";
  CHECK(contains(failed(w, {"plugin", "install", files.string()}, 3).err, "of the program itself"));
  succeeded(w, {"plugin", "install", "-f", files.string()});
  const auto list = succeeded(w, {"plugin", "list", "-o", "json"}).object();
  int shadowed = 0;
  for (const auto& value : array_or_empty(list, "plugins"))
    if (text_or(value.as_object(), "id") == "files" &&
        text_or(value.as_object(), "state") == "shadowed") {
      ++shadowed;
      CHECK(text_or(value.as_object(), "shadowed_by") == (user_plugins(w) / "files.so").string());
    }
  CHECK(shadowed == 1);
  CHECK(contains(succeeded(w, {"plugin", "list"}).out, "comes first"));
}

TEST_CASE("install refuses a directory that others may write to, and one that cannot be written") {
  place w;
  fs::create_directories(user_plugins(w));
  fs::permissions(user_plugins(w), fs::perms::all);
  CHECK(contains(failed(w, {"plugin", "install", hello_file.string()}, 3).err, "chmod go-w"));
  CHECK(fs::is_empty(user_plugins(w)));
  if (geteuid() == 0) return;  // to whom nothing is forbidden
  fs::permissions(user_plugins(w), fs::perms::owner_read | fs::perms::owner_exec);
  failed(w, {"plugin", "install", hello_file.string()}, 3);
}

TEST_CASE("a plugin is switched off and on; configuration has the last word") {
  place w;
  succeeded(w, {"plugin", "disable", "shell"});
  CHECK(text_or(info(w, "shell"), "state") == "disabled");
  CHECK(!contains(succeeded(w, {"tools", "list"}).out, "shell"));
  CHECK(contains(succeeded(w, {"plugin", "list"}).out, "rustic-ai plugin enable shell"));
  succeeded(w, {"plugin", "enable", "shell"});
  CHECK(text_or(info(w, "shell"), "state") == "ready");
  CHECK(contains(succeeded(w, {"tools", "list"}).out, "shell"));
  w.configure("[plugin.shell]\nenabled = false\n");
  CHECK(contains(failed(w, {"plugin", "enable", "shell"}, 3).err, "enabled = false"));
  CHECK(contains(failed(w, {"plugin", "disable", "shel"}, 2).err, "did you mean shell"));
  failed(w, {"plugin", "reload", "shell"}, 3);
}

TEST_CASE("a quarantined plugin is shown and forgiven") {
  place w;
  succeeded(w, {"plugin", "install", hello_file.string()});
  w.write(ledger(w), R"({"version":1,"plugins":{"hello-c":{"quarantined":true,
    "last_death":"SIGSEGV","deaths_unix_ms":[1,2,3]}}})");
  auto about = info(w, "hello-c");
  CHECK(text_or(about, "state") == "quarantined");
  CHECK(int_or(about, "deaths") == 3);
  CHECK(contains(succeeded(w, {"plugin", "list"}).out, "SIGSEGV"));
  const auto ill = run(w, {"plugin", "doctor"});
  CHECK(ill.status == 3);
  CHECK(contains(ill.out, "plugin enable hello-c"));
  CHECK(contains(succeeded(w, {"plugin", "enable", "hello-c"}).out, "forgotten"));
  about = info(w, "hello-c");
  CHECK(text_or(about, "state") == "ready");
  CHECK(int_or(about, "deaths") == 0);
}

TEST_CASE("reload, remove and the rest name what they cannot do") {
  place w;
  CHECK(contains(failed(w, {"plugin", "remove", "shell"}, 2).err, "not in your plugin directory"));
  failed(w, {"plugin", "remove", "nobody"}, 2);
  failed(w, {"plugin", "reload", "nobody"}, 2);
  w.write(user_plugins(w) / "junk.so", "no plugin");
  CHECK(contains(failed(w, {"plugin", "reload", "junk.so"}, 3).err, "not an ELF file"));
  succeeded(w, {"plugin", "remove", "junk.so"});
  CHECK(fs::is_empty(user_plugins(w)));
  succeeded(w, {"plugin", "reload", "shell"});
  const auto known = parse_object(bytes_of(ledger(w)));
  CHECK(int_or(object_or_empty(object_or_empty(known, "plugins"), "shell"), "reloads") == 1);
  w.write(ledger(w), "{ broken");
  CHECK(contains(failed(w, {"plugin", "disable", "shell"}, 2).err, "move "));
  CHECK(contains(run(w, {"plugin", "list"}).err, "cannot be read"));
}

TEST_CASE("with a broken configuration plugins are still listed, installed and examined") {
  place w;
  w.configure("[plugin.shell]\nenabled = \"perhaps\"\nnonsense ] [");
  CHECK(contains(succeeded(w, {"plugin", "list"}).out, "sqlite"));
  succeeded(w, {"plugin", "info", "shell"});
  succeeded(w, {"plugin", "install", hello_file.string()});
  const auto ill = run(w, {"plugin", "doctor"});
  CHECK(ill.status == 3);
  CHECK(contains(ill.out, "rustic-ai config validate"));
}

TEST_CASE("the doctor finds nothing in a good place, and each ailment with what to do about it") {
  place w;
  const auto good = succeeded(w, {"plugin", "doctor"});
  CHECK(contains(good.out, "Nothing keeps plugins from working."));
  CHECK(contains(good.out, "landlock"));
  const auto as_json = succeeded(w, {"plugin", "doctor", "-o", "json"}).object();
  CHECK(bool_or(as_json, "healthy"));

  w.write(user_plugins(w) / "junk.so", "no plugin");
  w.write(user_plugins(w) / "open.so", bytes_of(hello_file));
  fs::permissions(user_plugins(w) / "open.so", fs::perms::all);
  const auto ill = run(w, {"plugin", "doctor"});
  CHECK(ill.status == 3);
  CHECK(contains(ill.out, "not an ELF file"));
  CHECK(contains(ill.out, "chmod go-w " + (user_plugins(w) / "open.so").string()));

  fs::permissions(user_plugins(w), fs::perms::all);
  CHECK(contains(run(w, {"plugin", "doctor"}).out, "others may write to it"));
  fs::permissions(user_plugins(w), fs::perms::owner_all);
  w.configure("[plugins]\npaths = [\"~/nowhere\"]\n[plugin.cell]\nenabled = false\n");
  w.write(user_plugins(w) / "hello.so", bytes_of(hello_file));
  const auto cell = run(w, {"plugin", "doctor"}).out;
  CHECK(contains(cell, "nowhere"));
  CHECK(contains(cell, "it is needed by 1"));
  w.configure("[plugin.http]\nenabled = false\n");
  CHECK(contains(run(w, {"plugin", "doctor"}).out, "nothing offers rustic.http/default"));
}

TEST_CASE("a plugin of a user's directory is not run in the program when there is no cell") {
  world w({always(fakes::step::looping("hello_c", "{}", 1, "done"))});
  succeeded(w, {"plugin", "install", hello_file.string()});
  w.configure("[plugin.cell]\nenabled = false\n");
  const auto end = w.chat({"--permission-mode", "bypass", "Go"});
  CAPTURE(end.err);
  const auto requests = w.server.requests();
  REQUIRE(requests.size() >= 2);
  CHECK(contains(requests[1].body, "has to run in a process of its own"));
  w.configure("[plugin.cell]\nenabled = false\n[plugin.hello-c]\nisolation = \"none\"\n");
  const auto trusted = w.chat({"--permission-mode", "bypass", "Go"});
  CHECK(contains(w.server.requests().back().body, "Hello from C!"));
}

TEST_CASE("directories of the configuration, by text and by table; what is wrong in them is said") {
  place w;
  w.write(w.home() / "mine/hello.so", bytes_of(hello_file));
  w.configure("[plugins]\npaths = [{path = \"~/mine\", isolation = \"none\", dev = true}]\n");
  auto about = info(w, "hello-c");
  CHECK(text_or(about, "isolation") == "none");
  CHECK(text_or(about, "from") == "paths");
  w.configure("[plugins]\npaths = [\"~/mine\"]\ntrusted = [\"hello-c\"]\n");
  CHECK(text_or(info(w, "hello-c"), "isolation") == "none");
  w.configure("[plugins]\npaths = [\"~/mine\"]\n");
  CHECK(text_or(info(w, "hello-c"), "isolation") == "process");
  w.configure("[plugins]\npaths = [{path = \"~/mine\", isolated = true}]\n");
  CHECK(contains(run(w, {"config", "validate"}).out, "isolated"));
  w.configure("[plugins]\npaths = [{path = \"~/mine\", isolation = \"perhaps\"}]\n");
  CHECK(contains(run(w, {"config", "validate"}).out, "process"));
  w.configure("[plugins]\npaths = [{dev = true}]\n");
  CHECK(contains(run(w, {"config", "validate"}).out, "path"));
  w.configure("[plugin.hello-c]\nisolation = \"none\"\n[plugin.hello-c.cell]\nmemory = 5\n");
  CHECK(contains(run(w, {"config", "validate"}).out, "memory"));
}

TEST_CASE("a policy stands where the configuration puts it, and nowhere else") {
  world w({always(fakes::step::looping("hello_c", "{}", 2, "done"))});
  succeeded(w, {"plugin", "install", hello_file.string()});
  CHECK(contains(succeeded(w, {"plugin", "install", BUDGET_FILE}).out,
                 "[plugin.call-budget]\n  before = [\"rustic.tool/*\"]"));
  const std::string refusal = "the session has made its 1 tool calls";
  const auto last_request = [&](const std::string& config) {
    w.configure(config);
    const auto end = w.chat({"--permission-mode", "bypass", "Go"});
    CAPTURE(end.err);
    CHECK(end.status == 0);
    return w.server.requests().back().body;
  };
  CHECK(!contains(last_request("[plugin.call-budget]\ncalls = 1\n"), refusal));
  const std::string placed =
      "[plugin.call-budget]\ncalls = 1\nbefore = [\"rustic.tool/*\"]\norder = 20\n";
  const auto second = last_request(placed);
  CHECK(contains(second, refusal));
  CHECK(contains(second, "Hello from C!"));
  succeeded(w, {"plugin", "disable", "call-budget"});
  CHECK(!contains(last_request(placed), refusal));
  succeeded(w, {"plugin", "enable", "call-budget"});

  // One that is gone refuses what it was to look at.
  succeeded(w, {"plugin", "remove", "call-budget"});
  CHECK(contains(last_request(placed), "is not registered"));

  w.configure("[plugin.call-budget]\nbefore = [\"rustic.tool/*\"]\norder = 300\n");
  CHECK(contains(run(w, {"config", "validate"}).out, "order"));
  w.configure("[plugin.call-budget]\nbefore = [\"tools of all kinds\"]\n");
  CHECK(contains(failed(w, {"chat", "Go"}, 3).err, "[plugin.call-budget] before"));
}

TEST_CASE("an agent has the engine that its configuration names") {
  world w({always(fakes::step::saying("Blue."))});
  CHECK(contains(succeeded(w, {"plugin", "install", ENGINE_FILE}).out,
                 "[agents.NAME]\n  engine = \"brief-agent\""));
  w.configure("[agents.quick]\nengine = \"brief-agent\"\n[agents.usual]\n");
  const auto end = w.chat({"--agent", "quick", "-o", "json", "What colour is the sky?"});
  CAPTURE(end.err);
  CHECK(end.status == 0);
  CHECK(text_or(end.object(), "text") == "Blue.");
  CHECK(text_or(end.object(), "agent") == "quick");
  const auto asked = w.server.requests().back().body;
  CHECK(contains(asked, "Answer in one sentence."));
  CHECK(!contains(asked, "\"tools\""));
  CHECK(w.chat({"--agent", "usual", "And the sea?"}).status == 0);
  CHECK(contains(w.server.requests().back().body, "\"tools\""));

  w.configure("[agents.quick]\nengine = \"nobody\"\n");
  const auto none = w.chat({"What colour is the sky?"});
  CHECK(none.status == 3);
  CHECK(contains(none.err, "[agents.quick] engine names the service rustic.agent/nobody"));
}

TEST_CASE("the lists fit a terminal of 60 columns") {
  place w;
  succeeded(w, {"plugin", "install", hello_file.string()});
  launch how;
  how.program = "/bin/bash";
  how.arguments = {"-c", "script -qec 'stty cols 60; " RUSTIC_AI " plugin list; " RUSTIC_AI
                         " plugin info shell' /dev/null"};
  if (!fs::exists("/usr/bin/script")) return;
  const auto end = run(w, how);
  std::size_t begin = 0, lines = 0;
  while (begin < end.out.size()) {
    auto stop = end.out.find('\n', begin);
    if (stop == std::string::npos) stop = end.out.size();
    auto line = end.out.substr(begin, stop - begin);
    while (line.ends_with('\r')) line.pop_back();
    std::size_t columns = 0;
    for (const char c : line) columns += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
    CAPTURE(line);
    const bool path = line.find('/') != std::string::npos;  // stays whole, to be copied
    CHECK((path || columns <= 60));
    begin = stop + 1;
    ++lines;
  }
  CHECK(lines > 10);
}

TEST_CASE("there is a project of every kind in both languages, under the name that was given") {
  place w;
  for (const std::string kind : {"tool", "provider", "storage", "policy", "engine"})
    for (const std::string lang : {"c", "cpp"}) {
      const auto name = "my-" + kind + "-in-" + lang;
      CAPTURE(name);
      succeeded(w, {"plugin", "new", "--kind", kind, "--lang", lang, name});
      const auto folder = w.work() / name;
      CHECK(contains(bytes_of(folder / "plugin.json"), "\"id\": \"" + name + "\""));
      CHECK(contains(bytes_of(folder / "CMakeLists.txt"), "rustic_add_plugin(" + name));
      CHECK(fs::exists(folder / (lang == "c" ? "plugin.c" : "plugin.cpp")));
    }
  CHECK(fs::exists(w.work() / "my-storage-in-c/my_storage_in_c.c"));
  // A name that one of the project's files has would take that file's place.
  const auto end = failed(w, {"plugin", "new", "--kind", "storage", "--lang", "c", "sessions"}, 2);
  CHECK(contains(end.err, "my-sessions"));
  CHECK_FALSE(fs::exists(w.work() / "sessions"));
}
