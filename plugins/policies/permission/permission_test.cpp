// The plugin in a kernel: what runs, what is asked, what is remembered, what is refused.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "test_world.hpp"

using namespace rustic;
using rustic::permission::testing::fake_storage;
using rustic::permission::testing::world;

namespace {

std::string message(const world::outcome& out) {
  return std::string(text_or(out.body, "message"));
}
bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}
json::object rules(std::string_view text) {
  return {{"rules", json::parse(std::string(text))}};
}
std::vector<std::string> choices(const json::object& question) {
  std::vector<std::string> out;
  for (const json::value& one : array_or_empty(question, "choices"))
    out.emplace_back(text_or(one.as_object(), "id"));
  return out;
}

}  // namespace

TEST_CASE("what is allowed runs silently and comes back unchanged") {
  world w(rules(R"([{"tool":"shell","argv":"git status","decision":"allow"}])"));
  auto read = w.start("files_read", {{"path", "x"}});
  const world::outcome out = w.end(*read);
  CHECK(out.status == status_code::ok);
  CHECK(text_or(out.body, "output") == "done");
  CHECK(out.output == "hello");
  CHECK(out.permissions.empty());
  CHECK(w.end(*w.shell("git status -s")).status == status_code::ok);

  auto failing = w.start("files_read", {{"path", "fail"}});
  const world::outcome failed = w.end(*failing);
  CHECK(failed.status == status_code::unavailable);
  CHECK(message(failed) == "broken");
  CHECK(object_or_empty(failed.body, "details").at("a") == 1);
  CHECK(failed.output == "hello");
}

TEST_CASE("other methods pass and the interceptor itself answers nobody") {
  world w;
  auto other = w.raw("shell", "{}", "{}", "describe");
  CHECK(w.end(*other).status == status_code::ok);
  runtime::root_call direct(w.kernel(), "rustic.interceptor/permission", "call", "{}", "{}");
  CHECK(direct.result().status != status_code::ok);
}

TEST_CASE("nobody to ask is a denial at once") {
  world w;
  SUBCASE("no front end") {
    auto call = w.shell("make");
    const world::outcome out = w.end(*call);
    CHECK(out.status == status_code::permission_denied);
    CHECK(contains(message(out), "nobody can be asked"));
    CHECK(contains(message(out), "Do not make the same call again"));
    CHECK(contains(text_or(out.body, "hint"), "--permission-mode"));
    const json::object& details = object_or_empty(out.body, "details");
    CHECK(text_or(details, "kind") == "permission");
    CHECK(text_or(details, "decision") == "deny");
    REQUIRE(out.permissions.size() == 1);
    CHECK(text_or(out.permissions[0], "type") == "permission");
    CHECK(text_or(out.permissions[0], "id") == "call_1");
    CHECK(text_or(out.permissions[0], "name") == "shell");
    CHECK(text_or(out.permissions[0], "decision") == "deny");
  }
  SUBCASE("a run without a terminal") {
    w.person();
    for (const json::value& no : {json::value(false), json::value("yes"), json::value(1)}) {
      json::object scope = w.scope();
      scope["interactive"] = no;
      auto call = w.shell("make", scope);
      CHECK(w.end(*call).status == status_code::permission_denied);
    }
    CHECK(w.asked() == 0);
  }
  CHECK(w.ran().empty());
}

TEST_CASE("once is once") {
  fake_storage storage;
  world w({}, &storage);
  w.person();
  for (int i = 0; i < 2; ++i) {
    auto call = w.shell("git commit -m x");
    const json::object question = w.answer("once");
    CHECK(text_or(question, "kind") == "permission");
    CHECK(text_or(question, "tool") == "shell");
    CHECK(contains(text_or(question, "body"), "git commit -m x"));
    CHECK(contains(text_or(question, "suggestion"), "git commit"));
    CHECK(choices(question) == std::vector<std::string>{"once", "session", "project", "deny"});
    const world::outcome out = w.end(*call);
    CHECK(out.status == status_code::ok);
    REQUIRE(out.permissions.size() == 1);
    CHECK(text_or(out.permissions[0], "decision") == "allow");
  }
  CHECK(w.asked() == 2);
  CHECK(storage.puts == 0);
}

