// tests/e2e/repl_test.cpp - the conversation in a real terminal, against the fake model.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "repl_world.hpp"

using namespace rustic;
using namespace rustic::e2e;
using fakes::step;

namespace {
step shell(const std::string& command) {
  return step::calling("shell", boost::json::serialize(boost::json::object{{"command", command}}));
}
}  // namespace

TEST_CASE("the banner, an answer piece by piece, and the way out") {
  auto slow = step::saying("");
  slow.text = {"first ", "second ", "third"};
  slow.stall_after_events = 2;
  repl_world w({slow});
  auto& t = w.at_prompt();
  CHECK(t.shows("rustic-ai"));
  CHECK(t.shows("fake-model"));
  CHECK(t.shows("/help lists commands"));
  t.send("Hi\r");
  REQUIRE(t.wait_for("first ") != npos);
  CHECK(!has(t.raw(), "third"));
  w.server.release();
  const auto end = t.wait_for("third");
  REQUIRE(end != npos);
  REQUIRE(w.wait_prompt(end));
  t.send(ctrl_d);
  CAPTURE(t.raw());
  const int status = t.wait_exit();
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(has(t.raw(), "goes on with this session"));
}

TEST_CASE("a tool is shown, asked about, allowed for the session and not asked again") {
  repl_world w({shell("touch one && echo made-it"), shell("touch one && echo made-it"),
                step::saying("All done.")});
  auto& t = w.at_prompt();
  t.send("go\r");
  auto at = t.wait_for("Press y");
  REQUIRE(at != npos);
  CHECK(t.shows("* shell  touch one && echo made-it"));
  CHECK(t.shows("[s] Yes, for the rest of this session"));
  CHECK(!std::filesystem::exists(w.work / "one"));
  t.send("xs");  // x is no answer
  at = t.wait_for("All done.", at);
  REQUIRE(at != npos);
  CHECK(std::filesystem::exists(w.work / "one"));
  CHECK(t.shows("  | made-it"));
  const auto asked = t.raw().find("Press y");
  CHECK(t.raw().find("Press y", asked + 1) == npos);
}

TEST_CASE("once is asked again; a denial's reason reaches the model") {
  repl_world w({shell("touch one"), shell("touch one"), step::saying("Understood.")});
  auto& t = w.at_prompt();
  t.send("go\r");
  auto at = t.wait_for("Press y");
  REQUIRE(at != npos);
  t.send("y");
  at = t.wait_for("Press y", at);
  REQUIRE(at != npos);
  t.send("n");
  at = t.wait_for("Why not?", at);
  REQUIRE(at != npos);
  t.send(
      "use the bl\xC3\xBC"
      "e file\r");
  REQUIRE(t.wait_for("Understood.", at) != npos);
  const auto requests = w.server.requests();
  REQUIRE(requests.size() == 3);
  CHECK(has(requests[2].body,
            "use the bl\xC3\xBC"
            "e file"));
  CHECK(t.shows("failed"));
}

TEST_CASE("allowed for the project holds in the next run") {
  repl_world w(
      {shell("touch one"), step::saying("First."), shell("touch one"), step::saying("Second.")});
  auto& t = w.at_prompt();
  t.send("go\r");
  auto at = t.wait_for("Press y");
  REQUIRE(at != npos);
  t.send("p");
  REQUIRE(t.wait_for("First.", at) != npos);
  REQUIRE(w.wait_prompt(t.wait_for("First.", at)));
  t.send(ctrl_d);
  REQUIRE(t.wait_exit() == 0);
  auto& again = w.at_prompt();
  again.send("go\r");
  REQUIRE(again.wait_for("Second.") != npos);
  CHECK(!has(again.raw(), "Press y"));
}

