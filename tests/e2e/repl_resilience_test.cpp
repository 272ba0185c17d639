// tests/e2e/repl_resilience_test.cpp - waits, switches and costs in a real terminal of 60 columns.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <algorithm>

#include "repl_world.hpp"

using namespace rustic;
using namespace rustic::e2e;
using fakes::step;

namespace {

step refusing(int status, const char* retry_after = nullptr) {
  auto one = step::failing(status, R"({"error":{"message":"not now","type":"t"}})");
  if (retry_after) one.headers.emplace_back("Retry-After", retry_after);
  return one;
}

struct narrow : repl_world {
  explicit narrow(std::vector<step> steps, std::vector<step> second = {})
      : repl_world(std::move(steps)), spare({std::move(second), {}}) {
    with.columns = 60;
    with.environment.erase("OPENAI_API_KEY");
    with.environment.erase("OPENAI_BASE_URL");
    configure("fallback = [\"spare\"]\n[providers.main]\ntype = \"openai\"\nbase_url = \"" +
              server.base_url() + "\"\nmodel = \"big\"\n[providers.spare]\ntype = \"openai\"\n" +
              "base_url = \"" + spare.base_url() + "\"\nmodel = \"small\"\n" +
              "[resilience]\nbackoff = \"1ms\"\n[permissions]\nmode = \"bypass\"\n" +
              "[prices.\"main/*\"]\ninput = 1000\noutput = 1000\n" +
              "[prices.\"spare/*\"]\ninput = 1\noutput = 1\n");
  }
  // The lines of the screen that begin with this.
  std::vector<std::string> lines(std::string_view begin) const {
    std::vector<std::string> out;
    for (const auto& line : terminal->screen())
      if (line.starts_with(begin)) out.push_back(line);
    return out;
  }
  fakes::model_server spare;
};
}  // namespace

TEST_CASE("one line for each wait and switch, and then the answer, once") {
  narrow w({refusing(500), refusing(429, "3600")}, {step::saying("From the spare one.")});
  auto& t = w.at_prompt();
  t.send("Hi\r");
  const auto end = t.wait_for("From the spare one.");
  REQUIRE(end != npos);
  REQUIRE(w.wait_prompt(end));
  CAPTURE(t.raw());
  const auto said = w.lines("! ");
  REQUIRE(said.size() == 2);
  CHECK(said[0].starts_with("! main/big: server error (500); again in "));
  CHECK(said[1] == "! main/big: rate limit (429), free in 60 min; going on with");
  CHECK(w.lines("From the spare one.").size() == 1);
  CHECK(!has(t.raw(), "begins again"));
}

TEST_CASE("Ctrl-C ends a wait, and the session goes on") {
  narrow w({refusing(429, "20"), step::saying("Here again.")});
  auto& t = w.at_prompt();
  t.send("Hi\r");
  auto at = t.wait_for("again in ");
  REQUIRE(at != npos);
  t.send(ctrl_c);
  at = t.wait_for("(stopped", at);
  REQUIRE(at != npos);
  REQUIRE(w.wait_prompt(at));
  t.send("And now?\r");
  CHECK(t.wait_for("Here again.", at) != npos);
  CHECK(w.server.requests().size() == 2);
}

TEST_CASE("an answer that begins again is told to, where its beginning was shown") {
  auto cut = step::saying("");
  cut.text = {"half ", "of ", "it "};
  cut.cut_after_bytes = 500;
  narrow w({cut, step::saying("All of it.")});
  w.with.words.insert(w.with.words.end(), {"--set", "resilience.after_text=restart"});
  auto& t = w.at_prompt();
  t.send("Hi\r");
  const auto end = t.wait_for("All of it.");
  REQUIRE(end != npos);
  CHECK(w.lines("! the answer begins again").size() == 1);
}

TEST_CASE("/cost: tokens, cost and rates of each model, in 60 columns") {
  auto first = step::calling("files_list", "{}");
  first.usage = {{"prompt_tokens", 1000}, {"completion_tokens", 10}, {"total_tokens", 1010}};
  auto second = step::saying("Done.");
  second.usage = {{"prompt_tokens", 2000}, {"completion_tokens", 20}, {"total_tokens", 2020}};
  narrow w({first, refusing(401)}, {second});
  auto& t = w.at_prompt();
  CHECK(has(w.run("Hi", "Done."), "Done."));
  const auto shown = w.run("/cost", "Since the program began");
  CAPTURE(shown);
  const auto main = w.lines("1.0100  1      1000   0       10      ");
  REQUIRE(main.size() == 1);
  CHECK(main[0].ends_with("main/fake-model"));
  CHECK(w.lines("0.0020  1      2000   0       20      spare/fake-model").size() == 1);
  CHECK(has(shown, "Together 1.0120 USD"));
  CHECK(has(shown, "1000 in, 1000 out"));
  CHECK(has(shown, "Since the program began: 1.0120 USD."));
  for (const auto& line : t.screen()) CHECK(line.size() <= 60);
}
