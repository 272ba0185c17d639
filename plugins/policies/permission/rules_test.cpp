// Rules over tools, arguments and paths, modes, and what a lasting answer would allow.
#include "rules.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <rustic/status.hpp>

#include "limits.hpp"
#include "pattern.hpp"
#include "question.hpp"

using namespace rustic::permission;
namespace json = rustic::json;
namespace fs = std::filesystem;

namespace {

rule_set rules_of(std::string_view text) {
  return rule_set(json::object{{"rules", json::parse(std::string(text))}});
}

struct folder {
  fs::path path;
  folder() {
    std::string name = (fs::temp_directory_path() / "permission-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = fs::canonical(name);
  }
  ~folder() { fs::remove_all(path); }
};

struct question_about {
  std::string tool;
  json::object arguments;
  std::string workspace = "/w";
  bool read_only = false;
  mode in_mode = mode::normal;
  std::string agent = "main";

  verdict operator()(const rule_set& rules, const std::vector<grant>& grants = {}) const {
    call_request call;
    call.tool = tool;
    call.arguments = &arguments;
    call.agent = agent;
    call.workspace = workspace;
    call.read_only = read_only;
    call.in_mode = in_mode;
    return rules.decide(call, grants);
  }
};

}  // namespace

TEST_CASE("patterns") {
  CHECK(matches_glob("*", ""));
  CHECK(matches_glob("files_*", "files_write"));
  CHECK_FALSE(matches_glob("files_*", "file_write"));
  CHECK(matches_glob("a?c*e", "abcde"));
  CHECK(matches_glob("\\*", "*"));
  CHECK_FALSE(matches_glob("\\*", "x"));
  CHECK_FALSE(matches_glob("", "x"));
  CHECK(matches_path("/w/src/**", "/w/src/a/b"));
  CHECK(matches_path("/w/src/**", "/w/src"));
  CHECK_FALSE(matches_path("/w/src/**", "/w/srcs/a"));
  CHECK(matches_path("/w/*.md", "/w/x.md"));
  CHECK_FALSE(matches_path("/w/*.md", "/w/d/x.md"));
  CHECK(matches_path("/w/**/x", "/w/a/b/x"));
  CHECK(matches_path("/w/**/x", "/w/x"));
  // Time stays bounded by the product of the lengths.
  const std::string stars(200, '*');
  CHECK_FALSE(matches_glob(stars + "b", std::string(4000, 'a')));
  CHECK_FALSE(matches_glob("a*a*a*a*a*a*a*a*a*b", std::string(4000, 'a')));
  CHECK(normal_path("../etc/passwd", "/w") == "/etc/passwd");
  CHECK(normal_path("a/./b/../c/", "/w") == "/w/a/c");
  CHECK(normal_path("//etc", "/w") == "/etc");
  CHECK_FALSE(normal_path("a", ""));
  CHECK(inside("/w/a", "/w"));
  CHECK_FALSE(inside("/wa", "/w"));
}

TEST_CASE("deny beats ask beats allow, whatever the order") {
  const char* allow = R"({"tool":"mcp_*","decision":"allow"})";
  const char* ask = R"({"tool":"mcp_x","decision":"ask"})";
  const char* deny = R"({"tool":"*","decision":"deny","reason":"because"})";
  const question_about call{.tool = "mcp_x", .arguments = {}};
  auto decide = [&](std::vector<const char*> list) {
    std::string text = "[";
    for (const char* one : list) text += (text.size() > 1 ? "," : "") + std::string(one);
    return call(rules_of(text + "]"));
  };
  CHECK(decide({}).what == decision::ask);
  CHECK(decide({allow}).what == decision::allow);
  CHECK(decide({allow, ask}).what == decision::ask);
  CHECK(decide({ask, allow}).what == decision::ask);
  CHECK(decide({deny, ask, allow}).what == decision::deny);
  CHECK(decide({allow, ask, deny}).what == decision::deny);
  CHECK(decide({allow, ask, deny}).reason == "because");
  CHECK(decide({allow, ask, deny}).rule == "rules[2]: deny *");
  question_about read = call;
  read.read_only = true;
  CHECK(read(rules_of("[]")).what == decision::allow);
  CHECK(read(rules_of("[" + std::string(ask) + "]")).what == decision::ask);
  CHECK(read(rules_of("[" + std::string(deny) + "]")).what == decision::deny);
}

TEST_CASE("agents and arguments") {
  const rule_set rules = rules_of(R"([
    {"tool":"mcp_x","agent":"review*","decision":"deny"},
    {"tool":"mcp_x","arguments":{"url":"https://good.example/*"},"decision":"allow"},
    {"tool":"mcp_x","arguments":{"/options/0/force":true},"decision":"deny"}])");
  auto decide = [&](json::object arguments, std::string agent = "main") {
    question_about call{.tool = "mcp_x", .arguments = std::move(arguments)};
    call.agent = std::move(agent);
    return call(rules).what;
  };
  CHECK(decide({{"url", "https://good.example/a"}}) == decision::allow);
  CHECK(decide({{"url", "https://bad.example/a"}}) == decision::ask);
  CHECK(decide({{"url", 1}}) == decision::ask);
  CHECK(decide({}) == decision::ask);
  CHECK(decide({{"url", "https://good.example/a"}}, "reviewer") == decision::deny);
  CHECK(decide({{"url", "https://good.example/a"},
                {"options", json::array{json::object{{"force", true}}}}}) == decision::deny);
  CHECK(decide({{"url", "https://good.example/a"}, {"options", json::array{1}}}) ==
        decision::allow);
}