TEST_CASE("two questions at once are put one after another") {
  auto both = step::calling("files_read", R"({"path":"a.txt"})");
  both.tool_calls.push_back({"files_read", R"({"path":"b.txt"})", ""});
  repl_world w({both, step::saying("Read both.")});
  w.write("a.txt", "alpha\n");
  w.write("b.txt", "beta\n");
  w.configure("[permissions]\nrules = [ { tool = \"files_read\", decision = \"ask\" } ]\n");
  auto& t = w.at_prompt();
  t.send("go\r");
  auto at = t.wait_for("Press y");
  REQUIRE(at != npos);
  CHECK(t.raw().find("Press y", at) == npos);
  t.send("y");
  at = t.wait_for("Press y", at);
  REQUIRE(at != npos);
  t.send("y");
  REQUIRE(t.wait_for("Read both.", at) != npos);
  const auto requests = w.server.requests();
  CHECK(has(requests.back().body, "alpha"));
  CHECK(has(requests.back().body, "beta"));
}

TEST_CASE("Ctrl-C in a question ends the turn and not the program") {
  repl_world w({shell("touch one"), step::saying("Next.")});
  auto& t = w.at_prompt();
  t.send("go\r");
  auto at = t.wait_for("Press y");
  REQUIRE(at != npos);
  t.send(ctrl_c);
  at = t.wait_for("(stopped", at);
  REQUIRE(at != npos);
  REQUIRE(w.wait_prompt(at));
  CHECK(!std::filesystem::exists(w.work / "one"));
  t.send("on\r");
  REQUIRE(t.wait_for("Next.", at) != npos);
}

TEST_CASE("the commands") {
  repl_world w({step::saying("Answer one."), step::saying("Answer two."), step::saying("Three.")});
  w.at_prompt();
  CHECK(has(w.run("/help", "Ctrl-R"), "/permissions"));
  CHECK(has(w.run("/nonsense", "/help lists them"), "/nonsense"));
  CHECK(has(w.run("/sessions", "There are no sessions"), "yet"));
  CHECK(has(w.run("/cost", "Nothing has been used"), "yet"));
  CHECK(has(w.run("/tools", "shell"), "files_read"));
  CHECK(has(w.run("/agent", "The agent is"), "there are"));
  CHECK(has(w.run("/agent nobody", "There is no agent"), "nobody"));
  CHECK(has(w.run("/permissions", "The permission mode is"), "default"));
  CHECK(has(w.run("/permissions read-only", "is now"), "read-only"));
  CHECK(has(w.run("first question", "Answer one."), "Answer one."));
  CHECK(has(w.run("/cost", "Since the program began"), "openai/fake-model"));
  CHECK(has(w.run("/new", "new session begins"), ""));
  CHECK(has(w.run("/model", "The model is"), "fake-model"));
  CHECK(has(w.run("/model other-model", "From now on"), "other-model"));
  CHECK(has(w.run("second question", "Answer two."), "Answer two."));
  auto requests = w.server.requests();
  REQUIRE(requests.size() == 2);
  CHECK(!has(requests[1].body, "first question"));
  CHECK(has(requests[1].body, "other-model"));
  const auto list = w.run("/sessions", "/resume N");
  CHECK(has(list, "MESSAGES"));
  CHECK(has(w.run("/resume 2", "Going on with"), "Answer one."));
  CHECK(has(w.run("third question", "Three."), "Three."));
  requests = w.server.requests();
  REQUIRE(requests.size() == 3);
  CHECK(has(requests[2].body, "first question"));
  CHECK(has(w.run("/resume 99", "There is no session"), "99"));
  CHECK(has(w.run("/resume s_nonesuch", "! "), "s_nonesuch"));
  w.terminal->send("/exit\r");
  CHECK(w.terminal->wait_exit() == 0);
}

TEST_CASE("files are attached, and what cannot be is said") {
  repl_world w({step::saying("Seen.")});
  w.write("notes with spaces.txt", "the magic word\n");
  w.write("dot.png", std::string("\x89PNG\r\n\x1a\n\0\0", 10));
  auto& t = w.at_prompt();
  // Tab completes the name, with quotes for the spaces.
  t.send("look at @not\t");
  REQUIRE(t.wait_until([&] { return t.shows("@\"notes with spaces.txt\""); }));
  const auto out = w.run("and @dot.png, @missing.txt or @someone", "Seen.");
  CHECK(has(out, "@missing.txt was not found"));
  CHECK(!has(out, "! @someone"));
  const auto requests = w.server.requests();
  REQUIRE(requests.size() == 1);
  CHECK(has(requests[0].body, "the magic word"));
  CHECK(has(requests[0].body, "data:image/png;base64,iVBORw0KGgo"));
}

