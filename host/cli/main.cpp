// host/cli/main.cpp - the program rustic-ai: parses the command line and runs one command.
#include <locale.h>
#include <malloc.h>

#include <cstdio>
#include <cstring>
#include <string_view>

#include "host/cli/arguments.hpp"
#include "host/cli/chat.hpp"
#include "host/cli/commands.hpp"
#include "host/cli/demo.hpp"
#include "host/cli/program.hpp"
#include "host/cli/repl.hpp"
#include "host/cli/signals.hpp"
#include "host/cli/standard_streams.hpp"

namespace {
using namespace rustic;
using namespace rustic::cli;

exit_code run(program& with, const arguments& given, signal_watch& signals) {
  switch (given.what) {
    case command::repl:
      return repl(with, given.turn, signals);
    case command::session_resume: {
      auto turn = given.turn;
      turn.session = given.subject;
      return repl(with, turn, signals);
    }
    case command::chat:
      return chat(with, given.turn, signals);
    case command::demo:
      return demo(with, signals);
    case command::session_list:
    case command::session_show:
    case command::session_export:
    case command::session_delete:
      return session_command(with, given, signals);
    case command::config_init:
    case command::config_show:
    case command::config_get:
    case command::config_set:
    case command::config_explain:
    case command::config_validate:
    case command::config_path:
      return config_command(with, given);
    case command::plugin_list:
    case command::plugin_info:
    case command::plugin_install:
    case command::plugin_remove:
    case command::plugin_enable:
    case command::plugin_disable:
    case command::plugin_reload:
    case command::plugin_doctor:
      return plugin_command(with, given);
    case command::plugin_validate:
      return plugin_validate_command(with, given);
    case command::plugin_new:
      return plugin_new_command(with, given);
    case command::tools_list:
    case command::agents_list:
      return list_command(with, given);
    case command::models:
      return models_command(with, given, signals);
    case command::doctor:
      return doctor_command(with, given, signals);
    case command::trust:
    case command::untrust:
      return trust_command(with, given);
    case command::completion:
      return completion_command(given);
  }
  return exit_code::usage;
}

// What the completion scripts begin with; no command for people.
constexpr const char* complete_word = "__complete";

// Threads that allocate little and seldom at once: an arena for each would only hold memory.
constexpr int allocator_arenas_max = 2;

// The output form of a command line that could not be parsed.
output_form form_of(int count, char** words) {
  for (int i = 1; i < count; ++i) {
    std::string_view value;
    const std::string_view word = words[i];
    if ((word == "--output" || word == "-o") && i + 1 < count) value = words[i + 1];
    if (word.starts_with("--output=")) value = word.substr(9);
    if (word.starts_with("-o") && word.size() > 2) value = word.substr(2);
    if (const auto form = output_form_from(value); form != output_form::text) return form;
  }
  return output_form::text;
}

// Commands that wait for signals themselves; the others end by them.
bool watches_signals(const arguments& given) {
  switch (given.what) {
    case command::repl:
    case command::session_resume:
    case command::chat:
    case command::demo:
    case command::session_delete:
    case command::models:
    case command::doctor:
      return true;
    default:
      return false;
  }
}

int run_to_the_end(int count, char** words);
}  // namespace

int main(int count, char** words) {
  fill_closed_streams();
  const int status = run_to_the_end(count, words);
  const bool written = finish_standard_output();
  return status == 0 && !written ? static_cast<int>(exit_code::turn_failed) : status;
}

namespace {
int run_to_the_end(int count, char** words) {
  if (count == 2 && std::strcmp(words[1], "--version") == 0) {
    std::puts(version_text().c_str());
    return 0;
  }
  if (count >= 2 && std::strcmp(words[1], complete_word) == 0)
    return static_cast<int>(complete_command({words + 2, words + count}));
  // What is typed and shown is UTF-8, whatever the environment says.
  if (!setlocale(LC_CTYPE, "C.UTF-8")) setlocale(LC_CTYPE, "");
  mallopt(M_ARENA_MAX, allocator_arenas_max);
  auto given = parse_arguments(count, words);
  if (!given.value) {
    const auto form = given.exit_status == 0 ? output_form::text : form_of(count, words);
    if (form != output_form::text) {
      error problem;
      problem.code = status_code::invalid_argument;
      constexpr std::string_view name = "rustic-ai: ";  // who says so is for people
      problem.message = given.text.substr(0, given.text.find('\n'));
      if (problem.message.starts_with(name)) problem.message.erase(0, name.size());
      problem.hint = given.hint;
      report_failure(form, true, problem);
    } else {
      std::fputs(given.text.c_str(), given.exit_status == 0 ? stdout : stderr);
    }
    return given.exit_status;
  }
  const auto form = given.value->turn.output.value_or(output_form::text);
  try {
    signal_watch signals;
    if (!watches_signals(*given.value)) signals.let_through();
    program with(given.value->global);
    return static_cast<int>(run(with, *given.value, signals));
  } catch (...) {
    auto problem = current_error();
    add_usual_hint(problem, exit_code_of(problem));
    if (given.value->what == command::chat) {
      report_failure(form, true, problem);
    } else {
      if (given.value->json || given.value->validate.output == "json")
        std::puts(json::serialize(json::object{{"error", error_object(problem)}}).c_str());
      print_error(problem);
    }
    if (problem.code == status_code::invalid_argument ||
        problem.code == status_code::already_exists)
      return static_cast<int>(exit_code::usage);
    if (problem.code == status_code::cancelled && problem.message == "terminated")
      return static_cast<int>(exit_code::terminated);
    return static_cast<int>(exit_code_of(problem));
  }
}
}  // namespace