TEST_CASE("paths are judged where they really lead") {
  folder base;
  const fs::path workspace = base.path / "w";
  fs::create_directories(workspace / "src");
  fs::create_directories(base.path / "outside");
  fs::create_directory_symlink(base.path / "outside", workspace / "link");
  fs::create_symlink(workspace / "loop", workspace / "loop");
  const rule_set rules = rules_of(R"([
    {"tool":"files_write","path":"src/**","decision":"allow"},
    {"tool":"files_write","path":"*.env","decision":"deny"},
    {"tool":"*","path":"secrets","decision":"deny"},
    {"tool":"files_write","path":"link/**","decision":"allow"}])");
  auto decide = [&](std::string path, mode in_mode = mode::normal) {
    question_about call{.tool = "files_write", .arguments = {{"path", path}}};
    call.workspace = workspace.string();
    call.in_mode = in_mode;
    return call(rules).what;
  };
  CHECK(decide("src/a") == decision::allow);
  CHECK(decide("./src/../src/a") == decision::allow);
  CHECK(decide((workspace / "src/a").string()) == decision::allow);
  CHECK(decide("src/../a") == decision::ask);
  CHECK(decide("src/../../outside/a") == decision::ask);
  CHECK(decide("a.env") == decision::deny);
  CHECK(decide("src/deep/.env") == decision::deny);
  CHECK(decide("src/secrets/key") == decision::deny);
  CHECK(decide("secrets") == decision::deny);
  // A link: its own name is allowed, the place behind it is not.
  CHECK(decide("link/a") == decision::ask);
  CHECK(decide("loop/a") == decision::deny);  // cannot be resolved: what forbids applies
  CHECK(decide("") == decision::deny);
  CHECK(decide("other", mode::accept_edits) == decision::allow);
  CHECK(decide("link/a", mode::accept_edits) == decision::ask);
  CHECK(decide("/etc/passwd", mode::accept_edits) == decision::ask);
  CHECK(decide("../outside/a", mode::accept_edits) == decision::ask);
  CHECK(decide("a.env", mode::accept_edits) == decision::deny);
  CHECK(decide("a.env", mode::bypass) == decision::deny);
  CHECK(decide("/etc/passwd", mode::bypass) == decision::allow);
  question_about shell{.tool = "shell", .arguments = {{"command", "ls"}, {"path", "x"}}};
  shell.workspace = workspace.string();
  shell.in_mode = mode::accept_edits;
  CHECK(shell(rules).what == decision::ask);
}