TEST_CASE("Tab lists what is possible and goes as far as it is certain") {
  repl_world w({});
  w.write("part-one.txt", "1");
  w.write("part-two.txt", "2");
  std::filesystem::create_directories(w.work / "folder");
  auto& t = w.at_prompt();
  t.send("@pa\t");
  REQUIRE(t.wait_until([&] { return t.shows("> @part-"); }));
  t.send("\t");
  REQUIRE(t.wait_until([&] { return t.shows("@part-one.txt") && t.shows("@part-two.txt"); }));
  t.send("t\t");
  REQUIRE(t.wait_until([&] { return t.shows("> @part-two.txt"); }));
  t.send("and @fo\t");
  REQUIRE(t.wait_until([&] { return t.shows("and @folder/"); }));
  t.send("\x15/perm\t\t");
  REQUIRE(t.wait_until([&] { return t.shows("accept-edits") && t.shows("bypass"); }));
  t.send("by\t\r");
  CHECK(t.wait_for("is now bypass") != npos);
}

TEST_CASE("a terminal that can do nothing gets no escape sequences") {
  repl_world w({shell("echo out"), step::saying("Plain.")});
  w.with.environment["TERM"] = "dumb";
  auto& t = w.at_prompt();
  t.send("go\r");
  const auto at = t.wait_for("Press y");
  REQUIRE(at != npos);
  t.send("y");
  REQUIRE(t.wait_for("Plain.", at) != npos);
  CHECK(!has(t.raw(), "\x1b"));
}

