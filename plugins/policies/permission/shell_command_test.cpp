#include "shell_command.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <ctime>
#include <random>
#include <rustic/json.hpp>

#include "limits.hpp"
#include "rules.hpp"
#include "shell_corpus.hpp"

using namespace rustic::permission;
namespace json = rustic::json;

namespace {

std::string render(const shell_command& line) {
  if (!line.complete) return "?";
  std::string out;
  for (std::size_t i = 0; i < line.commands.size(); ++i) {
    const simple_command& command = line.commands[i];
    if (i != 0) out += " & ";
    for (const std::string& one : command.env) out += one + " ";
    for (std::size_t w = 0; w < command.argv.size(); ++w) out += (w ? " " : "") + command.argv[w];
  }
  return out;
}

char decide(const rule_set& rules, std::string_view line, mode in_mode = mode::normal) {
  const json::object arguments{{"command", line}};
  call_request call;
  call.tool = "shell";
  call.arguments = &arguments;
  call.workspace = "/";
  call.in_mode = in_mode;
  switch (rules.decide(call, {}).what) {
    case decision::allow:
      return 'a';
    case decision::ask:
      return 'k';
    case decision::deny:
      return 'd';
  }
  return '!';
}

}  // namespace

TEST_CASE("the corpus is read and decided as it says") {
  const rule_set rules(json::parse(corpus_rules).as_object());
  static_assert(std::size(corpus) >= 150);
  for (const corpus_line& one : corpus) {
    CAPTURE(one.line);
    const shell_command line = parse_shell_command(one.line);
    CAPTURE(line.reason);
    CHECK(render(line) == one.read);
    CHECK(line.complete == line.reason.empty());
    CHECK(decide(rules, one.line) == one.what);
    // What a rule denies stays denied in every mode.
    if (one.what == 'd') {
      CHECK(decide(rules, one.line, mode::bypass) == 'd');
      CHECK(decide(rules, one.line, mode::accept_edits) == 'd');
    }
    CHECK(decide(rules, one.line, mode::read_only) == 'd');
  }
}

TEST_CASE("a command that is not understood is never allowed by a rule") {
  const rule_set all(json::parse(R"({"rules":[{"tool":"*","decision":"allow"}]})").as_object());
  for (const corpus_line& one : corpus) {
    CAPTURE(one.line);
    const shell_command line = parse_shell_command(one.line);
    const bool runs_something = line.complete && !line.commands.empty();
    CHECK(decide(all, one.line) == (runs_something ? 'a' : 'k'));
  }
}

TEST_CASE("appending a forbidden command to any complete line forbids it") {
  const rule_set rules(json::parse(corpus_rules).as_object());
  for (const corpus_line& one : corpus) {
    if (one.read == "?" || one.line.find("<<") != std::string_view::npos) continue;
    for (const char* tail : {"\nrm -rf /", "\n/bin/rm -r -f x", "\nenv curl x"}) {
      const std::string line = std::string(one.line) + tail;
      CAPTURE(line);
      CHECK(decide(rules, line) == 'd');
    }
  }
}

TEST_CASE("limits end the reading without a crash") {
  const std::string long_line = "echo " + std::string(max_command_bytes, 'x');
  CHECK_FALSE(parse_shell_command(long_line).complete);
  const std::string fits = "echo " + std::string(max_command_bytes - 5, 'x');
  CHECK(parse_shell_command(fits).complete);

  std::string parentheses(max_command_bytes, '(');
  CHECK_FALSE(parse_shell_command(parentheses).complete);
  std::string substitutions;
  while (substitutions.size() + 2 < max_command_bytes) substitutions += "$(";
  CHECK_FALSE(parse_shell_command(substitutions).complete);
  std::string semicolons;
  while (semicolons.size() + 2 < max_command_bytes) semicolons += "a;";
  CHECK_FALSE(parse_shell_command(semicolons).complete);
  std::string words;
  while (words.size() + 2 < max_command_bytes) words += "a ";
  CHECK_FALSE(parse_shell_command(words).complete);
  std::string wrappers;
  for (std::size_t i = 0; i < max_wrappers; ++i) wrappers += "env ";
  CHECK(parse_shell_command(wrappers + "ls").commands.back().argv ==
        std::vector<std::string>{"ls"});
  CHECK_FALSE(parse_shell_command("env " + wrappers + "ls").complete);
  // Work and memory grow with the line's length, not with its square.
  while (wrappers.size() + 4 < max_command_bytes) wrappers += "env ";
  const shell_command many = parse_shell_command(wrappers);
  CHECK_FALSE(many.complete);
  CHECK(many.commands.back().forms.size() <= max_wrappers);
}

TEST_CASE("a forbidden command is found behind any amount of padding") {
  const rule_set rules(json::parse(corpus_rules).as_object());
  const std::string padding(max_command_bytes, ' ');
  CHECK(decide(rules, "ls;" + padding + "rm -rf /") == 'd');
  CHECK(decide(rules, "ls '" + std::string(max_command_bytes, 'x') + "'; curl x") == 'd');
  CHECK(decide(rules, std::string(max_checked_bytes + 1, ' ') + "ls") == 'd');
}

TEST_CASE("searching for a forbidden command is bounded and never ends in leave") {
  const rule_set rules = [] {
    json::array list;
    for (int i = 0; i < 8; ++i)
      list.push_back(json::object{{"tool", "shell"},
                                  {"argv", json::array{"rm", "-rf", std::to_string(i)}},
                                  {"decision", "deny"}});
    return rule_set(json::object{{"rules", std::move(list)}});
  }();
  for (const std::size_t bytes : {max_command_bytes - 8, max_checked_bytes - 8}) {
    std::string line = "ls $(";
    while (line.size() + 3 < bytes) line += "rm ";
    const std::clock_t before = std::clock();
    CHECK(decide(rules, line, mode::bypass) == 'd');
    // Without the bound it is a minute and more.
    CHECK(std::clock() - before < 10 * CLOCKS_PER_SEC);
  }
  std::string some = "ls $(";
  for (int i = 0; i < 500; ++i) some += "rm -r x; ";
  CHECK(decide(rules, some) == 'k');
}

TEST_CASE("any bytes are read without a crash") {
  std::mt19937 random(4711);
  static constexpr std::string_view pieces[] = {
      "rm",   " ",       "-rf", "'",     "\"",       "\\", "$(",   ")",   "`",    "${",
      "}",    "<<EOF\n", "EOF", "\n",    ";",        "&&", "|",    "&",   ">",    "<",
      "<(",   "((",      "$'",  "\\x",   "{",        "[[", "if",   "do",  "=",    "sh -c ",
      "env ", "sudo ",   "$X",  "#",     "~",        "*",  "2>&1", "\0",  "\xff", "a[",
      "]=",   "time ",   "!",   "eval ", "<<-'A'\n", "\t", "\r",   "$\"", "$[",   ">|"};
  const rule_set rules(json::parse(corpus_rules).as_object());
  for (int round = 0; round < 20000; ++round) {
    std::string line;
    const std::size_t count = random() % 24;
    for (std::size_t i = 0; i < count; ++i) line += pieces[random() % std::size(pieces)];
    if (round % 4 == 0)
      for (char& c : line)
        if (random() % 16 == 0) c = static_cast<char>(random() & 0xFF);
    CAPTURE(line);
    const shell_command parsed = parse_shell_command(line);
    CHECK(parsed.complete == parsed.reason.empty());
    for (const simple_command& command : parsed.commands) {
      REQUIRE(command.known.size() == command.argv.size());
      REQUIRE(command.known_words <= command.argv.size());
    }
    decide(rules, line + "\n");
  }
}