TEST_CASE("an answer about a file covers its directory and no other") {
  folder base;
  fs::create_directories(base.path / "src/deep");
  fs::create_directory_symlink("/", base.path / "src/link");
  const rule_set rules = rules_of("[]");
  auto ask = [&](std::string tool, std::string path, const std::vector<grant>& grants = {}) {
    question_about call{.tool = std::move(tool), .arguments = {{"path", std::move(path)}}};
    call.workspace = base.path.string();
    return call(rules, grants);
  };
  const verdict first = ask("files_write", "src/a");
  REQUIRE(first.what == decision::ask);
  REQUIRE(first.suggestion.size() == 1);
  CHECK(first.suggestion[0].directory == (base.path / "src").string());
  const std::vector<grant>& given = first.suggestion;
  CHECK(ask("files_write", "src/b", given).what == decision::allow);
  CHECK(ask("files_write", "src/deep/b", given).what == decision::allow);
  CHECK(ask("files_write", "src/../b", given).what == decision::ask);
  CHECK(ask("files_write", "srcx/b", given).what == decision::ask);
  CHECK(ask("files_write", "src/link/etc/x", given).what == decision::ask);
  CHECK(ask("files_edit", "src/b", given).what == decision::ask);
  CHECK(ask("files_write", "/x").suggestion.empty());
}

TEST_CASE("what a lasting answer about a command allows") {
  const rule_set rules = rules_of(R"([
    {"tool":"shell","argv":["ls"],"decision":"allow"},
    {"tool":"shell","argv":["rm","-rf"],"decision":"deny"}])");
  auto suggested = [&](std::string command) {
    const question_about call{.tool = "shell", .arguments = {{"command", command}}};
    const verdict why = call(rules);
    CAPTURE(command);
    CHECK(why.what == decision::ask);
    CHECK(why.suggestion.empty() == !why.why_once.empty());
    std::string out;
    for (const grant& one : why.suggestion) out += one.describe() + ";";
    return out;
  };
  CHECK(suggested("git commit -m x") == "shell: `git commit` with any further arguments;");
  CHECK(suggested("git commit -m x && git add .") ==
        "shell: `git commit` with any further arguments;shell: `git add` with any further "
        "arguments;");
  CHECK(suggested("ls && cargo build") == "shell: `cargo build` with any further arguments;");
  CHECK(suggested("timeout 5 npm install x") == "shell: `npm install` with any further arguments;");
  CHECK(suggested("grep x y") == "shell: `grep` with any further arguments;");
  // Never more than the exact command for what runs other things, deletes or changes rights.
  for (const char* exact :
       {"rm a", "python3 x.py", "node -e 1", "sudo apt update", "npm run build", "docker run x",
        "git config a b", "git -C /x status", "git push origin main", "kubectl delete pod x",
        "./deploy.sh prod", "unknown", "find . -name x", "curl http://x", "make", "cargo run",
        "/usr/bin/git commit", "chmod +x a", "bash -c ls"}) {
    CHECK(suggested(exact) == "shell: `" + std::string(exact) + "` exactly;");
  }
  for (const char* once : {"echo $(ls)", "git $X", "PATH=/x git commit", "X=1", "sh x.sh", "rm $X",
                           "rm -r $X", "git commit > f", "eval ls", ""})
    CHECK(suggested(once) == "");
  const question_about elsewhere{
      .tool = "shell", .arguments = {{"command", "git commit"}, {"workdir", "/elsewhere"}}};
  CHECK(elsewhere(rules).suggestion.empty());
  grant given;
  given.tool = "shell";
  given.argv = {"git", "commit"};
  CHECK(elsewhere(rules, {given}).what == decision::ask);
}