TEST_CASE("history survives, is private, and the up key brings it back") {
  repl_world w({step::saying("One."), step::saying("Two.")});
  w.at_prompt();
  w.run("remember me", "One.");
  w.terminal->send(ctrl_d);
  REQUIRE(w.terminal->wait_exit() == 0);
  struct stat status {};
  REQUIRE(stat(w.history().c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  auto& t = w.at_prompt();
  t.send("\x1b[A");
  REQUIRE(t.wait_until([&] { return t.shows("> remember me"); }));
  t.send("\r");
  REQUIRE(t.wait_for("Two.") != npos);
  CHECK(has(w.server.requests().back().body, "remember me"));
}

TEST_CASE("several lines: a trailing backslash, and a paste that is not run line by line") {
  repl_world w({step::saying("One."), step::saying("Two.")});
  auto& t = w.at_prompt();
  CHECK(has(t.raw(), "\x1b[?2004h"));
  t.send("first\\\r");
  REQUIRE(t.wait_for("... ") != npos);
  t.send("second\r");
  auto at = t.wait_for("One.");
  REQUIRE(at != npos);
  REQUIRE(w.wait_prompt(at));
  CHECK(has(w.server.requests()[0].body, "first\\nsecond"));
  t.send("\x1b[200~alpha\r\nbeta\rgamma\x1b[31m\r\x1b[201~");
  REQUIRE(t.wait_until([&] { return t.shows("gamma"); }));
  CHECK(w.server.requests().size() == 1);
  t.send(" end\r");
  REQUIRE(t.wait_for("Two.", at) != npos);
  REQUIRE(w.server.requests().size() == 2);
  const auto body = w.server.requests()[1].body;
  CAPTURE(body);
  CHECK(has(body, "alpha\\nbeta\\ngamma end"));
}

TEST_CASE("UTF-8 is typed, shown and sent, whatever the locale") {
  repl_world w({step::saying("\xC3\xA9t\xC3\xA9 \xE6\x97\xA5\xE6\x9C\xAC")});
  w.with.environment["LC_ALL"] = "POSIX";
  auto& t = w.at_prompt();
  t.send("gr\xC3\xBC\xC3\x9F \xE6\x97\xA5\xE6\x9C\xACx\x7f\r");
  REQUIRE(t.wait_for("\xC3\xA9t\xC3\xA9 \xE6\x97\xA5\xE6\x9C\xAC") != npos);
  CHECK(t.shows("> gr\xC3\xBC\xC3\x9F"));
  CHECK(has(w.server.requests()[0].body, "gr\xC3\xBC\xC3\x9F \xE6\x97\xA5\xE6\x9C\xAC\""));
}

TEST_CASE("without a model: the lines that set one up, the demo, then the prompt") {
  repl_world w({});
  w.with.environment.erase("OPENAI_API_KEY");
  w.with.environment.erase("OPENAI_BASE_URL");
  w.with.environment.erase("OPENAI_MODEL");
  auto& t = w.start();
  REQUIRE(t.wait_for("[Y/n] ") != npos);
  CHECK(has(t.raw(), "export OPENAI_API_KEY"));
  CHECK(has(t.raw(), "export OPENAI_BASE_URL"));
  CHECK(has(t.raw(), "export OPENAI_MODEL"));
  auto at = t.mark();
  t.send("n");
  REQUIRE(t.wait_for("none yet", at) != npos);
  REQUIRE(w.wait_prompt(at));
  CHECK(has(w.run("hello", "rustic-ai config init"), "No model is configured"));
  t.send(ctrl_d);
  CHECK(t.wait_exit() == 0);
  // The demo is played, or it is said why not; both end at the prompt.
  auto& again = w.start();
  at = again.wait_for("[Y/n] ");
  REQUIRE(at != npos);
  again.send("\r");
  REQUIRE(again.wait_for("none yet", at) != npos);
  CHECK((has(again.raw(), "This is a recording") || has(again.raw(), "cannot be played")));
}

TEST_CASE("the output of a tool cannot control the terminal") {
  auto said = step::saying("");
  said.text = {"answer \x1b",
               "]0;title\x07 and \x1b[31mred\xC2\x9b"
               "5m."};
  repl_world w({shell("printf 'a\\033[2Jb\\033]0;evil\\007c\\rd\\n'"), said});
  w.configure("[permissions]\nmode = \"bypass\"\n");
  auto& t = w.at_prompt();
  const auto from = t.mark();
  t.send("go\r");
  REQUIRE(t.wait_for(" and red", from) != npos);
  CHECK(t.shows("  | abcd"));
  CHECK(!has(t.raw().substr(from), "\x1b[2J"));
  CHECK(!has(t.raw().substr(from), "\x1b]0;"));
  CHECK(!has(t.raw().substr(from), "\x1b[31m"));
  CHECK(!has(t.raw().substr(from), "\xC2\x9b"));
}

TEST_CASE("session show on a terminal obeys no escape sequence") {
  repl_world w({step::saying("answer \x1b]0;title\x07 \x1b[2J end")});
  auto& t = w.at_prompt();
  t.send("go\r");
  REQUIRE(t.wait_for(" end") != npos);
  t.send(std::string(ctrl_d));
  const auto at = t.wait_for("rustic-ai -r ");
  REQUIRE(t.wait_for(" goes on", at) != npos);
  const auto id = t.raw().substr(at, t.raw().find(' ', at) - at);
  CHECK(t.wait_exit() == 0);
  w.with.words = {RUSTIC_AI, "session", "show", id};
  auto& shown = w.start();
  REQUIRE(shown.wait_for("end") != npos);
  CHECK(!has(shown.raw(), "\x1b]0;"));
  CHECK(!has(shown.raw(), "\x1b[2J"));
}

TEST_CASE("wide characters are edited in the middle of a line that has several rows") {
  repl_world w({step::saying("Fine.")});
  w.with.columns = 20;
  auto& t = w.at_prompt();
  t.send("漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字");
  REQUIRE(t.wait_until([&] { return t.shows("字漢字漢字漢字漢字漢"); }));  // the second row
  for (int i = 0; i < 3; ++i) t.send("\x1b[D");
  t.send("\x7f");
  t.send("\x01X");
  t.send("\x05Z");
  REQUIRE(t.wait_until([&] { return t.shows("漢字漢字漢字漢字字漢") && t.shows("字Z"); }));
  t.send("\r");
  REQUIRE(t.wait_for("Fine.") != npos);
  CHECK(has(w.server.requests()[0].body, "X漢字漢字漢字漢字漢字漢字漢字漢字字漢字Z"));
}