TEST_CASE("an answer for the session holds in that session, also after a resume") {
  fake_storage storage;
  {
    world w({}, &storage);
    w.person();
    auto call = w.shell("git commit -m x");
    w.answer("session");
    CHECK(w.end(*call).status == status_code::ok);
    CHECK(w.end(*w.shell("git commit --amend")).status == status_code::ok);
    CHECK(w.asked() == 1);
    // Neither another verb, nor a chain, nor what is not understood, nor another session.
    for (const char* other : {"git stash", "git commit && make", "git commit $(make)",
                              "LD_PRELOAD=x git commit", "sudo git commit"}) {
      auto asked = w.shell(other);
      w.answer("deny");
      CHECK(w.end(*asked).status == status_code::permission_denied);
    }
    auto elsewhere = w.shell("git commit", w.scope("s2"));
    w.answer("deny");
    CHECK(w.end(*elsewhere).status == status_code::permission_denied);
  }
  world again({}, &storage);
  CHECK(again.end(*again.shell("git commit -q")).status == status_code::ok);
  CHECK(again.end(*again.shell("git commit -q", again.scope("s2"))).status ==
        status_code::permission_denied);
}

TEST_CASE("an answer for a project belongs to the directory and not to a link that leads to it") {
  namespace fs = std::filesystem;
  std::string name = (fs::temp_directory_path() / "rustic-permission-XXXXXX").string();
  REQUIRE(::mkdtemp(name.data()) != nullptr);
  const fs::path base = name;
  fs::create_directory(base / "a");
  fs::create_directory(base / "b");
  fs::create_directory_symlink("a", base / "current");
  const std::string link = (base / "current").string();
  fake_storage storage;
  world w({}, &storage);
  w.person();
  auto call = w.shell("make", w.scope("s1", link));
  w.answer("project");
  CHECK(w.end(*call).status == status_code::ok);
  CHECK(w.end(*w.shell("make", w.scope("s2", (base / "a").string()))).status == status_code::ok);
  CHECK(w.asked() == 1);
  fs::remove(base / "current");
  fs::create_directory_symlink("b", base / "current");
  auto other = w.shell("make", w.scope("s3", link));
  w.answer("deny");
  CHECK(w.end(*other).status == status_code::permission_denied);
  fs::remove_all(base);
}

TEST_CASE(
    "an answer for the project holds in that workspace, with its audit, outside the project") {
  fake_storage storage;
  world w({}, &storage);
  w.person();
  auto call = w.shell("python3 build.py --fast");
  const json::object question = w.answer("project");
  CHECK(contains(text_or(question, "suggestion"), "exactly"));
  CHECK(w.end(*call).status == status_code::ok);
  CHECK(w.end(*w.shell("python3 build.py --fast", w.scope("s2"))).status == status_code::ok);
  CHECK(w.asked() == 1);
  auto other = w.shell("python3 build.py --slow", w.scope("s2"));
  w.answer("deny");
  CHECK(w.end(*other).status == status_code::permission_denied);
  auto elsewhere = w.shell("python3 build.py --fast", w.scope("s2", "/w2"));
  w.answer("deny");
  CHECK(w.end(*elsewhere).status == status_code::permission_denied);

  REQUIRE(storage.values.contains("project:/w grants"));
  const json::object& kept = storage.values["project:/w grants"].first.as_object();
  const json::object& one = kept.at("grants").as_array().at(0).as_object();
  CHECK(text_or(one, "session") == "s1");
  CHECK(int_or(one, "granted_at_ms") == 1764000000000);
  CHECK(contains(text_or(one, "asked"), "python3 build.py"));
  CHECK(one.at("argv") == json::array{"python3", "build.py", "--fast"});
}

TEST_CASE("a refusal reaches the model with the person's reason") {
  world w;
  w.person();
  auto call = w.start("mcp_thing", {{"x", 1}});
  w.answer("deny", "use the other one");
  const world::outcome out = w.end(*call);
  CHECK(out.status == status_code::permission_denied);
  CHECK(contains(message(out), "use the other one"));
  CHECK(w.ran().empty());
}

TEST_CASE("what is no answer is a denial") {
  world w(json::object{{"ask_timeout", "200ms"}});
  w.person();
  for (const char* body : {"{}", R"({"answer":"yes"})", R"({"answer":1})", R"({"answer":""})",
                           "junk", R"({"answer":"project"})"}) {
    CAPTURE(body);
    auto call = w.shell("echo $(x)");
    w.next_question().answer(status_code::ok, body);
    CHECK(w.end(*call).status == status_code::permission_denied);
  }
  for (const status_code code :
       {status_code::internal, status_code::unavailable, status_code::not_found}) {
    auto call = w.shell("make");
    w.next_question().answer(code, R"({"message":"no"})");
    CHECK(w.end(*call).status == status_code::permission_denied);
  }
  auto late = w.shell("make");
  const world::outcome out = w.end(*late);
  CHECK(out.status == status_code::permission_denied);
  CHECK(contains(message(out), "got no answer"));
  CHECK(w.ran().empty());
}