TEST_CASE("a grant answers a question of a rule but never a denial") {
  const rule_set rules = rules_of(R"([
    {"tool":"shell","argv":["git","push"],"decision":"ask"},
    {"tool":"shell","argv":["git"],"decision":"allow"},
    {"tool":"shell","argv":["git","push","--force"],"decision":"deny"}])");
  grant exact;
  exact.tool = "shell";
  exact.argv = {"git", "push", "origin"};
  exact.exact = true;
  grant wide = exact;
  wide.argv = {"git"};
  wide.exact = false;
  auto decide = [&](std::string command, const std::vector<grant>& grants) {
    return question_about{.tool = "shell", .arguments = {{"command", command}}}(rules, grants).what;
  };
  CHECK(decide("git push origin", {}) == decision::ask);
  CHECK(decide("git push origin", {exact}) == decision::allow);
  CHECK(decide("git push origin x", {exact}) == decision::ask);
  CHECK(decide("git push origin --force", {wide}) == decision::deny);
  CHECK(decide("git push $X", {wide}) == decision::ask);
  grant other_tool = wide;
  other_tool.tool = "ssh";
  CHECK(decide("git push origin", {other_tool}) == decision::ask);
}

TEST_CASE("further shell tools are named by the configuration and the built-in ones stay") {
  const rule_set rules(json::parse(R"({"shell_tools":{"run_*":"cmd"},
    "rules":[{"tool":"*","argv":["rm"],"decision":"deny"},{"tool":"*","decision":"allow"}]})")
                           .as_object());
  CHECK(question_about{.tool = "run_it", .arguments = {{"cmd", "ls; rm x"}}}(rules).what ==
        decision::deny);
  CHECK(question_about{.tool = "run_it", .arguments = {{"cmd", "ls $(x)"}}}(rules).what ==
        decision::ask);
  CHECK(question_about{.tool = "run_it", .arguments = {{"command", "ls"}}}(rules).what ==
        decision::ask);
  CHECK(question_about{.tool = "shell", .arguments = {{"command", "rm x"}}}(rules).what ==
        decision::deny);
  CHECK(question_about{.tool = "ssh", .arguments = {{"command", "rm x"}}}(rules).what ==
        decision::deny);
}

TEST_CASE("a configuration that cannot be read is refused with the place") {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"mode":"yolo"})", "mode: must be one of default"},
      {R"({"mode":1})", "mode"},
      {R"({"rules":{}})", "rules: must be a list"},
      {R"({"rules":[1]})", "rules[0]: a rule must be a table"},
      {R"({"rules":[{"decision":"deny"}]})", "rules[0]: tool is missing"},
      {R"({"rules":[{"tool":"a"}]})", "decision must be"},
      {R"({"rules":[{"tool":"a","decision":"deny"},{"tool":"b","decision":"DENY"}]})", "rules[1]"},
      {R"({"rules":[{"tool":"a","decision":"deny","arg":1}]})", "unknown member arg"},
      {R"({"rules":[{"tool":"a","decision":"deny","argv":[]}]})", "argv has no words"},
      {R"({"rules":[{"tool":"a","decision":"deny","argv":[1]}]})", "argv must be a list"},
      {R"({"rules":[{"tool":"a","decision":"deny","argv":"rm && ls"}]})", "one plain command"},
      {R"({"rules":[{"tool":"a","decision":"deny","argv":"rm $X"}]})", "one plain command"},
      {R"j({"rules":[{"tool":"a","decision":"deny","argv":"rm $(x)"}]})j", "cannot be read"},
      {R"({"rules":[{"tool":"a","decision":"deny","exact":true,"argv":"rm"}]})", "exact goes with"},
      {R"({"rules":[{"tool":"a","decision":"allow","path":"~/x"}]})", "must not begin with ~"},
      {R"({"rules":[{"tool":"a","decision":"allow","path":"a/../b"}]})", "must not contain .."},
      {R"({"rules":[{"tool":"a","decision":"allow","arguments":{}}]})", "arguments must be"},
      {R"({"rules":[{"tool":"a","decision":"allow","reason":1}]})", "reason must be text"},
      {R"({"shell_tools":["a"]})", "shell_tools"},
      {R"({"edit_tools":[""]})", "edit_tools"},
  };
  for (const auto& wrong : cases) {
    CAPTURE(wrong.first);
    std::string said;
    try {
      const rule_set rules(json::parse(wrong.first).as_object());
    } catch (const rustic::failure& problem) {
      said = problem.problem().message;
      CHECK(problem.problem().code == rustic::status_code::invalid_argument);
    }
    CAPTURE(said);
    CHECK(said.find(wrong.second) != std::string::npos);
  }
}

