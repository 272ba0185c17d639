// host/validator/main.cpp - the program rustic-ai-validator, which `rustic-ai plugin validate`
// becomes, and which runs itself again for each check.
#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <random>
#include <rustic/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "host/validator/report.hpp"
#include "host/validator/runner.hpp"

namespace {
using namespace rustic::validator;

constexpr int status_passed = 0, status_failed = 1, status_usage = 2;

constexpr std::string_view usage_text =
    "usage: rustic-ai-validator [OPTIONS] FILE\n"
    "  --only NAME       a check, a family or a pattern with *;\n"
    "                    may come more than once\n"
    "  --strictness N    1 to 10; 5 is what publishing asks for\n"
    "  --output FORM     text, json or junit\n"
    "  --seed N          of what is generated\n"
    "  --config JSON     the plugin's configuration\n"
    "  --in-process      no process for each check\n"
    "  --time-max-ms N   of each check\n"
    "  --list            show the checks\n";

struct command_line {
  run_options run;
  std::string output = "text";
  std::string check;  // of a child
  bool list = false;
  std::string problem;
};

template <class Number>
bool read_number(std::string_view text, Number& out, Number least, Number most) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), out);
  return problem == std::errc{} && end == text.data() + text.size() && out >= least && out <= most;
}

command_line read(int count, char** words) {
  command_line out;
  out.run.seed = 0;
  bool seed_given = false;
  std::string file;
  for (int i = 1; i < count && out.problem.empty(); ++i) {
    const std::string_view word = words[i];
    const auto value = [&]() -> std::string_view {
      if (i + 1 < count) return words[++i];
      out.problem = std::string(word) + " needs a value";
      return {};
    };
    if (word == "--only") {
      out.run.only.emplace_back(value());
    } else if (word == "--strictness") {
      if (!read_number(value(), out.run.strictness, 1, 10)) out.problem = "--strictness is 1 to 10";
    } else if (word == "--output") {
      out.output = value();
      if (out.output != "text" && out.output != "json" && out.output != "junit")
        out.problem = "--output is text, json or junit";
    } else if (word == "--seed") {
      seed_given = read_number<std::uint64_t>(value(), out.run.seed, 0, ~std::uint64_t{0});
      if (!seed_given) out.problem = "--seed is a number";
    } else if (word == "--time-max-ms") {
      if (!read_number<std::uint32_t>(value(), out.run.time_max_ms, 1, 3'600'000))
        out.problem = "--time-max-ms is a number";
    } else if (word == "--config") {
      out.run.config = value();
    } else if (word == "--in-process") {
      out.run.in_process = true;
    } else if (word == "--check") {
      out.check = value();
    } else if (word == "--list") {
      out.list = true;
    } else if (word == "--") {
      file = value();
    } else if (word.starts_with("--")) {
      out.problem = "unknown option " + std::string(word);
    } else {
      file = word;
    }
  }
  if (!out.problem.empty() || out.list) return out;
  std::error_code problem;
  out.run.file = std::filesystem::canonical(file, problem);
  if (file.empty())
    out.problem = "no file is named";
  else if (problem)
    out.problem = file + ": " + problem.message();
  else if (!std::filesystem::is_regular_file(out.run.file))
    out.problem = file + ": not a file";
  if (!seed_given) out.run.seed = std::random_device()();
  for (const auto& pattern : out.run.only) {
    bool any = false;
    for (const auto* one : all_checks()) any = any || matches(pattern, one->name);
    if (!any && out.problem.empty()) out.problem = "no check is named " + pattern;
  }
  return out;
}

int validate(const command_line& given) {
  std::set<std::string> reasons;  // of what was skipped, each told once
  const bool is_text = given.output == "text";
  const auto all = run_checks(given.run, [&](const checked& one) {
    if (!is_text) return;
    const bool told = one.how.result == outcome::skipped && !reasons.insert(one.how.reason).second;
    std::fputs(text_of(one, told).c_str(), stdout);
    std::fflush(stdout);
  });
  const auto rest = is_text                  ? text_summary(given.run, all)
                    : given.output == "json" ? json_report(given.run, all)
                                             : junit_report(given.run, all);
  std::fputs(rest.c_str(), stdout);
  if (std::fflush(stdout) != 0) return status_failed;
  return all.passed() ? status_passed : status_failed;
}
}  // namespace

int main(int count, char** words) {
  // The program that started this one may have blocked signals for its own use.
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  try {
    const auto given = read(count, words);
    if (!given.problem.empty()) {
      const auto message = "validating a plugin: " + given.problem;
      const std::string hint = "see: rustic-ai plugin validate --help";
      rustic::json::object problem{{"code", "INVALID_ARGUMENT"}, {"message", message}};
      problem["hint"] = hint;
      if (given.output == "json")
        std::puts(rustic::json::serialize(rustic::json::object{{"error", problem}}).c_str());
      std::fprintf(stderr, "rustic-ai: %s\n  %s\n", message.c_str(), hint.c_str());
      if (count == 1) std::fputs(std::string(usage_text).c_str(), stderr);
      return status_usage;
    }
    if (given.list) {
      std::fputs(list_of_checks().c_str(), stdout);
      return status_passed;
    }
    constexpr int report = 3;
    if (!given.check.empty()) return run_one_check(given.run, given.check, report);
    return validate(given);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "validating failed: %s\n", problem.what());
    return status_failed;
  }
}