TEST_CASE("questions of a session come one after another and one answer settles several") {
  fake_storage storage;
  world w({}, &storage);
  w.person();
  std::vector<std::unique_ptr<runtime::root_call>> calls;
  constexpr int count = 200;
  for (int i = 0; i < count; ++i) calls.push_back(w.shell("git commit -m " + std::to_string(i)));
  auto other_session = w.shell("git commit", w.scope("s2"));
  CHECK(w.open_questions() == 2);
  w.answer("session");
  w.answer("once");
  for (auto& call : calls) CHECK(w.end(*call).status == status_code::ok);
  CHECK(w.end(*other_session).status == status_code::ok);
  CHECK(w.asked() == 2);

  // "once" settles its own call only: the next one is asked then.
  auto first = w.shell("make a");
  auto second = w.shell("make b");
  CHECK(w.open_questions() == 1);
  w.answer("once");
  w.answer("deny");
  CHECK(w.end(*first).status == status_code::ok);
  CHECK(w.end(*second).status == status_code::permission_denied);
}

TEST_CASE("more waiting questions than the limit are denied") {
  world w;
  w.person();
  std::vector<std::unique_ptr<runtime::root_call>> calls;
  for (int i = 0; i < 256; ++i) calls.push_back(w.shell("make"));
  auto over = w.shell("make");
  CHECK(w.end(*over).status == status_code::permission_denied);
  for (auto& call : calls) call->cancel();
  for (auto& call : calls) CHECK(w.end(*call).status == status_code::cancelled);
  auto after = w.shell("make");
  while (true) {
    const world::question asked = w.next_question();
    asked.answer(status_code::ok, R"({"answer":"once"})");
    if (after->finished()) break;
    if (w.open_questions() == 0) break;
  }
  CHECK(w.end(*after).status == status_code::ok);
}

TEST_CASE("cancelling ends a question and a wait for one") {
  world w;
  w.person();
  auto first = w.shell("make a");
  auto second = w.shell("make b");
  auto third = w.shell("make c");
  second->cancel();
  CHECK(w.end(*second).status == status_code::cancelled);
  first->cancel();
  CHECK(w.end(*first).status == status_code::cancelled);
  CHECK(w.wait_cancelled_question());
  const world::question cancelled = w.next_question();
  const json::object question = w.answer("once");
  CHECK(contains(text_or(question, "body"), "make c"));
  CHECK(w.end(*third).status == status_code::ok);
  // A late answer to the cancelled one runs nothing.
  cancelled.answer(status_code::ok, R"({"answer":"once"})");
  CHECK(w.ran().size() == 1);
}

TEST_CASE("a person who interrupts cancels the call") {
  world w;
  w.person();
  auto call = w.shell("make");
  w.next_question().answer(status_code::cancelled, R"({"message":"interrupted"})");
  CHECK(w.end(*call).status == status_code::cancelled);
  CHECK(w.ran().empty());
}

TEST_CASE("a storage that fails keeps the answer in memory and says so") {
  fake_storage storage;
  world w({}, &storage);
  w.person();
  storage.broken = status_code::unavailable;
  auto call = w.shell("git commit");
  w.answer("session");
  CHECK(w.end(*call).status == status_code::ok);
  CHECK(w.warned("could not be stored"));
  CHECK(w.end(*w.shell("git commit")).status == status_code::ok);
  CHECK(w.asked() == 1);
}

TEST_CASE("no storage at all: the answer holds in the session") {
  world w;
  w.person();
  auto call = w.shell("git commit");
  w.answer("project");
  CHECK(w.end(*call).status == status_code::ok);
  CHECK(w.warned("could not be stored"));
  CHECK(w.end(*w.shell("git commit")).status == status_code::ok);
}