TEST_CASE("a question hides nothing") {
  CHECK(printable("a\x1b[2Kb\x07\x7f\r") == "a\\x1b[2Kb\\x07\\x7f\\x0d");
  CHECK(printable("a\xc2\x9b"
                  "b") == "a\\u009bb");
  CHECK(printable("x\xe2\x80\xaey") == "x\\u202ey");
  CHECK(printable("x\xef\xbb\xbfy") == "x\\ufeffy");
  CHECK(printable("x\xc2\xady") == "x\\u00ady");
  CHECK(printable("r\xf3\xa0\x81\xadm") == "r\\U000e006dm");
  CHECK(printable("\xf0\x9f\x98\x80") == "\xf0\x9f\x98\x80");
  CHECK(printable("caf\xc3\xa9 \xe2\x82\xac") == "caf\xc3\xa9 \xe2\x82\xac");
  CHECK(printable("a\xff"
                  "b") ==
        "a\xef\xbf\xbd"
        "b");
}

TEST_CASE("sessions in memory are bounded") {
  session_grants sessions;
  grant one;
  one.tool = "x";
  for (std::size_t i = 0; i < max_sessions + 10; ++i) sessions.add("s" + std::to_string(i), {one});
  CHECK(sessions.size() == max_sessions);
  std::vector<grant> many;
  for (std::size_t i = 0; i < max_grants_per_scope + 10; ++i) {
    one.tool = "t" + std::to_string(i);
    merge_grants(many, {one});
  }
  CHECK(many.size() == max_grants_per_scope);
  CHECK(many.back().tool == "t" + std::to_string(max_grants_per_scope + 9));
}

TEST_CASE("a lasting answer does not cover what is fed to a program") {
  const rule_set rules = rules_of(R"([
    {"tool":"shell","argv":["python3"],"exact":true,"decision":"allow"},
    {"tool":"shell","argv":["echo"],"decision":"allow"}])");
  auto decide = [&](std::string command, const std::vector<grant>& grants = {}) {
    return question_about{.tool = "shell", .arguments = {{"command", std::move(command)}}}(rules,
                                                                                           grants);
  };
  CHECK(decide("python3").what == decision::allow);
  CHECK(decide("python3 </dev/null").what == decision::allow);
  std::vector<grant> given(3);
  for (grant& one : given) {
    one.tool = "shell";
    one.exact = true;
  }
  given[0].argv = {"node"};
  given[1].argv = {"./tool"};
  given[2].argv = {"tee", "log"};
  CHECK(decide("node", given).what == decision::allow);
  CHECK(decide("node | tee log", given).what == decision::allow);
  CHECK(decide("echo a; node; ./tool", given).what == decision::allow);
  for (const char* fed :
       {"python3 <<EOF\nimport os\nEOF", "python3 <<< x", "python3 < x.py", "python3 0<x.py",
        "echo 'import os' | python3", "echo x |& python3", "echo x |\npython3",
        "echo x | (python3)", "echo x | { echo y; python3; }", "(python3) < x.py",
        "{ python3; } <<EOF\nx\nEOF", "echo x | timeout 5 python3", "echo x | ! python3",
        "node < x.js", "echo x | node", "echo x | ./tool", "./tool <<EOF\nx\nEOF"}) {
    CAPTURE(fed);
    const verdict why = decide(fed, given);
    CHECK(why.what == decision::ask);
    CHECK(why.suggestion.empty());
    CHECK(why.why_once.find("decides what it does") != std::string::npos);
  }
}

TEST_CASE("a lasting answer about a verb does not cover a use that runs its arguments") {
  const rule_set rules = rules_of("[]");
  grant given;
  given.tool = "shell";
  given.argv = {"git", "fetch"};
  auto decide = [&](std::string command) {
    return question_about{.tool = "shell", .arguments = {{"command", std::move(command)}}}(rules,
                                                                                           {given});
  };
  CHECK(decide("git fetch origin").what == decision::allow);
  const verdict other = decide("git fetch --upload-pack=./x .");
  CHECK(other.what == decision::ask);
  REQUIRE(other.suggestion.size() == 1);
  CHECK(other.suggestion[0].exact);
}

TEST_CASE("a question shows all arguments, and no lasting answer covers those that it leaves out") {
  const rule_set rules = rules_of("[]");
  question_about call{.tool = "ssh_run",
                      .arguments = {{"command", "git fetch"}, {"host", "production"}}};
  const verdict why = call(rules);
  CHECK(why.what == decision::ask);
  CHECK(why.suggestion.empty());
  CHECK(why.why_once.find("`host`") != std::string::npos);
  call_request seen;
  seen.tool = call.tool;
  seen.arguments = &call.arguments;
  const json::object question = make_question(seen, why, true, true);
  CHECK(rustic::text_or(question, "body").find("\"host\":\"production\"") != std::string::npos);
  grant given;
  given.tool = "ssh_run";
  given.argv = {"git", "fetch"};
  CHECK(call(rules, {given}).what == decision::ask);
  question_about plain{.tool = "ssh_run",
                       .arguments = {{"command", "git fetch"}, {"timeout_ms", 5}}};
  CHECK(plain(rules, {given}).what == decision::allow);
}

TEST_CASE("what a path rule denies goes on with the call, as expressions") {
  folder base;
  fs::create_directories(base.path / "w*");
  const std::string workspace = fs::canonical(base.path / "w*").string();
  const rule_set rules = rules_of(R"([
    {"tool":"files_*","path":"secrets","decision":"deny"},
    {"tool":"files_*","path":"a/b?/**","decision":"deny"},
    {"tool":"files_*","path":"/etc/*.d","decision":"deny"},
    {"tool":"files_write","path":"docs/**","decision":"deny"},
    {"tool":"files_*","path":"x/y","decision":"ask"},
    {"tool":"files_*","path":"z","agent":"other","decision":"deny"}])");
  const json::object arguments;
  call_request call;
  call.tool = "files_grep";
  call.arguments = &arguments;
  call.workspace = workspace;
  std::string literal;
  for (char c : workspace) {
    char hex[8];
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) || c == '/';
    std::snprintf(hex, sizeof hex, plain ? "%c" : "\\x%02x", c);
    literal += hex;
  }
  CHECK(rules.withheld(call) == std::vector<std::string>{
                                    "(?:^|/)secrets(?:/|$)",
                                    "^" + literal + "/a/b[^/](?:/[^/]+)*(?:/|$)",
                                    "^/etc/[^/]*\\x2ed(?:/|$)",
                                });
  call.tool = "shell";
  CHECK(rules.withheld(call).empty());
}

TEST_CASE("what forbids a directory forbids what is in it") {
  const rule_set rules = rules_of(R"([
    {"tool":"files_read","path":"a/secrets","decision":"deny"},
    {"tool":"files_write","path":"a/docs","decision":"allow"}])");
  auto decide = [&](std::string tool, std::string path) {
    question_about call{.tool = std::move(tool), .arguments = {{"path", std::move(path)}}};
    call.workspace = "/w";
    return call(rules).what;
  };
  CHECK(decide("files_read", "a/secrets") == decision::deny);
  CHECK(decide("files_read", "a/secrets/") == decision::deny);
  CHECK(decide("files_read", "a/x/../secrets/deep/key") == decision::deny);
  CHECK(decide("files_write", "a/docs") == decision::allow);
  CHECK(decide("files_write", "a/docs/x") == decision::ask);
}