TEST_CASE("answers of another process are kept and what cannot be read allows nothing") {
  fake_storage storage;
  world w({}, &storage);
  w.person();
  storage.conflicts = 3;
  auto call = w.shell("git commit");
  w.answer("project");
  CHECK(w.end(*call).status == status_code::ok);
  CHECK(storage.values.contains("project:/w grants"));

  for (const char* bad :
       {R"({"version":2,"grants":[{"tool":"shell"}]})", R"({"grants":[{"tool":"shell"}]})",
        R"("x")", R"({"version":1,"grants":[{"tool":"shell","argv":[],"exact":false}]})",
        R"({"version":1,"grants":[{"tool":"shell","argv":["make"],"exact":false,"until":1}]})",
        R"({"version":1,"grants":[{"tool":"shell","argv":["make",1],"exact":false}]})",
        R"({"version":1,"grants":[{"tool":"shell","argv":["make"]}]})",
        R"({"version":1,"grants":[{"tool":"shell"}]})"}) {
    CAPTURE(bad);
    storage.values["project:/bad grants"] = {json::parse(bad), 1};
    auto asked = w.shell("make", w.scope("s9", "/bad"));
    w.answer("deny");
    CHECK(w.end(*asked).status == status_code::permission_denied);
  }
}

TEST_CASE("rules that cannot be read deny every tool") {
  world w(rules(R"([{"tool":"shell","decision":"maybe"}])"));
  w.person();
  for (const char* tool : {"files_read", "shell"}) {
    auto call = w.start(tool, {{"path", "x"}, {"command", "ls"}});
    const world::outcome out = w.end(*call);
    CHECK(out.status != status_code::ok);
    CHECK(contains(message(out), "rules[0]"));
  }
  CHECK(w.ran().empty());
}

TEST_CASE("a call or a context that cannot be read is denied") {
  world w(json::object{{"mode", "bypass"}});
  for (const char* body : {"{}", R"({"id":"a"})", R"({"arguments":[]})", R"({"arguments":null})"}) {
    CAPTURE(body);
    auto call = w.raw("files_read", body, "{}");
    CHECK(w.end(*call).status == status_code::permission_denied);
  }
  for (const char* context :
       {R"({"permission_mode":"all"})", R"({"permission_mode":7})", "junk", "[]"}) {
    CAPTURE(context);
    auto call = w.raw("files_read", R"({"arguments":{}})", context);
    CHECK(w.end(*call).status == status_code::permission_denied);
  }
  CHECK(w.ran().empty());
}

TEST_CASE("what was judged is what runs") {
  world w(rules(R"([{"tool":"shell","argv":["ls"],"decision":"allow"}])"));
  auto call = w.raw("shell", R"({"arguments":{"command":"rm x","command":"ls"}})", "{}");
  CHECK(w.end(*call).status == status_code::ok);
  REQUIRE(w.ran().size() == 1);
  CHECK_FALSE(contains(w.ran()[0], "rm x"));
}

TEST_CASE("the mode of the context wins, and read-only holds for every tool") {
  world w(json::object{{"mode", "bypass"},
                       {"rules", json::array{json::object{{"tool", "*"}, {"decision", "allow"}}}}});
  w.person();
  CHECK(w.end(*w.shell("make $(x)")).status == status_code::ok);
  json::object scope = w.scope();
  scope["permission_mode"] = "read-only";
  for (const char* tool : {"shell", "files_write", "files_edit", "mcp_thing"}) {
    auto call = w.start(tool, {{"command", "ls"}, {"path", "x"}}, scope);
    const world::outcome out = w.end(*call);
    CHECK(out.status == status_code::permission_denied);
    CHECK(contains(message(out), "read-only"));
  }
  CHECK(w.end(*w.start("files_read", {{"path", "x"}}, scope)).status == status_code::ok);
  scope["permission_mode"] = "read_only";
  CHECK(w.end(*w.shell("ls", scope)).status == status_code::permission_denied);
  CHECK(w.asked() == 0);
}

TEST_CASE("a tool that comes back with other annotations is judged by the new ones") {
  world w;
  w.tool("dynamic", true);
  CHECK(w.end(*w.start("dynamic", {})).status == status_code::ok);
  w.tool("dynamic", false);
  CHECK(w.end(*w.start("dynamic", {})).status == status_code::permission_denied);
}

TEST_CASE("many sessions ask and are answered at the same time") {
  fake_storage storage;
  world w({}, &storage);
  w.services().provide("rustic.ask/default",
                       [](std::string_view, const json::object&, std::string_view) {
                         return std::string(R"({"answer":"session"})");
                       });
  std::vector<std::thread> threads;
  std::atomic<int> fine{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        auto call = w.shell("git commit -m " + std::to_string(i),
                            w.scope("s" + std::to_string((t + i) % 6)));
        if (w.end(*call).status == status_code::ok) ++fine;
      }
    });
  for (std::thread& one : threads) one.join();
  CHECK(fine == 200);
}
